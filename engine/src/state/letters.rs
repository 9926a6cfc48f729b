//! Which rows of a topic's source have been examined for dead letters, so that none is written twice.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::changed::Changed;
use super::codec::{self, KeyBytes, KeyParts};
use super::family::{Family, Fold};
use super::stored::{Entries, Stored};
use crate::model::OffsetSet;
use crate::model::{Offset, PartitionId, Result, TopicId};
use crate::state::{Change, Record};

/// The offsets of one partition whose rows at fault have their letters, since one base version of the topic: what is
/// reloaded as a whole may fail at other rows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Examined {
    pub version: u32,
    pub offsets: OffsetSet,
}

/// All topics that have dead letters.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Letters {
    examined: BTreeMap<(TopicId, PartitionId), Examined>,
    unwritten: Changed<(TopicId, PartitionId)>,
}

impl Letters {
    pub(super) fn get(&self, topic: TopicId, partition: PartitionId) -> Option<&Examined> {
        self.examined.get(&(topic, partition))
    }

    /// `start` is the partition's oldest offset: what lies below can't be read any more.
    fn add(&mut self, topic: TopicId, version: u32, partition: PartitionId, offsets: Range<Offset>, start: Offset) {
        let examined = self.examined.entry((topic, partition)).or_default();
        if examined.version != version {
            *examined = Examined { version, offsets: OffsetSet::default() };
        }
        examined.offsets.insert(offsets);
        examined.offsets.trim(start);
    }

    fn forget_topic(&mut self, topic: TopicId) {
        let range = (topic, PartitionId::MIN)..=(topic, PartitionId::MAX);
        let keys: Vec<_> = self.examined.range(range).map(|(key, _)| *key).collect();
        for key in keys {
            self.examined.remove(&key);
            self.unwritten.mark(key);
        }
    }
}

impl Family for Letters {
    fn apply(&mut self, fold: &Fold<'_>, record: &Record) -> Result<()> {
        let Record::Change(change) = record else { return Ok(()) };
        match change.as_ref() {
            &Change::RowsLettered { topic, version, partition, first, next } => {
                let table = fold.catalog.topic(topic).map(|topic| topic.table);
                let source = table.and_then(|table| fold.catalog.partition(table, partition));
                if let Some(start) = source.map(|source| source.start) {
                    self.add(topic, version, partition, first..next, start);
                    self.unwritten.mark((topic, partition));
                }
            }
            Change::TopicDropped { topic } => self.forget_topic(*topic),
            Change::TableDropped { table } => {
                fold.catalog.topics_of_table(*table).for_each(|topic| self.forget_topic(topic.id));
            }
            _ => {}
        }
        Ok(())
    }

    fn ahead(&self) -> Self {
        Letters { unwritten: Changed::untracked(), ..self.clone() }
    }
}

impl Stored for Letters {
    fn tags(&self) -> &'static [&'static [u8]] {
        &[b"l"]
    }

    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let mut parts = KeyParts::of(key);
        let (topic, partition) = (parts.u64()?, parts.u32()?);
        parts.end()?;
        self.examined.insert((TopicId(topic), partition), codec::from_postcard(value)?);
        Ok(())
    }

    fn begin_checkpoint(&mut self) {
        self.unwritten.begin();
    }

    fn write(&self, entries: &mut Entries<'_>) -> Result<()> {
        self.unwritten.writing().try_for_each(|(topic, partition)| {
            let value = self.get(*topic, *partition).map(codec::postcard).transpose()?;
            entries(KeyBytes::new(b'l').u64(topic.0).u32(*partition).done(), value);
            Ok(())
        })
    }

    fn end_checkpoint(&mut self, written: bool) {
        self.unwritten.end(written);
    }
}
