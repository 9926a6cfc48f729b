//! Consumer groups: membership, assignment, positions, commits.
//!
//! Membership and positions live in memory; committed offsets live in the log's state. A group is here while it has
//! members. Its generation is `(log epoch << 32) | counter`, so that a restart fences every member of before.
//!
//! Locks: a group's, then any of the coordinator's own or the state's; never a group's under one of those. None is held
//! while waiting for the log, but that of a group's beginning (`setup.rs`), which others who begin it have to wait for.

mod admin;
mod assign;
mod commit;
mod config;
mod core;
mod deadlines;
mod fetch;
mod group;
mod join;
mod listeners;
mod member;
mod named;
mod poll;
mod positions;
mod rebalance;
mod replay;
mod setup;
mod ticker;
mod wake;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::Shared as SharedFuture;
use parking_lot::{Mutex, RwLock};

use crate::front::Shared;
use crate::model::{GroupMode, PendingReceipt, TableId, TopicId};
use crate::state::{Change, GroupKey, Record, RecordContext};

use deadlines::Deadlines;
use group::{Group, MemberState};
use listeners::Listeners;
pub use member::Member;
use named::NamedMembers;
pub use named::{NamedPoll, PollWait};
pub(crate) use positions::resolve;
use setup::Setups;
pub(crate) use setup::{has_offsets, starts};
use ticker::Ticker;

/// Barriers kept before any is looked at.
const BARRIERS_KEPT: usize = 64;

/// The live groups of one engine.
#[derive(Debug, Default)]
pub(crate) struct Coordinator {
    groups: RwLock<HashMap<GroupKey, Arc<Group>>>,
    /// Of generations, for all groups.
    counter: AtomicU32,
    member_numbers: AtomicU64,
    deadlines: Deadlines,
    listeners: Listeners,
    /// Groups whose topics or partitions have changed, to be shared out anew. The log's threads only note them here:
    /// rebalancing may wait for the log.
    changed: Mutex<Vec<Arc<Group>>>,
    any_changed: AtomicBool,
    /// Held while ticking, and told to those who find nothing to do.
    turn: Mutex<()>,
    ticking: AtomicBool,
    /// What groups that have gone still have under way: one that comes back waits for it.
    barriers: Mutex<Barriers>,
    named: NamedMembers,
    setups: Setups,
    ticker: Ticker,
    closed: AtomicBool,
    /// Committed offsets that retention had passed.
    resets: AtomicU64,
}

/// Commits of groups without members.
#[derive(Debug, Default)]
struct Barriers {
    by_group: HashMap<GroupKey, SharedFuture<PendingReceipt>>,
    /// Those that are settled are let go when there are more than this.
    sweep_above: usize,
}

impl Barriers {
    fn put(&mut self, group: GroupKey, barrier: SharedFuture<PendingReceipt>) {
        self.by_group.insert(group, barrier);
        if self.by_group.len() > self.sweep_above {
            self.by_group.retain(|_, barrier| barrier.clone().now_or_never().is_none());
            self.sweep_above = 2 * self.by_group.len() + BARRIERS_KEPT;
        }
    }
}

/// Gauges and counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupFigures {
    pub members: u64,
    /// Times that a committed offset below the start followed `auto.offset.reset`, since opening.
    pub offset_resets: u64,
}

impl Coordinator {
    /// Wakes the members that read these tables.
    pub(crate) fn wake(&self, tables: &BTreeSet<TableId>) {
        tables.iter().for_each(|table| self.listeners.wake(*table));
    }

    /// Called with every durable commit, after the state has it: notes the groups that definitions have changed under. Never
    /// waits.
    pub(crate) fn applied(&self, records: &[(RecordContext, Record)]) {
        let mut groups = Vec::new();
        for (_, record) in records {
            let Record::Change(change) = record else { continue };
            match change.as_ref() {
                Change::PartitionsAdded { table, .. } | Change::TableDropped { table } => {
                    groups.extend(self.listeners.groups_of_table(*table));
                }
                Change::TopicDropped { topic } => groups.extend(self.listeners.groups_of_topic(*topic)),
                _ => {}
            }
        }
        if !groups.is_empty() {
            let mut changed = self.changed.lock();
            changed.append(&mut groups);
            self.any_changed.store(true, Ordering::SeqCst);
            drop(changed);
            self.ticker.hurry();
        }
    }

