//! Whether changes fit what is defined. The facade has said the same in friendlier words already; this is the check that
//! no race gets past, because it sees every submission ahead.

use std::collections::HashSet;

use super::Admitting;
use crate::model::{EarlierVersion, Error, Lsn, Result, TableId, TopicId, TopicInfo, TopicSource};
use crate::state::catalog::{DEFAULT_NAMESPACE, LettersOwner};
use crate::state::codec;
use crate::state::earlier::{Earlier, free, in_use};
use crate::state::family::{Ahead, RecordKind};
use crate::state::partition::PartitionState;
use crate::state::record::{Change, SegmentMeta, assign_id};

/// Whoever may make namespaces may name them at will.
const MAX_NAMESPACES: usize = 10_000;

impl RecordKind for Box<Change> {
    fn encode(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(codec::record_not_encoded)
    }

    fn decode(payload: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(payload).map_err(|error| error.to_string())
    }

    fn payload_bytes(&self) -> Result<usize> {
        Ok(self.encode()?.len())
    }

    fn admit<'a>(&'a self, ahead: &dyn Ahead, earlier: &mut Earlier<'a>) -> Result<()> {
        Admitting::of(ahead)?.admit_change(self, earlier)
    }

    fn numbered(&mut self, lsn: Lsn) {
        assign_id(self, lsn);
    }

    fn comes_after_rows(&self) -> bool {
        true
    }
}

