//! Gathering rows for one poll, and waiting for them.

use std::sync::Arc;
use std::time::Duration;

use super::commit::commit_processed_if_due;
use super::coordinator::Coordinator;
use super::core::MemberCore;
use super::fetch::{self, Budget, Fetched};
use crate::model::{Delivery, Result, TopicId};
use crate::platform::Stopwatch;

/// A poll that finds only filtered rows goes on at least this long before it gives back nothing but a position.
const SCAN_TIME: Duration = Duration::from_millis(100);

/// A poll under way: its member does not expire. It gathers deliveries of one topic or all, in steps, between which whoever
/// polls waits as he likes.
#[derive(Debug)]
pub(super) struct Poll {
    delivery: Arc<Coordinator>,
    core: Arc<MemberCore>,
    topic: Option<TopicId>,
    wait: Duration,
    began: Stopwatch,
    stepped: bool,
    gathered: Gathered,
    outcome: Result<()>,
}

/// How a poll stands after a step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Progress {
    Done,
    /// The next step is due when the member's wake goes on from `seen`, or after `nap`.
    Waits {
        seen: u64,
        nap: Duration,
    },
}

/// Gathers deliveries of one topic or all, and waits up to `wait` for `min_poll_rows` of them.
pub(super) fn poll(
    delivery: &Arc<Coordinator>,
    core: &Arc<MemberCore>,
    topic: Option<TopicId>,
    max_rows: usize,
    max_bytes: usize,
    wait: Duration,
) -> Result<Vec<Delivery>> {
    let mut poll = Poll::begin(delivery, core, topic, max_rows, max_bytes, wait)?;
    while let Progress::Waits { seen, nap } = poll.step() {
        core.wake.wait(seen, nap);
    }
    poll.finish()
}

impl Poll {
    /// Does the automatic commit of what was handed out before, when it is due.
    pub(super) fn begin(
        delivery: &Arc<Coordinator>,
        core: &Arc<MemberCore>,
        topic: Option<TopicId>,
        max_rows: usize,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<Poll> {
        {
            let mut inner = core.enter(delivery)?;
            let generation = inner.generation;
            let member = core.state(&mut inner)?;
            member.busy += 1;
            member.acknowledged = generation;
        }
        let poll = Poll {
            delivery: delivery.clone(),
            core: core.clone(),
            topic,
            wait,
            began: Stopwatch::start(),
            stepped: false,
            gathered: Gathered { deliveries: Vec::new(), rows: 0, bytes: 0, max_rows, max_bytes },
            outcome: Ok(()),
        };
        let now = delivery.ledger.options.clock.monotonic();
        begin_poll(core, now)?;
        commit_processed_if_due(delivery, core, now)?;
        Ok(poll)
    }

    /// Gathers what is there. Waits for disks and plugins, but not for rows to come.
    pub(super) fn step(&mut self) -> Progress {
        let step = self.look_again().and_then(|()| self.gather());
        step.unwrap_or_else(|error| {
            self.outcome = Err(error);
            Progress::Done
        })
    }

    /// Gives what was gathered. An error met after other rows comes with the next poll.
    pub(super) fn finish(mut self) -> Result<Vec<Delivery>> {
        let deliveries = std::mem::take(&mut self.gathered.deliveries);
        let outcome = std::mem::replace(&mut self.outcome, Ok(()));
        let mut inner = self.core.group.inner.lock();
        if let Ok(member) = self.core.state(&mut inner) {
            member.last_polled = self.delivery.ledger.options.clock.monotonic();
            for delivery in &deliveries {
                let at = crate::model::Assignment { topic: delivery.topic, partition: delivery.partition };
                // A seek or a rebalance since then has cleared what this would commit.
                let owned = member.owned.get_mut(&at).filter(|owned| owned.position == Some(delivery.next_offset));
                if let Some(owned) = owned {
                    owned.handed = owned.position;
                }
            }
            if let Err(error) = &outcome
                && !deliveries.is_empty()
            {
                member.error = Some(error.clone());
            }
        }
        drop(inner);
        match outcome {
            Err(error) if deliveries.is_empty() => Err(error),
            _ => Ok(deliveries),
        }
    }

    /// After a wait: heard of, and the new assignment taken up, if there is one.
    fn look_again(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.stepped, true) {
            let mut inner = self.core.enter(&self.delivery)?;
            let generation = inner.generation;
            self.core.state(&mut inner)?.acknowledged = generation;
        }
        Ok(())
    }

    fn gather(&mut self) -> Result<Progress> {
        let Poll { delivery, core, topic, gathered, wait, began, .. } = self;
        let min_rows = core.config.min_poll_rows.min(gathered.max_rows);
        let longest = core.config.session_timeout / 3;
        let seen = core.wake.seen();
        let due_in = loop {
            match fetch::next(delivery, core, *topic, gathered.budget())? {
                Fetched::Delivery(delivery, bytes) => gathered.push(*delivery, bytes),
                Fetched::Full => return Ok(Progress::Done),
                Fetched::Nothing { due_in } => break due_in,
            }
            if gathered.full() || (gathered.rows == 0 && began.elapsed() >= (*wait).max(SCAN_TIME)) {
                return Ok(Progress::Done);
            }
        };
        let left = wait.saturating_sub(began.elapsed());
        if gathered.rows >= min_rows || left.is_zero() {
            return Ok(Progress::Done);
        }
        Ok(Progress::Waits { seen, nap: left.min(longest).min(due_in.unwrap_or(longest)) })
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        let mut inner = self.core.group.inner.lock();
        if let Ok(member) = self.core.state(&mut inner) {
            member.busy -= 1;
            member.last_seen = self.delivery.ledger.options.clock.monotonic();
        }
    }
}

/// Another poll: what the last one handed out is processed.
fn begin_poll(core: &MemberCore, now: Duration) -> Result<()> {
    let mut inner = core.group.inner.lock();
    let member = core.state(&mut inner)?;
    member.last_polled = now;
    for owned in member.owned.values_mut() {
        owned.processed = owned.handed.take().or(owned.processed);
    }
    member.error.take().map_or(Ok(()), Err)
}

#[derive(Debug)]
struct Gathered {
    deliveries: Vec<Delivery>,
    rows: usize,
    bytes: usize,
    max_rows: usize,
    max_bytes: usize,
}

impl Gathered {
    fn budget(&self) -> Budget {
        Budget {
            rows: self.max_rows.saturating_sub(self.rows),
            bytes: self.max_bytes.saturating_sub(self.bytes),
            first: self.rows == 0,
        }
    }

    fn full(&self) -> bool {
        self.rows >= self.max_rows || (self.rows > 0 && self.bytes >= self.max_bytes)
    }

    /// An empty delivery is only kept until the next of its partition, which then begins where it began.
    fn push(&mut self, mut delivery: Delivery, bytes: usize) {
        self.rows += delivery.batch.num_rows();
        self.bytes += bytes;
        let same = |other: &&mut Delivery| (other.topic, other.partition) == (delivery.topic, delivery.partition);
        match self.deliveries.iter_mut().rev().find(same) {
            Some(last) if last.batch.num_rows() == 0 && last.next_offset == delivery.first_offset => {
                delivery.first_offset = last.first_offset;
                *last = delivery;
            }
            _ => self.deliveries.push(delivery),
        }
    }
}
