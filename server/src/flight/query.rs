//! Statements: what GetFlightInfo plans and DoGet executes. Nothing has an effect before DoGet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use arrow::datatypes::SchemaRef;
use arrow_flight::sql::{ProstMessageExt, TicketStatementQuery};
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, Ticket};
use bytes::Bytes;
use millstream_engine::ErrorKind;
use millstream_sql::{Outcome, Prepared};
use prost::Message;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::blocking::computing;
use super::encode;
use super::error::{DoorError, Result};
use super::prepared::PreparedStatements;
use super::sessions::Caller;
use super::stream::{self, Answer};
use crate::Door;

/// Of one statement's text.
pub(super) const MAX_STATEMENT_BYTES: usize = 1 << 20;

/// What a ticket of ours holds. It is opaque to clients, and nothing that they could not also send as text.
#[derive(Clone, PartialEq, Message)]
struct Statement {
    #[prost(string, tag = "1")]
    sql: String,
    #[prost(string, tag = "2")]
    namespace: String,
    /// Told apart from other executions of the same text, for cancellation.
    #[prost(bytes = "bytes", tag = "3")]
    id: Bytes,
}

/// Executions under way, by what cancels them.
#[derive(Debug, Default)]
pub(super) struct Running(Arc<Mutex<HashMap<Bytes, AbortHandle>>>);

/// Plans a statement and gives where its rows can be had.
pub(super) async fn plan(
    queries: &Handle,
    caller: Caller,
    sql: String,
    descriptor: FlightDescriptor,
) -> Result<FlightInfo> {
    let namespace = caller.session.namespace();
    let schema = schema_of(queries, caller, sql.clone()).await?;
    let id = Bytes::copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    let handle = Statement { sql, namespace, id }.encode_to_vec().into();
    let ticket = TicketStatementQuery { statement_handle: handle }.as_any().encode_to_vec();
    info(&schema, ticket.into(), descriptor)
}

/// The schema of a statement's rows, as they will be sent.
pub(super) async fn schema_of(queries: &Handle, caller: Caller, sql: String) -> Result<SchemaRef> {
    check_length(&sql)?;
    let prepared = computing(queries, async move { Ok(caller.session.prepare(&sql).await?) }).await?;
    Ok(answer_schema(&prepared))
}

/// The schema of what DoGet sends for a statement.
pub(super) fn answer_schema(prepared: &Prepared) -> SchemaRef {
    if prepared.is_query { encode::plain_schema(&prepared.result_schema) } else { Arc::clone(&stream::DONE_SCHEMA) }
}

/// Executes the statement of a ticket and begins to send its rows.
pub(super) async fn execute_ticket(door: &Door, caller: Caller, running: &Running, handle: &Bytes) -> Result<Answer> {
    let queries = &door.queries;
    let statement = decode(handle)?;
    let outcome = execute(queries, caller.within(&door.sql, &statement.namespace), statement.sql).await?;
    Ok(running.watch(statement.id, stream::send(queries, outcome)))
}

/// Executes the statement of a prepared handle with the parameters last bound.
pub(super) async fn execute_prepared(
    queries: &Handle,
    statements: &PreparedStatements,
    running: &Running,
    handle: &Bytes,
) -> Result<Answer> {
    let (prepared, caller, parameters) = statements.get(handle)?;
    let outcome = computing(queries, async move {
        let before = caller.session.namespace();
        let outcome = prepared.execute(parameters).await?;
        caller.check_kept(&before)?;
        Ok(outcome)
    });
    let outcome = outcome.await?;
    Ok(running.watch(handle.clone(), stream::send(queries, outcome)))
}

/// Executes a statement.
pub(super) async fn execute(queries: &Handle, caller: Caller, sql: String) -> Result<Outcome> {
    check_length(&sql)?;
    computing(queries, async move {
        let before = caller.session.namespace();
        let outcome = caller.session.execute(&sql).await?;
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
    fn watch(&self, id: Bytes, mut answer: Answer) -> Answer {
        let lock = |map: &Mutex<HashMap<Bytes, AbortHandle>>, change: &dyn Fn(&mut HashMap<Bytes, AbortHandle>)| {
            change(&mut map.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        };
        let handle = answer.abort_handle();
        lock(&self.0, &|map| {
            map.insert(id.clone(), handle.clone());
        });
        let map = Arc::clone(&self.0);
        answer.on_drop(move || {
            lock(&map, &|map| {
                // A later execution of the same prepared statement may have taken the place.
                if map.get(&id).is_some_and(|known| known.id() == handle.id()) {
                    map.remove(&id);
                }
            });
        });
        answer
    }

    /// Ends the executions that read from this flight's tickets; false if none is under way.
    pub(super) fn cancel(&self, flight: &FlightInfo) -> Result<bool> {
        let mut cancelled = false;
        for ticket in flight.endpoint.iter().filter_map(|endpoint| endpoint.ticket.as_ref()) {
            let id = ticket_id(ticket)?;
            let map = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if let Some(handle) = map.get(&id) {
                handle.abort();
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
