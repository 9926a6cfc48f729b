//! A batch's columns, as what they are of messages.

use std::ops::Range;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Int32Array, ListArray, MapArray, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Int32Type, TimestampMicrosecondType};
use bytes::Bytes;
use millstream_formats::text;

use super::rows::NewMessage;
use super::stored::{keys_of, properties_of};

/// Of a message that several rows of one offset have become: how many.
pub(super) const ROWS: &str = "ROWS";
/// Names of columns whose values are too long to be properties, and that are nowhere else in the message.
pub(super) const LEFT_OUT: &str = "LEFT_OUT";
/// The longest value of a column that is a property, in bytes.
pub(super) const MAX_VALUE_BYTES: usize = 1 << 10;
/// Of all columns that are properties, names and values.
pub(super) const MAX_COLUMNS_BYTES: usize = 8 << 10;
/// The same with the properties that a message had: clients read 32 KiB, in which its id, its keys and its ends of names lie too.
const MAX_ALL_BYTES: usize = 24 << 10;

enum Body<'a> {
    Bytes(&'a BinaryArray),
    Text(&'a StringArray),
}

impl Body<'_> {
    fn value(&self, row: usize) -> Bytes {
        match self {
            Body::Bytes(bytes) if bytes.is_valid(row) => Bytes::copy_from_slice(bytes.value(row)),
            Body::Text(text) if text.is_valid(row) => Bytes::copy_from_slice(text.value(row).as_bytes()),
            _ => Bytes::new(),
        }
    }
}

/// Those of a topic over messages that has their body; of all others there are none but `others`.
#[derive(Default)]
pub(super) struct MessageColumns<'a> {
    body: Option<Body<'a>>,
    message_id: Option<&'a StringArray>,
    tag: Option<&'a StringArray>,
    group: Option<&'a StringArray>,
    keys: Option<&'a ListArray>,
    properties: Option<&'a MapArray>,
    born: Option<&'a TimestampMicrosecondArray>,
    born_host: Option<&'a StringArray>,
    deliver: Option<&'a TimestampMicrosecondArray>,
    flags: Option<&'a Int32Array>,
    attempts: Option<&'a Int32Array>,
    /// All others that become properties.
    others: Vec<(&'a str, &'a ArrayRef)>,
}

impl<'a> MessageColumns<'a> {
    pub(super) fn of(batch: &'a RecordBatch, over_messages: bool) -> MessageColumns<'a> {
        let schema = batch.schema_ref();
        let mut left: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).zip(batch.columns()).collect();
        let body = if over_messages { taken(&mut left, "body", as_body) } else { None };
        if body.is_none() {
            left.retain(|(_, column)| is_scalar(column.data_type()));
            return MessageColumns { others: left, ..MessageColumns::default() };
        }
        MessageColumns {
            body,
            message_id: taken(&mut left, "message_id", as_text),
            tag: taken(&mut left, "tag", as_text),
            group: taken(&mut left, "message_group", as_text),
            keys: taken(&mut left, "keys", as_keys),
            properties: taken(&mut left, "properties", as_properties),
            born: taken(&mut left, "born_ts", as_time),
            born_host: taken(&mut left, "born_host", as_text),
            deliver: taken(&mut left, "deliver_ts", as_time),
            flags: taken(&mut left, "flags", as_number),
            attempts: taken(&mut left, "attempts", as_number),
            others: left,
        }
    }

    /// The body of a row; `None` where the rows are no messages.
    pub(super) fn body(&self, row: usize) -> Option<Bytes> {
        self.body.as_ref().map(|body| body.value(row))
    }

    pub(super) fn have_body(&self) -> bool {
        self.body.is_some()
    }

