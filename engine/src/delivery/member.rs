//! A member as its holder sees it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;

use super::coordinator::Coordinator;
use super::core::MemberCore;
use super::fetch::{self, Fetched, TakenUnder};
use super::ready::Budget;
use super::{admin, commit, poll, positions};
use crate::log::Ticket;
use crate::model::{
    Assignment, Delivery, Error, Offset, PartitionOffsets, PendingReceipt, Result, SeekTo, TopicId, TopicInfo,
};

/// A live member of a group. Dropping it leaves the group; what its last poll handed out is then not committed.
///
/// What the application does keeps the session alive: [`Self::heartbeat`], [`Self::poll`], [`Self::polled`],
/// [`Self::seek`], [`Self::pause`], [`Self::resume`] and commits. Everything else only looks, [`Self::fetch`] included: a
/// front door may call it for a client that has gone. Calls may be made from several threads, and wait for no producer.
pub struct Member {
    delivery: Arc<Coordinator>,
    core: Arc<MemberCore>,
}

impl Member {
    pub(super) fn new(delivery: Arc<Coordinator>, core: Arc<MemberCore>) -> Member {
        Member { delivery, core }
    }

    pub fn id(&self) -> &str {
        &self.core.id
    }

    /// The generation of the group's assignment; 0 once it is a member no longer. Takes no lock, and acknowledges nothing.
    pub fn generation(&self) -> u64 {
        if self.core.gone.load(Ordering::Acquire) { 0 } else { self.core.group.generation.load(Ordering::Acquire) }
    }

    /// Takes up the assignment as it now stands, and gives its generation; 0 once it is a member no longer.
    pub fn acknowledge(&self) -> u64 {
        let Ok(mut inner) = self.core.look(&self.delivery) else { return 0 };
        let generation = inner.generation;
        self.core.state(&mut inner).map_or(0, |member| {
            member.acknowledged = generation;
            member.reported = generation;
            generation
        })
    }

    pub fn assignment(&self) -> Vec<Assignment> {
        let Ok(mut inner) = self.core.look(&self.delivery) else { return Vec::new() };
        self.core.state(&mut inner).map_or_else(|_| Vec::new(), |member| member.owned.keys().copied().collect())
    }

    /// The topics subscribed to, as they were when it joined or [`Self::renew_topic`] was called: the schemas of what it is
    /// handed.
    pub fn topics(&self) -> Vec<Arc<TopicInfo>> {
        let Ok(mut inner) = self.core.look(&self.delivery) else { return Vec::new() };
        self.core.state(&mut inner).map_or_else(|_| Vec::new(), |member| member.topics.values().cloned().collect())
    }

    /// Takes up the topic's present columns, and gives it as it now stands.
    pub fn renew_topic(&self, topic: TopicId) -> Result<Arc<TopicInfo>> {
        let mut inner = self.core.look(&self.delivery)?;
        let subscribed = self.core.state(&mut inner)?.topics.get_mut(&topic);
        let subscribed = subscribed.ok_or_else(not_subscribed)?;
        *subscribed = self.delivery.ledger.topic(topic)?;
        Ok(subscribed.clone())
    }

    /// As [`Self::acknowledge`], with the version of the topic's present columns.
    pub(super) fn take_up(&self, topic: TopicId) -> TakenUnder {
        let version = self.delivery.ledger.state.read().topic(topic).map(|topic| topic.base_version());
        TakenUnder { generation: self.acknowledge(), version }
    }

    /// Keeps the session alive; says whether the assignment has changed since it was last taken up
    /// ([`Self::acknowledge`]).
    /// `Fenced` once the session has timed out or the group was dropped.
    pub fn heartbeat(&self) -> Result<bool> {
        let mut inner = self.core.enter(&self.delivery)?;
        let generation = inner.generation;
        Ok(self.core.state(&mut inner)?.reported != generation)
    }

    /// Gives rows of the assigned partitions and moves positions past them; waits up to `wait` for `min_poll_rows`. At most
    /// `max_bytes` (but at least one row). Does the automatic commit of the rows handed out before, when it is due.
    ///
    /// An error met after other rows were gathered comes with the next poll.
    pub fn poll(&self, max_bytes: usize, wait: Duration) -> Result<Vec<Delivery>> {
        poll::poll(&self.delivery, &self.core, None, self.core.config.max_poll_rows, max_bytes, wait)
    }

