//! Gathering rows for one poll, and waiting for them.

use std::time::{Duration, Instant};

use super::commit::commit_processed_if_due;
use super::fetch::{self, Budget, Found};
use super::member::Core;
use crate::shared::Shared;
use crate::{Delivery, Result, TopicId};

/// A poll that finds only filtered rows goes on at least this long before it gives back nothing but a position.
const SCAN_TIME: Duration = Duration::from_millis(100);

/// A call under way: its member does not expire.
pub(super) struct Call<'a> {
    shared: &'a Shared,
    core: &'a Core,
}

impl<'a> Call<'a> {
    pub(super) fn begin(shared: &'a Shared, core: &'a Core) -> Result<Call<'a>> {
        let mut inner = core.enter(shared)?;
        let generation = inner.generation;
        let member = core.state(&mut inner)?;
        member.busy += 1;
        member.acknowledged = generation;
        Ok(Call { shared, core })
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let mut inner = self.core.group.inner.lock();
        if let Ok(member) = self.core.state(&mut inner) {
            member.busy -= 1;
            member.last_seen = self.shared.options.clock.monotonic();
        }
    }
}

/// Gathers deliveries of one topic or all, and waits up to `wait` for `min_poll_rows` of them.
pub(super) fn poll(
    shared: &Shared,
    core: &Core,
    topic: Option<TopicId>,
    max_rows: usize,
    max_bytes: usize,
    wait: Duration,
) -> Result<Vec<Delivery>> {
    let _call = Call::begin(shared, core)?;
    let now = shared.options.clock.monotonic();
    begin_poll(core, now)?;
    commit_processed_if_due(shared, core, now)?;
    let began = Instant::now();
    let mut gathered = Gathered { deliveries: Vec::new(), rows: 0, bytes: 0, max_rows, max_bytes };
    let outcome = gather(shared, core, topic, &mut gathered, began, wait);
    let mut inner = core.group.inner.lock();
    if let Ok(member) = core.state(&mut inner) {
        let now = shared.options.clock.monotonic();
        member.last_polled = now;
        for delivery in &gathered.deliveries {
            let at = crate::Assignment { topic: delivery.topic, partition: delivery.partition };
            // A seek or a rebalance since then has cleared what this would commit.
            if let Some(owned) = member.owned.get_mut(&at).filter(|owned| owned.position == Some(delivery.next_offset))
            {
                owned.handed = owned.position;
            }
        }
        if let Err(error) = &outcome
            && !gathered.deliveries.is_empty()
        {
            member.error = Some(error.clone());
        }
    }
    match outcome {
        Err(error) if gathered.deliveries.is_empty() => Err(error),
        _ => Ok(gathered.deliveries),
    }
}

/// Another poll: what the last one handed out is processed.
fn begin_poll(core: &Core, now: Duration) -> Result<()> {
    let mut inner = core.group.inner.lock();
    let member = core.state(&mut inner)?;
    member.last_polled = now;
    for owned in member.owned.values_mut() {
        owned.processed = owned.handed.take().or(owned.processed);
    }
    member.error.take().map_or(Ok(()), Err)
}

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

fn gather(
    shared: &Shared,
    core: &Core,
    topic: Option<TopicId>,
    gathered: &mut Gathered,
    began: Instant,
    wait: Duration,
) -> Result<()> {
    let min_rows = core.config.min_poll_rows.min(gathered.max_rows);
    let longest = core.config.session_timeout / 3;
    loop {
        let seen = core.wake.seen();
        let due_in = loop {
            match fetch::next(shared, core, topic, gathered.budget())? {
                Found::Delivery(delivery, bytes) => gathered.push(*delivery, bytes),
                Found::Full => return Ok(()),
                Found::Nothing { due_in } => break due_in,
            }
            if gathered.full() || (gathered.rows == 0 && began.elapsed() >= wait.max(SCAN_TIME)) {
                return Ok(());
            }
        };
        let left = wait.saturating_sub(began.elapsed());
        if gathered.rows >= min_rows || left.is_zero() {
            return Ok(());
        }
        let nap = left.min(longest).min(due_in.unwrap_or(longest));
        core.wake.wait(seen, Instant::now() + nap);
        // Heard of, and the new assignment taken up, if there is one.
        let mut inner = core.enter(shared)?;
        let generation = inner.generation;
        core.state(&mut inner)?.acknowledged = generation;
    }
}
