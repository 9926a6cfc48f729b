//! Everything the log says, folded: the catalog with partitions and their segments, and families of entries: consumer groups'
//! offsets, the state of consumers, producers.
//!
//! [`State::apply`] is a pure function of the records; two views that saw the same log are equal, whatever checkpoint
//! they began from. The engine has two: the writer's, which runs ahead to check preconditions, and the readers', which
//! holds durable records only and is written to the [`StateStore`] at checkpoints. What is small is in memory in both. What can be
//! large is paged ([`paged`]): the writer's view of it is no copy, but what is undecided over the readers'.

mod admission;
mod admit;
mod catalog;
mod changed;
mod codec;
mod conditions;
mod continuous;
mod continuous_record;
mod due;
mod due_record;
mod earlier;
mod families;
mod family;
mod forgotten_streams;
mod group_key;
mod groups;
mod halves;
mod identities;
mod identity_record;
mod keyed;
mod kinds;
mod letters;
mod paged;
mod partition;
mod pop_record;
mod pops;
mod producers;
mod record;
mod store;
mod stored;
mod stored_entries;
mod submission;
mod summed;
#[cfg(test)]
pub(crate) mod tests;
mod unlisted;
mod watermarks;

use std::any::{Any, TypeId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use self::families::{Families, each_stored, each_stored_mut};
use self::family::{Ahead, Fold};
use self::paged::PageSource;
use self::stored::{Entries, Restored};
use crate::contract::PluginInfo;
use crate::identities::Identities;
use crate::model::{
    ConsumerId, ContinuousId, Lsn, Offset, PartitionId, PluginId, Result, TableId, TableInfo, TopicId, TopicInfo,
};

pub(crate) use admission::Admission;
pub(crate) use catalog::Catalog;
pub(crate) use catalog::{CheckbackStands, ConsumerRuns, EndOffset, SchemaVersion, SegmentsUnchanged};
pub(crate) use continuous::{ContinuousStands, SavedReader};
pub(crate) use continuous_record::{
    ContinuousHeader, ContinuousRecord, ContinuousStep, SavedKey, SourcePartition, WatermarkAdvance,
};
pub(crate) use due::DueReader;
pub(crate) use due_record::{DueEntry, DueKey, DueRecord, DueWhat, HalfBegun, HalfRecord};
pub(crate) use forgotten_streams::ForgottenStreams;
pub(crate) use group_key::GroupKey;
pub(crate) use groups::{CommittedOffset, GroupState};
pub(crate) use halves::{HalfEntry, HalfReader};
pub(crate) use identity_record::IdentityRecord;
pub(crate) use keyed::KeptReader;
pub(crate) use letters::Examined;
pub(crate) use partition::PartitionState;
pub(crate) use pop_record::{
    HandOut, HandOutDone, HandOutKey, HandedOut, PopId, PopMoved, PopName, PopQueueId, PopRecord,
};
pub(crate) use pops::{HandOutReader, PopQueue, PopQueueStands};
pub(crate) use producers::{StreamLimits, StreamStamp};
pub(crate) use record::{
    Change, OffsetsRecord, ProducerRecord, Record, RecordContext, RowsRecord, SegmentMeta, StateRecord,
};
pub(crate) use store::StateStore;
pub(crate) use stored_entries::StoredEntries;
pub(crate) use submission::{EncodedRows, RowsPart, RowsPayload, Submission};
#[cfg(test)]
pub(crate) use tests::plugin_of_module;
pub(crate) use unlisted::Unlisted;
pub(crate) use watermarks::RecordedWatermark;

/// The fold. Lookups and changes cost O(log n) of what they name.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct State {
    /// The last LSN applied; LSNs count from 1, so 0 is a new store.
    applied: Lsn,
    /// Append time of the newest commit applied.
    append_us: i64,
    epoch: u64,
    catalog: Catalog,
    families: Families,
    /// A record is being applied. Still set while nobody applies one: a panic has left the record half done, and no checkpoint
    /// may be taken any more.
    torn: bool,
    /// Whether this is the writer's view.
    is_ahead: bool,
    /// How far the readers' view is; both have it.
    decided: Arc<AtomicU64>,
}

/// Equal when folded from the same records: what awaits a checkpoint does not count.
#[cfg(test)]
impl PartialEq for State {
    fn eq(&self, other: &State) -> bool {
        self.applied == other.applied
            && self.append_us == other.append_us
            && self.epoch == other.epoch
            && self.catalog == other.catalog
            && self.families == other.families
    }
}

