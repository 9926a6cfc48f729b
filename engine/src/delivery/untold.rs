//! Offsets that were set for groups whose clients know nothing of it yet.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::group::Entries;
use super::keys::name_of;
use crate::model::{Offset, PartitionId, TopicId};
use crate::state::GroupKey;

/// Clients that no member of ours stands for go on committing where they are until they are told; what they commit meanwhile is
/// passed over. There is at most one for each partition of a topic that a group has committed on.
#[derive(Debug, Default)]
pub(super) struct UntoldResets(Mutex<HashMap<(GroupKey, TopicId, PartitionId), Offset>>);

impl UntoldResets {
    pub(super) fn note(&self, entries: &Entries) {
        let mut resets = self.0.lock();
        for (key, offsets) in entries.iter().filter(|(key, _)| key.client.is_none()) {
            resets
                .extend(offsets.iter().map(|(topic, partition, offset)| ((key.clone(), *topic, *partition), *offset)));
        }
    }

    pub(super) fn forget(&self, name: &GroupKey) {
        self.0.lock().retain(|(key, ..), _| key != name);
    }

    pub(super) fn is_there(&self, name: &GroupKey, topic: TopicId, partition: PartitionId) -> bool {
        let resets = self.0.lock();
        !resets.is_empty() && resets.contains_key(&(name.clone(), topic, partition))
    }

    pub(super) fn take(&self, namespace: &str, group: &str, topic: TopicId, partition: PartitionId) -> Option<Offset> {
        let mut resets = self.0.lock();
        if resets.is_empty() {
            return None;
        }
        resets.remove(&(name_of(namespace, group), topic, partition))
    }
}