    /// As [`Self::poll`], of one topic, without waiting and without automatic commits, which are the caller's who reads
    /// ahead of the application. `Ok(None)` when nothing is ready.
    pub fn fetch(&self, topic: TopicId, max_bytes: usize) -> Result<Option<Delivery>> {
        self.fetch_as(topic, max_bytes, false).map(|(found, _)| found)
    }

    /// As [`Self::fetch`], with what it was taken under. That is taken up as by [`Self::take_up`]; where there is none, it was not.
    pub(super) fn fetch_and_take_up(
        &self,
        topic: TopicId,
        max_bytes: usize,
    ) -> Result<(Option<Delivery>, Option<TakenUnder>)> {
        self.fetch_as(topic, max_bytes, true)
    }

    fn fetch_as(
        &self,
        topic: TopicId,
        max_bytes: usize,
        tells: bool,
    ) -> Result<(Option<Delivery>, Option<TakenUnder>)> {
        let budget = Budget { rows: self.core.config.max_poll_rows, bytes: max_bytes, first: true };
        let (found, under) = fetch::one(&self.delivery, &self.core, topic, budget, tells)?;
        let found = match found {
            Fetched::Delivery(delivery, _) => Some(*delivery),
            Fetched::Nothing { due_in } => {
                *self.core.due.lock() = due_in.map(|wait| self.delivery.ledger.options.clock.awake() + wait);
                None
            }
            Fetched::Full => None,
        };
        Ok((found, under))
    }

    /// Restarts the max-poll interval: the application has asked for rows. [`Self::poll`] does it itself; [`Self::fetch`],
    /// which a front door calls ahead of the application, does not.
    pub fn polled(&self) -> Result<()> {
        let mut inner = self.core.enter(&self.delivery)?;
        let member = self.core.state(&mut inner)?;
        member.last_polled = self.delivery.ledger.options.clock.awake();
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
        let now = self.delivery.ledger.options.clock.awake();
        let held = self.core.due.lock().map(|due| due.saturating_sub(now));
        held.into_iter().chain(self.core.replay.lock().due_in(now)).min()
    }

    /// Commits next-to-read offsets. Refused (`Fenced`) if the generation has moved on or a partition is not assigned.
    /// Offsets above the end are `OffsetOutOfRange`.
    pub fn commit(&self, offsets: &[(Assignment, Offset)]) -> Result<PendingReceipt> {
        commit::commit(&self.delivery, &self.core, None, offsets)?.wait()
    }

    /// As [`Self::commit`], of rows that were handed out under a known generation: `Fenced` if that is not the current one.
    pub fn commit_as_of(&self, generation: u64, offsets: &[(Assignment, Offset)]) -> Result<PendingReceipt> {
        self.enqueue_commit(generation, offsets)?.wait()
    }

    /// As [`Self::commit_as_of`], without waiting for room in the writer's queue: the ticket does.
    pub fn enqueue_commit(&self, generation: u64, offsets: &[(Assignment, Offset)]) -> Result<Ticket> {
        commit::commit(&self.delivery, &self.core, Some(generation), offsets)
    }

    /// Commits every position.
    pub fn commit_positions(&self) -> Result<PendingReceipt> {
        let positions = {
            let mut inner = self.core.look(&self.delivery)?;
            let owned = &self.core.state(&mut inner)?.owned;
            let positions = owned.iter().filter_map(|(at, owned)| Some((*at, owned.position?)));
            positions.collect::<Vec<_>>()
        };
        self.commit(&positions)
    }

    /// Moves the position only, and gives it. Offsets outside of what is retained are `OffsetOutOfRange`.
    pub fn seek(&self, partition: Assignment, to: SeekTo) -> Result<Offset> {
        positions::seek(&self.delivery, &self.core, partition, to)
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
        admin::member_offsets(&self.delivery, &self.core)
    }

    /// Leaves; with automatic commit, first commits what was handed out.
    pub fn leave(self) -> Result<()> {
        commit::commit_handed(&self.delivery, &self.core)?;
        self.core.leave(&self.delivery, "it has left");
        Ok(())
    }

    fn set_paused(&self, partitions: &[Assignment], paused: bool) -> Result<()> {
        let mut inner = self.core.enter(&self.delivery)?;
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
        self.core.leave(&self.delivery, "it has left");
    }
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("id", &self.core.id).field("key", &self.core.key).finish_non_exhaustive()
    }
}
