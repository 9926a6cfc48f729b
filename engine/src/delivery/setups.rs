//! Beginnings of groups that are under way.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};

use parking_lot::{Mutex, MutexGuard};

use crate::model::{Error, Result, TopicId, TopicInfo};
use crate::state::{GroupKey, State};

const STRIPES: usize = 64;

/// Serializes beginnings: of one group always, of different ones mostly not.
#[derive(Debug)]
pub(super) struct Setups {
    hasher: RandomState,
    stripes: Vec<Mutex<()>>,
    /// Groups under way to a topic by namespace and name, to be counted with those that are there. One that has just arrived
    /// is in both.
    reserved: Mutex<HashMap<TopicId, BTreeSet<(String, String)>>>,
}

impl Default for Setups {
    fn default() -> Self {
        let stripes = (0..STRIPES).map(|_| Mutex::new(())).collect();
        Setups { hasher: RandomState::new(), stripes, reserved: Mutex::default() }
    }
}

impl Setups {
    /// While this is held no group of that name begins.
    pub(super) fn hold(&self, key: &GroupKey) -> Option<MutexGuard<'_, ()>> {
        let stripe = self.hasher.hash_one((&key.namespace, &key.group)) % (STRIPES as u64);
        self.stripes.get(usize::try_from(stripe).unwrap_or(0)).map(Mutex::lock)
    }

    /// Of the group of that namespace and name.
    pub(super) fn reserve(&self, name: (String, String)) -> Reservation<'_> {
        Reservation { setups: self, name, topics: Vec::new() }
    }
}

/// Places taken on topics until the group is recorded.
pub(super) struct Reservation<'a> {
    setups: &'a Setups,
    /// Of the group. Its stripe is held, so nobody else has a place under it.
    name: (String, String),
    topics: Vec<TopicId>,
}

impl Reservation<'_> {
    pub(super) fn add(&mut self, state: &State, topic: &TopicInfo, limit: usize) -> Result<()> {
        let mut reserved = self.setups.reserved.lock();
        let under_way = reserved.entry(topic.id).or_default();
        let is_here = |(namespace, group): (&str, &str)| under_way.contains(&(namespace.to_owned(), group.to_owned()));
        let here = state.groups_of_topic(topic.id).filter(|group| !is_here(*group)).take(limit).count();
        let groups = here + under_way.len();
        if groups >= limit {
            return Err(Error::FailedPrecondition(format!(
                "topic {:?} has {groups} consumer groups, which is the limit (max_groups_per_topic); drop one that is not \
                 needed or raise the limit",
                topic.name
            )));
        }
        under_way.insert(self.name.clone());
        self.topics.push(topic.id);
        Ok(())
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let mut reserved = self.setups.reserved.lock();
        for topic in &self.topics {
            if let Some(under_way) = reserved.get_mut(topic) {
                under_way.remove(&self.name);
                if under_way.is_empty() {
                    reserved.remove(topic);
                }
            }
        }
    }
}
