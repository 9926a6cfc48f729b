//! Keys and values of the state store; `docs/state-store.md` draws them. A key is a tag and the parts of the name, ids
//! big-endian so that entries of one table lie together. A value is a version byte and JSON (definitions) or postcard
//! (the rest).

use std::sync::Arc;

use arrow_schema::Schema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::dirty::Key;
use super::super::{PartitionState, State};
use super::segments;
use crate::record::GroupKey;
use crate::{ConsumerId, Error, FunctionId, GroupMode, Lsn, Offset, PluginId, Result, TableId, TableInfo, TopicId};

/// The one entry that every checkpoint writes.
pub(super) const HEAD_KEY: &[u8] = b"!";
/// First byte of every value.
const VERSION: u8 = 1;

/// Where the checkpoint stands.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub applied: Lsn,
    pub append_us: i64,
    pub epoch: u64,
    pub catalog_version: u64,
}

/// A table; of its schemas only the newest, because each older one is a beginning of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredTable {
    info: TableInfo,
    /// Columns of each schema version, oldest first.
    columns: Vec<usize>,
}

impl StoredTable {
    fn of(info: &TableInfo) -> StoredTable {
        let columns = info.schemas.iter().map(|schema| schema.fields().len()).collect();
        let newest = info.schemas.last().cloned().into_iter().collect();
        StoredTable { info: TableInfo { schemas: newest, ..info.clone() }, columns }
    }

    pub(super) fn restore(mut self) -> Result<TableInfo, String> {
        let newest = self.info.schemas.pop().ok_or("it has no schema")?;
        let older = |columns: &usize| {
            let fields = newest.fields().get(..*columns)?;
            Some(Arc::new(Schema::new_with_metadata(fields.to_vec(), newest.metadata().clone())))
        };
        let (newest_columns, older_columns) = self.columns.split_last().ok_or("it has no schema version")?;
        if *newest_columns != newest.fields().len() {
            return Err("its schema has another number of columns".to_owned());
        }
        let schemas = older_columns.iter().map(older).collect::<Option<Vec<_>>>();
        self.info.schemas = schemas.ok_or("a schema version has more columns than the newest")?;
        self.info.schemas.push(newest);
        Ok(self.info)
    }
}

/// A partition without its segments, which have entries of their own.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredPartition {
    start: Offset,
    end: Offset,
    segments_version: u64,
    segmented_to: Offset,
    log_bytes: u64,
    oldest_unsegmented_append_us: Option<i64>,
    oldest_unsegmented_lsn: Option<Lsn>,
}

impl StoredPartition {
    fn of(partition: &PartitionState) -> StoredPartition {
        StoredPartition {
            start: partition.start,
            end: partition.end,
            segments_version: partition.segments_version,
            segmented_to: partition.segmented_to,
            log_bytes: partition.log_bytes,
            oldest_unsegmented_append_us: partition.oldest_unsegmented_append_us,
            oldest_unsegmented_lsn: partition.oldest_unsegmented_lsn,
        }
    }

    /// Puts the fields back; segments are left as they are.
    pub(super) fn restore(self, partition: &mut PartitionState) {
        partition.start = self.start;
        partition.end = self.end;
        partition.segments_version = self.segments_version;
        partition.segmented_to = self.segmented_to;
        partition.log_bytes = self.log_bytes;
        partition.oldest_unsegmented_append_us = self.oldest_unsegmented_append_us;
        partition.oldest_unsegmented_lsn = self.oldest_unsegmented_lsn;
    }
}

pub(super) fn head(state: &State) -> Result<Vec<u8>> {
    postcard(&Head {
        applied: state.applied,
        append_us: state.append_us,
        epoch: state.epoch,
        catalog_version: state.catalog.version(),
    })
}

