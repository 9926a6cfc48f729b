//! What is defined: namespaces, tables with their partitions, topics; in `callables` plugins and functions; in `consumers`
//! consumers that are plugins; in `continuous` continuous topics; in `checkbacks` what decides on half messages; in `conditions` what submissions ask of it.

mod apply;
mod callables;
mod checkbacks;
mod conditions;
mod consumers;
mod continuous;
mod entry;
mod known;
mod owners;
mod segments;
mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::changed::Changed;
use super::partition::PartitionState;
use crate::contract::CheckbackInfo;
use crate::model::{
    CheckbackId, ConsumerId, ContinuousId, ContinuousInfo, FunctionId, NamespaceLimit, NamespaceLimitChanges,
    NamespaceLimits, OnError, PluginConsumerInfo, PluginId, TableId, TableInfo, TopicId, TopicInfo, TopicSource,
};
use crate::model::{letters_table, owner_of_table};
use callables::{Function, Plugin};
pub(crate) use conditions::{CheckbackStands, ConsumerRuns, EndOffset, SchemaVersion, SegmentsUnchanged};
use entry::Entry;

/// The namespace that every store has.
pub(crate) const DEFAULT_NAMESPACE: &str = "public";

/// Whose dead letters a table holds.
#[derive(Debug, Clone)]
pub(crate) enum LettersOwner {
    Topic(Arc<TopicInfo>),
    Consumer(Arc<PluginConsumerInfo>),
}

impl fmt::Display for LettersOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LettersOwner::Topic(topic) => write!(f, "topic {:?}", topic.name),
            LettersOwner::Consumer(consumer) => write!(f, "consumer {:?}", consumer.name),
        }
    }
}

/// Name to things, within one namespace.
#[derive(Debug, Clone, PartialEq, Default)]
struct Names {
    /// Identity topics included: a table is found by its topic's id, which is its own.
    topics: BTreeMap<Arc<str>, TopicId>,
    /// Versions of a plugin, oldest first.
    plugins: BTreeMap<Arc<str>, Vec<PluginId>>,
    functions: BTreeMap<Arc<str>, FunctionId>,
    consumers: BTreeMap<Arc<str>, ConsumerId>,
    checkbacks: BTreeMap<Arc<str>, CheckbackId>,
    limits: NamespaceLimits,
}

#[derive(Debug, Clone, PartialEq)]
struct Table {
    info: Arc<TableInfo>,
    partitions: Vec<PartitionState>,
    /// Topics over it, its identity topic not among them.
    topics: BTreeSet<TopicId>,
}

/// Everything defined at one point of the log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Catalog {
    version: u64,
    namespaces: BTreeMap<Arc<str>, Names>,
    tables: BTreeMap<TableId, Table>,
    topics: BTreeMap<TopicId, Arc<TopicInfo>>,
    plugins: BTreeMap<PluginId, Plugin>,
    functions: BTreeMap<FunctionId, Function>,
    consumers: BTreeMap<ConsumerId, Arc<PluginConsumerInfo>>,
    checkbacks: BTreeMap<CheckbackId, Arc<CheckbackInfo>>,
    checkback_of: BTreeMap<TableId, CheckbackId>,
    continuous: BTreeMap<ContinuousId, Arc<ContinuousInfo>>,
    /// By the tables of their output and of their late rows.
    continuous_of: BTreeMap<TableId, ContinuousId>,
    /// Entries that no checkpoint has yet.
    unwritten: Changed<Entry>,
}

impl Default for Catalog {
    fn default() -> Self {
        Catalog {
            version: 0,
            namespaces: BTreeMap::from([(Arc::from(DEFAULT_NAMESPACE), Names::default())]),
            tables: BTreeMap::new(),
            topics: BTreeMap::new(),
            plugins: BTreeMap::new(),
            functions: BTreeMap::new(),
            consumers: BTreeMap::new(),
            checkbacks: BTreeMap::new(),
            checkback_of: BTreeMap::new(),
            continuous: BTreeMap::new(),
            continuous_of: BTreeMap::new(),
            unwritten: Changed::default(),
        }
    }
}