impl State {
    /// The writer's view, to be changed with [`State::apply_ahead`].
    pub(crate) fn ahead(&self) -> State {
        State {
            applied: self.applied,
            append_us: self.append_us,
            epoch: self.epoch,
            catalog: self.catalog.ahead(),
            families: self.families.ahead(),
            torn: false,
            is_ahead: true,
            decided: self.decided.clone(),
        }
    }

    /// Takes a durable record up. Records at or below [`State::applied`] were applied before and are skipped. An error is a
    /// state store that can't be read: the state is then of no use any more.
    pub(crate) fn apply(&mut self, context: RecordContext, record: &Record) -> Result<()> {
        if context.lsn > self.applied { self.apply_ahead(context, record) } else { Ok(()) }
    }

    /// Why a record that was read from the log can't be what came next, if it can't.
    pub(crate) fn contradiction(&self, context: RecordContext, record: &Record) -> Option<String> {
        let Record::Rows(rows) = record else { return None };
        let partition = self.partition(rows.table, rows.partition)?;
        if context.lsn <= self.applied || partition.follows(rows) {
            return None;
        }
        let (from, table, number, end) = (rows.base_offset, rows.table, rows.partition, partition.end);
        Some(format!("it holds rows from offset {from} of partition {number} of table #{table}, which ends at {end}"))
    }

    /// As [`State::apply`], without the skip: the writer fixes decisions before it has numbered all records of a commit.
    pub(crate) fn apply_ahead(&mut self, context: RecordContext, record: &Record) -> Result<()> {
        self.torn = true;
        let fold = Fold { context, catalog: &self.catalog, before_us: self.append_us };
        self.families.apply(&fold, record)?;
        self.catalog.apply(context, record);
        self.append_us = self.append_us.max(context.append_us);
        self.epoch = self.epoch.max(context.epoch);
        // Last: what a panic has left half done is not taken for applied.
        self.applied.0 = self.applied.0.max(context.lsn.0 + record.lsns() - 1);
        if !self.is_ahead {
            self.decided.store(self.applied.0, Ordering::Release);
        }
        self.torn = false;
        Ok(())
    }

    /// The writer's view is told that a commit is complete: what readers have got by now need not be kept twice.
    pub(crate) fn end_commit(&mut self, last: Lsn) {
        self.families.end_commit(last, Lsn(self.decided.load(Ordering::Acquire)));
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
        self.catalog.partition(table, partition)
    }

    /// The group's next offset to read, `None` before its first commit.
    pub(crate) fn committed(&self, group: &GroupKey, topic: TopicId, partition: PartitionId) -> Option<Offset> {
        self.families.groups.committed(group, topic, partition)
    }

    /// What has been examined for dead letters of one partition of the topic's source; `None` before the first letter.
    pub(crate) fn examined(&self, topic: TopicId, partition: PartitionId) -> Option<&Examined> {
        self.families.letters.get(topic, partition)
    }

    /// Segment files that no manifest names, until they are known to be deleted.
    pub(crate) fn unlisted(&self) -> &Unlisted {
        &self.families.unlisted
    }

    /// The group as created, its committed offsets with it.
    pub(crate) fn group(&self, namespace: &str, group: &str) -> Option<&GroupState> {
        self.families.groups.get(namespace, group)
    }

    /// What a consumer keeps in one partition, to be read without this state's lock: it may have to be read from the disk.
    pub(crate) fn kept(&self, consumer: ConsumerId, partition: PartitionId) -> KeptReader {
        self.families.keyed.reader(consumer, partition)
    }

    /// What submissions may be asked about, to be read without this state's lock.
    pub(crate) fn stored_entries(&self) -> StoredEntries {
        let Families { producers, keyed, pops, .. } = &self.families;
        StoredEntries { streams: producers.stored(), kept: keyed.stored(), hand_outs: pops.stored() }
    }

    /// All that it keeps, as `state_bytes` counts it.
    pub(crate) fn kept_bytes(&self, consumer: ConsumerId) -> u64 {
        self.families.keyed.bytes(consumer)
    }

    /// Users, roles and what they were granted.
    pub(crate) fn identities(&self) -> &Identities {
        self.families.identities.identities()
    }

    /// What is due at some time, to be read without this state's lock: it may have to be read from the disk.
    pub(crate) fn due(&self) -> DueReader {
        self.families.due.reader()
    }

    /// How many messages wait for their time, by table.
    pub(crate) fn delayed_counts(&self) -> impl Iterator<Item = (TableId, u64)> {
        self.families.due.delayed_counts()
    }