/// The entry's value now; `None` deletes it.
pub(super) fn value(state: &State, key: &Key) -> Result<Option<Vec<u8>>> {
    match key {
        Key::Namespace(name) => state
            .catalog
            .has_namespace(name)
            .then(|| json(&Some(state.catalog.limits_of_namespace(name)).filter(|limits| !limits.is_empty())))
            .transpose(),
        Key::Table(id) => state.catalog.table(*id).map(|info| json(&StoredTable::of(info))).transpose(),
        Key::Topic(id) => state.catalog.topic(*id).map(|info| json(info.as_ref())).transpose(),
        Key::Plugin(id) => state.catalog.plugin(*id).map(|info| json(info.as_ref())).transpose(),
        Key::Function(id) => state.catalog.function(*id).map(|info| json(info.as_ref())).transpose(),
        Key::Consumer(id) => state.catalog.consumer(*id).map(|info| json(info.as_ref())).transpose(),
        Key::Kept(consumer, partition, key) => Ok(state.kept(*consumer, *partition, key).map(|value| {
            let mut bytes = vec![VERSION];
            bytes.extend_from_slice(value);
            bytes
        })),
        Key::Partition(table, partition) => {
            state.partition(*table, *partition).map(|found| postcard(&StoredPartition::of(found))).transpose()
        }
        Key::Segment(table, partition, first) => {
            let segment = state.partition(*table, *partition).and_then(|found| found.segments.get(first));
            segment.map(|segment| segments::encode(segment)).transpose()
        }
        Key::Group(namespace, group) => state.group(namespace, group).map(|group| json(&group.mode)).transpose(),
        Key::Committed(group, topic, partition) => {
            state.committed(group, *topic, *partition).map(|offset| postcard(&offset)).transpose()
        }
        Key::Producer(table, id) => {
            let namespace = state.catalog.table(*table).map(|info| info.namespace.as_str());
            let stream = namespace.and_then(|namespace| state.producers.get(namespace, (*table, *id)));
            stream.map(postcard).transpose()
        }
        Key::Letters(topic, partition) => state.examined(*topic, *partition).map(postcard).transpose(),
        Key::Unlisted(id) => state.unlisted().get(*id).map(json).transpose(),
    }
}

pub(super) fn key(key: &Key) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(32);
    match key {
        Key::Namespace(name) => text(tagged(&mut bytes, b'n'), name),
        Key::Table(id) => number(tagged(&mut bytes, b't'), id.0),
        Key::Topic(id) => number(tagged(&mut bytes, b'q'), id.0),
        Key::Plugin(id) => number(tagged(&mut bytes, b'w'), id.0),
        Key::Function(id) => number(tagged(&mut bytes, b'f'), id.0),
        Key::Consumer(id) => number(tagged(&mut bytes, b'c'), id.0),
        Key::Kept(consumer, partition, key) => {
            number(tagged(&mut bytes, b'k'), consumer.0);
            bytes.extend(partition.to_be_bytes());
            bytes.extend_from_slice(key);
        }
        Key::Partition(table, partition) => {
            number(tagged(&mut bytes, b'p'), table.0);
            bytes.extend(partition.to_be_bytes());
        }
        Key::Segment(table, partition, first) => {
            number(tagged(&mut bytes, b's'), table.0);
            bytes.extend(partition.to_be_bytes());
            number(&mut bytes, *first);
        }
        Key::Group(namespace, group) => {
            text(tagged(&mut bytes, b'g'), namespace);
            text(&mut bytes, group);
        }
        Key::Committed(group, topic, partition) => {
            text(tagged(&mut bytes, b'o'), &group.namespace);
            text(&mut bytes, &group.group);
            bytes.push(u8::from(group.client.is_some()));
            text(&mut bytes, group.client.as_deref().unwrap_or_default());
            number(&mut bytes, topic.0);
            bytes.extend(partition.to_be_bytes());
        }
        Key::Producer(table, id) => {
            number(tagged(&mut bytes, b'r'), table.0);
            bytes.extend(id.to_be_bytes());
        }
        Key::Letters(topic, partition) => {
            number(tagged(&mut bytes, b'l'), topic.0);
            bytes.extend(partition.to_be_bytes());
        }
        Key::Unlisted(id) => number(tagged(&mut bytes, b'u'), *id),
    }
    bytes
}

