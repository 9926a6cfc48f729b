//! A member as its holder sees it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use super::assign::MemberNumber;
use super::fetch::{self, Budget};
use super::group::{Group, Inner, MemberState};
use super::join::key_of;
use super::replay::Replay;
use super::wake::Wake;
use super::{admin, commit, poll, positions};
use crate::record::GroupKey;
use crate::shared::Shared;
use crate::{
    Assignment, ConsumerConfig, Delivery, Error, Offset, PartitionOffsets, PendingReceipt, Principal, Result, SeekTo,
    TopicId, TopicInfo,
};

/// A live member of a group. Dropping it leaves the group; what its last poll handed out is then not committed.
///
/// Every call keeps the session alive. Calls may be made from several threads.
pub struct Member {
    shared: Arc<Shared>,
    core: Arc<Core>,
}

/// What does not change about a member, and what it sleeps on.
#[derive(Debug)]
pub(super) struct Core {
    pub number: MemberNumber,
    pub id: String,
    pub group: Arc<Group>,
    /// Where its offsets are kept.
    pub key: GroupKey,
    pub config: ConsumerConfig,
    pub principal: String,
    pub joined_us: i64,
    pub wake: Wake,
    pub replay: Mutex<Replay>,
    /// When rows that the last fetch has left are due, by the monotonic clock.
    pub due: Mutex<Option<Duration>>,
    /// Partitions whose committed offset lies above the end, which was told of once.
    pub told: Mutex<BTreeSet<Assignment>>,
    /// Why it is a member no longer.
    ended: Mutex<Option<Error>>,
}

impl Member {
    pub(super) fn new(shared: Arc<Shared>, core: Arc<Core>) -> Member {
        Member { shared, core }
    }

    pub fn id(&self) -> &str {
        &self.core.id
    }

    /// The generation of the current assignment; 0 once it is no longer a member. Reading it acknowledges the assignment.
    pub fn generation(&self) -> u64 {
        let Ok(mut inner) = self.core.enter(&self.shared) else { return 0 };
        let generation = inner.generation;
        if let Ok(member) = self.core.state(&mut inner) {
            member.acknowledged = generation;
            member.reported = generation;
        }
        generation
    }

    pub fn assignment(&self) -> Vec<Assignment> {
        let Ok(mut inner) = self.core.enter(&self.shared) else { return Vec::new() };
        self.core.state(&mut inner).map_or_else(|_| Vec::new(), |member| member.owned.keys().copied().collect())
    }

    /// The topics subscribed to, as they were when it joined or [`Self::renew_topic`] was called: the schemas of what it is
    /// handed.
    pub fn topics(&self) -> Vec<Arc<TopicInfo>> {
        let Ok(mut inner) = self.core.enter(&self.shared) else { return Vec::new() };
        self.core.state(&mut inner).map_or_else(|_| Vec::new(), |member| member.topics.values().cloned().collect())
    }

    /// Takes up the topic's present columns, and gives it as it now stands.
    pub fn renew_topic(&self, topic: TopicId) -> Result<Arc<TopicInfo>> {
        let mut inner = self.core.enter(&self.shared)?;
        let subscribed = self.core.state(&mut inner)?.topics.get_mut(&topic);
        let subscribed = subscribed.ok_or_else(not_subscribed)?;
        *subscribed = self.shared.topic(topic)?;
        Ok(subscribed.clone())
    }

    /// Whether the topic's columns are others now than those that this member is handed.
    pub fn topic_changed(&self, topic: TopicId) -> Result<bool> {
        let now = self.shared.state.read().catalog().topic(topic).map(|topic| topic.base_version());
        let mut inner = self.core.enter(&self.shared)?;
        let handed = self.core.state(&mut inner)?.topics.get(&topic).map(|topic| topic.base_version());
        // One that was dropped has no rows any more, whatever its columns.
        Ok(now.zip(handed).is_some_and(|(now, handed)| now != handed))
    }

