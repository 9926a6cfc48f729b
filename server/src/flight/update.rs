//! DoPut with a Flight SQL command: statements that give no rows, and parameters for prepared ones.

use arrow::array::RecordBatch;
use bytes::Bytes;
use futures::StreamExt;
use millstream_engine::ErrorKind;
use millstream_sql::Outcome;

use super::blocking::{blocking, computing};
use super::decode::{Decoded, Decoder};
use super::error::{DoorError, Result};
use super::forward::Messages;
use super::intake::{Intake, Taken};
use super::prepared::{PreparedStatement, PreparedStatements};
use super::query;
use super::sessions::Caller;
use crate::deadline::Deadline;
use crate::door::Door;
use crate::work::Waits;

/// Of the parameters bound at once.
const MAX_PARAMETER_BYTES: u64 = 32 << 20;

/// Executes a statement and gives the number of rows it changed.
pub(super) async fn statement(door: &Door, caller: Caller, sql: String) -> Result<i64> {
    let outcome = query::execute(&door.queries, caller, sql).await?;
    computing(&door.queries, rows_changed(outcome)).await
}

/// Executes a prepared statement once for each batch of parameters, or once without.
pub(super) async fn prepared(
    door: &Door,
    statement: PreparedStatement,
    incoming: Messages,
    deadline: Deadline,
) -> Result<i64> {
    let PreparedStatement { prepared, caller, parameters: bound } = statement;
    let sent = parameters(door, incoming).await?;
    let executed = async {
        let outcome = query::execute_as(&door.queries, caller, prepared, sent.or(bound)).await?;
        computing(&door.queries, rows_changed(outcome)).await
    };
    deadline.within(executed).await
}

/// Keeps parameters for the executions to come.
pub(super) async fn bind(
    door: &Door,
    statements: &PreparedStatements,
    handle: &Bytes,
    incoming: Messages,
) -> Result<()> {
    let sent = parameters(door, incoming).await?;
    statements.bind(handle, sent)
}

/// -1, which says unknown, for a statement that gives rows: they are read to their end and dropped.
async fn rows_changed(outcome: Outcome) -> Result<i64> {
    match outcome {
        Outcome::Done { rows, .. } => Ok(i64::try_from(rows).unwrap_or(i64::MAX)),
        Outcome::Rows { mut stream, .. } => {
            while let Some(batch) = stream.next().await {
                batch?;
            }
            Ok(-1)
        }
    }
}

/// All rows of parameters that arrive, as one batch. They are measured as they come: what is too much is
/// refused before it is unpacked.
async fn parameters(door: &Door, mut incoming: Messages) -> Result<Option<RecordBatch>> {
    let (mut decoder, mut batches, mut bytes) = (Decoder::default(), Vec::new(), 0);
    let (mut intake, mut rooms) = (Intake::new(&door.net), Vec::new());
    while let Some(data) = intake.next(&mut incoming).await {
        let Taken { data, unpacked } = intake.room(&decoder, data?).await?;
        rooms.push(unpacked);
        bytes += decoder.measure(&data)?;
        if bytes > MAX_PARAMETER_BYTES {
            return Err(DoorError::new(
                ErrorKind::ResourceExhausted,
                format!("the parameters take more than {MAX_PARAMETER_BYTES} bytes; bind fewer rows at a time"),
            ));
        }
        let decoded = blocking(door, Waits::Computes, move || decoder.decode(&data).map(|decoded| (decoded, decoder)));
        let decoded = decoded.await?;
        decoder = decoded.1;
        if let Decoded::Batch(batch) = decoded.0 {
            batches.push(batch);
        }
    }
    match (decoder.schema(), batches.is_empty()) {
        (Some(schema), false) => Ok(Some(arrow::compute::concat_batches(schema, &batches)?)),
        _ => Ok(None),
    }
}
