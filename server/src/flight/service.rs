//! The Flight service: each call is taken apart here and handed to the module that knows it.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    Any, Command, CommandStatementQuery, DoPutPreparedStatementResult, DoPutUpdateResult, ProstMessageExt,
};
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, Criteria, Empty, FlightData,
    FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use bytes::Bytes;
use futures::stream::{self, BoxStream, Stream, StreamExt};
use millstream_engine::ErrorKind;
use millstream_protocol::STATEMENT_TIMEOUT_METADATA;
use millstream_sql::Outcome;
use prost::Message;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Request, Response, Status, Streaming};

use super::blocking::{blocking, computing};
use super::encode::{plain_schema, schema_bytes};
use super::error::{DoorError, Result};
use super::forward::Messages;
use super::members::Members;
use super::prepared::PreparedStatements;
use super::query::{self, Asked, Running};
use super::sessions::{Caller, Sessions};
use super::upload::{self, Uploads};
use super::{append, exchange, forward, ingest, listing, stream as answer, update};
use crate::Door;
use crate::deadline::Deadline;
use crate::figures::{Count, Counted};
use crate::net::leaving::Sent;
use crate::work::Waits;

/// How long a client may take until it says what it puts where.
const FIRST_MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// The door's state, shared by all its connections.
#[derive(Debug, Clone)]
pub(crate) struct FlightDoor {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    door: Door,
    sessions: Sessions,
    statements: PreparedStatements,
    running: Running,
    members: Arc<Members>,
    uploads: Uploads,
}

impl FlightDoor {
    pub(super) fn new(door: Door) -> FlightDoor {
        let (sessions, statements) = (Sessions::default(), PreparedStatements::default());
        let (running, members, uploads) = (Running::default(), Arc::default(), Uploads::default());
        let inner = Inner { door, sessions, statements, running, members, uploads };
        FlightDoor { inner: Arc::new(inner) }
    }

    fn caller(&self, metadata: &MetadataMap) -> Result<Caller, Status> {
        self.inner.sessions.caller(&self.inner.door.sql, metadata)
    }

    fn deadline(&self, metadata: &MetadataMap) -> Result<Deadline> {
        let asked = metadata.get(STATEMENT_TIMEOUT_METADATA).map(|value| value.as_bytes());
        Deadline::new(self.inner.door.statement_timeout, asked).map_err(DoorError::invalid)
    }

    fn count(&self, what: Count) -> Counted {
        self.inner.door.figures.count(what)
    }

    /// What GetFlightInfo, PollFlightInfo and GetSchema answer.
    async fn describe(&self, request: Request<FlightDescriptor>, asked: Asked) -> Result<FlightInfo, Status> {
        let (caller, deadline) = (self.caller(request.metadata())?, self.deadline(request.metadata())?);
        Ok(self.described(caller, request.into_inner(), asked, deadline).await?)
    }

    async fn described(
        &self,
        caller: Caller,
        descriptor: FlightDescriptor,
        asked: Asked,
        deadline: Deadline,
    ) -> Result<FlightInfo> {
        let queries = &self.inner.door.queries;
        if !descriptor.path.is_empty() {
            let (namespace, name) = path(&caller, &descriptor.path)?;
            return query::plan(queries, caller, query::select_all(&namespace, &name), descriptor, asked, deadline)
                .await;
        }
        match command(&descriptor.cmd)? {
            Command::CommandStatementQuery(CommandStatementQuery { query: sql, transaction_id }) => {
                refuse_transaction(transaction_id)?;
                query::plan(queries, caller, sql, descriptor, asked, deadline).await
            }
            Command::CommandPreparedStatementQuery(statement) => {
                let handle = &statement.prepared_statement_handle;
                query::plan_prepared(queries, &self.inner.statements, handle, descriptor, asked, deadline).await
            }
            command => match self.list(caller, command).await? {
                Some(batch) => query::info(&batch.schema(), descriptor.cmd.clone(), descriptor),
                None => Err(DoorError::unsupported("this command cannot be planned here")),
            },
        }
    }

    async fn list(&self, caller: Caller, command: Command) -> Result<Option<arrow::array::RecordBatch>> {
        let (engine, who) = (self.inner.door.engine.clone(), caller.session.principal().clone());
        blocking(&self.inner.door, Waits::Never, move || listing::list(&engine, &who, command)).await
    }

