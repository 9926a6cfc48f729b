//! Key-value state of consumers, by consumer and partition.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::keyed_state::{entry_bytes, range_from};
use crate::record::StateRecord;
use crate::{ConsumerId, PartitionId, StateEntries};

type Entries = BTreeMap<Arc<[u8]>, Arc<[u8]>>;

/// One consumer's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Kept {
    /// Of all entries, as `state_bytes` counts them.
    bytes: u64,
    partitions: BTreeMap<PartitionId, Entries>,
}

/// All consumers'.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Keyed {
    consumers: BTreeMap<ConsumerId, Kept>,
}

impl Keyed {
    pub(super) fn get(&self, consumer: ConsumerId, partition: PartitionId, key: &[u8]) -> Option<&Arc<[u8]>> {
        self.consumers.get(&consumer)?.partitions.get(&partition)?.get(key)
    }

    /// Entries behind `after` whose keys begin with `prefix`, in order; at most `limit`.
    pub(super) fn scan(
        &self,
        consumer: ConsumerId,
        partition: PartitionId,
        (prefix, after): (&[u8], Option<&[u8]>),
        limit: usize,
    ) -> StateEntries {
        let entries = self.consumers.get(&consumer).and_then(|kept| kept.partitions.get(&partition));
        let entries = entries.into_iter().flat_map(|entries| entries.range::<[u8], _>(range_from(prefix, after)));
        let entries = entries.take_while(|(key, _)| key.starts_with(prefix)).take(limit);
        entries.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    pub(super) fn bytes(&self, consumer: ConsumerId) -> u64 {
        self.consumers.get(&consumer).map_or(0, |kept| kept.bytes)
    }

    /// What the consumer's state would come to.
    pub(super) fn bytes_after(&self, record: &StateRecord) -> u64 {
        let mut bytes = self.bytes(record.consumer);
        for (key, value) in &record.writes {
            let before = self.get(record.consumer, record.partition, key);
            bytes = bytes.saturating_sub(before.map_or(0, |before| entry_bytes(key, before)));
            bytes = bytes.saturating_add(value.as_ref().map_or(0, |value| entry_bytes(key, value)));
        }
        bytes
    }

    pub(super) fn apply(&mut self, record: &StateRecord) {
        for (key, value) in &record.writes {
            self.set(record.consumer, record.partition, key.clone(), value.clone());
        }
    }

    /// Empty partitions and consumers are not kept, so that equal contents are equal.
    pub(super) fn set(
        &mut self,
        consumer: ConsumerId,
        partition: PartitionId,
        key: Arc<[u8]>,
        value: Option<Arc<[u8]>>,
    ) {
        let kept = self.consumers.entry(consumer).or_default();
        let entries = kept.partitions.entry(partition).or_default();
        let added = value.as_ref().map_or(0, |value| entry_bytes(&key, value));
        let before = match value {
            Some(value) => entries.insert(key.clone(), value),
            None => entries.remove(&key),
        };
        let freed = before.map_or(0, |before| entry_bytes(&key, &before));
        kept.bytes = kept.bytes.saturating_add(added).saturating_sub(freed);
        if entries.is_empty() {
            kept.partitions.remove(&partition);
        }
        if kept.partitions.is_empty() {
            self.consumers.remove(&consumer);
        }
    }

    /// Gives the keys that went with it.
    pub(super) fn remove(&mut self, consumer: ConsumerId) -> Vec<(PartitionId, Arc<[u8]>)> {
        let kept = self.consumers.remove(&consumer).unwrap_or_default();
        let keys = kept
            .partitions
            .into_iter()
            .flat_map(|(partition, entries)| entries.into_keys().map(move |key| (partition, key)));
        keys.collect()
    }
}
