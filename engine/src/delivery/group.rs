//! One live group: members, the partitions they own, the generation. All of it changes under one lock, and commits are
//! queued under it too, so that the log takes them in the order of the generations they belong to. Queueing never waits; whoever
//! waits for room or for an answer has given the lock back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures::future::Shared as SharedFuture;
use parking_lot::{Mutex, MutexGuard};

use super::assign::MemberNumber;
use super::core::MemberCore;
use crate::model::{Assignment, Error, GroupMode, Offset, PartitionId, PendingReceipt, Result, TopicId, TopicInfo};
use crate::state::GroupKey;

#[cfg(test)]
thread_local! {
    /// How often this thread has taken the lock of a group.
    pub(crate) static LOCKED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// A group that has members, or had until just now.
#[derive(Debug)]
pub(super) struct LiveGroup {
    /// Without a client.
    pub name: GroupKey,
    pub mode: GroupMode,
    /// Of its own entry in the deadlines; no member has it.
    pub number: MemberNumber,
    inner: Mutex<Membership>,
    /// `Membership::generation`, for those who must not wait for the lock.
    pub generation: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct Membership {
    pub generation: u64,
    pub members: BTreeMap<MemberNumber, MemberState>,
    /// Its last member has gone: joiners begin a new one.
    pub retired: bool,
    /// When partitions are to be shared out anew, because members have come or gone.
    pub due: Option<Duration>,
    /// Members that have gone since the last sharing out, with what they owned.
    pub departed: Vec<MemberState>,
    /// Offset commits were queued since `barrier`.
    pub unsettled: bool,
    /// Answered once every commit of older generations has been taken or refused.
    pub barrier: Option<SharedFuture<PendingReceipt>>,
    pub stamps: u64,
}

#[derive(Debug)]
pub(super) struct MemberState {
    pub core: Arc<MemberCore>,
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

impl LiveGroup {
    /// `barrier` is what must be settled before its members read committed offsets.
    pub(super) fn new(
        name: GroupKey,
        mode: GroupMode,
        number: MemberNumber,
        barrier: Option<SharedFuture<PendingReceipt>>,
    ) -> LiveGroup {
        let inner = Mutex::new(Membership { barrier, ..Membership::default() });
        LiveGroup { name, mode, number, inner, generation: AtomicU64::new(0) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Membership> {
        #[cfg(test)]
        LOCKED.set(LOCKED.get() + 1);
        self.inner.lock()
    }
}

impl Membership {
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
    pub(super) fn new(core: Arc<MemberCore>, topics: BTreeMap<TopicId, Arc<TopicInfo>>, now: Duration) -> MemberState {
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
    pub(super) fn new(stamp: u64) -> Owned {
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
