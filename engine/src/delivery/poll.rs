//! Gathering rows for one poll, and waiting for them.

use std::sync::Arc;
use std::time::Duration;

use super::commit::commit_processed_if_due;
use super::coordinator::Coordinator;
use super::core::MemberCore;
use super::fetch::{self, Fetched};
use super::group::MemberState;
use super::ready::{Budget, Pick, Ready, Turns};
use crate::model::{Assignment, Delivery, Result, TopicId};
use crate::platform::Stopwatch;

/// A poll that finds only filtered rows goes on at least this long before it gives back nothing but a position.
const SCAN_TIME: Duration = Duration::from_millis(100);

/// Partitions that a poll takes up at one look at the state.
const TURNS: usize = 64;
/// Frames that it takes in one hold of the group's lock, which others wait for.
const HELD: usize = 256;

/// A poll under way: its member does not expire. It gathers deliveries of one topic or all, in steps, between which whoever
/// polls waits as he likes. One that finds all it wants in memory is over within its first step, which takes the group's lock once.
#[derive(Debug)]
pub(super) struct Poll {
    delivery: Arc<Coordinator>,
    core: Arc<MemberCore>,
    topic: Option<TopicId>,
    wait: Duration,
    began: Stopwatch,
    stage: Stage,
    gathered: Gathered,
    outcome: Result<()>,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    New,
    /// Its member counts it.
    UnderWay,
    /// What was gathered is handed out, in this generation.
    Handed(u64),
}

/// What a poll gives.
#[derive(Debug)]
pub(super) struct Polled {
    pub deliveries: Vec<Delivery>,
    /// The generation of the assignment that its member had taken up by then; 0 if it is a member no longer.
    pub generation: u64,
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
    let mut poll = Poll::new(delivery, core, topic, max_rows, max_bytes, wait);
    while let Progress::Waits { seen, nap } = poll.step() {
        core.wake.wait(seen, nap);
    }
    poll.finish().map(|polled| polled.deliveries)
}

impl Poll {
    pub(super) fn new(
        delivery: &Arc<Coordinator>,
        core: &Arc<MemberCore>,
        topic: Option<TopicId>,
        max_rows: usize,
        max_bytes: usize,
        wait: Duration,
    ) -> Poll {
        Poll {
            delivery: delivery.clone(),
            core: core.clone(),
            topic,
            wait,
            began: Stopwatch::start(),
            stage: Stage::New,
            gathered: Gathered { deliveries: Vec::new(), rows: 0, bytes: 0, max_rows, max_bytes },
            outcome: Ok(()),
        }
    }

    /// Gathers what is there. Waits for disks and plugins, but not for rows to come. The first step does the automatic commit of what
    /// was handed out before, when it is due.
    pub(super) fn step(&mut self) -> Progress {
        let seen = self.core.wake.seen();
        let step = loop {
            match self.take_ready() {
                Ok(Filled::Some) => {}
                Ok(Filled::Enough) => break Ok(Progress::Done),
                Ok(Filled::Nothing) => break Ok(self.progress(seen, None)),
                Ok(Filled::Elsewhere(pick)) => break self.gather(seen, pick),
                Err(error) => break Err(error),
            }
        };
        step.unwrap_or_else(|error| {
            self.outcome = Err(error);
            Progress::Done
        })
    }

    /// Gives what was gathered. An error met after other rows comes with the next poll.
    pub(super) fn finish(mut self) -> Result<Polled> {
        let deliveries = std::mem::take(&mut self.gathered.deliveries);
        let outcome = std::mem::replace(&mut self.outcome, Ok(()));
        let generation = self.hand_out(&deliveries, &outcome);
        match outcome {
            Err(error) if deliveries.is_empty() => Err(error),
            _ => Ok(Polled { deliveries, generation }),
        }
    }

    /// One hold of the group's lock: the member is heard of, the assignment is taken up, and rows that lie in memory are gathered under
    /// it. If nothing else is wanted they are handed out under it too. At the first of them, what the last poll handed out is
    /// processed.
    fn take_ready(&mut self) -> Result<Filled> {
        let enough = |poll: &Poll| matches!(poll.progress(0, None), Progress::Done);
        let now = self.delivery.ledger.options.clock.awake();
        let (delivery, core) = (self.delivery.clone(), self.core.clone());
        let mut inner = core.enter(&delivery)?;
        let generation = inner.generation;
        let member = core.state(&mut inner)?;
        member.acknowledged = generation;
        if matches!(self.stage, Stage::New) {
            member.begin_poll(now)?;
            commit_processed_if_due(&delivery, &core, &mut inner, now)?;
            let member = core.state(&mut inner)?;
            member.busy += 1;
            self.stage = Stage::UnderWay;
        }
        let member = core.state(&mut inner)?;
        let filled = self.gathered.fill(&mut Turns::new(&delivery, self.topic, TURNS), member)?;
        if matches!(filled, Filled::Enough) || (matches!(filled, Filled::Nothing) && enough(self)) {
            member.hand_out(&self.gathered.deliveries, now);
            member.busy -= 1;
            self.stage = Stage::Handed(generation);
            return Ok(Filled::Enough);
        }
        Ok(filled)
    }

