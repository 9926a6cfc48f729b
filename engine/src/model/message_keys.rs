//! What messages are looked up by.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::messages::message_columns;
use crate::model::{Offset, PartitionId, TableId};

/// What a message is looked up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKey<'a> {
    /// Its `message_id`.
    Id(&'a str),
    /// One of its `keys`.
    Key(&'a str),
}

/// Where a message lies that was looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FoundMessage {
    pub partition: PartitionId,
    pub offset: Offset,
    /// When it was appended, µs since the Unix epoch.
    pub append_us: i64,
}

impl<'a> MessageKey<'a> {
    /// The column that it lies in.
    pub(crate) fn column(self) -> usize {
        match self {
            MessageKey::Id(_) => message_columns::MESSAGE_ID,
            MessageKey::Key(_) => message_columns::KEYS,
        }
    }

    pub(crate) fn text(self) -> &'a str {
        match self {
            MessageKey::Id(text) | MessageKey::Key(text) => text,
        }
    }

    /// What [`each_message_key`] gives for the rows that have it, and for few others.
    pub(crate) fn hash(self, table: TableId) -> u32 {
        hash(table, self.column(), self.text())
    }

    /// The rows that have it, of its column.
    pub(crate) fn rows_of(self, column: &ArrayRef) -> Vec<usize> {
        match self {
            MessageKey::Id(id) => match column.as_string_opt::<i32>() {
                Some(ids) => (0..ids.len()).filter(|row| ids.is_valid(*row) && ids.value(*row) == id).collect(),
                None => Vec::new(),
            },
            MessageKey::Key(key) => {
                let mut rows = Vec::new();
                each_key(column, &mut |row, found| {
                    if found == key && rows.last() != Some(&row) {
                        rows.push(row);
                    }
                });
                rows
            }
        }
    }
}

/// The hash of each key of each row of a message table's batch.
pub(crate) fn each_message_key(table: TableId, batch: &RecordBatch, mut each: impl FnMut(usize, u32)) {
    if let Some(ids) = batch.columns().get(message_columns::MESSAGE_ID).and_then(|ids| ids.as_string_opt::<i32>()) {
        for row in (0..ids.len()).filter(|row| ids.is_valid(*row)) {
            each(row, hash(table, message_columns::MESSAGE_ID, ids.value(row)));
        }
    }
    if let Some(keys) = batch.columns().get(message_columns::KEYS) {
        each_key(keys, &mut |row, key| each(row, hash(table, message_columns::KEYS, key)));
    }
}

fn each_key(column: &ArrayRef, each: &mut dyn FnMut(usize, &str)) {
    let Some(lists) = column.as_list_opt::<i32>() else { return };
    let Some(values) = lists.values().as_string_opt::<i32>() else { return };
    for (row, bounds) in lists.value_offsets().windows(2).enumerate() {
        let [from, to] = *bounds else { continue };
        let (Ok(from), Ok(to)) = (usize::try_from(from), usize::try_from(to)) else { continue };
        if lists.is_valid(row) {
            (from..to).filter(|at| values.is_valid(*at)).for_each(|at| each(row, values.value(at)));
        }
    }
}

fn hash(table: TableId, column: usize, text: &str) -> u32 {
    let seed = table.0.wrapping_mul(2).wrapping_add((column == message_columns::KEYS).into());
    // The lower half: as good as any.
    (xxh3_64_with_seed(text.as_bytes(), seed) & u64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::builder::{ListBuilder, StringBuilder};
    use arrow_array::{StringArray, new_null_array};

    use super::*;
    use crate::model::message_schema;

    #[test]
    fn each_key_of_a_row_is_found_by_itself() {
        let mut keys = ListBuilder::new(StringBuilder::new());
        keys.append_value([Some("a"), Some("b"), None, Some("a")]);
        keys.append_null();
        keys.append_value([Some("b")]);
        let keys: ArrayRef = Arc::new(keys.finish());
        let ids: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), None, Some("z")]));
        let schema = message_schema();
        let columns = schema.fields().iter().map(|field| match field.name().as_str() {
            "message_id" => ids.clone(),
            "keys" => keys.clone(),
            "body" => Arc::new(arrow_array::BinaryArray::from_iter_values([b"", b"", b""])) as ArrayRef,
            _ => new_null_array(field.data_type(), 3),
        });
        let batch = RecordBatch::try_new(message_schema(), columns.collect()).unwrap();
        assert_eq!(MessageKey::Key("a").rows_of(&keys), [0]);
        assert_eq!(MessageKey::Key("b").rows_of(&keys.slice(1, 2)), [1]);
        assert_eq!(MessageKey::Id("z").rows_of(&ids), [2]);
        let rows = |key: MessageKey<'_>| {
            let mut rows = Vec::new();
            each_message_key(TableId(3), &batch, |row, hash| {
                if hash == key.hash(TableId(3)) {
                    rows.push(row);
                }
            });
            rows
        };
        assert_eq!(rows(MessageKey::Key("b")), [0, 2]);
        assert_eq!(rows(MessageKey::Id("b")), [0]);
        assert_eq!(rows(MessageKey::Id("a")), [0_usize; 0]);
    }
}