    /// Keeps the session alive; says whether the assignment has changed since [`Self::generation`] was last read.
    /// `Fenced` once the session has timed out or the group was dropped.
    pub fn heartbeat(&self) -> Result<bool> {
        let mut inner = self.core.enter(&self.shared)?;
        let generation = inner.generation;
        Ok(self.core.state(&mut inner)?.reported != generation)
    }

    /// Gives rows of the assigned partitions and moves positions past them; waits up to `wait` for `min_poll_rows`. At most
    /// `max_bytes` (but at least one row). Does the automatic commit of the rows handed out before, when it is due.
    ///
    /// An error met after other rows were gathered comes with the next poll.
    pub fn poll(&self, max_bytes: usize, wait: Duration) -> Result<Vec<Delivery>> {
        poll::poll(&self.shared, &self.core, None, self.core.config.max_poll_rows, max_bytes, wait)
    }

    /// As [`Self::poll`], of one topic, without waiting and without automatic commits, which are the caller's who reads
    /// ahead of the application. `Ok(None)` when nothing is ready.
    pub fn fetch(&self, topic: TopicId, max_bytes: usize) -> Result<Option<Delivery>> {
        let _call = poll::Call::begin(&self.shared, &self.core)?;
        let budget = Budget { rows: self.core.config.max_poll_rows, bytes: max_bytes, first: true };
        match fetch::next(&self.shared, &self.core, Some(topic), budget)? {
            fetch::Found::Delivery(delivery, _) => Ok(Some(*delivery)),
            fetch::Found::Nothing { due_in } => {
                *self.core.due.lock() = due_in.map(|wait| self.shared.options.clock.monotonic() + wait);
                Ok(None)
            }
            fetch::Found::Full => Ok(None),
        }
    }

    /// Restarts the max-poll interval: the application has asked for rows. [`Self::poll`] does it itself; [`Self::fetch`],
    /// which a front door calls ahead of the application, does not.
    pub fn polled(&self) -> Result<()> {
        let mut inner = self.core.enter(&self.shared)?;
        let member = self.core.state(&mut inner)?;
        member.last_polled = self.shared.options.clock.monotonic();
        Ok(())
    }

    /// Completes when a fetch may find something new: rows, an assignment, a seek. It also completes when the member has
    /// come to its end, which the next call then says.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.core.wake.subscribe()
    }

    /// When a fetch has found nothing although there are rows, how long until some are due: in a replay, or because the
    /// topic's plugins are over their share of the machine.
    pub fn due_in(&self) -> Option<Duration> {
        let now = self.shared.options.clock.monotonic();
        let held = self.core.due.lock().map(|due| due.saturating_sub(now));
        held.into_iter().chain(self.core.replay.lock().due_in(now)).min()
    }

    /// Commits next-to-read offsets. Refused (`Fenced`) if the generation has moved on or a partition is not assigned.
    /// Offsets above the end are `OffsetOutOfRange`.
    pub fn commit(&self, offsets: &[(Assignment, Offset)]) -> Result<PendingReceipt> {
        commit::commit(&self.shared, &self.core, None, offsets)
    }

    /// As [`Self::commit`], of rows that were handed out under a known generation: `Fenced` if that is not the current one.
    pub fn commit_as_of(&self, generation: u64, offsets: &[(Assignment, Offset)]) -> Result<PendingReceipt> {
        commit::commit(&self.shared, &self.core, Some(generation), offsets)
    }

    /// Commits every position.
    pub fn commit_positions(&self) -> Result<PendingReceipt> {
        let positions = {
            let mut inner = self.core.enter(&self.shared)?;
            let owned = &self.core.state(&mut inner)?.owned;
            let positions = owned.iter().filter_map(|(at, owned)| Some((*at, owned.position?)));
            positions.collect::<Vec<_>>()
        };
        self.commit(&positions)
    }

    /// Moves the position only, and gives it. Offsets outside of what is retained are `OffsetOutOfRange`.
    pub fn seek(&self, partition: Assignment, to: SeekTo) -> Result<Offset> {
        positions::seek(&self.shared, &self.core, partition, to)
    }

    /// Hands out nothing of these partitions until [`Self::resume`]. A rebalance that takes them away ends the pause, and so
    /// does a reset of the group's offset.
    pub fn pause(&self, partitions: &[Assignment]) -> Result<()> {
        self.set_paused(partitions, true)
    }

    pub fn resume(&self, partitions: &[Assignment]) -> Result<()> {
        self.set_paused(partitions, false)?;
        self.core.wake.notify();
        Ok(())
    }

    /// Start, end, committed and position of every assigned partition.
    pub fn offsets(&self) -> Result<Vec<PartitionOffsets>> {
        admin::member_offsets(&self.shared, &self.core)
    }

    /// Leaves; with automatic commit, first commits what was handed out.
    pub fn leave(self) -> Result<()> {
        commit::commit_handed(&self.shared, &self.core)?;
        self.core.leave(&self.shared, "it has left");
        Ok(())
    }

    fn set_paused(&self, partitions: &[Assignment], paused: bool) -> Result<()> {
        let mut inner = self.core.enter(&self.shared)?;
        let member = self.core.state(&mut inner)?;
        for at in partitions {
            member.owned_mut(*at)?;
        }
        for at in partitions {
            member.owned_mut(*at)?.paused = paused;
        }
        Ok(())
    }
}

