//! Statements. Queries are planned at GetFlightInfo and executed at DoGet, as often as their rows are asked for. Every other
//! statement has been executed, once, when GetFlightInfo answers: drivers take that for the end of `execute`, and may never
//! ask for its result. What it did is in the ticket, so that nothing of it has to be kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::sql::{ProstMessageExt, TicketStatementQuery};
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, Ticket};
use bytes::Bytes;
use millstream_engine::{ErrorKind, Principal};
use millstream_protocol::StatementDone;
use millstream_sql::{Outcome, Prepared};
use prost::Message;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::blocking::computing;
use super::encode;
use super::error::{DoorError, Result};
use super::prepared::PreparedStatement;
use super::sessions::Caller;
use super::stream::{self, Answer};
use crate::deadline::Deadline;
use crate::door::Door;
use crate::net::sent::Sent;
use crate::net::turns::in_turn;
use crate::net::vigil::Vigil;
use crate::quotas::paced;

/// Of one statement's text.
pub(super) const MAX_STATEMENT_BYTES: usize = 1 << 20;

/// What a ticket of ours holds. It is opaque to clients, and nothing that they could not also send as text.
#[derive(Clone, PartialEq, Message)]
struct Statement {
    /// A query, to be executed by whoever brings the ticket.
    #[prost(string, tag = "1")]
    sql: String,
    #[prost(string, tag = "2")]
    namespace: String,
    /// Told apart from other executions of the same text, for cancellation.
    #[prost(bytes = "bytes", tag = "3")]
    id: Bytes,
    /// What the statement did, if it has been executed.
    #[prost(message, optional, tag = "4")]
    done: Option<StatementDone>,
}

/// Executions under way, by what cancels them.
#[derive(Debug, Default)]
pub(super) struct Running(Arc<Mutex<HashMap<Bytes, Execution>>>);

#[derive(Debug)]
struct Execution {
    who: Principal,
    handle: AbortHandle,
}

/// How far a call goes with a statement that is no query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// To describe it.
    Schema,
    /// To execute it.
    Info,
}

/// Plans a query, or executes any other statement, and gives where its rows can be had.
pub(super) async fn plan(
    queries: &Handle,
    caller: Caller,
    sql: String,
    descriptor: FlightDescriptor,
    asked: Asked,
    deadline: Deadline,
) -> Result<FlightInfo> {
    check_length(&sql)?;
    let (namespace, session, text) = (caller.session.namespace(), caller.session.clone(), sql.clone());
    let planned = computing(queries, async move { Ok(session.prepare(&text).await?) });
    let prepared = deadline.within(planned).await?;
    let schema = answer_schema(&prepared);
    if !prepared.is_query && asked == Asked::Info {
        let done = deadline.within(carry_out(queries, caller, prepared, None)).await?;
        return info(&schema, done_ticket(done), descriptor);
    }
    let id = Bytes::copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    info(&schema, ticket(&Statement { sql, namespace, id, done: None }), descriptor)
}

/// The same for a prepared statement, with the parameters last bound.
pub(super) async fn plan_prepared(
    queries: &Handle,
    statement: PreparedStatement,
    descriptor: FlightDescriptor,
    asked: Asked,
    deadline: Deadline,
) -> Result<FlightInfo> {
    let PreparedStatement { prepared, caller, parameters } = statement;
    let schema = match &parameters {
        // Where a parameter may be of any type, the schema is known only now.
        Some(row) if prepared.is_query => {
            let (prepared, row) = (prepared.clone(), row.clone());
            let bound = computing(queries, async move { Ok(prepared.result_schema_with(&row).await?) });
            encode::plain_schema(&deadline.within(bound).await?)
        }
        _ => answer_schema(&prepared),
    };
    if prepared.is_query || asked == Asked::Schema {
        return info(&schema, descriptor.cmd.clone(), descriptor);
    }
    let done = deadline.within(carry_out(queries, caller, prepared, parameters)).await?;
    info(&schema, done_ticket(done), descriptor)
}