    /// Half messages, to be read without this state's lock.
    pub(crate) fn halves(&self) -> HalfReader {
        self.families.halves.reader()
    }

    /// How many there are, by table.
    pub(crate) fn half_counts(&self) -> impl Iterator<Item = (TableId, u64)> {
        self.families.halves.counts()
    }

    /// That the group takes the table's messages by pop, if it does.
    pub(crate) fn pop(&self, name: &PopName) -> Option<PopId> {
        self.families.pops.id(name)
    }

    pub(crate) fn pop_name(&self, id: PopId) -> Option<&PopName> {
        self.families.pops.name(id)
    }

    /// All groups that take messages by pop.
    pub(crate) fn pops(&self) -> impl Iterator<Item = (PopId, &PopName)> {
        self.families.pops.names()
    }

    /// Those of one group, with their tables.
    pub(crate) fn pops_of<'a>(&'a self, namespace: &str, group: &str) -> impl Iterator<Item = (PopId, TableId)> + 'a {
        self.families.pops.of_group(namespace, group)
    }

    /// How far the group is in a partition; `None` until it begins there.
    pub(crate) fn pop_queue(&self, pop: PopId, partition: PartitionId) -> Option<(PopQueueId, &PopQueue)> {
        self.families.pops.queue_at(pop, partition)
    }

    pub(crate) fn pop_queue_by_id(&self, id: PopQueueId) -> Option<&PopQueue> {
        self.families.pops.queue(id)
    }

    /// What was handed out and not acknowledged, to be read without this state's lock.
    pub(crate) fn hand_outs(&self) -> HandOutReader {
        self.families.pops.reader()
    }

    /// How far a continuous topic is; `None` before its first step.
    pub(crate) fn continuous_header(&self, topic: ContinuousId) -> Option<&Arc<ContinuousHeader>> {
        self.families.continuous.header(topic)
    }

    /// What a continuous topic has saved, to be read without this state's lock.
    pub(crate) fn saved(&self, topic: ContinuousId) -> SavedReader {
        self.families.continuous.reader(topic)
    }

    /// What is recorded of how far event time has come in a table, in the order of its append times, which are those from which it
    /// holds.
    pub(crate) fn recorded_watermarks(&self, table: TableId) -> Arc<[RecordedWatermark]> {
        self.families.watermarks.of_table(table)
    }

    /// Append time of the newest commit: all that was appended at or before it is there.
    pub(crate) fn append_us(&self) -> i64 {
        self.append_us
    }

    /// Producer streams: those whose answers are kept, and those of which only the epoch is.
    pub(crate) fn producer_streams(&self) -> (u64, u64) {
        self.families.producers.count()
    }

    /// Every group, by namespace and name.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (&str, &str, &GroupState)> {
        self.families.groups.iter()
    }

    /// Groups that have committed offsets on a topic, as (namespace, group).
    pub(crate) fn groups_of_topic(&self, topic: TopicId) -> impl Iterator<Item = (&str, &str)> {
        self.families.groups.of_topic(topic)
    }

    /// Bytes of paged entries that no checkpoint has yet.
    pub(crate) fn unwritten_bytes(&self) -> usize {
        each_stored(&self.catalog, &self.families).map(stored::Stored::unwritten_bytes).sum()
    }
}

impl Ahead for State {
    fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    fn family(&self, of: TypeId) -> Option<&dyn Any> {
        self.families.get(of)
    }
}

/// What the store asks of it.
impl State {
    fn attach(&mut self, source: &PageSource) {
        each_stored_mut(&mut self.catalog, &mut self.families).for_each(|stored| stored.attach(source));
    }

    fn restored(&mut self, complete: bool, entries: &mut dyn FnMut(Vec<u8>, Vec<u8>) -> Result<()>) -> Result<()> {
        let mut restored = Restored { catalog: &self.catalog, append_us: self.append_us, complete, entries };
        self.families.all_mut().into_iter().try_for_each(|stored| stored.restored(&mut restored))
    }

    fn begin_checkpoint(&mut self) {
        each_stored_mut(&mut self.catalog, &mut self.families).for_each(|stored| stored.begin_checkpoint());
    }

    fn write(&self, entries: &mut Entries<'_>) -> Result<()> {
        each_stored(&self.catalog, &self.families).try_for_each(|stored| stored.write(entries))
    }

    fn end_checkpoint(&mut self, written: bool) {
        each_stored_mut(&mut self.catalog, &mut self.families).for_each(|stored| stored.end_checkpoint(written));
    }
}
