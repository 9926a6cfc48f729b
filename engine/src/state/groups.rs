//! Consumer groups: which exist, and what they have committed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::changed::Changed;
use super::codec::{self, KeyBytes, KeyParts};
use super::earlier::Earlier;
use super::family::{Ahead, Condition, Family, Fold, RecordKind};
use super::partition::PartitionState;
use super::stored::{Entries, Stored};
use crate::model::{Error, GroupMode, GroupRetries, Offset, PartitionId, Result, TableId, TopicId};
use crate::state::{Change, GroupKey, OffsetsRecord, Record};

/// Clients of a broadcast group whose offsets are kept; they choose their names.
const MAX_BROADCAST_CLIENTS: usize = 10_000;

/// Next offsets to read.
type NextOffsets = BTreeMap<(TopicId, PartitionId), Offset>;

/// What the log knows of a group. Membership is not in the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct GroupState {
    pub mode: GroupMode,
    pub retries: GroupRetries,
    /// By client (`None` in shared groups).
    pub committed: BTreeMap<Option<Arc<str>>, NextOffsets>,
}

type Name = (Arc<str>, Arc<str>);

/// All groups.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Groups {
    groups: BTreeMap<Arc<str>, BTreeMap<Arc<str>, GroupState>>,
    /// Groups with committed offsets on a topic.
    by_topic: BTreeMap<TopicId, BTreeSet<Name>>,
    unwritten: Changed<Entry>,
}

/// One entry of the state store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Entry {
    Group(Arc<str>, Arc<str>),
    Retries(Arc<str>, Arc<str>),
    Committed(GroupKey, TopicId, PartitionId),
}

impl Groups {
    pub(super) fn get(&self, namespace: &str, group: &str) -> Option<&GroupState> {
        self.groups.get(namespace)?.get(group)
    }

    pub(super) fn committed(&self, key: &GroupKey, topic: TopicId, partition: PartitionId) -> Option<Offset> {
        self.get(&key.namespace, &key.group)?.committed.get(&key.client)?.get(&(topic, partition)).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str, &GroupState)> {
        self.groups.iter().flat_map(|(namespace, groups)| {
            groups.iter().map(move |(group, state)| (namespace.as_ref(), group.as_ref(), state))
        })
    }

    pub(super) fn of_topic(&self, topic: TopicId) -> impl Iterator<Item = (&str, &str)> {
        self.by_topic.get(&topic).into_iter().flatten().map(|(n, g)| (n.as_ref(), g.as_ref()))
    }

    /// The name of a group in the namespace, if it has one.
    pub(super) fn any_in(&self, namespace: &str) -> Option<&str> {
        self.groups.get(namespace)?.keys().next().map(AsRef::as_ref)
    }

    fn create(&mut self, namespace: Arc<str>, group: Arc<str>, mode: GroupMode) {
        self.state_of(&namespace, &group).mode = mode;
    }

    fn state_of(&mut self, namespace: &Arc<str>, group: &Arc<str>) -> &mut GroupState {
        self.groups.entry(namespace.clone()).or_default().entry(group.clone()).or_default()
    }

    /// Gives the keys of the offsets that went with it.
    fn remove(&mut self, namespace: &str, group: &str) -> Vec<(GroupKey, TopicId, PartitionId)> {
        let Some(groups) = self.groups.get_mut(namespace) else { return Vec::new() };
        let Some((name, state)) = groups.remove_entry(group) else { return Vec::new() };
        if groups.is_empty() {
            self.groups.remove(namespace);
        }
        let namespace: Arc<str> = Arc::from(namespace);
        let mut gone = Vec::new();
        for (client, offsets) in state.committed {
            for (topic, partition) in offsets.into_keys() {
                let key = GroupKey { namespace: namespace.clone(), group: name.clone(), client: client.clone() };
                gone.push((key, topic, partition));
            }
        }
        let topics: BTreeSet<TopicId> = gone.iter().map(|(_, topic, _)| *topic).collect();
        let name = (namespace, name);
        for topic in topics {
            if let Some(groups) = self.by_topic.get_mut(&topic) {
                groups.remove(&name);
                if groups.is_empty() {
                    self.by_topic.remove(&topic);
                }
            }
        }
        gone
    }

