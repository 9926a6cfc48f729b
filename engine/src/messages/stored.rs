//! A message as a due entry holds it: a version byte, then postcard. Columns come at the end in later versions.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, Int32Builder, ListBuilder, MapBuilder, MapFieldNames, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field};
use serde::{Deserialize, Serialize};

use crate::model::{Error, PartitionId, Result, message_schema};

const VERSION: u8 = 1;

/// One message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredMessage<'a> {
    pub partition: PartitionId,
    #[serde(borrow)]
    pub message_id: Option<&'a str>,
    pub tag: Option<&'a str>,
    pub keys: Option<Vec<Option<&'a str>>>,
    pub properties: Option<Vec<(&'a str, Option<&'a str>)>>,
    pub body: &'a [u8],
    pub message_group: Option<&'a str>,
    pub born_us: Option<i64>,
    pub born_host: Option<&'a str>,
    pub flags: Option<i32>,
    pub attempts: Option<i32>,
    pub deliver_us: Option<i64>,
}

/// A row of a message table, to be appended to this partition.
pub(super) fn encode_message(batch: &RecordBatch, row: usize, partition: PartitionId) -> Result<Vec<u8>> {
    let message = read(batch, row, partition).ok_or_else(|| Error::Internal("a row is no message".to_owned()))?;
    postcard::to_extend(&message, vec![VERSION])
        .map_err(|error| Error::Internal(format!("a message could not be encoded: {error}")))
}

pub(super) fn decode_message(payload: &[u8]) -> Result<StoredMessage<'_>> {
    let damaged = |error: String| Error::Internal(format!("a delayed message can't be read: {error}"));
    match payload.split_first() {
        Some((&VERSION, rest)) => postcard::from_bytes(rest).map_err(|error| damaged(error.to_string())),
        Some((version, _)) => Err(damaged(format!("version {version} is not known to this release"))),
        None => Err(damaged("it is empty".to_owned())),
    }
}

/// `None` if the batch has not the columns of messages.
pub(super) fn read(batch: &RecordBatch, row: usize, partition: PartitionId) -> Option<StoredMessage<'_>> {
    let [id, tag, keys, properties, body, group, born_ts, born_host, flags, attempts, deliver_ts] = batch.columns()
    else {
        return None;
    };
    let number = |column: &ArrayRef| {
        let column = column.as_primitive_opt::<Int32Type>()?;
        column.is_valid(row).then(|| column.value(row))
    };
    let time = |column: &ArrayRef| {
        let column = column.as_primitive_opt::<TimestampMicrosecondType>()?;
        column.is_valid(row).then(|| column.value(row))
    };
    Some(StoredMessage {
        partition,
        message_id: text(id, row),
        tag: text(tag, row),
        keys: list(keys, row),
        properties: map(properties, row),
        body: body.as_binary_opt::<i32>()?.value(row),
        message_group: text(group, row),
        born_us: time(born_ts),
        born_host: text(born_host, row),
        flags: number(flags),
        attempts: number(attempts),
        deliver_us: time(deliver_ts),
    })
}

fn text(column: &ArrayRef, row: usize) -> Option<&str> {
    let column = column.as_string_opt::<i32>()?;
    column.is_valid(row).then(|| column.value(row))
}

/// Texts of the items from one to another.
fn texts(items: &StringArray, range: std::ops::Range<usize>) -> Vec<Option<&str>> {
    range.map(|item| items.is_valid(item).then(|| items.value(item))).collect()
}

fn range(offsets: &[i32], row: usize) -> Option<std::ops::Range<usize>> {
    let (start, end) = (offsets.get(row)?, offsets.get(row + 1)?);
    Some(usize::try_from(*start).ok()?..usize::try_from(*end).ok()?)
}

fn list(column: &ArrayRef, row: usize) -> Option<Vec<Option<&str>>> {
    let column = column.as_list_opt::<i32>().filter(|column| column.is_valid(row))?;
    Some(texts(column.values().as_string_opt()?, range(column.value_offsets(), row)?))
}

fn map(column: &ArrayRef, row: usize) -> Option<Vec<(&str, Option<&str>)>> {
    let column = column.as_map_opt().filter(|column| column.is_valid(row))?;
    let range = range(column.value_offsets(), row)?;
    let keys = texts(column.keys().as_string_opt()?, range.clone());
    let values = texts(column.values().as_string_opt()?, range);
    Some(keys.into_iter().map(|key| key.unwrap_or_default()).zip(values).collect())
}

/// Messages as rows of their table, in order.
pub(super) fn rows(messages: &[StoredMessage<'_>]) -> Result<RecordBatch> {
    let (mut id, mut tag, mut group, mut host) =
        (StringBuilder::new(), StringBuilder::new(), StringBuilder::new(), StringBuilder::new());
    let mut keys = ListBuilder::new(StringBuilder::new()).with_field(Field::new("item", DataType::Utf8, true));
    let names = MapFieldNames { entry: "entries".to_owned(), key: "key".to_owned(), value: "value".to_owned() };
    let mut properties = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    let mut body = BinaryBuilder::new();
    let time = || TimestampMicrosecondBuilder::new().with_timezone("UTC");
    let (mut born, mut deliver) = (time(), time());
    let (mut flags, mut attempts) = (Int32Builder::new(), Int32Builder::new());
    let wrong = |error: arrow_schema::ArrowError| Error::Internal(format!("messages could not be made rows: {error}"));
    for message in messages {
        id.append_option(message.message_id);
        tag.append_option(message.tag);
        group.append_option(message.message_group);
        host.append_option(message.born_host);
        keys.append_option(message.keys.as_ref().map(|keys| keys.iter().copied()));
        for (key, value) in message.properties.iter().flatten() {
            properties.keys().append_value(key);
            properties.values().append_option(*value);
        }
        properties.append(message.properties.is_some()).map_err(wrong)?;
        body.append_value(message.body);
        born.append_option(message.born_us);
        deliver.append_option(message.deliver_us);
        flags.append_option(message.flags);
        attempts.append_option(message.attempts);
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(id.finish()),
        Arc::new(tag.finish()),
        Arc::new(keys.finish()),
        Arc::new(properties.finish()),
        Arc::new(body.finish()),
        Arc::new(group.finish()),
        Arc::new(born.finish()),
        Arc::new(host.finish()),
        Arc::new(flags.finish()),
        Arc::new(attempts.finish()),
        Arc::new(deliver.finish()),
    ];
    RecordBatch::try_new(message_schema(), columns).map_err(wrong)
}
