//! A group's beginning: it is recorded with the offsets it starts from, in one submission, so that members who take their
//! first partitions later do not start later.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::front::Shared;
use crate::model::{AutoOffsetReset, ConsumerConfig, Error, Offset, PartitionId, Result, TopicId, TopicInfo};
use crate::state::State;
use crate::state::Submission;
use crate::state::{Change, GroupKey, OffsetsRecord, Record};

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
    /// Sees to it that the group is recorded and has a committed offset for every partition of the topics.
    pub(super) fn prepare(
        &self,
        shared: &Shared,
        config: &ConsumerConfig,
        key: &GroupKey,
        topics: &[Arc<TopicInfo>],
    ) -> Result<()> {
        if is_there(&shared.state.read(), config, key, topics) {
            return Ok(());
        }
        let _setup = self.hold(key);
        let Some((submission, reservation)) = self.missing(shared, config, key, topics)? else { return Ok(()) };
        shared.log.submit(submission)?.wait()?;
        drop(reservation);
        Ok(())
    }

    /// While this is held no group of that name begins.
    pub(super) fn hold(&self, key: &GroupKey) -> Option<MutexGuard<'_, ()>> {
        let stripe = self.hasher.hash_one((&key.namespace, &key.group)) % (STRIPES as u64);
        self.stripes.get(usize::try_from(stripe).unwrap_or(0)).map(Mutex::lock)
    }

    fn missing(
        &self,
        shared: &Shared,
        config: &ConsumerConfig,
        key: &GroupKey,
        topics: &[Arc<TopicInfo>],
    ) -> Result<Option<(Submission, Reservation<'_>)>> {
        let state = shared.state.read();
        let group = state.group(&key.namespace, &key.group);
        if let Some(group) = group.filter(|group| group.mode != config.mode) {
            return Err(Error::FailedPrecondition(format!(
                "group {:?} is a {:?} group and can't be joined as {:?}; drop it first to change that",
                key.group, group.mode, config.mode
            )));
        }
        let mut entries = Vec::new();
        let name = (key.namespace.to_string(), key.group.to_string());
        let mut reservation = Reservation { setups: self, name, topics: Vec::new() };
        for topic in topics.iter().filter(|topic| !has_offsets(&state, key, topic.id)) {
            if !state.groups_of_topic(topic.id).any(|(n, g)| n == &*key.namespace && g == &*key.group) {
                reservation.add(&state, topic, shared.options.max_groups_per_topic)?;
            }
            for (partition, offset) in starts(&state, config, topic)? {
                entries.push((topic.id, partition, offset));
            }
        }
        if group.is_some() && entries.is_empty() {
            return Ok(None);
        }
        let created = Change::GroupCreated {
            namespace: key.namespace.to_string(),
            group: key.group.to_string(),
            mode: config.mode,
        };
        let created = group.is_none().then(|| Record::from(created));
        let begun = Record::from(OffsetsRecord { group: key.clone(), entries });
        let submission = Submission::of(created.into_iter().chain([begun]));
        Ok(Some((submission, reservation)))
    }
}

/// Whether the group is recorded with offsets on all of the topics. Members who join one that is wait for nobody who begins another.
fn is_there(state: &State, config: &ConsumerConfig, key: &GroupKey, topics: &[Arc<TopicInfo>]) -> bool {
    state.group(&key.namespace, &key.group).is_some_and(|group| group.mode == config.mode)
        && topics.iter().all(|topic| has_offsets(state, key, topic.id))
}

/// Whether the group (or client) has committed on the topic before.
pub(crate) fn has_offsets(state: &State, key: &GroupKey, topic: TopicId) -> bool {
    let offsets = state.group(&key.namespace, &key.group).and_then(|group| group.committed.get(&key.client));
    offsets.is_some_and(|offsets| offsets.range((topic, PartitionId::MIN)..=(topic, PartitionId::MAX)).next().is_some())
}

/// Where a new group starts in each partition.
pub(crate) fn starts(state: &State, config: &ConsumerConfig, topic: &TopicInfo) -> Result<Vec<(PartitionId, Offset)>> {
    let partitions = state.catalog().partitions(topic.table).unwrap_or_default();
    let starts = (0..).zip(partitions).map(|(partition, state)| match config.auto_offset_reset {
        AutoOffsetReset::Earliest => Ok((partition, state.start)),
        AutoOffsetReset::Latest => Ok((partition, state.end)),
        AutoOffsetReset::None => {
            Err(Error::NoCommittedOffset { group: config.group_id.clone(), topic: topic.name.clone(), partition })
        }
    });
    starts.collect()
}

/// Places taken on topics until the group is recorded.
struct Reservation<'a> {
    setups: &'a Setups,
    /// Of the group. Its stripe is held, so nobody else has a place under it.
    name: (String, String),
    topics: Vec<TopicId>,
}

impl Reservation<'_> {
    fn add(&mut self, state: &State, topic: &TopicInfo, limit: usize) -> Result<()> {
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