fn ticket(statement: &Statement) -> Bytes {
    let statement_handle = statement.encode_to_vec().into();
    TicketStatementQuery { statement_handle }.as_any().encode_to_vec().into()
}

fn done_ticket(done: StatementDone) -> Bytes {
    ticket(&Statement { done: Some(done), ..Statement::default() })
}

/// Executes a statement that is no query.
async fn carry_out(
    queries: &Handle,
    caller: Caller,
    prepared: Prepared,
    parameters: Option<RecordBatch>,
) -> Result<StatementDone> {
    match execute_as(queries, caller, prepared, parameters).await? {
        Outcome::Done { rows, message } => Ok(StatementDone { rows, message }),
        Outcome::Rows { .. } => Err(DoorError::internal("a statement that is no query gave rows")),
    }
}

/// The schema of what DoGet sends for a statement.
pub(super) fn answer_schema(prepared: &Prepared) -> SchemaRef {
    if prepared.is_query { encode::plain_schema(&prepared.result_schema) } else { Arc::clone(&stream::DONE_SCHEMA) }
}

/// Begins to send what a ticket stands for: the rows of a query, which is executed now, or what a statement did.
pub(super) async fn execute_ticket(
    door: &Door,
    caller: Caller,
    running: &Running,
    handle: &Bytes,
    sent: Arc<Sent>,
    deadline: Deadline,
) -> Result<Answer> {
    let queries = &door.queries;
    let statement = decode(handle)?;
    if let Some(StatementDone { rows, message }) = statement.done {
        return Ok(stream::send(queries, Outcome::Done { rows, message }, sent));
    }
    check_length(&statement.sql)?;
    let caller = caller.within(&door.sql, &statement.namespace);
    let session = caller.session.clone();
    let planned = computing(queries, async move { Ok(session.prepare(&statement.sql).await?) });
    let prepared = deadline.within(planned).await?;
    let who = caller.session.principal().clone();
    let outcome = deadline.within(execute_query(door, caller, prepared, None, &sent)).await?;
    Ok(running.watch(statement.id, who, stream::send(queries, deadline.bound(outcome), sent)))
}

/// Executes the query of a prepared handle with the parameters last bound.
pub(super) async fn execute_prepared(
    door: &Door,
    statement: PreparedStatement,
    running: &Running,
    handle: &Bytes,
    sent: Arc<Sent>,
    deadline: Deadline,
) -> Result<Answer> {
    let PreparedStatement { prepared, caller, parameters } = statement;
    let who = caller.session.principal().clone();
    let outcome = deadline.within(execute_query(door, caller, prepared, parameters, &sent)).await?;
    Ok(running.watch(handle.clone(), who, stream::send(&door.queries, deadline.bound(outcome), sent)))
}

/// A ticket may be brought again and again, so what it stands for must not change anything. The rows end when the caller may no
/// longer read them.
async fn execute_query(
    door: &Door,
    caller: Caller,
    prepared: Prepared,
    parameters: Option<RecordBatch>,
    reader: &Arc<Sent>,
) -> Result<Outcome> {
    if !prepared.is_query {
        let message = "DoGet executes queries; every other statement is executed by GetFlightInfo or DoPut, and the \
                       ticket that GetFlightInfo gives then says what it did";
        return Err(DoorError::new(ErrorKind::FailedPrecondition, message));
    }
    let (polls, vigil) = (prepared.polls(), Vigil::begin(&door.net, prepared.standing()));
    let (who, namespace) = (caller.session.principal().clone(), caller.session.namespace());
    let outcome = vigil.within(execute_as(&door.queries, caller, prepared, parameters)).await?;
    let outcome = if polls { outcome } else { in_turn(outcome, reader) };
    Ok(vigil.bound(paced(&door.engine, &who, &namespace, outcome)))
}

