//! The fold over records.

use std::sync::Arc;

use super::dirty::Key;
use super::producers::{Producers, StreamId};
use super::{PartitionState, State};
use crate::record::{Change, Record, RecordContext};
use crate::{PluginInfo, TableId, TableInfo, TopicId, TopicInfo};

impl State {
    /// Takes a durable record up. Records at or below [`State::applied`] were applied before and are skipped.
    pub(crate) fn apply(&mut self, context: RecordContext, record: &Record) {
        if context.lsn > self.applied {
            self.apply_ahead(context, record);
        }
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
    pub(crate) fn apply_ahead(&mut self, context: RecordContext, record: &Record) {
        self.torn = true;
        for (table, id) in self.producers.pass_over_silence(self.append_us, context.append_us) {
            self.mark(Key::Producer(table, id));
        }
        self.append_us = self.append_us.max(context.append_us);
        self.epoch = self.epoch.max(context.epoch);
        match record {
            Record::Rows(rows) => {
                if let Some(partition) = self.catalog.partition_mut(rows.table, rows.partition) {
                    partition.append(context, rows);
                    self.mark(Key::Partition(rows.table, rows.partition));
                }
            }
            Record::Offsets(offsets) => {
                let catalog = &self.catalog;
                self.groups.commit(offsets, |topic| catalog.topic(topic).is_some());
                if let Some(dirty) = &mut self.dirty {
                    let key = |&(topic, partition, _): &_| Key::Committed(offsets.group.clone(), topic, partition);
                    dirty.extend(offsets.entries.iter().map(key));
                    dirty.insert(Key::Group(offsets.group.namespace.clone(), offsets.group.group.clone()));
                }
            }
            Record::Producer(producer) => {
                // A table that is gone has no producers.
                if let Some(table) = self.catalog.table(producer.table) {
                    self.producers.record(&table.namespace, producer, context.append_us);
                    self.mark(Key::Producer(producer.table, producer.stamp.id));
                }
            }
            Record::State(written) => {
                // A consumer that is gone has no state.
                if self.catalog.consumer(written.consumer).is_some() {
                    self.keyed.apply(written);
                    for (key, _) in &written.writes {
                        self.mark(Key::Kept(written.consumer, written.partition, key.clone()));
                    }
                }
            }
            Record::Change(change) => self.apply_change(change),
            Record::Sealed { .. } | Record::CleanShutdown => {}
        }
        for (table, id) in self.producers.forget_silent(self.append_us) {
            self.mark(Key::Producer(table, id));
        }
        // Last: what a panic has left half done is not taken for applied.
        self.applied.0 = self.applied.0.max(context.lsn.0 + record.lsns() - 1);
        self.torn = false;
    }

    fn apply_change(&mut self, change: &Change) {
        match change {
            Change::GroupCreated { namespace, group, mode } => {
                let (namespace, group): (Arc<str>, Arc<str>) =
                    (Arc::from(namespace.as_str()), Arc::from(group.as_str()));
                self.groups.create(namespace.clone(), group.clone(), *mode);
                self.mark(Key::Group(namespace, group));
            }
            Change::GroupDropped { namespace, group } => {
                for (key, topic, partition) in self.groups.remove(namespace, group) {
                    self.mark(Key::Committed(key, topic, partition));
                }
                self.mark(Key::Group(Arc::from(namespace.as_str()), Arc::from(group.as_str())));
            }
            Change::SegmentsChanged { table, partition, added, removed } => {
                if let Some(state) = self.catalog.partition_mut(*table, *partition) {
                    let changed = state.change_segments(added, removed);
                    for first in changed.touched {
                        self.mark(Key::Segment(*table, *partition, first));
                    }
                    self.mark(Key::Partition(*table, *partition));
                    changed.gone.iter().for_each(|segment| self.unlist(segment.id, &segment.path));
                    added.iter().for_each(|segment| self.forget_unlisted(segment.id));
                }
            }
            Change::SegmentBegun { id, path } => self.unlist(*id, path),
            Change::SegmentsDeleted { ids } => ids.iter().for_each(|id| self.forget_unlisted(*id)),
            Change::StartMoved { table, partition, start, lsn } => {
                if let Some(state) = self.catalog.partition_mut(*table, *partition) {
                    state.move_start(*start, *lsn);
                    self.mark(Key::Partition(*table, *partition));
                }
            }
            Change::ProducersForgotten { answers, whole } => {
                self.forget_streams(answers, Producers::forget_answers);
                self.forget_streams(whole, Producers::remove);
            }
            &Change::RowsLettered { topic, version, partition, first, next } => {
                let table = self.catalog.topic(topic).map(|topic| topic.table);
                if let Some(source) = table.and_then(|table| self.partition(table, partition)) {
                    let start = source.start;
                    self.letters.add(topic, version, partition, first..next, start);
                    self.mark(Key::Letters(topic, partition));
                }
            }
            _ => {
                self.apply_definition(change);
                self.catalog.changed();
            }
        }
    }

    fn apply_definition(&mut self, change: &Change) {
        match change {
            Change::NamespaceCreated { name, limits } => {
                self.catalog.put_namespace(name, limits.clone());
                self.mark(Key::Namespace(Arc::from(name.as_str())));
            }
            Change::NamespaceLimited { name, limits } => {
                self.catalog.limit_namespace(name, limits);
                self.mark(Key::Namespace(Arc::from(name.as_str())));
            }
            Change::NamespaceDropped { name } => {
                self.catalog.remove_namespace(name);
                self.mark(Key::Namespace(Arc::from(name.as_str())));
            }
            Change::TableCreated(info) => {
                self.put_table(info.clone());
            }
            Change::ColumnsAdded { table, fields } => {
                if let Some(info) = self.catalog.table(*table) {
                    let mut info = TableInfo::clone(info);
                    let schema = info.schema();
                    let all = schema.fields().iter().cloned().chain(fields.iter().cloned().map(Arc::new));
                    let schema =
                        arrow_schema::Schema::new_with_metadata(all.collect::<Vec<_>>(), schema.metadata().clone());
                    info.schemas.push(Arc::new(schema));
                    self.put_table(info);
                }
            }
            Change::PartitionsAdded { table, partitions } => {
                if let Some(info) = self.catalog.table(*table) {
                    let mut info = TableInfo::clone(info);
                    info.options.partitions = info.options.partitions.max(*partitions);
                    self.put_table(info);
                }
            }
            Change::TableDropped { table } => self.drop_table(*table),
            Change::TopicCreated(topic) | Change::TopicReplaced(topic) => {
                self.mark(Key::Topic(topic.id));
                self.catalog.put_topic(Arc::new(topic.clone()));
            }
            Change::TopicShadowed { topic, shadow } => {
                if let Some(found) = self.catalog.topic(*topic) {
                    let shadowed = TopicInfo { shadow: *shadow, ..TopicInfo::clone(found) };
                    self.mark(Key::Topic(*topic));
                    self.catalog.put_topic(Arc::new(shadowed));
                }
            }
            Change::TopicDropped { topic } => self.drop_topic(*topic),
            Change::PluginCreated(info) => {
                self.mark(Key::Plugin(info.id));
                self.catalog.put_plugin(Arc::new(PluginInfo::clone(info)));
            }
            Change::PluginSuspended { plugin, suspended } => {
                if let Some(found) = self.catalog.plugin(*plugin) {
                    let info = PluginInfo { suspended: suspended.clone(), ..PluginInfo::clone(found) };
                    self.mark(Key::Plugin(*plugin));
                    self.catalog.put_plugin(Arc::new(info));
                }
            }
            Change::PluginDropped { plugin } => {
                for version in self.catalog.remove_plugin(*plugin) {
                    self.mark(Key::Plugin(version));
                }
            }
            Change::FunctionCreated(info) => {
                self.mark(Key::Function(info.id));
                self.catalog.put_function(Arc::new(info.clone()));
            }
            Change::FunctionDropped { function } => {
                self.mark(Key::Function(*function));
                self.catalog.remove_function(*function);
            }
            Change::PluginConsumerCreated(info) | Change::PluginConsumerReplaced(info) => {
                self.mark(Key::Consumer(info.id));
                self.catalog.put_consumer(Arc::new(info.clone()));
            }
            Change::PluginConsumerDropped { consumer } => {
                self.mark(Key::Consumer(*consumer));
                self.catalog.remove_consumer(*consumer);
                for (partition, key) in self.keyed.remove(*consumer) {
                    self.mark(Key::Kept(*consumer, partition, key));
                }
            }
            Change::GroupCreated { .. }
            | Change::GroupDropped { .. }
            | Change::SegmentsChanged { .. }
            | Change::SegmentBegun { .. }
            | Change::SegmentsDeleted { .. }
            | Change::RowsLettered { .. }
            | Change::ProducersForgotten { .. }
            | Change::StartMoved { .. } => {}
        }
    }

    fn forget_streams(&mut self, streams: &[StreamId], forget: fn(&mut Producers, &str, StreamId) -> bool) {
        for &(table, id) in streams {
            let namespace = self.catalog.table(table).map(|info| info.namespace.as_str());
            if namespace.is_some_and(|namespace| forget(&mut self.producers, namespace, (table, id))) {
                self.mark(Key::Producer(table, id));
            }
        }
    }

    fn put_table(&mut self, info: TableInfo) {
        self.mark(Key::Table(info.id));
        self.catalog.put_table(Arc::new(info));
    }

    fn drop_table(&mut self, table: TableId) {
        let topics: Vec<TopicId> = self.catalog.topics_of_table(table).map(|topic| topic.id).collect();
        for topic in topics {
            self.drop_topic(topic);
        }
        self.forget_offsets(TopicId(table.0));
        if let Some(info) = self.catalog.table(table) {
            for (table, id) in self.producers.remove_table(&info.namespace, table) {
                self.mark(Key::Producer(table, id));
            }
        }
        let mut keys = vec![Key::Table(table)];
        let mut gone = Vec::new();
        for (partition, state) in (0..).zip(self.catalog.partitions(table).unwrap_or_default()) {
            if *state != PartitionState::default() {
                keys.push(Key::Partition(table, partition));
            }
            keys.extend(state.segments.keys().map(|first| Key::Segment(table, partition, *first)));
            gone.extend(state.segments.values().cloned());
        }
        for key in keys {
            self.mark(key);
        }
        self.catalog.remove_table(table);
        gone.iter().for_each(|segment| self.unlist(segment.id, &segment.path));
    }

    fn unlist(&mut self, id: u64, path: &str) {
        self.unlisted.add(id, path, self.append_us);
        self.mark(Key::Unlisted(id));
    }

    fn forget_unlisted(&mut self, id: u64) {
        if self.unlisted.remove(id) {
            self.mark(Key::Unlisted(id));
        }
    }

    fn drop_topic(&mut self, topic: TopicId) {
        self.mark(Key::Topic(topic));
        self.catalog.remove_topic(topic);
        self.forget_offsets(topic);
        for partition in self.letters.forget_topic(topic) {
            self.mark(Key::Letters(topic, partition));
        }
    }

    fn forget_offsets(&mut self, topic: TopicId) {
        for (key, topic, partition) in self.groups.forget_topic(topic) {
            self.mark(Key::Committed(key, topic, partition));
        }
    }

    pub(super) fn mark(&mut self, key: Key) {
        if let Some(dirty) = &mut self.dirty {
            dirty.insert(key);
        }
    }
}
