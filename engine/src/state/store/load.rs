//! Reads a checkpoint back.

use std::path::Path;

use fjall::Keyspace;

use super::super::State;
use super::super::dirty::Key;
use super::super::letters::Examined;
use super::super::producers::Stream;
use super::super::unlisted::UnlistedSegment;
use super::codec::{self, Head, StoredPartition, StoredTable};
use super::{damaged, segments, store_error};
use crate::{FunctionInfo, NamespaceLimits, Offset, PluginConsumerInfo, PluginInfo, Result, TopicInfo};

/// The state that the last checkpoint wrote; an empty one for a new store.
pub(super) fn load(path: &Path, entries: &Keyspace) -> Result<State> {
    let mut state = State::tracked();
    let Some(head) = entries.get(codec::HEAD_KEY).map_err(|error| store_error(path, &error))? else {
        return match entries.is_empty().map_err(|error| store_error(path, &error))? {
            true => Ok(state),
            false => Err(damaged(path, "entries without a head")),
        };
    };
    let head: Head = codec::from_postcard(&head).map_err(|error| damaged(path, format!("head: {error}")))?;
    // What others refer to comes first.
    for tag in [b"n", b"t", b"w", b"f", b"q", b"c", b"k", b"p", b"s", b"g", b"o", b"r", b"l", b"u"] {
        for entry in entries.prefix(tag) {
            let (key, value) = entry.into_inner().map_err(|error| store_error(path, &error))?;
            let key = codec::parse_key(&key).ok_or_else(|| damaged(path, format!("unknown key {key:02x?}")))?;
            let described = format!("{key:?}");
            restore(&mut state, key, &value).map_err(|error| damaged(path, format!("{described}: {error}")))?;
        }
    }
    state.applied = head.applied;
    state.append_us = head.append_us;
    state.epoch = head.epoch;
    state.catalog.set_version(head.catalog_version);
    Ok(state)
}

fn restore(state: &mut State, key: Key, value: &[u8]) -> Result<(), String> {
    match key {
        Key::Namespace(name) => {
            let limits: Option<NamespaceLimits> = codec::from_json(value)?;
            state.catalog.put_namespace(&name, limits.unwrap_or_default());
        }
        Key::Table(_) => state.catalog.put_table(codec::from_json::<StoredTable>(value)?.restore()?.into()),
        Key::Topic(_) => state.catalog.put_topic(codec::from_json::<TopicInfo>(value)?.into()),
        Key::Plugin(_) => state.catalog.put_plugin(codec::from_json::<PluginInfo>(value)?.into()),
        Key::Function(_) => state.catalog.put_function(codec::from_json::<FunctionInfo>(value)?.into()),
        Key::Consumer(_) => state.catalog.put_consumer(codec::from_json::<PluginConsumerInfo>(value)?.into()),
        Key::Kept(consumer, partition, key) => {
            state.catalog.consumer(consumer).ok_or("its consumer is missing")?;
            state.keyed.set(consumer, partition, key, Some(codec::kept(value)?.into()));
        }
        Key::Partition(table, partition) => {
            let stored: StoredPartition = codec::from_postcard(value)?;
            stored.restore(state.catalog.partition_mut(table, partition).ok_or("its table is missing")?);
        }
        Key::Segment(table, partition, _) => {
            let segment = segments::decode(value)?;
            state.catalog.partition_mut(table, partition).ok_or("its table is missing")?.restore_segment(segment);
        }
        Key::Group(namespace, group) => state.groups.create(namespace, group, codec::group_mode(value)?),
        Key::Committed(group, topic, partition) => {
            state.groups.set(&group, topic, partition, codec::from_postcard::<Offset>(value)?);
        }
        Key::Letters(topic, partition) => {
            state.letters.restore(topic, partition, codec::from_postcard::<Examined>(value)?);
        }
        Key::Unlisted(id) => state.unlisted.restore(id, codec::from_json::<UnlistedSegment>(value)?),
        Key::Producer(table, id) => {
            let stream = codec::from_postcard::<Stream>(value)?;
            match state.catalog.table(table).map(|info| info.namespace.clone()) {
                Some(namespace) => state.producers.restore(&namespace, (table, id), stream),
                // Earlier releases kept the streams of dropped tables.
                None => state.mark(Key::Producer(table, id)),
            }
        }
    }
    Ok(())
}