    /// Expires members whose time has come and rebalances groups whose topics changed. The engine's thread and every member
    /// call do this; tests that move the clock may too. Whoever comes while another is at it waits, so that nobody acts on
    /// what is about to change.
    pub(crate) fn tick(&self, shared: &Shared) {
        let now = shared.options.clock.monotonic();
        let work = self.deadlines.any_due(now) || self.any_changed.load(Ordering::SeqCst);
        if !work && !self.ticking.load(Ordering::SeqCst) {
            return;
        }
        let _turn = self.turn.lock();
        self.ticking.store(true, Ordering::SeqCst);
        while let Some((member, group)) = self.deadlines.pop(now) {
            if let Some(group) = group.upgrade() {
                group.look_at(shared, member, now);
            }
        }
        for group in self.take_changed() {
            let mut inner = group.inner.lock();
            if !inner.retired {
                group.rebalance(shared, &mut inner);
            }
        }
        self.ticking.store(false, Ordering::SeqCst);
    }

    /// Each group once.
    fn take_changed(&self) -> impl Iterator<Item = Arc<Group>> {
        let groups = {
            let mut changed = self.changed.lock();
            self.any_changed.store(false, Ordering::SeqCst);
            std::mem::take(&mut *changed)
        };
        let distinct: BTreeMap<*const Group, Arc<Group>> =
            groups.into_iter().map(|group| (Arc::as_ptr(&group), group)).collect();
        distinct.into_values()
    }

    /// Names a group with live members on the topic, if there is one.
    pub(crate) fn member_on(&self, topic: TopicId) -> Option<String> {
        self.listeners.groups_of_topic(topic).first().map(|group| group.name.group.to_string())
    }

    pub(crate) fn figures(&self) -> GroupFigures {
        let groups: Vec<Arc<Group>> = self.groups.read().values().cloned().collect();
        let members: usize = groups.iter().map(|group| group.inner.lock().members.len()).sum();
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        GroupFigures { members: count(members), offset_resets: self.resets.load(Ordering::Relaxed) }
    }

    /// The live group of that name, made if there is none.
    fn live(&self, name: &GroupKey, mode: GroupMode) -> Arc<Group> {
        if let Some(group) = self.groups.read().get(name) {
            return group.clone();
        }
        let mut groups = self.groups.write();
        let begin = || {
            let barrier = self.barriers.lock().by_group.remove(name);
            let number = self.member_numbers.fetch_add(1, Ordering::Relaxed);
            Arc::new(Group::new(name.clone(), mode, number, barrier))
        };
        groups.entry(name.clone()).or_insert_with(begin).clone()
    }

    /// Whether a group has members.
    pub(crate) fn is_live(&self, namespace: &str, group: &str) -> bool {
        self.find(&join::name_of(namespace, group)).is_some_and(|group| !group.inner.lock().members.is_empty())
    }

    fn find(&self, name: &GroupKey) -> Option<Arc<Group>> {
        self.groups.read().get(name).cloned()
    }

    /// The group has no members any more: nothing is left of it here but what it has under way.
    fn retire(&self, group: &Group, barrier: Option<SharedFuture<PendingReceipt>>) {
        if let Some(barrier) = barrier {
            self.barriers.lock().put(group.name.clone(), barrier);
        }
        let mut groups = self.groups.write();
        if groups.get(&group.name).is_some_and(|found| std::ptr::eq(Arc::as_ptr(found), group)) {
            groups.remove(&group.name);
        }
    }

    fn forget_member(&self, member: &MemberState) {
        for topic in member.topics.values() {
            self.listeners.remove(&member.core, topic);
        }
        self.deadlines.remove(member.deadline, member.core.number);
        self.named.forget(&member.core);
    }

    /// Looks at the group then.
    fn schedule(&self, at: Duration, group: &Arc<Group>) {
        self.deadlines.insert(at, group.number, Arc::downgrade(group));
        // Its thread sleeps until the first deadline that it knows.
        self.ticker.hurry();
    }

    fn unschedule(&self, at: Duration, group: &Group) {
        self.deadlines.remove(at, group.number);
    }

    fn next_generation(&self, shared: &Shared) -> u64 {
        let counter = self.counter.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        (shared.log.epoch() << 32) | u64::from(counter)
    }
}
