//! The fold over definitions, rows and segments.

use std::sync::Arc;

use super::entry::Entry;
use super::{Catalog, PartitionState, continuous};
use crate::contract::PluginInfo;
use crate::model::{ContinuousInfo, TableId, TableInfo, TopicId, TopicInfo};
use crate::state::{Change, Record, RecordContext};

impl Catalog {
    /// Takes a record up. What it is told has been admitted, so it refuses nothing: it does what makes sense of the record,
    /// the same in every replay.
    pub(in crate::state) fn apply(&mut self, context: RecordContext, record: &Record) {
        match record {
            Record::Rows(rows) => {
                if let Some(partition) = self.partition_mut(rows.table, rows.partition) {
                    partition.append(context, rows);
                    self.mark(Entry::Partition(rows.table, rows.partition));
                }
            }
            Record::Change(change) => {
                let defines = self.apply_change(context, change);
                if defines {
                    self.changed();
                }
            }
            _ => {}
        }
    }

    /// Whether what is defined has changed.
    fn apply_change(&mut self, context: RecordContext, change: &Change) -> bool {
        match change {
            Change::SegmentsChanged { table, partition, added, removed } => {
                if let Some(state) = self.partition_mut(*table, *partition) {
                    for first in state.change_segments(added, removed) {
                        self.mark(Entry::Segment(*table, *partition, first));
                    }
                    self.mark(Entry::Partition(*table, *partition));
                }
            }
            Change::StartMoved { table, partition, start, lsn } => {
                if let Some(state) = self.partition_mut(*table, *partition) {
                    state.move_start(*start, *lsn);
                    self.mark(Entry::Partition(*table, *partition));
                }
            }
            _ => return self.define(context, change),
        }
        false
    }

    fn define(&mut self, context: RecordContext, change: &Change) -> bool {
        match change {
            Change::NamespaceCreated { name, limits } => {
                self.put_namespace(name, limits.clone());
                self.mark(Entry::Namespace(Arc::from(name.as_str())));
            }
            Change::NamespaceLimited { name, limits } => {
                self.limit_namespace(name, limits);
                self.mark(Entry::Namespace(Arc::from(name.as_str())));
            }
            Change::NamespaceDropped { name } => {
                self.remove_namespace(name);
                self.mark(Entry::Namespace(Arc::from(name.as_str())));
            }
            Change::TableCreated(info) => self.define_table(info.clone()),
            Change::ColumnsAdded { table, fields } => {
                if let Some(info) = self.table(*table) {
                    let mut info = TableInfo::clone(info);
                    let schema = info.schema();
                    let all = schema.fields().iter().cloned().chain(fields.iter().cloned().map(Arc::new));
                    let schema =
                        arrow_schema::Schema::new_with_metadata(all.collect::<Vec<_>>(), schema.metadata().clone());
                    info.schemas.push(Arc::new(schema));
                    self.define_table(info);
                }
            }
            Change::PartitionsAdded { table, partitions } => {
                if let Some(info) = self.table(*table) {
                    let mut info = TableInfo::clone(info);
                    info.options.partitions = info.options.partitions.max(*partitions);
                    self.define_table(info);
                }
            }
            Change::RetentionSet { table, retention_ms } => {
                if let Some(info) = self.table(*table) {
                    let mut info = TableInfo::clone(info);
                    info.options.retention_ms = *retention_ms;
                    self.define_table(info);
                }
            }
            Change::TableDropped { table } => self.drop_table(*table),
            Change::TopicCreated(topic) | Change::TopicReplaced(topic) => self.define_topic(topic.clone()),
            Change::TopicShadowed { topic, shadow } => {
                if let Some(found) = self.topic(*topic) {
                    self.define_topic(TopicInfo { shadow: *shadow, ..TopicInfo::clone(found) });
                }
            }
            Change::TopicDropped { topic } => self.drop_topic(*topic),
            Change::PluginCreated(info) => {
                self.mark(Entry::Plugin(info.id));
                self.put_plugin(Arc::new(PluginInfo::clone(info)));
            }
            Change::PluginSuspended { plugin, suspended } => {
                if let Some(found) = self.plugin(*plugin) {
                    let info = PluginInfo { suspended: suspended.clone(), ..PluginInfo::clone(found) };
                    self.mark(Entry::Plugin(*plugin));
                    self.put_plugin(Arc::new(info));
                }
            }
            Change::PluginDropped { plugin } => {
                for version in self.remove_plugin(*plugin) {
                    self.mark(Entry::Plugin(version));
                }
            }
            Change::FunctionCreated(info) => {
                self.mark(Entry::Function(info.id));
                self.put_function(Arc::new(info.clone()));
            }
            Change::FunctionDropped { function } => {
                self.mark(Entry::Function(*function));
                self.remove_function(*function);
            }
            Change::PluginConsumerCreated(info) | Change::PluginConsumerReplaced(info) => {
                self.mark(Entry::Consumer(info.id));
                self.put_consumer(Arc::new(info.clone()));
            }
            Change::PluginConsumerDropped { consumer } => {
                self.mark(Entry::Consumer(*consumer));
                self.remove_consumer(*consumer);
            }
            Change::ContinuousCreated(info) => self.define_continuous(continuous::begun(info, context)),
            Change::ContinuousReplaced(info) => self.define_continuous(info.clone()),
            Change::ContinuousDropped { topic } => {
                self.mark(Entry::Continuous(*topic));
                self.remove_continuous(*topic);
            }
            Change::CheckbackCreated(info) => {
                self.mark(Entry::Checkback(info.id));
                self.put_checkback(Arc::new(info.clone()));
            }
            Change::CheckbackDropped { checkback, .. } => {
                self.mark(Entry::Checkback(*checkback));
                self.remove_checkback(*checkback);
            }
            Change::GroupCreated { .. }
            | Change::GroupRetriesSet { .. }
            | Change::GroupDropped { .. }
            | Change::SegmentsChanged { .. }
            | Change::SegmentBegun { .. }
            | Change::SegmentsDeleted { .. }
            | Change::RowsLettered { .. }
            | Change::ProducersForgotten { .. }
            | Change::StartMoved { .. } => return false,
        }
        true
    }

    fn define_table(&mut self, info: TableInfo) {
        self.mark(Entry::Table(info.id));
        self.put_table(Arc::new(info));
    }

    fn define_continuous(&mut self, info: ContinuousInfo) {
        self.mark(Entry::Continuous(info.id));
        self.put_continuous(Arc::new(info));
    }

    fn define_topic(&mut self, topic: TopicInfo) {
        self.mark(Entry::Topic(topic.id));
        self.put_topic(Arc::new(topic));
    }

    fn drop_table(&mut self, table: TableId) {
        let topics: Vec<TopicId> = self.topics_of_table(table).map(|topic| topic.id).collect();
        for topic in topics {
            self.drop_topic(topic);
        }
        let mut entries = vec![Entry::Table(table)];
        for (partition, state) in (0..).zip(self.partitions(table).unwrap_or_default()) {
            if *state != PartitionState::default() {
                entries.push(Entry::Partition(table, partition));
            }
            entries.extend(state.segments.keys().map(|first| Entry::Segment(table, partition, *first)));
        }
        for entry in entries {
            self.mark(entry);
        }
        self.remove_table(table);
    }

    fn drop_topic(&mut self, topic: TopicId) {
        self.mark(Entry::Topic(topic));
        self.remove_topic(topic);
    }

    fn mark(&mut self, entry: Entry) {
        self.unwritten.mark(entry);
    }
}
