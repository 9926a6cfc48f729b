//! Key-value state of consumers, by consumer and partition. Paged; how much there is of it is kept in memory by consumer.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::changed::Changed;
use super::codec::{self, KeyBytes, KeyParts};
use super::earlier::Earlier;
use super::family::{Ahead, Family, Fold, RecordKind};
use super::paged::{PageSource, Paged, PagedEntries};
use super::stored::{Entries, Restored, Stored};
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

/// All consumers'.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, PartialEq))]
pub(super) struct Keyed {
    entries: Paged<KeptEntries>,
    /// Bytes of all entries of a consumer, as `state_bytes` counts them; none where there are none.
    bytes: BTreeMap<ConsumerId, u64>,
    unwritten: Changed<ConsumerId>,
}

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
        KeptReader { entries: self.entries.reader(), consumer, partition }
    }

    /// All entries as readers see them.
    pub(super) fn stored(&self) -> Paged<KeptEntries> {
        self.entries.reader()
    }

    pub(super) fn bytes(&self, consumer: ConsumerId) -> u64 {
        self.bytes.get(&consumer).copied().unwrap_or(0)
    }

    /// What the consumer's state would come to.
    fn bytes_after(&self, record: &StateRecord) -> Result<u64> {
        let mut bytes = self.bytes(record.consumer);
        for (key, value) in &record.writes {
            let before = self.entries.get(&(record.consumer, record.partition, key.clone()))?;
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
        let replaced =
            self.entries.edit(&(consumer, partition, key.clone()), |entry| std::mem::replace(entry, value))?;
        let freed = replaced.map_or(0, |before| entry_bytes(key, &before));
        let bytes = self.bytes(consumer).saturating_add(added).saturating_sub(freed);
        match bytes {
            0 => self.bytes.remove(&consumer),
            bytes => self.bytes.insert(consumer, bytes),
        };
        self.unwritten.mark(consumer);
        Ok(())
    }

    fn forget(&mut self, consumer: ConsumerId) {
        self.entries.make_void(consumer.0);
        self.bytes.remove(&consumer);
        self.unwritten.mark(consumer);
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
                    self.forget(*consumer);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn ahead(&self) -> Self {
        Keyed { entries: self.entries.ahead(), bytes: self.bytes.clone(), unwritten: Changed::untracked() }
    }

    fn end_commit(&mut self, last: Lsn, applied: Lsn) {
        self.entries.end_commit(last, applied);
    }
}

impl Stored for Keyed {
    fn tags(&self) -> &'static [&'static [u8]] {
        &[b"vk", b"b"]
    }

    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        if key.first() == Some(&b'v') {
            return self.entries.restore_void(key);
        }
        let mut parts = KeyParts::of(key);
        let consumer = ConsumerId(parts.u64()?);
        parts.end()?;
        self.bytes.insert(consumer, codec::from_postcard(value)?);
        Ok(())
    }

    fn begin_checkpoint(&mut self) {
        self.entries.begin_checkpoint();
        self.unwritten.begin();
    }

    fn write(&self, entries: &mut Entries<'_>) -> Result<()> {
        for consumer in self.unwritten.writing() {
            let bytes = self.bytes.get(consumer).map(codec::postcard).transpose()?;
            entries(KeyBytes::new(b'b').u64(consumer.0).done(), bytes);
        }
        self.entries.write(entries)
    }

    fn end_checkpoint(&mut self, written: bool) {
        self.entries.end_checkpoint(written);
        self.unwritten.end(written);
    }

    fn attach(&mut self, pages: &PageSource) {
        self.entries.attach(pages);
    }

    fn restored(&mut self, restored: &mut Restored<'_>) -> Result<()> {
        if restored.complete {
            return Ok(());
        }
        let (bytes, unwritten) = (&mut self.bytes, &mut self.unwritten);
        self.entries.scan(Bound::Unbounded, |(consumer, _, key), value| {
            if restored.catalog.consumer(*consumer).is_none() {
                return Err(Error::Internal(format!("state of consumer #{consumer}, which is missing")));
            }
            let of = bytes.entry(*consumer).or_default();
            *of = of.saturating_add(entry_bytes(key, value));
            unwritten.mark(*consumer);
            Ok(true)
        })
    }

    fn unwritten_bytes(&self) -> usize {
        self.entries.unwritten_bytes()
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