/// Executes a statement of any kind.
pub(super) async fn execute(queries: &Handle, caller: Caller, sql: String) -> Result<Outcome> {
    check_length(&sql)?;
    let session = caller.session.clone();
    let prepared = computing(queries, async move { Ok(session.prepare(&sql).await?) }).await?;
    execute_as(queries, caller, prepared, None).await
}

/// Executes a planned statement for its caller.
pub(super) async fn execute_as(
    queries: &Handle,
    caller: Caller,
    prepared: Prepared,
    parameters: Option<RecordBatch>,
) -> Result<Outcome> {
    computing(queries, async move {
        let before = caller.session.namespace();
        let outcome = prepared.execute(parameters).await?;
        caller.check_kept(&before)?;
        Ok(outcome)
    })
    .await
}

/// What GetFlightInfo answers: one place to read from, this server.
pub(super) fn info(schema: &SchemaRef, ticket: Bytes, descriptor: FlightDescriptor) -> Result<FlightInfo> {
    let endpoint = FlightEndpoint::new().with_ticket(Ticket { ticket });
    Ok(FlightInfo::new().try_with_schema(schema)?.with_endpoint(endpoint).with_descriptor(descriptor))
}

fn decode(handle: &Bytes) -> Result<Statement> {
    Statement::decode(handle.clone()).map_err(|_| DoorError::invalid("this ticket was not given by this server"))
}

/// `SELECT *` of a table or topic.
pub(super) fn select_all(namespace: &str, name: &str) -> String {
    let quote = |name: &str| name.replace('"', "\"\"");
    format!("SELECT * FROM \"{}\".\"{}\"", quote(namespace), quote(name))
}

pub(super) fn check_length(sql: &str) -> Result<()> {
    if sql.len() <= MAX_STATEMENT_BYTES {
        return Ok(());
    }
    Err(DoorError::new(
        ErrorKind::ResourceExhausted,
        format!("the statement has {} bytes, more than the limit of {MAX_STATEMENT_BYTES}", sql.len()),
    ))
}

impl Running {
    /// Remembers an answer until it is dropped.
    fn watch(&self, id: Bytes, who: Principal, mut answer: Answer) -> Answer {
        let lock = |map: &Mutex<HashMap<Bytes, Execution>>, change: &dyn Fn(&mut HashMap<Bytes, Execution>)| {
            change(&mut map.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        };
        let handle = answer.abort_handle();
        lock(&self.0, &|map| {
            map.insert(id.clone(), Execution { who: who.clone(), handle: handle.clone() });
        });
        let map = Arc::clone(&self.0);
        answer.on_drop(move || {
            lock(&map, &|map| {
                // A later execution of the same prepared statement may have taken the place.
                if map.get(&id).is_some_and(|known| known.handle.id() == handle.id()) {
                    map.remove(&id);
                }
            });
        });
        answer
    }

    /// Ends the caller's executions that read from this flight's tickets; false if none is under way.
    pub(super) fn cancel(&self, flight: &FlightInfo, who: &Principal) -> Result<bool> {
        let mut cancelled = false;
        for ticket in flight.endpoint.iter().filter_map(|endpoint| endpoint.ticket.as_ref()) {
            let id = ticket_id(ticket)?;
            let map = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if let Some(execution) = map.get(&id).filter(|execution| execution.who == *who) {
                execution.handle.abort();
                cancelled = true;
            }
        }
        Ok(cancelled)
    }
}

fn ticket_id(ticket: &Ticket) -> Result<Bytes> {
    use arrow_flight::sql::{Any, Command};
    let any = Any::decode(ticket.ticket.clone()).map_err(|_| DoorError::invalid("the ticket is malformed"))?;
    match Command::try_from(any) {
        Ok(Command::TicketStatementQuery(statement)) => Ok(decode(&statement.statement_handle)?.id),
        Ok(Command::CommandPreparedStatementQuery(statement)) => Ok(statement.prepared_statement_handle),
        _ => Err(DoorError::invalid("only statements can be cancelled")),
    }
}