/// `None` if the bytes are not a key that [`key`] writes.
pub(super) fn parse_key(bytes: &[u8]) -> Option<Key> {
    let mut parts = Parts(bytes);
    let key = match parts.take::<1>()? {
        b"n" => Key::Namespace(parts.text()?),
        b"t" => Key::Table(TableId(parts.number()?)),
        b"q" => Key::Topic(TopicId(parts.number()?)),
        b"w" => Key::Plugin(PluginId(parts.number()?)),
        b"f" => Key::Function(FunctionId(parts.number()?)),
        b"c" => Key::Consumer(ConsumerId(parts.number()?)),
        b"k" => {
            let (consumer, partition) = (ConsumerId(parts.number()?), u32::from_be_bytes(*parts.take()?));
            Key::Kept(consumer, partition, Arc::from(parts.rest()))
        }
        b"p" => Key::Partition(TableId(parts.number()?), u32::from_be_bytes(*parts.take()?)),
        b"s" => Key::Segment(TableId(parts.number()?), u32::from_be_bytes(*parts.take()?), parts.number()?),
        b"g" => Key::Group(parts.text()?, parts.text()?),
        b"o" => {
            let (namespace, group) = (parts.text()?, parts.text()?);
            let (named, client) = (parts.take::<1>()? == &[1], parts.text()?);
            let group = GroupKey { namespace, group, client: named.then_some(client) };
            Key::Committed(group, TopicId(parts.number()?), u32::from_be_bytes(*parts.take()?))
        }
        b"r" => Key::Producer(TableId(parts.number()?), u128::from_be_bytes(*parts.take()?)),
        b"l" => Key::Letters(TopicId(parts.number()?), u32::from_be_bytes(*parts.take()?)),
        b"u" => Key::Unlisted(parts.number()?),
        _ => return None,
    };
    parts.0.is_empty().then_some(key)
}

pub(super) fn from_json<T: DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    serde_json::from_slice(versioned(value)?).map_err(|error| error.to_string())
}

pub(super) fn from_postcard<T: DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    whole_postcard(versioned(value)?)
}

/// As [`from_postcard`], without the version byte.
pub(super) fn whole_postcard<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let (decoded, rest) = postcard::take_from_bytes(bytes).map_err(|error| error.to_string())?;
    if rest.is_empty() { Ok(decoded) } else { Err(format!("{} bytes too many", rest.len())) }
}

/// A group's value.
pub(super) fn group_mode(value: &[u8]) -> Result<GroupMode, String> {
    from_json(value)
}

/// What a consumer keeps: the bytes as they are.
pub(super) fn kept(value: &[u8]) -> Result<&[u8], String> {
    versioned(value)
}

fn versioned(value: &[u8]) -> Result<&[u8], String> {
    match value.split_first() {
        Some((&VERSION, rest)) => Ok(rest),
        Some((version, _)) => Err(format!("version {version} is not known to this release")),
        None => Err("empty value".to_owned()),
    }
}

fn json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, value).map_err(|error| Error::Internal(format!("state store: {error}")))?;
    Ok(bytes)
}

fn postcard<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    postcard::to_extend(value, vec![VERSION]).map_err(|error| Error::Internal(format!("state store: {error}")))
}

fn tagged(bytes: &mut Vec<u8>, tag: u8) -> &mut Vec<u8> {
    bytes.push(tag);
    bytes
}

fn number(bytes: &mut Vec<u8>, number: u64) {
    bytes.extend(number.to_be_bytes());
}

/// Names are at most 255 bytes; a longer one would still be told apart by its cut length.
fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend(text.as_bytes());
}

struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    fn take<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (part, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(part)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(|bytes| u64::from_be_bytes(*bytes))
    }

    fn text(&mut self) -> Option<Arc<str>> {
        let length = u16::from_be_bytes(*self.take()?);
        let (text, rest) = self.0.split_at_checked(usize::from(length))?;
        self.0 = rest;
        std::str::from_utf8(text).ok().map(Arc::from)
    }
}
