//! Members that SQL's `poll()` has made.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use super::core::MemberCore;
use super::keys::client_of;
use crate::model::{Assignment, Offset, TopicId};
use crate::state::GroupKey;

/// By namespace, group and client id; each until its session times out.
#[derive(Debug, Default)]
pub(super) struct NamedMembers {
    members: Mutex<HashMap<GroupKey, Arc<Named>>>,
}

#[derive(Debug)]
pub(super) struct Named {
    pub core: Arc<MemberCore>,
    pub handed: Mutex<Handed>,
    /// Topics that it has subscribed to by now.
    pub reads: Mutex<BTreeSet<TopicId>>,
}

/// What was handed out and not committed yet.
#[derive(Debug, Default)]
pub(super) struct Handed {
    pub generation: u64,
    pub next: BTreeMap<Assignment, Offset>,
}

impl Named {
    pub(super) fn new(core: Arc<MemberCore>, topic: TopicId) -> Named {
        Named { core, handed: Mutex::default(), reads: Mutex::new(BTreeSet::from([topic])) }
    }
}

impl NamedMembers {
    pub(super) fn forget(&self, core: &MemberCore) {
        let mut members = self.members.lock();
        let key = client_of(&core.config.namespace, &core.config.group_id, &core.config.client_id);
        if members.get(&key).is_some_and(|named| named.core.number == core.number) {
            members.remove(&key);
        }
    }

    pub(super) fn get(&self, key: &GroupKey) -> Option<Arc<Named>> {
        self.members.lock().get(key).cloned()
    }

    /// The member that is there already, if there is one.
    pub(super) fn first(&self, key: GroupKey, named: &Arc<Named>) -> Arc<Named> {
        self.members.lock().entry(key).or_insert_with(|| named.clone()).clone()
    }
}
