//! Key-value state of consumers, by consumer and partition. Paged; how much there is of it is kept in memory by consumer.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::codec::{self, KeyBytes, KeyParts};
use super::earlier::Earlier;
use super::family::{Ahead, Family, Fold, RecordKind};
use super::paged::{Paged, PagedEntries};
use super::stored::Restored;
use super::summed::{OfSummed, Sum, Summed};
use crate::contract::{MAX_STATE_KEY_BYTES, StateEntries, StateWrite};
use crate::contract::{entry_bytes, range_from};
use crate::model::{ConsumerId, Error, Lsn, PartitionId, Result};
use crate::state::{Change, Record, StateRecord};

/// Memory that an entry takes beside its key and value.
const OVERHEAD: usize = 96;

/// Entries by consumer, partition and key.
#[derive(Debug)]
pub(super) struct KeptEntries;

impl PagedEntries for KeptEntries {
    type Key = (ConsumerId, PartitionId, Arc<[u8]>);
    type Value = Arc<[u8]>;
    const TAG: u8 = b'k';

    fn key((consumer, partition, key): &Self::Key) -> Vec<u8> {
        KeyBytes::new(Self::TAG).u64(consumer.0).u32(*partition).rest(key).done()
    }

    fn parse_key(bytes: &[u8]) -> Result<Self::Key, String> {
        let mut parts = KeyParts::of(bytes);
        Ok((ConsumerId(parts.u64()?), parts.u32()?, Arc::from(parts.rest())))
    }

    fn value(value: &Self::Value) -> Result<Vec<u8>> {
        Ok(codec::bytes(value))
    }

    fn parse_value(bytes: &[u8]) -> Result<Self::Value, String> {
        codec::from_bytes(bytes).map(Arc::from)
    }

    fn owner((consumer, ..): &Self::Key) -> u64 {
        consumer.0
    }

    fn first_of(owner: u64) -> Self::Key {
        (ConsumerId(owner), 0, Arc::from([]))
    }

    fn bytes((.., key): &Self::Key, value: Option<&Self::Value>) -> usize {
        OVERHEAD + key.len() + value.map_or(0, |value| value.len())
    }
}

/// Bytes of all entries of a consumer, as `state_bytes` counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct KeptBytes(u64);

impl Sum for KeptBytes {
    const TAG: u8 = b'b';
}

/// All consumers'.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, PartialEq))]
pub(super) struct Keyed(Summed<KeptEntries, KeptBytes>);

/// One partition's state as readers see it. Reading it needs no lock of the whole state.
#[derive(Debug)]
pub(crate) struct KeptReader {
    entries: Paged<KeptEntries>,
    consumer: ConsumerId,
    partition: PartitionId,
}

impl KeptReader {
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Arc<[u8]>>> {
        self.entries.get(&(self.consumer, self.partition, Arc::from(key)))
    }

    /// Entries behind `after` whose keys begin with `prefix`, in order; at most `limit`.
    pub(crate) fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<StateEntries> {
        let mut found = StateEntries::new();
        if limit == 0 {
            return Ok(found);
        }
        let (from, _) = range_from(prefix, after);
        let key = |key: &[u8]| (self.consumer, self.partition, Arc::from(key));
        let from = match from {
            Bound::Included(from) => Bound::Included(key(from)),
            Bound::Excluded(from) => Bound::Excluded(key(from)),
            Bound::Unbounded => Bound::Included(key(&[])),
        };
        self.entries.scan(from, |(consumer, partition, key), value| {
            if (*consumer, *partition) != (self.consumer, self.partition) || !key.starts_with(prefix) {
                return Ok(false);
            }
            found.push((key.clone(), value.clone()));
            Ok(found.len() < limit)
        })?;
        Ok(found)
    }
}

impl StateRecord {
    /// Of the entries that it writes.
    pub(super) fn keys(&self) -> impl Iterator<Item = (ConsumerId, PartitionId, Arc<[u8]>)> {
        self.writes.iter().map(|(key, _)| (self.consumer, self.partition, key.clone()))
    }
}

impl Keyed {
    pub(super) fn reader(&self, consumer: ConsumerId, partition: PartitionId) -> KeptReader {
        KeptReader { entries: self.0.reader(), consumer, partition }
    }

    /// All entries as readers see them.
    pub(super) fn stored(&self) -> Paged<KeptEntries> {
        self.0.reader()
    }

    pub(super) fn bytes(&self, consumer: ConsumerId) -> u64 {
        self.0.sum(consumer.0).0
    }

