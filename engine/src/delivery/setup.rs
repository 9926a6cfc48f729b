//! A group's beginning: it is recorded with the offsets it starts from, in one submission, so that members who take their
//! first partitions later do not start later.

use std::sync::Arc;

use super::coordinator::Coordinator;
use super::setups::{Reservation, Setups};
use crate::model::{AutoOffsetReset, ConsumerConfig, Error, Offset, PartitionId, Result, TopicId, TopicInfo};
use crate::state::State;
use crate::state::Submission;
use crate::state::{Change, GroupKey, OffsetsRecord, Record};

impl Setups {
    /// Sees to it that the group is recorded and has a committed offset for every partition of the topics.
    pub(super) fn prepare(
        &self,
        delivery: &Coordinator,
        config: &ConsumerConfig,
        key: &GroupKey,
        topics: &[Arc<TopicInfo>],
    ) -> Result<()> {
        if is_there(&delivery.ledger.state.read(), config, key, topics) {
            return Ok(());
        }
        let _setup = self.hold(key);
        let Some((submission, reservation)) = self.missing(delivery, config, key, topics)? else { return Ok(()) };
        delivery.ledger.log.submit(submission)?.wait()?;
        drop(reservation);
        Ok(())
    }

    fn missing(
        &self,
        delivery: &Coordinator,
        config: &ConsumerConfig,
        key: &GroupKey,
        topics: &[Arc<TopicInfo>],
    ) -> Result<Option<(Submission, Reservation<'_>)>> {
        let state = delivery.ledger.state.read();
        let group = state.group(&key.namespace, &key.group);
        if let Some(group) = group.filter(|group| group.mode != config.mode) {
            return Err(Error::FailedPrecondition(format!(
                "group {:?} is a {:?} group and can't be joined as {:?}; drop it first to change that",
                key.group, group.mode, config.mode
            )));
        }
        let mut entries = Vec::new();
        let name = (key.namespace.to_string(), key.group.to_string());
        let mut reservation = self.reserve(name);
        for topic in topics.iter().filter(|topic| !has_offsets(&state, key, topic.id)) {
            if !state.groups_of_topic(topic.id).any(|(n, g)| n == &*key.namespace && g == &*key.group) {
                reservation.add(&state, topic, delivery.ledger.options.max_groups_per_topic)?;
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
