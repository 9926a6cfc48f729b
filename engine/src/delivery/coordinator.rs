//! The live groups of one engine, and what is due in them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::Shared as SharedFuture;
use parking_lot::{Mutex, RwLock};

use super::deadlines::Deadlines;
use super::group::{LiveGroup, MemberState};
use super::keys::name_of;
use super::listeners::Listeners;
use super::named_members::NamedMembers;
use super::setups::Setups;
use super::ticker::Ticker;
use super::untold::UntoldResets;
use crate::cursor::Tables;
use crate::evaluation::Evaluations;
use crate::log::Ledger;
use crate::model::{GroupMode, PendingReceipt, TableId, TopicId};
use crate::state::{Change, GroupKey, Record, RecordContext};

/// Barriers kept before any is looked at.
const BARRIERS_KEPT: usize = 64;

/// The live groups of one engine.
#[derive(Debug)]
pub(crate) struct Coordinator {
    pub(super) ledger: Arc<Ledger>,
    pub(super) tables: Arc<Tables>,
    pub(super) evaluations: Arc<Evaluations>,
    pub(super) groups: RwLock<HashMap<GroupKey, Arc<LiveGroup>>>,
    /// Of generations, for all groups.
    pub(super) counter: AtomicU32,
    pub(super) member_numbers: AtomicU64,
    pub(super) deadlines: Deadlines,
    pub(super) listeners: Listeners,
    /// Groups whose topics or partitions have changed, to be shared out anew. The log's threads only note them here:
    /// rebalancing may wait for the log.
    pub(super) changed: Mutex<Vec<Arc<LiveGroup>>>,
    pub(super) any_changed: AtomicBool,
    /// Held while ticking, and told to those who find nothing to do.
    pub(super) turn: Mutex<()>,
    pub(super) ticking: AtomicBool,
    /// What groups that have gone still have under way: one that comes back waits for it.
    pub(super) barriers: Mutex<Barriers>,
    pub(super) named: NamedMembers,
    pub(super) setups: Setups,
    pub(super) untold: UntoldResets,
    pub(super) ticker: Ticker,
    pub(super) closed: AtomicBool,
    /// Committed offsets that retention had passed.
    pub(super) resets: AtomicU64,
}

/// Commits of groups without members.
#[derive(Debug, Default)]
pub(super) struct Barriers {
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
    pub(crate) fn new(tables: &Arc<Tables>, evaluations: &Arc<Evaluations>) -> Coordinator {
        Coordinator {
            ledger: tables.ledger.clone(),
            tables: tables.clone(),
            evaluations: evaluations.clone(),
            groups: RwLock::default(),
            counter: AtomicU32::default(),
            member_numbers: AtomicU64::default(),
            deadlines: Deadlines::default(),
            listeners: Listeners::default(),
            changed: Mutex::default(),
            any_changed: AtomicBool::default(),
            turn: Mutex::default(),
            ticking: AtomicBool::default(),
            barriers: Mutex::default(),
            named: NamedMembers::default(),
            setups: Setups::default(),
            untold: UntoldResets::default(),
            ticker: Ticker::default(),
            closed: AtomicBool::default(),
            resets: AtomicU64::default(),
        }
    }

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

    /// Each group once.
    pub(super) fn take_changed(&self) -> impl Iterator<Item = Arc<LiveGroup>> {
        let groups = {
            let mut changed = self.changed.lock();
            self.any_changed.store(false, Ordering::SeqCst);
            std::mem::take(&mut *changed)
        };
        let distinct: BTreeMap<*const LiveGroup, Arc<LiveGroup>> =
            groups.into_iter().map(|group| (Arc::as_ptr(&group), group)).collect();
        distinct.into_values()
    }

    /// Names a group with live members on the topic, if there is one.
    pub(crate) fn member_on(&self, topic: TopicId) -> Option<String> {
        self.listeners.groups_of_topic(topic).first().map(|group| group.name.group.to_string())
    }

    pub(crate) fn figures(&self) -> GroupFigures {
        let groups: Vec<Arc<LiveGroup>> = self.groups.read().values().cloned().collect();
        let members: usize = groups.iter().map(|group| group.lock().members.len()).sum();
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        GroupFigures { members: count(members), offset_resets: self.resets.load(Ordering::Relaxed) }
    }

    /// The live group of that name, made if there is none.
    pub(super) fn live(&self, name: &GroupKey, mode: GroupMode) -> Arc<LiveGroup> {
        if let Some(group) = self.groups.read().get(name) {
            return group.clone();
        }
        let mut groups = self.groups.write();
        let begin = || {
            let barrier = self.barriers.lock().by_group.remove(name);
            let number = self.member_numbers.fetch_add(1, Ordering::Relaxed);
            Arc::new(LiveGroup::new(name.clone(), mode, number, barrier))
        };
        groups.entry(name.clone()).or_insert_with(begin).clone()
    }

    /// Whether a group has members.
    pub(crate) fn is_live(&self, namespace: &str, group: &str) -> bool {
        self.find(&name_of(namespace, group)).is_some_and(|group| !group.lock().members.is_empty())
    }

    pub(super) fn find(&self, name: &GroupKey) -> Option<Arc<LiveGroup>> {
        self.groups.read().get(name).cloned()
    }

    /// The group has no members any more: nothing is left of it here but what it has under way.
    pub(super) fn retire(&self, group: &LiveGroup, barrier: Option<SharedFuture<PendingReceipt>>) {
        if let Some(barrier) = barrier {
            self.barriers.lock().put(group.name.clone(), barrier);
        }
        let mut groups = self.groups.write();
        if groups.get(&group.name).is_some_and(|found| std::ptr::eq(Arc::as_ptr(found), group)) {
            groups.remove(&group.name);
        }
    }

    pub(super) fn forget_member(&self, member: &MemberState) {
        for topic in member.topics.values() {
            self.listeners.remove(&member.core, topic);
        }
        self.deadlines.remove(member.deadline, member.core.number);
        self.named.forget(&member.core);
    }

    /// Looks at the group then.
    pub(super) fn schedule(&self, at: Duration, group: &Arc<LiveGroup>) {
        self.deadlines.insert(at, group.number, Arc::downgrade(group));
        // Its thread sleeps until the first deadline that it knows.
        self.ticker.hurry();
    }

    pub(super) fn unschedule(&self, at: Duration, group: &LiveGroup) {
        self.deadlines.remove(at, group.number);
    }

    pub(super) fn next_generation(&self) -> u64 {
        let counter = self.counter.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        (self.ledger.log.epoch() << 32) | u64::from(counter)
    }
}
