//! One live group: members, the partitions they own, the generation. All of it changes under one lock, and commits are
//! submitted under it too, so that the log sees them in the order of the generations they belong to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::Shared as SharedFuture;
use parking_lot::Mutex;

use super::assign::{MemberNumber, assign};
use super::member::Core;
use crate::record::{GroupKey, OffsetsRecord};
use crate::shared::Shared;
use crate::submission::Submission;
use crate::{Assignment, Error, GroupMode, Offset, PartitionId, PendingReceipt, Result, TopicId, TopicInfo};

/// A group that has members, or had until just now.
#[derive(Debug)]
pub(super) struct Group {
    /// Without a client.
    pub name: GroupKey,
    pub mode: GroupMode,
    pub inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub generation: u64,
    pub members: BTreeMap<MemberNumber, MemberState>,
    /// Its last member has gone: joiners begin a new one.
    pub retired: bool,
    /// Offset commits were submitted since `barrier`.
    pub unsettled: bool,
    /// Answered once every commit of older generations has been taken or refused.
    pub barrier: Option<SharedFuture<PendingReceipt>>,
    stamps: u64,
}

#[derive(Debug)]
pub(super) struct MemberState {
    pub core: Arc<Core>,
    pub topics: BTreeMap<TopicId, Arc<TopicInfo>>,
    pub owned: BTreeMap<Assignment, Owned>,
    /// By the monotonic clock.
    pub last_seen: Duration,
    pub last_polled: Duration,
    /// Calls under way: a member inside a call does not expire.
    pub busy: u32,
    /// Its entry in the deadlines.
    pub deadline: Duration,
    /// The generation whose assignment it has acted on.
    pub acknowledged: u64,
    /// The generation that it was last told.
    pub reported: u64,
    pub last_commit: Duration,
    /// The automatic commit under way, looked at in the next poll.
    pub committing: Option<PendingReceipt>,
    /// An error met after rows had been gathered: the next poll's.
    pub error: Option<Error>,
    /// The partition served last.
    pub served: Option<Assignment>,
}

/// A partition in one member's hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owned {
    /// Tells one ownership, and what was read before a seek, from the next.
    pub stamp: u64,
    /// The generation from which on it is held, without a reset of the group's offset between; 0 until that is published.
    pub since: u64,
    /// The next offset to hand out; `None` until first needed.
    pub position: Option<Offset>,
    /// After the rows handed out by the last poll.
    pub handed: Option<Offset>,
    /// After the rows that are done with, because another poll followed: what automatic commits take.
    pub processed: Option<Offset>,
    pub paused: bool,
}

/// Offsets to commit, by the key they are kept under.
pub(super) type Entries = BTreeMap<GroupKey, Vec<(TopicId, PartitionId, Offset)>>;

impl Group {
    /// `barrier` is what must be settled before its members read committed offsets.
    pub(super) fn new(name: GroupKey, mode: GroupMode, barrier: Option<SharedFuture<PendingReceipt>>) -> Group {
        Group { name, mode, inner: Mutex::new(Inner { barrier, ..Inner::default() }) }
    }

    /// Takes members out, for the reason given, and shares out anew.
    pub(super) fn remove(&self, shared: &Shared, inner: &mut Inner, members: &[MemberNumber], reason: &str) {
        let mut departed = Vec::new();
        for number in members {
            if let Some(member) = inner.members.remove(number) {
                shared.groups.forget_member(&member);
                member.core.end(reason);
                departed.push(member);
            }
        }
        if !departed.is_empty() {
            self.rebalance(shared, inner, departed);
        }
    }