fn not_subscribed() -> Error {
    Error::gone("topic")
}

impl Drop for Member {
    fn drop(&mut self) {
        self.core.leave(&self.shared, "it has left");
    }
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("id", &self.core.id).field("key", &self.core.key).finish_non_exhaustive()
    }
}

impl Core {
    pub(super) fn new(
        shared: &Shared,
        who: &Principal,
        group: &Arc<Group>,
        config: ConsumerConfig,
        number: MemberNumber,
    ) -> Core {
        let client = if config.client_id.is_empty() { "member" } else { &config.client_id };
        Core {
            number,
            id: format!("{client}-{:x}-{number:x}", shared.log.epoch()),
            group: group.clone(),
            key: key_of(&group.name, group.mode, &config.client_id),
            principal: who.name().to_owned(),
            joined_us: shared.options.clock.wall_us(),
            wake: Wake::default(),
            replay: Mutex::new(Replay::new(config.replay)),
            due: Mutex::default(),
            told: Mutex::default(),
            ended: Mutex::new(None),
            config,
        }
    }

    /// Begins a call: the member is heard of. `Fenced` once it is a member no longer.
    pub(super) fn enter(&self, shared: &Shared) -> Result<MutexGuard<'_, Inner>> {
        shared.groups.check_open()?;
        shared.groups.tick(shared);
        let mut inner = self.group.inner.lock();
        self.state(&mut inner)?.last_seen = shared.options.clock.monotonic();
        Ok(inner)
    }

    pub(super) fn state<'a>(&self, inner: &'a mut Inner) -> Result<&'a mut MemberState> {
        inner.members.get_mut(&self.number).ok_or_else(|| self.gone())
    }

    /// The member has left the group; its calls say why from now on.
    pub(super) fn end(&self, reason: &str) {
        self.end_with(self.fenced(reason));
    }

    pub(super) fn end_with(&self, error: Error) {
        self.ended.lock().get_or_insert(error);
        self.wake.notify();
    }

    /// Without a last commit.
    pub(super) fn leave(&self, shared: &Shared, reason: &str) {
        let mut inner = self.group.inner.lock();
        if inner.members.contains_key(&self.number) {
            self.group.remove(shared, &mut inner, &[self.number], reason);
        }
    }

    fn gone(&self) -> Error {
        self.ended.lock().clone().unwrap_or_else(|| self.fenced("it has gone"))
    }

    fn fenced(&self, reason: &str) -> Error {
        Error::Fenced(format!("{:?} is no longer a member of group {:?}: {reason}", self.id, self.key.group))
    }
}