    fn set(&mut self, key: &GroupKey, topic: TopicId, partition: PartitionId, offset: Offset) {
        let offsets = self.state_of(&key.namespace, &key.group).committed.entry(key.client.clone()).or_default();
        if offsets.insert((topic, partition), offset).is_none() {
            self.by_topic.entry(topic).or_default().insert((key.namespace.clone(), key.group.clone()));
        }
    }

    /// Forgets what all groups have committed on a topic, and gives the keys.
    fn forget_topic(&mut self, topic: TopicId) -> Vec<(GroupKey, TopicId, PartitionId)> {
        let mut gone = Vec::new();
        for (namespace, group) in self.by_topic.remove(&topic).unwrap_or_default() {
            let Some(state) = self.groups.get_mut(&namespace).and_then(|groups| groups.get_mut(&group)) else {
                continue;
            };
            state.committed.retain(|client, offsets| {
                let key = GroupKey { namespace: namespace.clone(), group: group.clone(), client: client.clone() };
                let range = (topic, PartitionId::MIN)..=(topic, PartitionId::MAX);
                let partitions: Vec<_> = offsets.range(range).map(|(key, _)| *key).collect();
                for at in partitions {
                    offsets.remove(&at);
                    gone.push((key.clone(), topic, at.1));
                }
                !offsets.is_empty()
            });
        }
        gone
    }
}

impl Groups {
    /// A group that is not known is taken as shared: the record that creates it may come later in the same commit.
    fn commit(&mut self, fold: &Fold<'_>, record: &OffsetsRecord) {
        for &(topic, partition, offset) in &record.entries {
            if fold.catalog.topic(topic).is_some() {
                self.set(&record.group, topic, partition, offset);
            }
            self.unwritten.mark(Entry::Committed(record.group.clone(), topic, partition));
        }
        self.unwritten.mark(Entry::Group(record.group.namespace.clone(), record.group.group.clone()));
    }

    fn forget_offsets(&mut self, topic: TopicId) {
        for (key, topic, partition) in self.forget_topic(topic) {
            self.unwritten.mark(Entry::Committed(key, topic, partition));
        }
    }

    /// Its identity topic's offsets go too.
    fn forget_table(&mut self, fold: &Fold<'_>, table: TableId) {
        fold.catalog.topics_of_table(table).for_each(|topic| self.forget_offsets(topic.id));
        self.forget_offsets(TopicId(table.0));
    }
}

impl Family for Groups {
    fn apply(&mut self, fold: &Fold<'_>, record: &Record) -> Result<()> {
        match record {
            Record::Offsets(offsets) => self.commit(fold, offsets),
            Record::Change(change) => match change.as_ref() {
                Change::GroupCreated { namespace, group, mode } => {
                    let (namespace, group): (Arc<str>, Arc<str>) =
                        (Arc::from(namespace.as_str()), Arc::from(group.as_str()));
                    self.create(namespace.clone(), group.clone(), *mode);
                    self.unwritten.mark(Entry::Group(namespace, group));
                }
                Change::GroupRetriesSet { namespace, group, retries } => {
                    let (namespace, group): (Arc<str>, Arc<str>) =
                        (Arc::from(namespace.as_str()), Arc::from(group.as_str()));
                    self.state_of(&namespace, &group).retries.change(retries);
                    self.unwritten.mark(Entry::Retries(namespace, group));
                }
                Change::GroupDropped { namespace, group } => {
                    for (key, topic, partition) in self.remove(namespace, group) {
                        self.unwritten.mark(Entry::Committed(key, topic, partition));
                    }
                    let (namespace, group): (Arc<str>, Arc<str>) =
                        (Arc::from(namespace.as_str()), Arc::from(group.as_str()));
                    self.unwritten.mark(Entry::Retries(namespace.clone(), group.clone()));
                    self.unwritten.mark(Entry::Group(namespace, group));
                }
                Change::TopicDropped { topic } => self.forget_offsets(*topic),
                Change::TableDropped { table } => self.forget_table(fold, *table),
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn ahead(&self) -> Self {
        Groups { unwritten: Changed::untracked(), ..self.clone() }
    }
}

impl Stored for Groups {
    fn tags(&self) -> &'static [&'static [u8]] {
        &[b"g", b"a", b"o"]
    }

    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let mut parts = KeyParts::of(key);
        if key.first() == Some(&b'g') {
            let (namespace, group) = (parts.text()?, parts.text()?);
            parts.end()?;
            self.create(namespace, group, codec::from_json(value)?);
        } else if key.first() == Some(&b'a') {
            let (namespace, group) = (parts.text()?, parts.text()?);
            parts.end()?;
            self.state_of(&namespace, &group).retries = codec::from_json(value)?;
        } else {
            let (group, topic, partition) = (parts.group()?, parts.u64()?, parts.u32()?);
            parts.end()?;
            self.set(&group, TopicId(topic), partition, codec::from_postcard(value)?);
        }
        Ok(())
    }

    fn begin_checkpoint(&mut self) {
        self.unwritten.begin();
    }

    fn write(&self, entries: &mut Entries<'_>) -> Result<()> {
        self.unwritten.writing().try_for_each(|entry| {
            match entry {
                Entry::Group(namespace, group) => {
                    let value = self.get(namespace, group).map(|group| codec::json(&group.mode)).transpose()?;
                    entries(KeyBytes::new(b'g').text(namespace).text(group).done(), value);
                }
                Entry::Retries(namespace, group) => {
                    let retries = self.get(namespace, group).map(|group| &group.retries);
                    let set = retries.filter(|retries| **retries != GroupRetries::default());
                    let value = set.map(codec::json).transpose()?;
                    entries(KeyBytes::new(b'a').text(namespace).text(group).done(), value);
                }
                Entry::Committed(group, topic, partition) => {
                    let offset = self.committed(group, *topic, *partition);
                    let value = offset.map(|offset| codec::postcard(&offset)).transpose()?;
                    entries(KeyBytes::new(b'o').group(group).u64(topic.0).u32(*partition).done(), value);
                }
            }
            Ok(())
        })
    }

    fn end_checkpoint(&mut self, written: bool) {
        self.unwritten.end(written);
    }
}

impl RecordKind for OffsetsRecord {
    fn encode(&self) -> Result<Vec<u8>> {
        codec::record_postcard(self)
    }

