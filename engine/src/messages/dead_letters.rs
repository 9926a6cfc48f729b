//! Messages that are given up, as rows of a dead-letter table, and as they are sent again from there.

use std::collections::BTreeMap;

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

/// Dead letters as new messages, by the tables that they come from: their attempts are none, and they are due at once.
pub fn sent_again(letters: &RecordBatch) -> Result<Vec<(String, RecordBatch)>> {
    let wrong = || Error::InvalidInput("a dead letter has not the columns of messages".to_owned());
    let mut by_table = BTreeMap::new();
    for row in 0..letters.num_rows() {
        let mut message = read(letters, row, 0).ok_or_else(wrong)?;
        let mut properties = message.properties.take().unwrap_or_default();
        let origin = properties.iter().find(|(name, _)| *name == ORIGIN_TABLE).and_then(|(_, table)| *table);
        let table = origin.ok_or_else(|| {
            let id = message.message_id.unwrap_or_default();
            Error::FailedPrecondition(format!(
                "message {id:?} has no property {ORIGIN_TABLE}, which says where a dead letter comes from"
            ))
        })?;
        properties.retain(|(name, _)| ![ORIGIN_TABLE, ORIGIN_ID].contains(name));
        message.properties = Some(properties).filter(|properties| !properties.is_empty());
        (message.attempts, message.deliver_us) = (Some(0), None);
        by_table.entry(table).or_insert_with(Vec::new).push(message);
    }
    by_table.into_iter().map(|(table, messages)| Ok((table.to_owned(), rows(&messages)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_go_back_to_where_they_come_from() {
        let message = |id: &'static str, properties: Option<Vec<(&'static str, Option<&'static str>)>>| {
            let body = b"x".as_slice();
            let (message_id, attempts) = (Some(id), Some(1));
            super::super::stored::StoredMessage { message_id, properties, body, attempts, ..Default::default() }
        };
        let own = Some(vec![("own", Some("1")), ("none", None)]);
        let sent = rows(&[message("a", own), message("b", None)]).unwrap();
        let letters = dead_letters(&sent, "orders", 5).unwrap();
        let again = sent_again(&letters).unwrap();
        let [(table, rows_again)] = &again[..] else { panic!("{again:?}") };
        assert_eq!(table, "orders");
        let read_again = |row| read(rows_again, row, 0).unwrap();
        assert_eq!(read_again(0).properties, Some(vec![("own", Some("1")), ("none", None)]));
        assert_eq!((read_again(1).properties, read_again(1).attempts), (None, Some(0)));
        let error = sent_again(&sent).unwrap_err();
        assert!(error.to_string().contains("\"a\" has no property DLQ_ORIGIN_TOPIC"), "{error}");
        assert!(sent_again(&sent.project(&[0]).unwrap()).is_err());
    }
}
