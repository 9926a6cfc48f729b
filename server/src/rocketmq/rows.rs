//! Messages as rows of a message table.

use std::net::SocketAddr;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Int32Array, ListArray, MapArray, RecordBatch, StringArray, StructArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Fields};
use arrow::error::ArrowError;
use bytes::Bytes;
use millstream_engine::message_schema;

use super::wire::properties::{KEYS, SHARDING_KEY, TAGS, UNIQUE_KEY};

/// What a row takes beside its texts and its body, about.
const ROW_BYTES: usize = 128;

/// A message that is to be appended.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct NewMessage {
    pub(super) message_id: Option<String>,
    pub(super) tag: Option<String>,
    pub(super) keys: Vec<String>,
    pub(super) group: Option<String>,
    /// All others.
    pub(super) properties: Vec<(String, String)>,
    pub(super) body: Bytes,
    pub(super) born_ms: Option<i64>,
    pub(super) born_host: Option<SocketAddr>,
    pub(super) flag: i32,
    pub(super) attempts: i32,
    pub(super) deliver_ms: Option<i64>,
}

impl NewMessage {
    /// Sorts properties into the columns that are made for some of them.
    pub(super) fn with_properties(properties: Vec<(String, String)>) -> NewMessage {
        let mut message = NewMessage::default();
        for (name, value) in properties {
            match name.as_str() {
                UNIQUE_KEY => message.message_id = Some(value),
                TAGS => message.tag = Some(value),
                KEYS => message.keys = value.split(' ').filter(|key| !key.is_empty()).map(str::to_owned).collect(),
                SHARDING_KEY => message.group = Some(value),
                _ => message.set(&name, value),
            }
        }
        message
    }

    /// About what it takes in the log.
    pub(super) fn bytes(&self) -> usize {
        let texts = [&self.message_id, &self.tag, &self.group].into_iter().flatten().map(String::len);
        let pairs = self.properties.iter().map(|(name, value)| name.len() + value.len());
        let keys = self.keys.iter().map(String::len);
        ROW_BYTES + self.body.len() + texts.chain(pairs).chain(keys).sum::<usize>()
    }

    /// Sets one of the other properties.
    pub(super) fn set(&mut self, name: &str, value: String) {
        match self.properties.iter_mut().find(|(other, _)| other == name) {
            Some((_, old)) => *old = value,
            None => self.properties.push((name.to_owned(), value)),
        }
    }
}

/// Rows of messages, in their order.
pub(super) fn batch(messages: &[NewMessage]) -> Result<RecordBatch, ArrowError> {
    let schema = message_schema();
    let texts = |text: fn(&NewMessage) -> Option<&str>| {
        Arc::new(messages.iter().map(text).collect::<StringArray>()) as ArrayRef
    };
    let times = |time: fn(&NewMessage) -> Option<i64>| {
        let times = messages.iter().map(|message| time(message).and_then(|ms| ms.checked_mul(1_000)));
        Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC")) as ArrayRef
    };
    let numbers =
        |number: fn(&NewMessage) -> i32| Arc::new(messages.iter().map(number).collect::<Int32Array>()) as ArrayRef;
    let hosts = messages.iter().map(|message| message.born_host.map(|host| host.to_string()));
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|field| {
            Ok(match field.name().as_str() {
                "message_id" => texts(|message| message.message_id.as_deref()),
                "tag" => texts(|message| message.tag.as_deref()),
                "keys" => keys(field.data_type(), messages)?,
                "properties" => properties(field.data_type(), messages)?,
                "body" => Arc::new(BinaryArray::from_iter_values(messages.iter().map(|message| &message.body[..]))),
                "message_group" => texts(|message| message.group.as_deref()),
                "born_ts" => times(|message| message.born_ms),
                "born_host" => Arc::new(hosts.clone().collect::<StringArray>()),
                "flags" => numbers(|message| message.flag),
                "attempts" => numbers(|message| message.attempts),
                "deliver_ts" => times(|message| message.deliver_ms),
                other => return Err(ArrowError::SchemaError(format!("messages have no column {other}"))),
            })
        })
        .collect::<Result<_, ArrowError>>()?;
    RecordBatch::try_new(schema, columns)
}

fn keys(data_type: &DataType, messages: &[NewMessage]) -> Result<ArrayRef, ArrowError> {
    let DataType::List(item) = data_type else { return Err(unexpected("keys", data_type)) };
    let offsets = OffsetBuffer::from_lengths(messages.iter().map(|message| message.keys.len()));
    let values: Vec<&String> = messages.iter().flat_map(|message| &message.keys).collect();
    let values = StringArray::from_iter_values(values);
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, Arc::new(values), None)?))
}

fn properties(data_type: &DataType, messages: &[NewMessage]) -> Result<ArrayRef, ArrowError> {
    let DataType::Map(entries, ordered) = data_type else { return Err(unexpected("properties", data_type)) };
    let DataType::Struct(pair) = entries.data_type() else { return Err(unexpected("properties", data_type)) };
    let offsets = OffsetBuffer::from_lengths(messages.iter().map(|message| message.properties.len()));
    let pairs: Vec<&(String, String)> = messages.iter().flat_map(|message| &message.properties).collect();
    let names = StringArray::from_iter_values(pairs.iter().map(|(name, _)| name));
    let values = StringArray::from_iter_values(pairs.iter().map(|(_, value)| value));
    let pairs = StructArray::try_new(Fields::clone(pair), vec![Arc::new(names), Arc::new(values)], None)?;
    Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, pairs, None, *ordered)?))
}

fn unexpected(column: &str, data_type: &DataType) -> ArrowError {
    ArrowError::SchemaError(format!("messages have a column {column} of {data_type}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_rows_of_the_schema() {
        let properties = [("UNIQ_KEY", "id"), ("TAGS", "a"), ("KEYS", "k  l"), ("__SHARDINGKEY", "g"), ("own", "1")];
        let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let mut message = NewMessage::with_properties(properties);
        message.set("own", "2".to_owned());
        message.deliver_ms = Some(i64::MAX);
        assert_eq!((message.message_id.as_deref(), message.group.as_deref()), (Some("id"), Some("g")));
        assert_eq!((message.keys.as_slice(), message.properties.len()), (&["k".to_owned(), "l".to_owned()][..], 1));
        let rows = batch(&[message, NewMessage::default()]).unwrap();
        assert_eq!((rows.num_rows(), rows.schema()), (2, message_schema()));
        assert_eq!(batch(&[]).unwrap().num_rows(), 0);
    }
}