    /// Shares out all partitions, as they now are, among the members, as they now are. Raises the generation.
    pub(super) fn rebalance(&self, shared: &Shared, inner: &mut Inner, mut departed: Vec<MemberState>) {
        departed.extend(self.drop_lost_topics(shared, inner));
        let targets = self.targets(shared, inner);
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
        if !revoked.is_empty() || (moved && inner.unsettled) {
            self.settle(shared, inner, revoked);
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
        self.next_generation(shared, inner);
    }

    /// Raises the generation without moving anything: what members know is out of date.
    pub(super) fn next_generation(&self, shared: &Shared, inner: &mut Inner) {
        let clients = inner.members.values().map(|member| member.core.key.clone());
        let keys: BTreeSet<GroupKey> = clients.chain([self.name.clone()]).collect();
        if inner.members.is_empty() {
            inner.retired = true;
            shared.groups.retire(self, inner.barrier.clone());
            return;
        }
        inner.generation = shared.groups.publish_next_generation(shared, keys);
        let generation = inner.generation;
        for member in inner.members.values_mut() {
            member.owned.values_mut().filter(|owned| owned.since == 0).for_each(|owned| owned.since = generation);
            member.core.wake.notify();
        }
    }

    /// Members forget topics that are gone; those that are left without any are given back.
    fn drop_lost_topics(&self, shared: &Shared, inner: &mut Inner) -> Vec<MemberState> {
        let mut without = Vec::new();
        for (number, member) in &mut inner.members {
            let state = shared.state.read();
            let core = &member.core;
            member.topics.retain(|id, topic| {
                let stands = state.catalog().topic(*id).is_some();
                if !stands {
                    shared.groups.listeners.remove(core, topic);
                }
                stands
            });
            if member.topics.is_empty() {
                without.push(*number);
            }
        }
        let departed: Vec<_> = without.iter().filter_map(|number| inner.members.remove(number)).collect();
        for member in &departed {
            shared.groups.forget_member(member);
            member.core.end("every topic it subscribed to was dropped");
        }
        departed
    }

    fn targets(&self, shared: &Shared, inner: &Inner) -> BTreeMap<MemberNumber, BTreeSet<Assignment>> {
        let topics: BTreeMap<TopicId, PartitionId> = {
            let state = shared.state.read();
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

    /// Submits what revoked partitions have left to commit. Its answer comes after those of all commits before it, so that
    /// new owners who wait for it start at the true committed offset. It needs no precondition: it is submitted under the
    /// group's lock, before the new owners know.
    fn settle(&self, shared: &Shared, inner: &mut Inner, mut entries: Entries) {
        entries.entry(self.name.clone()).or_default();
        inner.unsettled = false;
        match submit(shared, entries, Vec::new()) {
            Ok(receipt) => inner.barrier = Some(receipt.shared()),
            Err(error) => {
                inner.barrier = None;
                shared.events.push(
                    "offsets_not_committed",
                    format!("group {:?}: offsets of revoked partitions were not committed: {error}", self.name.group),
                );
            }
        }
    }
}

impl Inner {
    pub(super) fn stamp(&mut self) -> u64 {
        self.stamps += 1;
        self.stamps
    }

    /// Waits until older generations' commits are settled; a clone, so that the lock need not be held.
    pub(super) fn settled(&self) -> Option<SharedFuture<PendingReceipt>> {
        self.barrier.clone().filter(|barrier| barrier.peek().is_none())
    }
}

impl MemberState {
    pub(super) fn new(core: Arc<Core>, topics: BTreeMap<TopicId, Arc<TopicInfo>>, now: Duration) -> MemberState {
        let mut member = MemberState {
            core,
            topics,
            owned: BTreeMap::new(),
            last_seen: now,
            last_polled: now,
            busy: 0,
            deadline: now,
            acknowledged: 0,
            reported: 0,
            last_commit: now,
            committing: None,
            error: None,
            served: None,
        };
        member.deadline = member.due();
        member
    }

    /// When it expires if nothing is heard of it.
    pub(super) fn due(&self) -> Duration {
        let config = &self.core.config;
        (self.last_seen + config.session_timeout).min(self.last_polled + config.max_poll_interval)
    }

    pub(super) fn owned_mut(&mut self, at: Assignment) -> Result<&mut Owned> {
        let core = &self.core;
        self.owned.get_mut(&at).ok_or_else(|| {
            Error::Fenced(format!(
                "partition {} is not assigned to member {:?} of group {:?}",
                at.partition, core.id, core.group.name.group
            ))
        })
    }

    /// With automatic commit: moves what is processed into `entries`, of the partitions that `which` picks.
    pub(super) fn take_processed(&mut self, entries: &mut Entries, which: impl Fn(&Assignment) -> bool) {
        if !self.core.config.enable_auto_commit {
            return;
        }
        for (at, owned) in self.owned.iter_mut().filter(|(at, _)| which(at)) {
            if let Some(offset) = owned.processed.take() {
                entries.entry(self.core.key.clone()).or_default().push((at.topic, at.partition, offset));
            }
        }
    }
}

impl Owned {
    fn new(stamp: u64) -> Owned {
        Owned { stamp, since: 0, position: None, handed: None, processed: None, paused: false }
    }

    /// Goes on elsewhere; nothing from before is committed by itself any more.
    pub(super) fn move_to(&mut self, stamp: u64, position: Option<Offset>) {
        *self = Owned { position, since: self.since, paused: self.paused, ..Owned::new(stamp) };
    }

    /// As a new ownership, from the next generation on.
    pub(super) fn reset_to(&mut self, stamp: u64, position: Offset) {
        *self = Owned { position: Some(position), ..Owned::new(stamp) };
    }
}

/// Submits offset commits as one.
pub(super) fn submit(
    shared: &Shared,
    entries: Entries,
    preconditions: Vec<crate::submission::Precondition>,
) -> Result<PendingReceipt> {
    let offsets = entries.into_iter().map(|(group, entries)| OffsetsRecord { group, entries }).collect();
    shared.log.submit(Submission { offsets, preconditions, ..Submission::default() })
}
