//! Rows of tables and topics as messages. One over messages that has their `body` gives messages; of any other the body is JSON, an
//! object a row.

use std::ops::Range;

use arrow::array::RecordBatch;
use bytes::Bytes;
use millstream_engine::{Offset, RowOffsets};
use millstream_formats::json;

use super::message_columns::MessageColumns;
use super::rows::NewMessage;

/// Messages, and the offset of each.
#[derive(Debug, Default)]
pub(super) struct Converted {
    pub(super) messages: Vec<NewMessage>,
    pub(super) offsets: Vec<Offset>,
}

/// One message for each offset of which there are rows.
pub(super) fn converted(batch: &RecordBatch, offsets: &RowOffsets, over_messages: bool) -> Converted {
    let runs = runs(offsets);
    let is_unfolded = runs.len() < batch.num_rows();
    let columns = MessageColumns::of(batch, over_messages);
    let lines = (!columns.have_body() || is_unfolded).then(|| Lines::of(batch));
    let mut made = Converted::default();
    for (offset, rows) in runs {
        let single = columns.body(rows.start).filter(|_| rows.len() == 1);
        let body = single.or_else(|| lines.as_ref().map(|lines| lines.of_rows(&rows))).unwrap_or_default();
        made.messages.push(NewMessage { body, ..columns.message(&rows) });
        made.offsets.push(offset);
    }
    made
}

/// Rows of one offset each, in their order.
fn runs(offsets: &RowOffsets) -> Vec<(Offset, Range<usize>)> {
    let mut runs: Vec<(Offset, Range<usize>)> = Vec::new();
    for (row, offset) in offsets.iter().enumerate() {
        match runs.last_mut() {
            Some((last, rows)) if *last == offset => rows.end = row + 1,
            _ => runs.push((offset, row..row + 1)),
        }
    }
    runs
}

/// Rows as JSON, a line each.
struct Lines {
    text: Bytes,
    /// Where each line ends.
    ends: Vec<usize>,
}

impl Lines {
    fn of(batch: &RecordBatch) -> Lines {
        let mut text = Vec::new();
        json::write_rows(&mut text, batch);
        // In JSON it stands between rows alone.
        let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
        Lines { text: Bytes::from(text), ends }
    }

    /// Without a line's end behind the last one.
    fn of_rows(&self, rows: &Range<usize>) -> Bytes {
        let end = |row: usize| self.ends.get(row).copied();
        let begin = rows.start.checked_sub(1).and_then(end).map_or(0, |end| end + 1);
        let end = rows.end.checked_sub(1).and_then(end).unwrap_or(self.text.len());
        self.text.slice(begin..end.max(begin))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, ArrayRef, BinaryArray, Int64Array, StringArray};
    use arrow::datatypes::{Field, Schema};