    /// What the consumer's state would come to.
    fn bytes_after(&self, record: &StateRecord) -> Result<u64> {
        let mut bytes = self.bytes(record.consumer);
        for (key, value) in &record.writes {
            let before = self.0.get(&(record.consumer, record.partition, key.clone()))?;
            bytes = bytes.saturating_sub(before.map_or(0, |before| entry_bytes(key, &before)));
            bytes = bytes.saturating_add(value.as_ref().map_or(0, |value| entry_bytes(key, value)));
        }
        Ok(bytes)
    }

    fn set(
        &mut self,
        consumer: ConsumerId,
        partition: PartitionId,
        key: &Arc<[u8]>,
        value: Option<Arc<[u8]>>,
    ) -> Result<()> {
        let added = value.as_ref().map_or(0, |value| entry_bytes(key, value));
        let replaced = self.0.edit(&(consumer, partition, key.clone()), |entry| std::mem::replace(entry, value))?;
        let freed = replaced.map_or(0, |before| entry_bytes(key, &before));
        self.0.add_up(consumer.0, |sum| sum.0 = sum.0.saturating_add(added).saturating_sub(freed));
        Ok(())
    }
}

impl Family for Keyed {
    fn apply(&mut self, fold: &Fold<'_>, record: &Record) -> Result<()> {
        match record {
            // A consumer that is gone has no state.
            Record::State(written) if fold.catalog.consumer(written.consumer).is_some() => {
                for (key, value) in &written.writes {
                    self.set(written.consumer, written.partition, key, value.clone())?;
                }
            }
            Record::Change(change) => {
                if let Change::PluginConsumerDropped { consumer } = change.as_ref() {
                    self.0.forget(consumer.0);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn ahead(&self) -> Self {
        Keyed(self.0.view_ahead())
    }

    fn end_commit(&mut self, last: Lsn, applied: Lsn) {
        self.0.end_commit(last, applied);
    }
}

impl OfSummed for Keyed {
    type Entries = KeptEntries;
    type Sum = KeptBytes;

    fn summed(&self) -> &Summed<KeptEntries, KeptBytes> {
        &self.0
    }

    fn summed_mut(&mut self) -> &mut Summed<KeptEntries, KeptBytes> {
        &mut self.0
    }

    fn back(&mut self, restored: &mut Restored<'_>) -> Result<()> {
        if restored.complete {
            return Ok(());
        }
        let mut bytes: BTreeMap<ConsumerId, u64> = BTreeMap::new();
        self.0.scan(Bound::Unbounded, |(consumer, _, key), value| {
            if restored.catalog.consumer(*consumer).is_none() {
                return Err(Error::Internal(format!("state of consumer #{consumer}, which is missing")));
            }
            let of = bytes.entry(*consumer).or_default();
            *of = of.saturating_add(entry_bytes(key, value));
            Ok(true)
        })?;
        bytes.into_iter().for_each(|(consumer, bytes)| self.0.add_up(consumer.0, |sum| sum.0 = bytes));
        Ok(())
    }
}

impl RecordKind for StateRecord {
    fn encode(&self) -> Result<Vec<u8>> {
        codec::record_postcard(self)
    }

    fn decode(payload: &[u8]) -> Result<Self, String> {
        codec::record_from_postcard(payload)
    }

    fn payload_bytes(&self) -> Result<usize> {
        let entry = |(key, value): &StateWrite| key.len() + value.as_ref().map_or(0, |value| value.len()) + 16;
        Ok(self.writes.iter().map(entry).sum())
    }

    fn admit<'a>(&'a self, ahead: &dyn Ahead, _earlier: &mut Earlier<'a>) -> Result<()> {
        let consumer = ahead.catalog().known_consumer(self.consumer)?;
        let topic = ahead.catalog().topic(consumer.topic).ok_or_else(|| Error::gone("topic"))?;
        ahead.catalog().known_partition(topic.table, self.partition)?;
        if self.writes.iter().any(|(key, _)| !(1..=MAX_STATE_KEY_BYTES).contains(&key.len())) {
            return Err(Error::Internal(format!("consumer {:?} wrote a key of a wrong length", consumer.name)));
        }
        let keyed = ahead.get::<Keyed>()?;
        let (size, limit) = (keyed.bytes_after(self)?, consumer.settings.state_bytes);
        if size > limit && size > keyed.bytes(self.consumer) {
            let hint = "delete keys that are done with, or give it more (state_bytes)";
            return Err(Error::TooLarge { what: "the consumer's state", size, limit, hint });
        }
        Ok(())
    }

    fn is_bulk(&self) -> bool {
        true
    }
}
