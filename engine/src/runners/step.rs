//! One step of one partition: rows are taken, given to the plugin, and what comes of them is committed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::commit::{Advance, Durable, commit, group_of};
use super::judge::{described, judge};
use super::lane::{Failure, Remedy};
use super::read::Taken;
use super::standing::count;
use super::worker::{Step, Worker};
use super::{input, read};
use crate::evaluation::Scope;
use crate::shared::Shared;
use crate::{
    BatchConsumer, BatchPosition, Consumed, Error, EvaluationPlace, FailureKind, KeyedState, Offset, OnError,
    OperatorError, PartitionId, Result, TopicInfo,
};

/// One event of passed-over rows for each thread in this time.
const TELL_INTERVAL: Duration = Duration::from_secs(10);

impl Worker {
    pub(super) fn step(
        &mut self,
        shared: &Arc<Shared>,
        topic: &TopicInfo,
        consumer: &dyn BatchConsumer,
        partition: PartitionId,
    ) -> Result<Step> {
        let (expected, position) = self.position(shared, topic, partition)?;
        let rows = {
            let settings = self.info.settings;
            self.lane(partition).rows(&settings)
        };
        let Some(taken) = read::take(shared, topic, partition, position, rows)? else { return Ok(Step::Idle) };
        let nothing =
            |taken: &Taken| Advance { partition, expected, next: taken.next, outputs: Vec::new(), writes: Vec::new() };
        if taken.offsets.is_empty() {
            self.commit(shared, &taken, nothing(&taken))?;
            return Ok(Step::Done);
        }
        count(&self.standing.calls, 1);
        let called = self.call(shared, topic, consumer, partition, &taken)?;
        let failure = match called.and_then(|consumed| judge(consumed, &taken, self.info.settings.on_error)) {
            Ok((Consumed { outputs, state, .. }, given_up)) => {
                let advance = Advance { outputs, writes: state.into_writes(), ..nothing(&taken) };
                match self.commit(shared, &taken, advance) {
                    Ok(()) => {
                        count(&self.standing.rows_in, taken.offsets.len() - given_up.len());
                        self.skipped(shared, partition, &taken, &given_up);
                        return Ok(Step::Done);
                    }
                    Err(Error::TooLarge { .. }) if self.lane(partition).halve(&taken) => return Ok(Step::Done),
                    // Rows that do not fit the table they are for.
                    Err(Error::InvalidInput(why)) => {
                        Failure { why, row: None, passing: false, kind: FailureKind::BadOutput }
                    }
                    Err(error) => return Err(error),
                }
            }
            Err(failure) => failure,
        };
        self.follow(shared, &taken, &failure, nothing(&taken))?;
        Ok(Step::Done)
    }

    /// Takes note of a failure, and follows the policy once the row at fault is found; `nothing` goes past the rows.
    fn follow(&mut self, shared: &Shared, taken: &Taken, failure: &Failure, nothing: Advance) -> Result<()> {
        count(&self.standing.failures, 1);
        let (settings, partition) = (self.info.settings, nothing.partition);
        match self.lane(partition).failed(taken, failure, &settings) {
            Remedy::Again => self.standing.hold(partition, false, described(partition, taken, failure)),
            Remedy::RowAtFault if settings.on_error == OnError::Skip => {
                self.commit(shared, taken, nothing)?;
                let all = (0..taken.offsets.len()).map(|row| (row, failure.why.clone())).collect::<Vec<_>>();
                self.skipped(shared, partition, taken, &all);
            }
            Remedy::RowAtFault | Remedy::Stop => {
                let why = described(partition, taken, failure);
                self.stop(shared, partition, &why);
            }
        }
        Ok(())
    }

    /// What the group has committed, and where to read. A partition that was added after the group began is read from its
    /// start.
    fn position(&self, shared: &Shared, topic: &TopicInfo, partition: PartitionId) -> Result<(Option<Offset>, Offset)> {
        let state = shared.state.read();
        let expected = state.committed(&group_of(&self.info), topic.id, partition);
        let found = state.partition(topic.table, partition).map(|found| (found.start, found.end));
        let (start, end) = found.ok_or_else(|| Error::NotFound {
            what: "partition",
            name: format!("{partition} of topic {}", topic.name),
        })?;
        match expected {
            Some(offset) if offset < start || offset > end => {
                Err(Error::OffsetOutOfRange { partition, offset, start, end })
            }
            _ => Ok((expected, expected.unwrap_or(start))),
        }
    }

    /// Gives the plugin its rows. The outer error is not the plugin's.
    fn call(
        &self,
        shared: &Arc<Shared>,
        topic: &TopicInfo,
        consumer: &dyn BatchConsumer,
        partition: PartitionId,
        taken: &Taken,
    ) -> Result<Result<Consumed, Failure>> {
        let input = input::input(shared, topic, partition, consumer.parameters(), taken)?;
        let kept = shared.state.read().kept_bytes(self.info.id);
        let source = Box::new(Durable::new(shared, self.info.id, partition));
        let state = KeyedState::new(source, self.info.settings.state_bytes.saturating_sub(kept));
        let position =
            BatchPosition { topic: topic.name.clone(), partition, first_offset: taken.first, next_offset: taken.next };
        let place = EvaluationPlace { topic: topic.name.clone(), partition, offset: taken.first };
        let _evaluating = Scope::enter(place);
        let called = catch_unwind(AssertUnwindSafe(|| consumer.consume(&input, &position, state)));
        let called = called.unwrap_or_else(|_| Err(OperatorError::new(FailureKind::Host, "the consumer panicked")));
        Ok(called.map_err(|OperatorError { kind, message, .. }| Failure {
            why: message,
            row: None,
            passing: true,
            kind,
        }))
    }

    fn commit(&mut self, shared: &Shared, taken: &Taken, advance: Advance) -> Result<()> {
        let partition = advance.partition;
        let appended = commit(shared, &self.info, advance)?;
        tracing::trace!(consumer = %self.info.name, partition, next = taken.next, "committed");
        count(&self.standing.rows_out, appended);
        count(&self.standing.commits, 1);
        let settings = self.info.settings;
        self.lane(partition).passed(&settings);
        self.standing.go_on(partition);
        Ok(())
    }

    fn skipped(&mut self, shared: &Shared, partition: PartitionId, taken: &Taken, rows: &[(usize, String)]) {
        let Some((first, why)) = rows.first() else { return };
        count(&self.standing.rows_skipped, rows.len());
        if self.told.is_some_and(|told| told.elapsed() < TELL_INTERVAL) {
            return;
        }
        self.told = Some(Instant::now());
        let (name, offset) = (&self.info.name, taken.offsets.get(*first).copied().unwrap_or(taken.first));
        let rows = rows.len();
        shared.events.push(
            "row_skipped",
            format!(
                "consumer {name:?} passed over {rows} rows, the first at partition {partition} offset {offset}: {why}"
            ),
        );
    }
}