impl Catalog {
    /// The writer's copy: definitions are shared, what names them is not.
    pub(super) fn ahead(&self) -> Catalog {
        Catalog { unwritten: Changed::untracked(), ..self.clone() }
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn has_namespace(&self, name: &str) -> bool {
        self.namespaces.contains_key(name)
    }

    /// In name order.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = &Arc<str>> {
        self.namespaces.keys()
    }

    /// Those that were set; none of a namespace that is not there.
    pub(crate) fn limits_of_namespace(&self, name: &str) -> NamespaceLimits {
        self.namespaces.get(name).map_or_else(NamespaceLimits::default, |names| names.limits.clone())
    }

    /// One limit, if it was set.
    pub(crate) fn limit_of_namespace(&self, name: &str, limit: NamespaceLimit) -> Option<u64> {
        self.namespaces.get(name)?.limits.get(limit)
    }

    /// The name of something in the namespace, if it holds anything.
    pub(crate) fn anything_in(&self, namespace: &str) -> Option<&str> {
        let names = self.namespaces.get(namespace)?;
        let callables = names.plugins.keys().chain(names.functions.keys());
        let others = names.consumers.keys().chain(names.checkbacks.keys());
        names.topics.keys().chain(callables).chain(others).next().map(AsRef::as_ref)
    }

    pub(crate) fn table(&self, id: TableId) -> Option<&Arc<TableInfo>> {
        self.tables.get(&id).map(|table| &table.info)
    }

    pub(crate) fn table_named(&self, namespace: &str, name: &str) -> Option<&Arc<TableInfo>> {
        self.table(TableId(self.topic_id(namespace, name)?.0))
    }

    /// In id order.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<TableInfo>> {
        self.tables.values().map(|table| &table.info)
    }

    /// The table's partitions, in order.
    pub(crate) fn partitions(&self, id: TableId) -> Option<&[PartitionState]> {
        self.tables.get(&id).map(|table| table.partitions.as_slice())
    }

    pub(crate) fn partition(&self, id: TableId, partition: u32) -> Option<&PartitionState> {
        self.partitions(id)?.get(usize::try_from(partition).ok()?)
    }

    /// Topics over the table but its identity topic, in id order.
    pub(crate) fn topics_of_table(&self, id: TableId) -> impl Iterator<Item = &Arc<TopicInfo>> {
        let topics = self.tables.get(&id).into_iter().flat_map(|table| &table.topics);
        topics.filter_map(|topic| self.topics.get(topic))
    }

    /// The table of a topic's dead letters, if it keeps any.
    pub(crate) fn letters_of(&self, topic: &TopicInfo) -> Option<&Arc<TableInfo>> {
        let keeps = topic.on_error == OnError::DeadLetter;
        keeps.then(|| self.table_named(&topic.namespace, &letters_table(&topic.name))).flatten()
    }

    /// Whose dead letters a table holds, if it is such a table.
    pub(crate) fn owner_of_letters(&self, table: &TableInfo) -> Option<LettersOwner> {
        let name = owner_of_table(&table.name)?;
        let topic = self.topic_named(&table.namespace, name).filter(|topic| topic.on_error == OnError::DeadLetter);
        if let Some(topic) = topic {
            return Some(LettersOwner::Topic(topic.clone()));
        }
        let consumer = self.consumer_named(&table.namespace, name)?;
        (consumer.settings.on_error == OnError::DeadLetter).then(|| LettersOwner::Consumer(consumer.clone()))
    }

    /// Identity topics included.
    pub(crate) fn topic(&self, id: TopicId) -> Option<&Arc<TopicInfo>> {
        self.topics.get(&id)
    }

    /// Identity topics included.
    pub(crate) fn topic_named(&self, namespace: &str, name: &str) -> Option<&Arc<TopicInfo>> {
        self.topics.get(&self.topic_id(namespace, name)?)
    }

    /// All topics, identity ones included, in id order.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &Arc<TopicInfo>> {
        self.topics.values()
    }

    /// Of all topics of a namespace, identity ones included.
    pub(crate) fn topic_names(&self, namespace: &str) -> impl Iterator<Item = &str> {
        self.namespaces.get(namespace).into_iter().flat_map(|names| names.topics.keys().map(AsRef::as_ref))
    }

    fn topic_id(&self, namespace: &str, name: &str) -> Option<TopicId> {
        self.namespaces.get(namespace)?.topics.get(name).copied()
    }
}