impl Admitting<'_> {
    fn admit_change<'a>(&self, change: &'a Change, earlier: &mut Earlier<'a>) -> Result<()> {
        match change {
            Change::NamespaceCreated { name, .. } => {
                free(!self.catalog.has_namespace(name), "namespace", name)?;
                if self.catalog.namespaces().count() >= MAX_NAMESPACES {
                    return Err(Error::FailedPrecondition(format!(
                        "there are {MAX_NAMESPACES} namespaces, which is the limit; drop one that is not used"
                    )));
                }
                earlier.take("namespace", "", name)
            }
            Change::NamespaceLimited { name, .. } => self.catalog.known_namespace(name),
            Change::NamespaceDropped { name } => self.admit_namespace_drop(name),
            Change::TableCreated(info) => {
                self.admit_name(&info.namespace, &info.name, earlier)?;
                earlier.take("table or topic", &info.namespace, &info.name)
            }
            Change::ColumnsAdded { table, fields } => {
                let info = self.catalog.known_table(*table)?;
                let mut names: HashSet<&str> =
                    info.schema().fields().iter().map(|field| field.name().as_str()).collect();
                fields.iter().try_for_each(|field| free(names.insert(field.name()), "column", field.name()))
            }
            Change::PartitionsAdded { table, partitions } => {
                let info = self.catalog.known_table(*table)?;
                if *partitions > info.options.partitions {
                    return Ok(());
                }
                let has = info.options.partitions;
                Err(Error::InvalidInput(format!(
                    "table {:?} has {has} partitions; the number can only grow",
                    info.name
                )))
            }
            Change::RetentionSet { table, .. } => self.catalog.known_table(*table).map(drop),
            Change::TableDropped { table } => {
                self.admit_table_drop(*table, earlier)?;
                earlier.dropped_tables.insert(*table);
                Ok(())
            }
            Change::TopicCreated(topic) => {
                self.admit_name(&topic.namespace, &topic.name, earlier)?;
                self.admit_topic(topic)?;
                earlier.take("table or topic", &topic.namespace, &topic.name)
            }
            Change::TopicReplaced(topic) => self.admit_topic_replacement(topic),
            Change::TopicShadowed { topic, shadow } => self.admit_shadow(*topic, *shadow),
            Change::TopicDropped { topic } => {
                let found = self.select_topic(*topic)?;
                if let Some(by) = self.catalog.consumer_of_topic(*topic) {
                    return in_use("topic", &found.name, format!("consumer {:?}", by.name));
                }
                earlier.dropped_topics.insert(*topic);
                Ok(())
            }
            Change::PluginCreated(info) => {
                self.admit_plugin(info)?;
                earlier.take("plugin or function", &info.namespace, &info.name)
            }
            Change::PluginSuspended { plugin, .. } => match self.catalog.plugin(*plugin) {
                Some(_) => Ok(()),
                None => Err(Error::gone("plugin")),
            },
            Change::PluginDropped { plugin } => self.admit_plugin_drop(*plugin, earlier),
            Change::FunctionCreated(info) => {
                self.admit_function(info)?;
                earlier.take("plugin or function", &info.namespace, &info.name)
            }
            Change::FunctionDropped { function } => self.admit_function_drop(*function, earlier),
            Change::CheckbackCreated(info) => {
                self.admit_checkback(info)?;
                earlier.take("checkback", &info.namespace, &info.name)
            }
            Change::CheckbackDropped { checkback, .. } => {
                self.catalog.known_checkback(*checkback)?;
                earlier.dropped_checkbacks.insert(*checkback);
                Ok(())
            }
            Change::PluginConsumerCreated(info) => {
                self.admit_consumer(info, earlier)?;
                earlier.take("consumer", &info.namespace, &info.name)
            }
            Change::PluginConsumerReplaced(info) => self.admit_consumer_replacement(info),
            Change::PluginConsumerDropped { consumer } => {
                self.catalog.known_consumer(*consumer)?;
                earlier.dropped_consumers.insert(*consumer);
                Ok(())
            }
            Change::ContinuousCreated(info) => self.admit_continuous(info, earlier),
            Change::ContinuousReplaced(info) => self.admit_continuous_replacement(info),
            Change::ContinuousDropped { topic } => {
                self.known_continuous(*topic)?;
                earlier.dropped_continuous.insert(*topic);
                Ok(())
            }
            Change::GroupCreated { namespace, group, .. } => {
                self.catalog.known_namespace(namespace)?;
                free(self.groups.get(namespace, group).is_none(), "consumer group", group)?;
                free(earlier.created_groups.insert((namespace, group)), "consumer group", group)
            }
            Change::GroupRetriesSet { namespace, group, .. } => {
                let is_there = self.groups.get(namespace, group).is_some();
                match is_there || earlier.created_groups.contains(&(namespace, group)) {
                    true => Ok(()),
                    false => Err(Error::NotFound { what: "consumer group", name: group.clone() }),
                }
            }
            Change::GroupDropped { namespace, group } => {
                if self.groups.get(namespace, group).is_none() {
                    return Err(Error::NotFound { what: "consumer group", name: group.clone() });
                }
                let consumer = self.catalog.consumer_of_group(namespace, group);
                let consumer = consumer.filter(|consumer| !earlier.dropped_consumers.contains(&consumer.id));
                consumer.map_or(Ok(()), |by| in_use("consumer group", group, format!("consumer {:?}", by.name)))
            }
            Change::SegmentsChanged { table, partition, added, removed } => {
                let partition = self.catalog.known_partition(*table, *partition)?;
                if let Some(segment) = added.iter().find(|segment| self.unlisted.get(segment.id).is_none()) {
                    let message = format!("segment manifest: {} was never begun, or is deleted", segment.path);
                    return Err(Error::FailedPrecondition(message));
                }
                admit_segments(partition, added, removed)
            }
            Change::SegmentBegun { .. } | Change::SegmentsDeleted { .. } => Ok(()),
            Change::RowsLettered { topic, version, partition, next, .. } => {
                let found = self.select_topic(*topic)?;
                if found.base_version() != *version {
                    return Err(Error::Busy(format!("topic {:?} was replaced meanwhile", found.name)));
                }
                let source = self.catalog.known_partition(found.table, *partition)?;
                if *next <= source.end {
                    return Ok(());
                }
                let message = format!("rows up to offset {next} have no letters: the source ends at {}", source.end);
                Err(Error::FailedPrecondition(message))
            }
            // The writer's own, made of this very state.
            Change::ProducersForgotten { .. } => Ok(()),
            Change::StartMoved { table, partition, start, .. } => {
                let found = self.catalog.known_partition(*table, *partition)?;
                if (found.start..=found.end).contains(start) {
                    return Ok(());
                }
                let message = format!("start offset {start} is outside {}..={}", found.start, found.end);
                Err(Error::FailedPrecondition(message))
            }
        }
    }

    /// A name is free, too, if what has it is a table that goes before.
    fn admit_name(&self, namespace: &str, name: &str, earlier: &Earlier<'_>) -> Result<()> {
        self.catalog.known_namespace(namespace)?;
        let Some(topic) = self.catalog.topic_named(namespace, name) else { return Ok(()) };
        if earlier.dropped_tables.contains(&TableId(topic.id.0)) {
            return Ok(());
        }
        free(false, if topic.source == TopicSource::Identity { "table" } else { "topic" }, name)
    }

    fn admit_topic(&self, topic: &TopicInfo) -> Result<()> {
        let table = self.catalog.known_table(topic.table)?;
        if table.namespace != topic.namespace {
            return Err(Error::InvalidInput(format!(
                "topic {:?} of namespace {:?} can't read table {:?} of namespace {:?}",
                topic.name, topic.namespace, table.name, table.namespace
            )));
        }
        if !(1..=table.schema_version()).contains(&topic.table_schema_version) {
            let version = topic.table_schema_version;
            return Err(Error::InvalidInput(format!("table {:?} has no schema version {version}", table.name)));
        }
        self.admit_calls(topic)
    }

    fn admit_topic_replacement(&self, topic: &TopicInfo) -> Result<()> {
        let found = self.select_topic(topic.id)?;
        if found.namespace != topic.namespace || found.name != topic.name {
            return Err(Error::InvalidInput(format!("topic {:?} can't be renamed", found.name)));
        }
        if found.version.checked_add(1) != Some(topic.version) {
            return Err(Error::Busy(format!("topic {:?} was replaced meanwhile", topic.name)));
        }
        if let Some(last) = topic.earlier.last() {
            self.admit_version(found, topic, last)?;
        }
        self.admit_topic(topic)
    }

    /// From an offset of every partition on, other versions of plugins and nothing else.
    fn admit_version(&self, found: &TopicInfo, topic: &TopicInfo, last: &EarlierVersion) -> Result<()> {
        let partitions = self.catalog.known_table(topic.table)?.options.partitions;
        if !last.until.keys().copied().eq(0..partitions) {
            return Err(Error::Busy(format!("the table of topic {:?} got partitions meanwhile", topic.name)));
        }
        let same = found.base_version() == topic.base_version() && found.output_schema == topic.output_schema;
        if same && last.version == found.version && last.plugins == found.plugins_of(found.version) {
            return Ok(());
        }
        Err(Error::InvalidInput(format!("topic {:?} can't begin another version at an offset", topic.name)))
    }

    fn admit_namespace_drop(&self, name: &str) -> Result<()> {
        self.catalog.known_namespace(name)?;
        if name == DEFAULT_NAMESPACE {
            return Err(Error::FailedPrecondition(format!("namespace {name:?} can't be dropped")));
        }
        let by = self.catalog.anything_in(name).or_else(|| self.groups.any_in(name));
        by.map_or(Ok(()), |by| in_use("namespace", name, format!("{by:?}")))
    }

    fn admit_table_drop(&self, id: TableId, earlier: &Earlier<'_>) -> Result<()> {
        let table = self.catalog.known_table(id)?;
        self.refuse_consumer_of_table(id, &table.name)?;
        self.refuse_continuous_of_table(id, &table.name, earlier)?;
        if let Some(by) = self.catalog.checkback_of_table(id).filter(|by| !earlier.dropped_checkbacks.contains(&by.id))
        {
            return in_use("table", &table.name, format!("checkback {:?}", by.name));
        }
        if let Some(owner) = self.catalog.owner_of_letters(table) {
            let goes = match &owner {
                LettersOwner::Topic(topic) => earlier.dropped_topics.contains(&topic.id),
                LettersOwner::Consumer(consumer) => earlier.dropped_consumers.contains(&consumer.id),
            };
            if !goes {
                return in_use("table", &table.name, format!("{owner}, whose dead letters it holds"));
            }
        }
        let mut topics = self.catalog.topics_of_table(id).filter(|topic| !earlier.dropped_topics.contains(&topic.id));
        topics.next().map_or(Ok(()), |topic| in_use("table", &table.name, format!("topic {:?}", topic.name)))
    }

    pub(super) fn select_topic(&self, id: TopicId) -> Result<&TopicInfo> {
        match self.catalog.topic(id) {
            Some(topic) if topic.source == TopicSource::Identity => Err(Error::FailedPrecondition(format!(
                "topic {:?} is its table's own: it comes, changes and goes with the table",
                topic.name
            ))),
            Some(topic) => Ok(topic),
            None => Err(Error::gone("topic")),
        }
    }
}

