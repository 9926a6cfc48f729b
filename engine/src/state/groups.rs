//! Consumer groups: which exist, and what they have committed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::record::{GroupKey, OffsetsRecord};
use crate::{GroupMode, Offset, PartitionId, TopicId};

/// Next offsets to read.
type Committed = BTreeMap<(TopicId, PartitionId), Offset>;

/// What the log knows of a group. Membership is not in the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct GroupState {
    pub mode: GroupMode,
    /// By client (`None` in shared groups).
    pub committed: BTreeMap<Option<Arc<str>>, Committed>,
}

type Name = (Arc<str>, Arc<str>);

/// All groups.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Groups {
    groups: BTreeMap<Arc<str>, BTreeMap<Arc<str>, GroupState>>,
    /// Groups with committed offsets on a topic.
    by_topic: BTreeMap<TopicId, BTreeSet<Name>>,
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

    pub(super) fn create(&mut self, namespace: Arc<str>, group: Arc<str>, mode: GroupMode) {
        self.groups.entry(namespace).or_default().entry(group).or_default().mode = mode;
    }

    /// Gives the keys of the offsets that went with it.
    pub(super) fn remove(&mut self, namespace: &str, group: &str) -> Vec<(GroupKey, TopicId, PartitionId)> {
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

    /// A group that is not known is taken as shared: the record that creates it may come later in the same commit.
    pub(super) fn commit(&mut self, record: &OffsetsRecord, known: impl Fn(TopicId) -> bool) {
        for &(topic, partition, offset) in &record.entries {
            if known(topic) {
                self.set(&record.group, topic, partition, offset);
            }
        }
    }

    pub(super) fn set(&mut self, key: &GroupKey, topic: TopicId, partition: PartitionId, offset: Offset) {
        let groups = self.groups.entry(key.namespace.clone()).or_default();
        let state = groups.entry(key.group.clone()).or_default();
        let offsets = state.committed.entry(key.client.clone()).or_default();
        if offsets.insert((topic, partition), offset).is_none() {
            self.by_topic.entry(topic).or_default().insert((key.namespace.clone(), key.group.clone()));
        }
    }

    /// Forgets what all groups have committed on a topic, and gives the keys.
    pub(super) fn forget_topic(&mut self, topic: TopicId) -> Vec<(GroupKey, TopicId, PartitionId)> {
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