/// The steps of the fold.
impl Catalog {
    fn changed(&mut self) {
        self.version += 1;
    }

    pub(super) fn set_version(&mut self, version: u64) {
        self.version = version;
    }

    fn put_namespace(&mut self, name: &str, limits: NamespaceLimits) {
        self.names(name).limits = limits;
    }

    fn limit_namespace(&mut self, name: &str, changes: &NamespaceLimitChanges) {
        if let Some(names) = self.namespaces.get_mut(name) {
            for (limit, value) in changes {
                names.limits.set(*limit, *value);
            }
        }
    }

    fn remove_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
    }

    /// A new table, or the newer state of one; `partitions` may only grow.
    fn put_table(&mut self, info: Arc<TableInfo>) {
        let identity = Arc::new(identity_topic(&info));
        self.names(&info.namespace).topics.insert(Arc::from(info.name.as_str()), identity.id);
        self.topics.insert(identity.id, identity);
        let table = self.tables.entry(info.id).or_insert_with(|| Table {
            info: info.clone(),
            partitions: Vec::new(),
            topics: BTreeSet::new(),
        });
        let partitions = usize::try_from(info.options.partitions).unwrap_or(usize::MAX);
        if table.partitions.len() < partitions {
            table.partitions.resize_with(partitions, PartitionState::default);
        }
        table.info = info;
    }

    /// Its identity topic goes too. Topics over it must be gone.
    fn remove_table(&mut self, id: TableId) -> Option<Arc<TableInfo>> {
        let table = self.tables.remove(&id)?;
        self.topics.remove(&TopicId(id.0));
        self.names(&table.info.namespace).topics.remove(table.info.name.as_str());
        Some(table.info)
    }

    pub(super) fn partition_mut(&mut self, id: TableId, partition: u32) -> Option<&mut PartitionState> {
        self.tables.get_mut(&id)?.partitions.get_mut(usize::try_from(partition).ok()?)
    }

    /// A new topic, or the newer version of one.
    fn put_topic(&mut self, topic: Arc<TopicInfo>) {
        self.unlink_topic(topic.id);
        self.names(&topic.namespace).topics.insert(Arc::from(topic.name.as_str()), topic.id);
        if let Some(table) = self.tables.get_mut(&topic.table) {
            table.topics.insert(topic.id);
        }
        self.link_callables(&topic);
        self.topics.insert(topic.id, topic);
    }

    fn remove_topic(&mut self, id: TopicId) -> Option<Arc<TopicInfo>> {
        self.unlink_topic(id);
        let topic = self.topics.remove(&id)?;
        self.names(&topic.namespace).topics.remove(topic.name.as_str());
        Some(topic)
    }

    fn names(&mut self, namespace: &str) -> &mut Names {
        self.namespaces.entry(Arc::from(namespace)).or_default()
    }

    fn unlink_topic(&mut self, id: TopicId) {
        let Some(topic) = self.topics.get(&id).cloned() else { return };
        if let Some(table) = self.tables.get_mut(&topic.table) {
            table.topics.remove(&id);
        }
        self.unlink_callables(&topic);
    }
}

/// Every table's own topic: its rows in its newest schema.
fn identity_topic(table: &TableInfo) -> TopicInfo {
    TopicInfo {
        id: TopicId(table.id.0),
        namespace: table.namespace.clone(),
        name: table.name.clone(),
        table: table.id,
        table_schema_version: table.schema_version(),
        source: TopicSource::Identity,
        output_schema: table.schema().clone(),
        on_error: OnError::Stop,
        shadow: None,
        version: table.schema_version(),
        base: None,
        earlier: Vec::new(),
        owner: table.owner.clone(),
        created: table.created,
    }
}
