//! Who is to be woken when a table changes, and who reads a topic. An append finds its own table's readers and nobody else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Weak};

use parking_lot::RwLock;

use super::assign::MemberNumber;
use super::core::MemberCore;
use super::group::LiveGroup;
use crate::model::{TableId, TopicId, TopicInfo};

/// Live members by table and by topic.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    inner: RwLock<Registered>,
}

/// A member may read a table through several topics.
type Readers = BTreeMap<MemberNumber, (Arc<MemberCore>, BTreeSet<TopicId>)>;

#[derive(Debug, Default)]
struct Registered {
    tables: HashMap<TableId, Readers>,
    topics: HashMap<TopicId, BTreeMap<MemberNumber, Weak<LiveGroup>>>,
}

impl Listeners {
    pub(super) fn add(&self, core: &Arc<MemberCore>, topic: &TopicInfo) {
        let mut inner = self.inner.write();
        let tables = inner.tables.entry(topic.table).or_default();
        tables.entry(core.number).or_insert_with(|| (core.clone(), BTreeSet::new())).1.insert(topic.id);
        inner.topics.entry(topic.id).or_default().insert(core.number, Arc::downgrade(&core.group));
    }

    pub(super) fn remove(&self, core: &MemberCore, topic: &TopicInfo) {
        let mut inner = self.inner.write();
        if let Some(members) = inner.tables.get_mut(&topic.table) {
            if let Some((_, topics)) = members.get_mut(&core.number) {
                topics.remove(&topic.id);
                if topics.is_empty() {
                    members.remove(&core.number);
                }
            }
            if members.is_empty() {
                inner.tables.remove(&topic.table);
            }
        }
        if let Some(members) = inner.topics.get_mut(&topic.id) {
            members.remove(&core.number);
            if members.is_empty() {
                inner.topics.remove(&topic.id);
            }
        }
    }

    /// Wakes the table's readers.
    pub(super) fn wake(&self, table: TableId) {
        if let Some(members) = self.inner.read().tables.get(&table) {
            members.values().for_each(|(core, _)| core.wake.notify());
        }
    }

    pub(super) fn groups_of_table(&self, table: TableId) -> Vec<Arc<LiveGroup>> {
        let inner = self.inner.read();
        let members = inner.tables.get(&table).into_iter().flat_map(|members| members.values());
        members.map(|(core, _)| core.group.clone()).collect()
    }

    pub(super) fn groups_of_topic(&self, topic: TopicId) -> Vec<Arc<LiveGroup>> {
        let inner = self.inner.read();
        let groups = inner.topics.get(&topic).into_iter().flat_map(|members| members.values());
        groups.filter_map(Weak::upgrade).collect()
    }
}