    /// Rows of one offset as one message without a body. What they are not the same in is not the message's.
    pub(super) fn message(&self, rows: &Range<usize>) -> NewMessage {
        let texts = |column: Option<&StringArray>| value(column?, rows, |column, row| column.value(row).to_owned());
        let number = |column: Option<&Int32Array>| value(column?, rows, Int32Array::value);
        let ms = |column: Option<&TimestampMicrosecondArray>| {
            value(column?, rows, |column, row| column.value(row).div_euclid(1_000))
        };
        let owned = |column: &ListArray, row| keys_of(column, row).map(str::to_owned).collect::<Vec<_>>();
        let keys = self.keys.and_then(|column| value(column, rows, owned));
        let message = NewMessage::with_properties(self.all_properties(rows));
        NewMessage {
            message_id: texts(self.message_id).or(message.message_id),
            tag: texts(self.tag).or(message.tag),
            keys: keys.unwrap_or(message.keys),
            group: texts(self.group).or(message.group),
            properties: message.properties,
            body: Bytes::new(),
            born_ms: ms(self.born),
            born_host: texts(self.born_host).and_then(|host| host.parse().ok()),
            flag: number(self.flags).unwrap_or_default(),
            attempts: number(self.attempts).unwrap_or_default(),
            deliver_ms: ms(self.deliver),
        }
    }

    /// Those that messages had, and other columns.
    fn all_properties(&self, rows: &Range<usize>) -> Vec<(String, String)> {
        let owned = |column: &MapArray, row| -> Vec<(String, String)> {
            properties_of(column, row).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        let mut all = self.properties.and_then(|column| value(column, rows, owned)).unwrap_or_default();
        let own: usize = all.iter().map(|(name, value)| name.len() + value.len()).sum();
        let most = MAX_COLUMNS_BYTES.min(MAX_ALL_BYTES.saturating_sub(own));
        let (mut bytes, mut left_out) = (0, String::new());
        for (name, column) in &self.others {
            let Some(value) = value(*column, rows, |column, row| text(column.as_ref(), row)) else { continue };
            let more = name.len() + value.len();
            if value.len() <= MAX_VALUE_BYTES && bytes + more <= most {
                bytes += more;
                all.push(((*name).to_owned(), value));
            } else if left_out.len() + name.len() < MAX_VALUE_BYTES {
                left_out.push_str(if left_out.is_empty() { "" } else { " " });
                left_out.push_str(name);
            }
        }
        if rows.len() > 1 {
            all.push((ROWS.to_owned(), rows.len().to_string()));
        } else if self.body.is_some() && !left_out.is_empty() {
            all.push((LEFT_OUT.to_owned(), left_out));
        }
        all
    }
}

/// What rows have in a column, if that is the same in all of them; `None` also where it is null.
fn value<A: Array, T>(column: &A, rows: &Range<usize>, of: impl FnOnce(&A, usize) -> T) -> Option<T> {
    let first = column.slice(rows.start, 1);
    let is_one = (rows.start + 1..rows.end).all(|row| *column.slice(row, 1) == *first);
    (is_one && column.is_valid(rows.start)).then(|| of(column, rows.start))
}

/// Takes a column that has this name and a type that messages have it in.
fn taken<'a, T>(
    left: &mut Vec<(&'a str, &'a ArrayRef)>,
    name: &str,
    of: impl FnOnce(&'a ArrayRef) -> Option<T>,
) -> Option<T> {
    let at = left.iter().position(|(other, _)| *other == name)?;
    let found = of(left.get(at)?.1)?;
    left.remove(at);
    Some(found)
}

fn as_body(column: &ArrayRef) -> Option<Body<'_>> {
    let bytes = column.as_binary_opt().map(Body::Bytes);
    bytes.or_else(|| column.as_string_opt().map(Body::Text))
}

fn as_text(column: &ArrayRef) -> Option<&StringArray> {
    column.as_string_opt()
}

fn as_number(column: &ArrayRef) -> Option<&Int32Array> {
    column.as_primitive_opt::<Int32Type>()
}

fn as_time(column: &ArrayRef) -> Option<&TimestampMicrosecondArray> {
    column.as_primitive_opt::<TimestampMicrosecondType>()
}

fn as_keys(column: &ArrayRef) -> Option<&ListArray> {
    column.as_list_opt().filter(|keys: &&ListArray| keys.value_type() == DataType::Utf8)
}

fn as_properties(column: &ArrayRef) -> Option<&MapArray> {
    let is_text = |pairs: &&MapArray| *pairs.key_type() == DataType::Utf8 && *pairs.value_type() == DataType::Utf8;
    column.as_map_opt().filter(is_text)
}

fn is_scalar(data_type: &DataType) -> bool {
    !matches!(data_type, DataType::Binary | DataType::List(_) | DataType::Struct(_) | DataType::Map(..))
}