    async fn get(&self, caller: Caller, ticket: Ticket, sent: Arc<Sent>, deadline: Deadline) -> Result<answer::Answer> {
        let Inner { door, statements, running, .. } = self.inner.as_ref();
        match command(&ticket.ticket)? {
            Command::TicketStatementQuery(ticket) => {
                query::execute_ticket(door, caller, running, &ticket.statement_handle, sent, deadline).await
            }
            Command::CommandPreparedStatementQuery(statement) => {
                let handle = &statement.prepared_statement_handle;
                query::execute_prepared(&door.queries, statements, running, handle, sent, deadline).await
            }
            command => {
                let batch = self.list(caller, command).await?;
                let batch = batch.ok_or_else(|| DoorError::invalid("this ticket was not given by this server"))?;
                let schema = batch.schema();
                let stream = stream::iter([Ok(batch)]).boxed();
                Ok(answer::send(&door.queries, Outcome::Rows { schema, stream }, sent))
            }
        }
    }

    async fn put(
        &self,
        caller: Caller,
        first: FlightData,
        incoming: Messages,
        sent: Arc<Sent>,
        deadline: Deadline,
    ) -> Result<BoxStream<'static, Put>> {
        let Inner { door, statements, .. } = self.inner.as_ref();
        let descriptor = first.flight_descriptor.clone();
        let descriptor =
            descriptor.ok_or_else(|| DoorError::invalid("the first message of DoPut has no descriptor"))?;
        let incoming = stream::iter([Ok(first)]).chain(incoming).boxed();
        if !descriptor.path.is_empty() {
            let (namespace, name) = path(&caller, &descriptor.path)?;
            let (engine, who) = (door.engine.clone(), caller.session.principal().clone());
            let table = {
                let who = who.clone();
                blocking(door, Waits::Never, move || Ok(engine.table(&who, &namespace, &name)?)).await?
            };
            return Ok(append::serve(door.clone(), who, table, incoming, sent));
        }
        if let Some(statement) = upload::statement(&descriptor.cmd)? {
            let done = upload::create(door, &self.inner.uploads, caller, statement, incoming).await?;
            return Ok(put_result(done.encode_to_vec()));
        }
        let record_count = match command(&descriptor.cmd)? {
            Command::CommandStatementUpdate(statement) => {
                refuse_transaction(statement.transaction_id)?;
                deadline.within(update::statement(door, caller, statement.query)).await?
            }
            Command::CommandStatementIngest(command) => ingest::ingest(door, &caller, command, incoming).await?,
            Command::CommandPreparedStatementUpdate(statement) => {
                let handle = &statement.prepared_statement_handle;
                update::prepared(door, statements, handle, incoming, deadline).await?
            }
            Command::CommandPreparedStatementQuery(statement) => {
                let handle = statement.prepared_statement_handle;
                update::bind(door, statements, &handle, incoming).await?;
                let result = DoPutPreparedStatementResult { prepared_statement_handle: Some(handle) };
                return Ok(put_result(result.encode_to_vec()));
            }
            _ => return Err(DoorError::unsupported("this command cannot be put here")),
        };
        Ok(put_result(DoPutUpdateResult { record_count }.encode_to_vec()))
    }

    async fn act(&self, caller: Caller, action: Action, metadata: &MetadataMap) -> Result<Option<Bytes>> {
        match action.r#type.as_str() {
            "CreatePreparedStatement" => {
                let request: ActionCreatePreparedStatementRequest = unpack(&action.body)?;
                refuse_transaction(request.transaction_id)?;
                let prepared = self.deadline(metadata)?.within(self.prepare(caller, request.query)).await?;
                Ok(Some(prepared.as_any().encode_to_vec().into()))
            }
            "ClosePreparedStatement" => {
                let request: ActionClosePreparedStatementRequest = unpack(&action.body)?;
                self.inner.statements.close(&request.prepared_statement_handle);
                Ok(None)
            }
            "CancelFlightInfo" => {
                let request = CancelFlightInfoRequest::decode(action.body)
                    .map_err(|error| DoorError::invalid(format!("the action's body is malformed: {error}")))?;
                let cancelled = self.inner.running.cancel(&request.info.unwrap_or_default())?;
                let status = if cancelled { CancelStatus::Cancelled } else { CancelStatus::NotCancellable };
                Ok(Some(CancelFlightInfoResult { status: status.into() }.encode_to_vec().into()))
            }
            "CloseSession" => {
                self.inner.sessions.close(metadata);
                // CloseSessionResult { status: CLOSED }.
                Ok(Some(Bytes::from_static(&[0x08, 0x01])))
            }
            "BeginTransaction" | "EndTransaction" | "BeginSavepoint" | "EndSavepoint" => Err(DoorError::unsupported(
                "there are no transactions: each statement, and each batch of rows, is durable by itself",
            )),
            "CreatePreparedSubstraitPlan" => Err(DoorError::unsupported("Substrait plans are not executed; send SQL")),
            other => Err(DoorError::unsupported(format!("the action {other:?} is not offered"))),
        }
    }

    async fn prepare(&self, caller: Caller, sql: String) -> Result<ActionCreatePreparedStatementResult> {
        query::check_length(&sql)?;
        let text_bytes = sql.len();
        let session = caller.session.clone();
        let prepared = computing(&self.inner.door.queries, async move { Ok(session.prepare(&sql).await?) }).await?;
        // Without a schema drivers take it for a statement that gives no rows.
        let dataset_schema =
            if prepared.is_query { schema_bytes(&plain_schema(&prepared.result_schema))? } else { Bytes::new() };
        let parameter_schema = schema_bytes(&prepared.parameter_schema)?;
        let prepared_statement_handle = self.inner.statements.open(prepared, caller, text_bytes)?;
        Ok(ActionCreatePreparedStatementResult { prepared_statement_handle, dataset_schema, parameter_schema })
    }

    /// Every table and topic, as a path to read from.
    async fn flights(&self, caller: Caller) -> Result<Vec<FlightInfo>> {
        let (engine, who) = (self.inner.door.engine.clone(), caller.session.principal().clone());
        blocking(&self.inner.door, Waits::Never, move || {
            let mut flights = Vec::new();
            let mut add = |namespace: &str, name: &str, schema: &SchemaRef| -> Result<()> {
                let path = vec![namespace.to_owned(), name.to_owned()];
                let info = FlightInfo::new().try_with_schema(&plain_schema(schema))?;
                flights.push(info.with_descriptor(FlightDescriptor::new_path(path)));
                Ok(())
            };
            for table in engine.tables(&who)? {
                add(&table.namespace, &table.name, table.schema())?;
            }
            for topic in engine.topics(&who)? {
                add(&topic.namespace, &topic.name, &topic.output_schema)?;
            }
            Ok(flights)
        })
        .await
    }
}

