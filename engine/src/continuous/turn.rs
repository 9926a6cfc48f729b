//! A turn of one topic: what has come is read and pushed, what can be closed is closed, and both are on record before the turn ends, or
//! are to be at a known time.

use std::sync::Arc;
use std::time::Duration;

use super::board::Rest;
use super::commit::failed;
use super::needs::Needs;
use super::read::{Read, read};
use super::running::{Running, step_bytes};
use crate::contract::Pushed;
use crate::model::{ContinuousInfo, Error, Result};

/// Steps of one turn: then others have theirs.
const STEPS: usize = 8;
/// What came is on record after so long, or so much of it.
const FLUSH_EVERY: Duration = Duration::from_secs(5);
const FLUSH_ROWS: u64 = 1_000_000;
/// In inputs of steps.
const FLUSH_STEPS: usize = 4;

/// A topic that is worked at, if it is, and how much it takes at a time.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub running: Option<Running>,
    /// Halvings of a step's input, after steps that no commit could hold.
    pub halved: u32,
    /// The version that has stopped.
    pub stopped: Option<u32>,
}

pub(super) fn turn(needs: &Needs, info: &Arc<ContinuousInfo>, work: &mut Work) -> Result<Rest> {
    if work.running.as_ref().is_some_and(|running| running.info.version != info.version) {
        work.running = None;
    }
    let mut running = match work.running.take() {
        Some(running) => running,
        None => Running::begin(needs, info)?,
    };
    running.check_access(needs)?;
    let budget = (step_bytes(needs.ledger.options.max_commit_bytes) >> work.halved).max(1);
    let rest = steps(needs, &mut running, budget)?;
    work.running = Some(running);
    Ok(rest)
}

fn steps(needs: &Needs, running: &mut Running, budget: usize) -> Result<Rest> {
    for _ in 0..STEPS {
        if needs.board.is_stopping() {
            return Err(Error::Closed);
        }
        if running.closes() {
            running.commit(needs, false)?;
        }
        let standing = running.look(needs)?;
        let Read { stretches, rows, ahead, reached_us, .. } =
            read(&needs.tables, &running.sources, &mut running.times, &standing, budget)?;
        running.ahead.reached_us = running.ahead.reached_us.max(reached_us);
        running.ahead.rows += rows;
        running.ahead.ahead_rows += ahead;
        for stretch in &stretches {
            let pushed = running.run.push(stretch.source, &stretch.rows, &stretch.judged);
            running.take(pushed.map_err(|error| failed(&error))?, crate::log::sliced_bytes(&stretch.rows));
        }
        if rows > 0 {
            running.ahead.begin();
        }
        running.settle(needs, budget)?;
        if rows == 0 {
            return rest(needs, running);
        }
    }
    Ok(Rest::Ready)
}

/// Nothing is to be read: what is to happen when.
fn rest(needs: &Needs, running: &mut Running) -> Result<Rest> {
    let wanted_us = running.wanted(needs);
    let target_us = [running.run.next_close_us(), wanted_us].into_iter().flatten().min();
    needs.want(&running.info, target_us);
    let now_us = needs.ledger.log.time().now_us();
    let due_us = target_us.and_then(|target_us| running.times.when(target_us, now_us));
    match due_us {
        Some(due_us) if due_us <= now_us && !running.is_at_end(needs) => Ok(Rest::Ready),
        Some(due_us) if due_us <= now_us => {
            running.times.rest(now_us);
            running.ahead.reached_us = running.ahead.reached_us.max(now_us);
            running.commit(needs, true)?;
            Ok(Rest::Ready)
        }
        due_us => {
            let left = running.ahead.since.map(|since| FLUSH_EVERY.saturating_sub(since.elapsed()));
            Ok(Rest::Until { due_us, left })
        }
    }
}

impl Running {
    /// How far event time has to come for those who read the output, if that is not on record yet.
    fn wanted(&self, needs: &Needs) -> Option<i64> {
        needs.wanted(self.output.id, self.committed.watermark_us)
    }

    fn take(&mut self, pushed: Pushed, bytes: usize) {
        let Pushed { late, late_rows } = pushed;
        self.ahead.bytes = self.ahead.bytes.saturating_add(bytes);
        self.ahead.late_rows += late;
        self.ahead.late.extend(late_rows);
    }

    /// Has what came on record if it is time, and refuses more state than the topic may have.
    fn settle(&mut self, needs: &Needs, budget: usize) -> Result<()> {
        let waited = self.ahead.since.is_some_and(|since| since.elapsed() >= FLUSH_EVERY);
        let grown = self.run.open().bytes.saturating_sub(self.committed.open_bytes);
        let much = self.ahead.rows >= FLUSH_ROWS
            || self.ahead.bytes >= budget.saturating_mul(FLUSH_STEPS)
            || usize::try_from(grown).unwrap_or(usize::MAX) >= budget;
        let told = self.wanted(needs).is_some_and(|wanted_us| Some(wanted_us) <= self.watermark_us());
        if self.closes() || !self.ahead.late.is_empty() || waited || told || (much && self.ahead.since.is_some()) {
            self.commit(needs, false)?;
        }
        let (bytes, limit) = (self.run.open().bytes, self.info.settings.state_bytes);
        match bytes > limit {
            false => Ok(()),
            true => Err(Error::FailedPrecondition(format!(
                "its open windows take {bytes} bytes, and its state_bytes is {limit}: drop it and create it with more, with shorter \
                 windows or with fewer keys"
            ))),
        }
    }
}
