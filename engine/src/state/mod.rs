//! Everything the log says, folded: the catalog, partitions and their segments, consumer groups' offsets, the
//! state of consumers, producers.
//!
//! [`State::apply`] is a pure function of the records; two copies that saw the same log are equal, whatever checkpoint
//! they began from. The engine keeps two: the writer's, which runs ahead to check preconditions, and the readers', which
//! holds durable records only and is written to the [`Store`] at checkpoints.

mod admit;
mod apply;
mod catalog;
mod dirty;
mod groups;
mod keyed;
mod letters;
mod partition;
mod producers;
mod store;
#[cfg(test)]
mod tests;
mod unlisted;

use crate::record::GroupKey;
use std::sync::Arc;

use crate::{
    ConsumerId, Lsn, Offset, PartitionId, PluginId, PluginInfo, StateEntries, TableId, TableInfo, TopicId, TopicInfo,
};

pub(crate) use admit::Admission;
pub(crate) use catalog::{Catalog, LettersOwner, SYSTEM_NAMESPACE};
pub(crate) use groups::GroupState;
pub(crate) use letters::Examined;
pub(crate) use partition::PartitionState;
pub(crate) use store::Store;
#[cfg(test)]
pub(crate) use tests::plugin_of_module;
pub(crate) use unlisted::Unlisted;

/// The fold. Lookups and changes cost O(log n) of what they name.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    /// The last LSN applied; LSNs count from 1, so 0 is a new store.
    applied: Lsn,
    /// Append time of the newest commit applied.
    append_us: i64,
    epoch: u64,
    catalog: Catalog,
    groups: groups::Groups,
    /// State of consumers that are plugins.
    keyed: keyed::Keyed,
    letters: letters::Letters,
    producers: producers::Producers,
    /// A record is being applied. Still set while nobody applies one: a panic has left the record half done, and no checkpoint
    /// may be taken any more.
    torn: bool,
    unlisted: unlisted::Unlisted,
    /// What has changed since the last checkpoint; `None` in copies that no checkpoint is taken of.
    dirty: Option<dirty::Dirty>,
}

/// Equal when folded from the same records: what awaits a checkpoint does not count.
impl PartialEq for State {
    fn eq(&self, other: &State) -> bool {
        self.applied == other.applied
            && self.append_us == other.append_us
            && self.epoch == other.epoch
            && self.catalog == other.catalog
            && self.groups == other.groups
            && self.keyed == other.keyed
            && self.letters == other.letters
            && self.producers == other.producers
            && self.unlisted == other.unlisted
    }
}

impl State {
    /// An empty state of which checkpoints can be taken.
    pub(crate) fn tracked() -> State {
        State { dirty: Some(dirty::Dirty::default()), ..State::default() }
    }

    /// The writer's copy: not tracked, and to be changed with [`State::apply_ahead`].
    pub(crate) fn ahead(&self) -> State {
        State { dirty: None, ..self.clone() }
    }

    /// The last LSN that has been applied.
    pub(crate) fn applied(&self) -> Lsn {
        self.applied
    }

    /// The highest log epoch seen.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What users have defined.
    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub(crate) fn table(&self, id: TableId) -> Option<&Arc<TableInfo>> {
        self.catalog.table(id)
    }

    /// Identity topics included.
    pub(crate) fn topic(&self, id: TopicId) -> Option<&Arc<TopicInfo>> {
        self.catalog.topic(id)
    }

    pub(crate) fn plugin(&self, id: PluginId) -> Option<&Arc<PluginInfo>> {
        self.catalog.plugin(id)
    }

    pub(crate) fn partition(&self, table: TableId, partition: PartitionId) -> Option<&PartitionState> {
        self.catalog.partitions(table)?.get(usize::try_from(partition).ok()?)
    }

    /// The group's next offset to read, `None` before its first commit.
    pub(crate) fn committed(&self, group: &GroupKey, topic: TopicId, partition: PartitionId) -> Option<Offset> {
        self.groups.committed(group, topic, partition)
    }

    /// What has been examined for dead letters of one partition of the topic's source; `None` before the first letter.
    pub(crate) fn examined(&self, topic: TopicId, partition: PartitionId) -> Option<&Examined> {
        self.letters.get(topic, partition)
    }

    /// Segment files that no manifest names, until they are known to be deleted.
    pub(crate) fn unlisted(&self) -> &Unlisted {
        &self.unlisted
    }

    /// The group as created, its committed offsets with it.
    pub(crate) fn group(&self, namespace: &str, group: &str) -> Option<&GroupState> {
        self.groups.get(namespace, group)
    }

    /// What a consumer keeps under a key in one partition.
    pub(crate) fn kept(&self, consumer: ConsumerId, partition: PartitionId, key: &[u8]) -> Option<&Arc<[u8]>> {
        self.keyed.get(consumer, partition, key)
    }

    /// What it keeps behind `after` under keys that begin with `prefix`, in order; at most `limit` entries.
    pub(crate) fn kept_from(
        &self,
        consumer: ConsumerId,
        partition: PartitionId,
        (prefix, after): (&[u8], Option<&[u8]>),
        limit: usize,
    ) -> StateEntries {
        self.keyed.scan(consumer, partition, (prefix, after), limit)
    }

    /// All that it keeps, as `state_bytes` counts it.
    pub(crate) fn kept_bytes(&self, consumer: ConsumerId) -> u64 {
        self.keyed.bytes(consumer)
    }

    /// Producer streams: those whose answers are kept, and those of which only the epoch is.
    pub(crate) fn producer_streams(&self) -> (usize, usize) {
        self.producers.count()
    }

    /// Every group, by namespace and name.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (&str, &str, &GroupState)> {
        self.groups.iter()
    }

    /// Groups that have committed offsets on a topic, as (namespace, group).
    pub(crate) fn groups_of_topic(&self, topic: TopicId) -> impl Iterator<Item = (&str, &str)> {
        self.groups.of_topic(topic)
    }
}
