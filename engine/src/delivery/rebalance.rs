//! Sharing out a group's partitions among its members.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::assign::{MemberNumber, assign};
use super::calls::enqueue;
use super::coordinator::Coordinator;
use super::group::{Entries, LiveGroup, MemberState, Membership, Owned};
use crate::model::{Assignment, GroupMode, PartitionId, TopicId};

/// Up to this many members share out at once when one comes or goes. More are gathered for the join delay first: each
/// sharing out looks at every member, so that a thousand who come one by one would cost a million looks.
const SHARED_OUT_AT_ONCE: usize = 8;

impl LiveGroup {
    /// Members have come or gone: shares out anew, in a large group together with those who do so within the join delay.
    pub(super) fn rebalance_soon(self: &Arc<Self>, delivery: &Coordinator, inner: &mut Membership) {
        let delay = Duration::from_millis(delivery.ledger.options.group_join_delay_ms);
        if inner.members.len() <= SHARED_OUT_AT_ONCE || delay.is_zero() {
            self.rebalance(delivery, inner);
        } else if inner.due.is_none() {
            let due = delivery.ledger.options.clock.awake() + delay;
            inner.due = Some(due);
            delivery.schedule(due, self);
        }
    }

    /// Shares out all partitions, as they now are, among the members, as they now are. Raises the generation.
    pub(super) fn rebalance(&self, delivery: &Coordinator, inner: &mut Membership) {
        if let Some(due) = inner.due.take() {
            delivery.unschedule(due, self);
        }
        let mut departed = std::mem::take(&mut inner.departed);
        departed.extend(self.drop_lost_topics(delivery, inner));
        let targets = self.targets(delivery, inner);
        let mut revoked = Entries::new();
        let mut moved = false;
        for member in &mut departed {
            moved |= !member.owned.is_empty();
            member.take_processed(&mut revoked, |_| true);
        }
        for (number, member) in &mut inner.members {
            let lost = |at: &Assignment| !targets.get(number).is_some_and(|targets| targets.contains(at));
            member.take_processed(&mut revoked, lost);
            let before = member.owned.len();
            member.owned.retain(|at, _| !lost(at));
            moved |= member.owned.len() < before;
        }
        without_lost_topics(delivery, &mut revoked);
        if !revoked.is_empty() || (moved && inner.unsettled) {
            self.settle(delivery, inner, revoked);
        }
        for (number, targets) in targets {
            for at in targets {
                inner.stamps += 1;
                let stamp = inner.stamps;
                if let Some(member) = inner.members.get_mut(&number) {
                    member.owned.entry(at).or_insert_with(|| Owned::new(stamp));
                }
            }
        }
        self.next_generation(delivery, inner);
    }

    /// Raises the generation without moving anything: what members know is out of date.
    pub(super) fn next_generation(&self, delivery: &Coordinator, inner: &mut Membership) {
        if inner.members.is_empty() {
            inner.retired = true;
            delivery.retire(self, inner.barrier.clone());
            return;
        }
        inner.generation = delivery.next_generation();
        let generation = inner.generation;
        self.generation.store(generation, Ordering::Release);
        for member in inner.members.values_mut() {
            member.owned.values_mut().filter(|owned| owned.since == 0).for_each(|owned| owned.since = generation);
            member.core.wake.notify();
        }
    }

    /// Members forget topics that are gone; those that are left without any are given back.
    fn drop_lost_topics(&self, delivery: &Coordinator, inner: &mut Membership) -> Vec<MemberState> {
        let mut without = Vec::new();
        for (number, member) in &mut inner.members {
            let state = delivery.ledger.state.read();
            let core = &member.core;
            member.topics.retain(|id, topic| {
                let stands = state.catalog().topic(*id).is_some();
                if !stands {
                    delivery.listeners.remove(core, topic);
                }
                stands
            });
            if member.topics.is_empty() {
                without.push(*number);
            }
        }
        let departed: Vec<_> = without.iter().filter_map(|number| inner.members.remove(number)).collect();
        for member in &departed {
            delivery.forget_member(member);
            member.core.end("every topic it subscribed to was dropped");
        }
        departed
    }

    fn targets(&self, delivery: &Coordinator, inner: &Membership) -> BTreeMap<MemberNumber, BTreeSet<Assignment>> {
        let topics: BTreeMap<TopicId, PartitionId> = {
            let state = delivery.ledger.state.read();
            let topics = inner.members.values().flat_map(|member| member.topics.values());
            topics
                .filter_map(|topic| Some((topic.id, state.catalog().table(topic.table)?.options.partitions)))
                .collect()
        };
        let members: BTreeMap<MemberNumber, BTreeSet<TopicId>> =
            inner.members.iter().map(|(number, member)| (*number, member.topics.keys().copied().collect())).collect();
        let mut targets: BTreeMap<MemberNumber, BTreeSet<Assignment>> = BTreeMap::new();
        if self.mode == GroupMode::Broadcast {
            for (number, subscribed) in &members {
                let all =
                    topics.iter().filter(|(topic, _)| subscribed.contains(topic)).flat_map(|(topic, partitions)| {
                        (0..*partitions).map(|partition| Assignment { topic: *topic, partition })
                    });
                targets.insert(*number, all.collect());
            }
            return targets;
        }
        let owners = inner.members.iter().flat_map(|(number, member)| member.owned.keys().map(|at| (*at, *number)));
        for (at, number) in assign(&topics, &members, &owners.collect()) {
            targets.entry(number).or_default().insert(at);
        }
        targets
    }

    /// Queues what revoked partitions have left to commit, and then a barrier, for which new owners wait so that they start
    /// at the true committed offset.
    fn settle(&self, delivery: &Coordinator, inner: &mut Membership, entries: Entries) {
        let queued = match entries.is_empty() {
            true => Ok(()),
            // One for each sharing out: few enough to wait for no room. Nobody waits for its answer.
            false => enqueue(delivery, entries).map(|ticket| drop(ticket.keep())),
        };
        // A log that takes nothing any more has nothing to wait for.
        if let Err(error) = queued.and(inner.settle(delivery)) {
            delivery.ledger.events.push(
                "offsets_not_committed",
                format!("group {:?}: offsets of revoked partitions were not committed: {error}", self.name.group),
            );
        }
    }
}

/// The log would refuse the offsets of a topic that is gone, and all that are queued with them.
fn without_lost_topics(delivery: &Coordinator, entries: &mut Entries) {
    let state = delivery.ledger.state.read();
    entries.values_mut().for_each(|entries| entries.retain(|(topic, ..)| state.catalog().topic(*topic).is_some()));
    entries.retain(|_, entries| !entries.is_empty());
}