type Put = Result<PutResult, Status>;

/// The stream, counted as long as it lasts.
fn counting<T>(stream: impl Stream<Item = T> + Send + 'static, counted: Counted) -> BoxStream<'static, T>
where
    T: Send + 'static,
{
    stream.inspect(move |_| _ = &counted).boxed()
}

fn put_result(app_metadata: Vec<u8>) -> BoxStream<'static, Put> {
    stream::iter([Ok(PutResult { app_metadata: app_metadata.into() })]).boxed()
}

/// `[namespace, name]`, or `[name]` in the caller's namespace.
fn path(caller: &Caller, path: &[String]) -> Result<(String, String)> {
    match path {
        [name] => Ok((caller.session.namespace(), name.clone())),
        [namespace, name] => Ok((namespace.clone(), name.clone())),
        _ => Err(DoorError::invalid("the descriptor's path must be [name] or [namespace, name]")),
    }
}

fn command(bytes: &Bytes) -> Result<Command> {
    let any = Any::decode(bytes.clone())
        .map_err(|_| DoorError::invalid("the command is neither a Flight SQL command nor a ticket of this server"))?;
    match Command::try_from(any) {
        Ok(Command::Unknown(any)) if any.type_url.is_empty() => Err(DoorError::invalid("the command is empty")),
        Ok(command) => Ok(command),
        Err(error) => Err(DoorError::invalid(error.to_string())),
    }
}