    /// Goes on where rows do not lie in memory.
    fn gather(&mut self, seen: u64, pick: Pick) -> Result<Progress> {
        let Poll { delivery, core, topic, gathered, wait, began, .. } = self;
        let mut picked = Some(pick);
        let due_in = loop {
            match fetch::next(delivery, core, picked.take(), *topic, gathered.budget())? {
                Fetched::Delivery(delivery, bytes) => gathered.push(*delivery, bytes),
                Fetched::Full => return Ok(Progress::Done),
                Fetched::Nothing { due_in } => break due_in,
            }
            if gathered.full() || (gathered.rows == 0 && began.elapsed() >= (*wait).max(SCAN_TIME)) {
                return Ok(Progress::Done);
            }
        };
        Ok(self.progress(seen, due_in))
    }

    /// When nothing is left to gather.
    fn progress(&self, seen: u64, due_in: Option<Duration>) -> Progress {
        let config = &self.core.config;
        let longest = config.session_timeout / 3;
        let left = self.wait.saturating_sub(self.began.elapsed());
        if self.gathered.rows >= config.min_poll_rows.min(self.gathered.max_rows) || left.is_zero() {
            return Progress::Done;
        }
        Progress::Waits { seen, nap: left.min(longest).min(due_in.unwrap_or(longest)) }
    }

    /// Unless that is done already. Gives the generation.
    fn hand_out(&mut self, deliveries: &[Delivery], outcome: &Result<()>) -> u64 {
        match self.stage {
            Stage::New => return 0,
            Stage::Handed(generation) => return generation,
            Stage::UnderWay => {}
        }
        let now = self.delivery.ledger.options.clock.awake();
        let mut inner = self.core.group.lock();
        let Ok(member) = self.core.state(&mut inner) else { return 0 };
        member.hand_out(deliveries, now);
        if let Err(error) = outcome
            && !deliveries.is_empty()
        {
            member.error = Some(error.clone());
        }
        member.busy -= 1;
        member.last_seen = now;
        self.stage = Stage::Handed(member.acknowledged);
        member.acknowledged
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        if !matches!(self.stage, Stage::UnderWay) {
            return;
        }
        let mut inner = self.core.group.lock();
        if let Ok(member) = self.core.state(&mut inner) {
            member.busy -= 1;
            member.last_seen = self.delivery.ledger.options.clock.awake();
        }
    }
}

impl MemberState {
    /// Another poll: what the last one handed out is processed.
    fn begin_poll(&mut self, now: Duration) -> Result<()> {
        self.last_polled = now;
        for owned in self.owned.values_mut() {
            owned.processed = owned.handed.take().or(owned.processed);
        }
        self.error.take().map_or(Ok(()), Err)
    }

    fn hand_out(&mut self, deliveries: &[Delivery], now: Duration) {
        self.last_polled = now;
        for delivery in deliveries {
            let at = Assignment { topic: delivery.topic, partition: delivery.partition };
            // A seek or a rebalance since then has cleared what this would commit.
            let owned = self.owned.get_mut(&at).filter(|owned| owned.position == Some(delivery.next_offset));
            if let Some(owned) = owned {
                owned.handed = owned.position;
            }
        }
    }
}

/// What one hold of the group's lock has come to.
#[derive(Debug)]
enum Filled {
    /// There may be more in memory.
    Some,
    Enough,
    /// The partition whose turn it is has to be read without the lock.
    Elsewhere(Pick),
    /// No partition has more rows.
    Nothing,
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
    /// Takes rows that lie in memory.
    fn fill(&mut self, turns: &mut Turns<'_>, member: &mut MemberState) -> Result<Filled> {
        for _ in 0..HELD {
            match turns.next(member, self.budget())? {
                Ready::Delivery(delivery, bytes) => self.push(*delivery, bytes),
                Ready::Full => return Ok(Filled::Enough),
                Ready::Elsewhere(pick) => return Ok(Filled::Elsewhere(pick)),
                Ready::Nothing => return Ok(Filled::Nothing),
            }
            if self.full() {
                return Ok(Filled::Enough);
            }
        }
        Ok(Filled::Some)
    }

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
