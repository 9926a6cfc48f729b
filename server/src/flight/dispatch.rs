//! What the calls of the Flight service ask: each is taken apart here and handed to the module that knows it.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    Command, CommandStatementQuery, DoPutPreparedStatementResult, DoPutUpdateResult, ProstMessageExt,
};
use arrow_flight::{
    Action, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightData, FlightDescriptor, FlightInfo,
    PutResult, Ticket,
};
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use millstream_protocol::STATEMENT_TIMEOUT_METADATA;
use millstream_sql::Outcome;
use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use super::blocking::{blocking, computing};
use super::calls::CALLS;
use super::command::{command, path, refuse_transaction, unpack};
use super::encode::{plain_schema, schema_bytes};
use super::error::{DoorError, Result};
use super::forward::Messages;
use super::members::Members;
use super::prepared::PreparedStatements;
use super::query::{self, Asked, Running};
use super::sessions::{Caller, Calling, Sessions};
use super::upload::{self, Uploads};
use super::{append, forward, ingest, listing, stream as answer, update};
use crate::deadline::Deadline;
use crate::door::Door;
use crate::net::sent::Sent;
use crate::work::Waits;

/// What DoPut answers.
type Put = Result<PutResult, Status>;

/// The door's state, shared by all its connections.
#[derive(Debug, Clone)]
pub(super) struct FlightDoor {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) door: Door,
    pub(super) sessions: Sessions,
    statements: PreparedStatements,
    running: Running,
    pub(super) members: Arc<Members>,
    uploads: Uploads,
}

impl FlightDoor {
    pub(super) fn new(door: Door) -> FlightDoor {
        CALLS.into_iter().for_each(|label| door.figures.show(label));
        let (sessions, statements) = (Sessions::default(), PreparedStatements::default());
        let (running, members, uploads) = (Running::default(), Arc::default(), Uploads::default());
        let inner = Inner { door, sessions, statements, running, members, uploads };
        FlightDoor { inner: Arc::new(inner) }
    }

    /// Who makes a call, if he may make one more. What the future needs of the request it has when it is made.
    pub(super) fn caller<T>(&self, request: &Request<T>) -> impl Future<Output = Result<Caller>> + Send + use<T> {
        let (calling, inner) = (calling(request), Arc::clone(&self.inner));
        async move {
            let caller = inner.sessions.caller(&inner.door, calling?).await?;
            inner.door.engine.admit_requests(caller.session.principal(), &caller.session.namespace(), 1)?;
            Ok(caller)
        }
    }

    pub(super) fn deadline(&self, metadata: &MetadataMap) -> Result<Deadline> {
        let asked = metadata.get(STATEMENT_TIMEOUT_METADATA).map(|value| value.as_bytes());
        Deadline::new(self.inner.door.statement_timeout, asked).map_err(DoorError::invalid)
    }

    /// What GetFlightInfo, PollFlightInfo and GetSchema answer.
    pub(super) async fn describe(
        &self,
        request: Request<FlightDescriptor>,
        asked: Asked,
    ) -> Result<FlightInfo, Status> {
        let (caller, deadline) = (self.caller(&request).await?, self.deadline(request.metadata())?);
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
                let statement = self.inner.statements.get(handle, caller.session.principal())?;
                query::plan_prepared(queries, statement, descriptor, asked, deadline).await
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

    pub(super) async fn get(
        &self,
        caller: Caller,
        ticket: Ticket,
        sent: Arc<Sent>,
        deadline: Deadline,
    ) -> Result<answer::Answer> {
        let Inner { door, statements, running, .. } = self.inner.as_ref();
        match command(&ticket.ticket)? {
            Command::TicketStatementQuery(ticket) => {
                query::execute_ticket(door, caller, running, &ticket.statement_handle, sent, deadline).await
            }
            Command::CommandPreparedStatementQuery(statement) => {
                let handle = &statement.prepared_statement_handle;
                let statement = statements.get(handle, caller.session.principal())?;
                query::execute_prepared(door, statement, running, handle, sent, deadline).await
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

    pub(super) async fn put(
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
                let statement = statements.get(handle, caller.session.principal())?;
                update::prepared(door, statement, incoming, deadline).await?
            }
            Command::CommandPreparedStatementQuery(statement) => {
                let handle = statement.prepared_statement_handle;
                statements.get(&handle, caller.session.principal())?;
                update::bind(door, statements, &handle, incoming).await?;
                let result = DoPutPreparedStatementResult { prepared_statement_handle: Some(handle) };
                return Ok(put_result(result.encode_to_vec()));
            }
            _ => return Err(DoorError::unsupported("this command cannot be put here")),
        };
        Ok(put_result(DoPutUpdateResult { record_count }.encode_to_vec()))
    }

    pub(super) async fn act(&self, caller: Caller, action: Action, metadata: &MetadataMap) -> Result<Option<Bytes>> {
        match action.r#type.as_str() {
            "CreatePreparedStatement" => {
                let request: ActionCreatePreparedStatementRequest = unpack(&action.body)?;
                refuse_transaction(request.transaction_id)?;
                let prepared = self.deadline(metadata)?.within(self.prepare(caller, request.query)).await?;
                Ok(Some(prepared.as_any().encode_to_vec().into()))
            }
            "ClosePreparedStatement" => {
                let request: ActionClosePreparedStatementRequest = unpack(&action.body)?;
                self.inner.statements.close(&request.prepared_statement_handle, caller.session.principal());
                Ok(None)
            }
            "CancelFlightInfo" => {
                let request = CancelFlightInfoRequest::decode(action.body)
                    .map_err(|error| DoorError::invalid(format!("the action's body is malformed: {error}")))?;
                let cancelled =
                    self.inner.running.cancel(&request.info.unwrap_or_default(), caller.session.principal())?;
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
    pub(super) async fn flights(&self, caller: Caller) -> Result<Vec<FlightInfo>> {
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

/// What a request says of its caller.
pub(super) fn calling<T>(request: &Request<T>) -> Result<Calling> {
    Calling::read(request.metadata(), Arc::clone(&forward::sent(request)?.peer))
}

fn put_result(app_metadata: Vec<u8>) -> BoxStream<'static, Put> {
    stream::iter([Ok(PutResult { app_metadata: app_metadata.into() })]).boxed()
}