    fn decode(payload: &[u8]) -> Result<Self, String> {
        codec::record_from_postcard(payload)
    }

    fn payload_bytes(&self) -> Result<usize> {
        Ok(self.entries.len() * 24)
    }

    fn admit<'a>(&'a self, ahead: &dyn Ahead, earlier: &mut Earlier<'a>) -> Result<()> {
        let GroupKey { namespace, group, .. } = &self.group;
        let found = ahead.get::<Groups>()?.get(namespace, group);
        if found.is_none() && !earlier.created_groups.contains(&(namespace, group)) {
            return Err(Error::NotFound { what: "consumer group", name: group.as_ref().to_owned() });
        }
        if let (Some(found), Some(client)) = (found, &self.group.client)
            && found.committed.len() >= MAX_BROADCAST_CLIENTS
            && !found.committed.contains_key(&self.group.client)
        {
            return Err(Error::FailedPrecondition(format!(
                "broadcast group {:?} keeps the offsets of {MAX_BROADCAST_CLIENTS} clients, which is the limit, and {client:?} is \
                 not one of them; give clients names that they keep, or drop the group",
                group.as_ref()
            )));
        }
        for &(topic, partition, offset) in &self.entries {
            let info = ahead.catalog().topic(topic);
            let info = info.filter(|info| info.namespace.as_str() == namespace.as_ref());
            let info = info.ok_or_else(|| Error::gone("topic"))?;
            let PartitionState { start, end, .. } = *ahead.catalog().known_partition(info.table, partition)?;
            if offset > end {
                return Err(Error::OffsetOutOfRange { partition, offset, start, end });
            }
        }
        Ok(())
    }
}

/// The group's next offset is this one, `None` before its first commit: nobody else has gone on in its place.
#[derive(Debug, Clone)]
pub(crate) struct CommittedOffset {
    pub group: GroupKey,
    pub topic: TopicId,
    pub partition: PartitionId,
    pub offset: Option<Offset>,
}

impl Condition for CommittedOffset {
    fn check(&self, ahead: &dyn Ahead) -> Result<()> {
        let CommittedOffset { group, topic, partition, offset } = self;
        let found = ahead.get::<Groups>()?.committed(group, *topic, *partition);
        if found == *offset {
            return Ok(());
        }
        let said = |offset: Option<u64>| offset.map_or_else(|| "nothing".to_owned(), |offset| offset.to_string());
        Err(Error::Fenced(format!(
            "group {:?} has committed {} of partition {partition}, not {}",
            group.group,
            said(found),
            said(*offset)
        )))
    }
}
