//! How calls of members begin, how members go, and how commits are queued.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::Shared as SharedFuture;
use parking_lot::MutexGuard;

use super::assign::MemberNumber;
use super::coordinator::Coordinator;
use super::core::MemberCore;
use super::group::{Entries, LiveGroup, MemberState, Membership};
use crate::access::Action;
use crate::log::{Ledger, Ticket};
use crate::model::{PendingReceipt, Result};
use crate::state::{OffsetsRecord, PopRecord, Record, Submission};

impl MemberCore {
    /// Begins a call of the application's: the member is heard of. `Fenced` once it is a member no longer.
    pub(super) fn enter(&self, delivery: &Coordinator) -> Result<MutexGuard<'_, Membership>> {
        let mut inner = self.look(delivery)?;
        self.state(&mut inner)?.last_seen = delivery.ledger.options.clock.awake();
        Ok(inner)
    }

    /// Begins a call that says nothing of the application. `Fenced` once it is a member no longer, and refused what its
    /// principal may not consume any more: every call of a member comes through here.
    pub(super) fn look(&self, delivery: &Coordinator) -> Result<MutexGuard<'_, Membership>> {
        delivery.check_open()?;
        delivery.ledger.check_whole()?;
        delivery.tick();
        let mut inner = self.group.lock();
        self.state(&mut inner)?.check_access(&delivery.ledger)?;
        Ok(inner)
    }

    /// Without a last commit.
    pub(super) fn leave(&self, delivery: &Coordinator, reason: &str) {
        let mut inner = self.group.lock();
        if inner.members.contains_key(&self.number) {
            self.group.remove(delivery, &mut inner, &[self.number], reason);
        }
    }
}

impl MemberState {
    fn check_access(&self, ledger: &Ledger) -> Result<()> {
        let MemberCore { principal, config, .. } = self.core.as_ref();
        ledger.access.check(principal, Action::Consume, &config.into())?;
        self.topics.values().try_for_each(|topic| {
            ledger.access.check(principal, Action::Consume, &topic.as_ref().into())?;
            ledger.check_topic(topic)
        })
    }
}

impl LiveGroup {
    /// Takes members out, for the reason given, and shares out anew.
    pub(super) fn remove(
        self: &Arc<Self>,
        delivery: &Coordinator,
        inner: &mut Membership,
        members: &[MemberNumber],
        reason: &str,
    ) {
        let before = inner.departed.len();
        members.iter().for_each(|number| inner.part_with(delivery, *number, reason));
        if inner.departed.len() > before {
            self.rebalance_soon(delivery, inner);
        }
    }
}

impl Membership {
    /// Takes a member out, for the reason given. What it owned is shared out with the next sharing out.
    pub(super) fn part_with(&mut self, delivery: &Coordinator, number: MemberNumber, reason: &str) {
        if let Some(member) = self.members.remove(&number) {
            delivery.forget_member(&member);
            member.core.end(reason);
            self.departed.push(member);
        }
    }

    /// Whoever reads committed offsets from now on waits until all that is queued by now is decided.
    pub(super) fn settle(&mut self, delivery: &Coordinator) -> Result<()> {
        self.unsettled = false;
        self.barrier = None;
        self.barrier = Some(barrier(delivery)?);
        Ok(())
    }
}

/// Queues offset commits as one submission. They need no precondition: they are queued under the group's lock, which their
/// generation was checked under, so that the log takes them before all commits of later generations.
pub(super) fn enqueue(delivery: &Coordinator, entries: Entries) -> Result<Ticket> {
    enqueue_with(delivery, entries, Vec::new(), Submission::default())
}

/// As [`enqueue`], with what goes with it of groups that pop, and what is told of it.
pub(super) fn enqueue_with(
    delivery: &Coordinator,
    entries: Entries,
    popped: Vec<PopRecord>,
    told: Submission,
) -> Result<Ticket> {
    let offsets = entries.into_iter().map(|(group, entries)| Record::from(OffsetsRecord { group, entries }));
    delivery.ledger.log.enqueue(told.with(offsets.chain(popped.into_iter().map(Record::from))))
}

/// Is answered once all commits that were queued before are taken or refused, and seen by readers if they are taken.
fn barrier(delivery: &Coordinator) -> Result<SharedFuture<PendingReceipt>> {
    Ok(delivery.ledger.log.enqueue(Submission::default())?.keep().shared())
}