/// The manifest stays ordered, without overlap, and without a gap below `segmented_to`.
fn admit_segments(partition: &PartitionState, added: &[SegmentMeta], removed: &[u64]) -> Result<()> {
    let wrong = |message: String| Err(Error::FailedPrecondition(format!("segment manifest: {message}")));
    let gone: HashSet<u64> = removed.iter().copied().collect();
    let known = partition.segments.values().filter(|segment| gone.contains(&segment.id)).count();
    if known != gone.len() {
        return wrong("a segment to remove is not listed".to_owned());
    }
    let mut segmented_to = partition.segmented_to;
    for segment in added {
        let (first, next) = (segment.first_offset, segment.next_offset);
        if first >= next || next > partition.end || first > segmented_to {
            return wrong(format!("{first}..{next} does not join {segmented_to}..{}", partition.end));
        }
        if partition.segments_from(first).any(|other| other.first_offset < next && !gone.contains(&other.id)) {
            return wrong(format!("{first}..{next} overlaps another segment"));
        }
        segmented_to = segmented_to.max(next);
    }
    let disjoint = |pair: &[SegmentMeta]| matches!(pair, [a, b] if a.next_offset <= b.first_offset);
    if !added.windows(2).all(disjoint) {
        return wrong("segments to add are out of order".to_owned());
    }
    Ok(())
}
