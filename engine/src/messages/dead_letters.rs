//! Messages that are given up, as rows of a dead-letter table.

use arrow_array::RecordBatch;

use super::stored::{read, rows};
use crate::model::{Error, Result, message_schema};

/// Properties of a dead letter: the table it was in, and its id there.
const ORIGIN_TABLE: &str = "DLQ_ORIGIN_TOPIC";
const ORIGIN_ID: &str = "DLQ_ORIGIN_MESSAGE_ID";

/// Messages of a table that were handed out so often, as they are given up. Columns behind those of messages are left out.
pub(crate) fn dead_letters(batch: &RecordBatch, table: &str, attempts: u32) -> Result<RecordBatch> {
    let wrong = || Error::Internal("a row is no message".to_owned());
    let columns: Vec<usize> = (0..message_schema().fields().len()).collect();
    let batch = batch.project(&columns).map_err(|_| wrong())?;
    let again = i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX);
    let mut letters = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let mut message = read(&batch, row, 0).ok_or_else(wrong)?;
        message.attempts = Some(message.attempts.unwrap_or(0).saturating_add(again));
        let id = message.message_id.unwrap_or_default();
        let properties = message.properties.get_or_insert_default();
        for (name, value) in [(ORIGIN_TABLE, table), (ORIGIN_ID, id)] {
            if !properties.iter().any(|(other, _)| *other == name) {
                properties.push((name, Some(value)));
            }
        }
        letters.push(message);
    }
    rows(&letters)
}