    use super::*;
    use crate::rocketmq::message_columns::{LEFT_OUT, MAX_COLUMNS_BYTES, MAX_VALUE_BYTES, ROWS};
    use crate::rocketmq::rows;

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        let fields = columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true));
        let schema = Schema::new(fields.collect::<Vec<_>>());
        RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, column)| column).collect()).unwrap()
    }

    fn texts<const N: usize>(texts: [Option<&str>; N]) -> ArrayRef {
        Arc::new(StringArray::from(texts.to_vec()))
    }

    fn numbers(numbers: impl IntoIterator<Item = i64>) -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(numbers))
    }

    fn listed(offsets: &[Offset]) -> RowOffsets {
        RowOffsets::Listed(offsets.into())
    }

    fn pairs(message: &NewMessage) -> Vec<(&str, &str)> {
        message.properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    #[test]
    fn rows_become_json_with_scalars_as_properties() {
        let bytes: ArrayRef = Arc::new(BinaryArray::from_iter_values([b"\x00\xff", b"ab"]));
        let long = "x".repeat(MAX_VALUE_BYTES + 1);
        let rows = batch(vec![
            ("n", numbers([7, 8])),
            ("name", texts([Some("a\n\"b\""), None])),
            ("bytes", bytes),
            ("long", texts([Some(&long), Some("short")])),
            ("TAGS", texts([Some("urgent"), None])),
            ("body", texts([Some("no message's"), None])),
        ]);
        let made = converted(&rows, &listed(&[3, 9]), false);
        assert_eq!(made.offsets, [3, 9]);
        let [first, second] = made.messages.as_slice() else { panic!("two messages") };
        let json = format!(
            r#"{{"n":7,"name":"a\n\"b\"","bytes":"AP8=","long":"{long}","TAGS":"urgent","body":"no message's"}}"#
        );
        assert_eq!(std::str::from_utf8(&first.body).unwrap(), json);
        assert_eq!(pairs(first), [("n", "7"), ("name", "a\n\"b\""), ("body", "no message's")]);
        assert_eq!((first.tag.as_deref(), second.tag.as_deref()), (Some("urgent"), None));
        let json = r#"{"n":8,"name":null,"bytes":"YWI=","long":"short","TAGS":null,"body":null}"#;
        assert_eq!(std::str::from_utf8(&second.body).unwrap(), json);
        assert_eq!(pairs(second), [("n", "8"), ("long", "short")], "null is no property");
    }

    #[test]
    fn rows_of_one_offset_are_lines_of_one_message() {
        let rows = batch(vec![("order", numbers([1, 1, 2])), ("item", numbers([5, 6, 5]))]);
        let made = converted(&rows, &listed(&[4, 4, 5]), false);
        assert_eq!(made.offsets, [4, 5]);
        let bodies: Vec<&[u8]> = made.messages.iter().map(|message| &message.body[..]).collect();
        let expected: [&[u8]; 2] = [b"{\"order\":1,\"item\":5}\n{\"order\":1,\"item\":6}", b"{\"order\":2,\"item\":5}"];
        assert_eq!(bodies, expected);
        assert_eq!(pairs(&made.messages[0]), [("order", "1"), (ROWS, "2")], "what they are the same in");
        assert_eq!(pairs(&made.messages[1]), [("order", "2"), ("item", "5")]);

        // Of messages nothing is lost either.
        let rows = batch(vec![
            ("tag", texts([Some("a"), Some("a"), Some("b")])),
            ("message_id", texts([Some("x"), Some("y"), Some("z")])),
            ("body", texts([Some("one"), Some("two"), Some("three")])),
        ]);
        let made = converted(&rows, &listed(&[4, 4, 5]), true);
        let [both, single] = made.messages.as_slice() else { panic!("two messages") };
        assert_eq!(
            std::str::from_utf8(&both.body).unwrap(),
            "{\"tag\":\"a\",\"message_id\":\"x\",\"body\":\"one\"}\n{\"tag\":\"a\",\"message_id\":\"y\",\"body\":\"two\"}"
        );
        assert_eq!((both.tag.as_deref(), both.message_id.as_deref()), (Some("a"), None));
        assert_eq!(pairs(both), [(ROWS, "2")]);
        assert_eq!((&single.body[..], single.message_id.as_deref()), (&b"three"[..], Some("z")));
    }

    #[test]
    fn messages_stay_messages_and_other_columns_become_properties() {
        let sent = NewMessage {
            message_id: Some("id".to_owned()),
            tag: Some("a".to_owned()),
            keys: vec!["k".to_owned(), "l".to_owned()],
            group: Some("g".to_owned()),
            properties: vec![("own".to_owned(), "1".to_owned()), ("amount".to_owned(), "old".to_owned())],
            body: Bytes::from_static(b"\xff\x00"),
            born_ms: Some(1_700_000_000_123),
            born_host: Some("10.0.0.7:4321".parse().unwrap()),
            flag: 9,
            attempts: 2,
            deliver_ms: Some(1_700_000_000_456),
        };
        let stored = rows::batch(std::slice::from_ref(&sent)).unwrap();
        let schema = stored.schema();
        let mut columns: Vec<_> =
            schema.fields().iter().map(|field| field.name().as_str()).zip(stored.columns()).collect();
        let same = converted(&stored, &RowOffsets::Dense(5..6), true);
        assert_eq!((same.messages.as_slice(), same.offsets.as_slice()), (&[sent.clone()][..], &[5][..]));

        let (amount, list) = (numbers([12]), stored.column_by_name("keys").unwrap().clone());
        columns.retain(|(name, _)| !matches!(*name, "born_ts" | "keys"));
        columns.extend([("amount", &amount), ("list", &list)]);
        let rows = batch(columns.into_iter().map(|(name, column)| (name, Arc::clone(column))).collect());
        let made = converted(&rows, &RowOffsets::Dense(5..6), true);
        let mut properties = sent.properties.clone();
        properties[1].1 = "12".to_owned();
        properties.push(("list".to_owned(), r#"["k","l"]"#.to_owned()));
        assert_eq!(made.messages, [NewMessage { properties, born_ms: None, keys: Vec::new(), ..sent }]);
    }

    #[test]
    fn columns_of_other_types_are_no_messages_columns_and_what_is_too_long_is_named() {
        let long = "x".repeat(MAX_VALUE_BYTES + 1);
        let rows = batch(vec![
            ("body", texts([Some("text"), None])),
            ("flags", numbers([5, 6])),
            ("tag", numbers([7, 8])),
            ("long", texts([Some(&long), Some("y")])),
        ]);
        let made = converted(&rows, &RowOffsets::Dense(0..2), true);
        let [first, second] = made.messages.as_slice() else { panic!("two messages") };
        assert_eq!((&first.body[..], first.flag, first.tag.as_deref()), (&b"text"[..], 0, None));
        assert_eq!(pairs(first), [("flags", "5"), ("tag", "7"), (LEFT_OUT, "long")]);
        assert_eq!((&second.body[..], second.properties.len()), (&b""[..], 3));

        // All together stay within what clients read.
        let names: Vec<String> = (0..40).map(|number| format!("c{number}")).collect();
        let value = "v".repeat(MAX_VALUE_BYTES);
        let mut columns: Vec<(&str, ArrayRef)> = vec![("body", texts([Some("x")]))];
        columns.extend(names.iter().map(|name| (name.as_str(), texts([Some(value.as_str())]))));
        let made = converted(&batch(columns), &RowOffsets::Dense(0..1), true);
        let properties = pairs(&made.messages[0]);
        assert_eq!(properties.len(), MAX_COLUMNS_BYTES / (MAX_VALUE_BYTES + 2) + 1);
        assert!(properties.last().is_some_and(|(name, left)| *name == LEFT_OUT && left.ends_with("c38 c39")));
    }
}