fn unpack<M: ProstMessageExt>(body: &Bytes) -> Result<M> {
    let any = Any::decode(body.clone())
        .map_err(|error| DoorError::invalid(format!("the action's body is malformed: {error}")))?;
    let message = any.unpack().map_err(|error| DoorError::invalid(error.to_string()))?;
    message.ok_or_else(|| DoorError::invalid(format!("the action's body is a {}, not what it takes", any.type_url)))
}

fn refuse_transaction(transaction: Option<Bytes>) -> Result<()> {
    match transaction {
        Some(id) if !id.is_empty() => Err(DoorError::new(ErrorKind::NotFound, "this transaction was never begun here")),
        _ => Ok(()),
    }
}

#[tonic::async_trait]
impl FlightService for FlightDoor {
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
    type DoGetStream = Messages;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type DoActionStream = BoxStream<'static, Result<arrow_flight::Result, Status>>;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;
    type DoExchangeStream = Messages;

    /// There is no authentication: any name is taken, and no password; the token is what binds a session.
    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        let (metadata, _, mut messages) = request.into_parts();
        // Those who log in by metadata may send no message, and may leave the stream open.
        let first =
            tokio::time::timeout(self.inner.door.header_timeout, messages.message()).await.unwrap_or(Ok(None))?;
        let token = self.inner.sessions.open(&metadata, first.as_ref())?;
        let answer = HandshakeResponse { protocol_version: 0, payload: token.clone().into() };
        let mut response = Response::new(stream::iter([Ok(answer)]).boxed());
        let bearer = MetadataValue::try_from(format!("Bearer {token}"))
            .map_err(|_| DoorError::internal("the token is not valid metadata"))?;
        response.metadata_mut().insert("authorization", bearer);
        Ok(response)
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        let flights = self.flights(self.caller(request.metadata())?).await?;
        Ok(Response::new(stream::iter(flights.into_iter().map(Ok)).boxed()))
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        Ok(Response::new(self.describe(request, Asked::Info).await?))
    }

    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        Ok(Response::new(PollInfo::new().with_info(self.describe(request, Asked::Info).await?)))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        Ok(Response::new(SchemaResult { schema: self.describe(request, Asked::Schema).await?.schema }))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let caller = self.caller(request.metadata())?;
        let (counted, sent) = (self.count(Count::Get), forward::sent(&request)?);
        let deadline = self.deadline(request.metadata())?;
        Ok(forward::response(counting(self.get(caller, request.into_inner(), sent, deadline).await?, counted)))
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        let caller = self.caller(request.metadata())?;
        let (counted, sent) = (self.count(Count::Put), forward::sent(&request)?);
        let deadline = self.deadline(request.metadata())?;
        let mut incoming = forward::incoming(request);
        let first = tokio::time::timeout(FIRST_MESSAGE_TIMEOUT, incoming.next()).await;
        let first =
            first.map_err(|_| DoorError::new(ErrorKind::Retry, "the first message of DoPut did not come in time"))?;
        let first = first.ok_or_else(|| DoorError::invalid("the DoPut stream is empty"))??;
        Ok(Response::new(counting(self.put(caller, first, incoming, sent, deadline).await?, counted)))
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        let caller = self.caller(request.metadata())?;
        let (door, members) = (self.inner.door.clone(), Arc::clone(&self.inner.members));
        let (who, sent) = (caller.session.principal().clone(), forward::sent(&request)?);
        Ok(forward::response(exchange::serve(door, members, who, forward::incoming(request), sent)))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let caller = self.caller(request.metadata())?;
        let (metadata, _, action) = request.into_parts();
        let body = self.act(caller, action, &metadata).await?;
        Ok(Response::new(stream::iter(body.map(|body| Ok(arrow_flight::Result { body }))).boxed()))
    }

    async fn list_actions(&self, _request: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        let action = |name: &str, what: &str| Ok(ActionType { r#type: name.to_owned(), description: what.to_owned() });
        let actions = [
            action("CreatePreparedStatement", "Parses and plans a statement, and keeps it under a handle"),
            action("ClosePreparedStatement", "Forgets a prepared statement"),
            action("CancelFlightInfo", "Ends the executions that read from a flight's tickets"),
            action("CloseSession", "Forgets the session of the bearer token"),
        ];
        Ok(Response::new(stream::iter(actions).boxed()))
    }
}
