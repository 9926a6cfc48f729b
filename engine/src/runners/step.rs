//! One step of one partition: rows are taken, given to the plugin, and what comes of them is committed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::commit::{Advance, Durable, commit, group_of};
use super::handle::Runners;
use super::judge::{described, judge};
use super::lane::{Failure, Remedy};
use super::read::Taken;
use super::standing::count;
use super::worker::{ConsumerWorker, RunnerStep};
use super::{input, read};
use crate::contract::Scope;
use crate::contract::{BatchConsumer, BatchPosition, Consumed, EvaluationPlace, KeyedState};
use crate::model::Letter;
use crate::model::{Error, Offset, OnError, PartitionId, Result, TopicInfo};
use crate::model::{FailureKind, OperatorError, PluginVersion};
use crate::platform::Stopwatch;

/// The word for rows that the plugin's own verdict gives up, as letters have it.
const GIVEN_UP: &str = "given_up";
/// One event of passed-over rows for each thread in this time.
const TELL_INTERVAL: Duration = Duration::from_secs(10);

impl ConsumerWorker {
    pub(super) fn step(
        &mut self,
        runners: &Arc<Runners>,
        topic: &TopicInfo,
        partition: PartitionId,
    ) -> Result<RunnerStep> {
        let (expected, position) = self.position(runners, topic, partition)?;
        let info = self.info.clone();
        read::check_access(&runners.ledger, &info, topic)?;
        let running = info.version_at(partition, position);
        let consumer = self.consumer(running.plugin)?;
        let rows = {
            let settings = self.info.settings;
            self.lane(partition).rows(&settings)
        };
        let Some(taken) = read::take(runners, topic, partition, position, running.until, rows)? else {
            return Ok(RunnerStep::Idle);
        };
        let place = EvaluationPlace {
            topic: topic.name.clone(),
            consumer: Some(info.name.clone()),
            partition,
            offset: taken.first,
        };
        let _evaluating = Scope::enter(place);
        if let Some(left) = consumer.throttled().filter(|_| !taken.offsets.is_empty()) {
            return Ok(RunnerStep::Held(left));
        }
        let _span = tracing::debug_span!(
            target: "millstream::plugin",
            "consume",
            consumer = info.name,
            plugin = consumer.name(),
            topic = topic.name,
            partition,
            offset = taken.first,
            rows = taken.offsets.len()
        )
        .entered();
        let nothing = || Advance {
            partition,
            expected,
            next: taken.next,
            outputs: Vec::new(),
            tables: running.outputs.to_vec(),
            writes: Vec::new(),
            letters: Vec::new(),
        };
        if taken.offsets.is_empty() {
            self.commit(runners, topic, nothing())?;
            return Ok(RunnerStep::Done);
        }
        count(&self.standing.calls, 1);
        let called = self.call(runners, topic, consumer.as_ref(), partition, &taken)?;
        let failure = match called.and_then(|consumed| judge(consumed, &taken, self.info.settings.on_error)) {
            Ok((Consumed { outputs, state, .. }, given_up)) => {
                let letters = self.letters(runners, partition, &taken, &given_up, GIVEN_UP)?;
                let advance = Advance { outputs, writes: state.into_writes(), letters, ..nothing() };
                match self.commit(runners, topic, advance) {
                    Ok(()) => {
                        count(&self.standing.rows_in, taken.offsets.len() - given_up.len());
                        self.passed_over(runners, partition, &taken, &given_up);
                        return Ok(RunnerStep::Done);
                    }
                    Err(Error::TooLarge { .. }) if self.lane(partition).halve(&taken) => return Ok(RunnerStep::Done),
                    // Rows that do not fit the table they are for.
                    Err(Error::InvalidInput(why)) => {
                        Failure { why, row: None, passing: false, kind: FailureKind::BadOutput }
                    }
                    Err(error) => return Err(error),
                }
            }
            Err(failure) => failure,
        };
        self.follow(runners, topic, &taken, &failure, nothing())?;
        Ok(RunnerStep::Done)
    }

    /// Takes note of a failure, and follows the policy once the row at fault is found; `nothing` goes past the rows.
    fn follow(
        &mut self,
        runners: &Runners,
        topic: &TopicInfo,
        taken: &Taken,
        failure: &Failure,
        nothing: Advance,
    ) -> Result<()> {
        count(&self.standing.failures, 1);
        let (settings, partition) = (self.info.settings, nothing.partition);
        match self.lane(partition).failed(taken, failure, &settings) {
            Remedy::Again => self.standing.hold(partition, false, described(partition, taken, failure)),
            Remedy::RowAtFault if settings.on_error != OnError::Stop => {
                let all = (0..taken.offsets.len()).map(|row| (row, failure.why.clone())).collect::<Vec<_>>();
                let letters = self.letters(runners, partition, taken, &all, failure.kind.name())?;
                self.commit(runners, topic, Advance { letters, ..nothing })?;
                self.passed_over(runners, partition, taken, &all);
            }
            Remedy::RowAtFault | Remedy::Stop => {
                let why = described(partition, taken, failure);
                self.stop(runners, partition, &why);
            }
        }
        Ok(())
    }

    /// What the group has committed, and where to read. A partition that was added after the group began is read from its
    /// start.
    fn position(
        &self,
        runners: &Runners,
        topic: &TopicInfo,
        partition: PartitionId,
    ) -> Result<(Option<Offset>, Offset)> {
        let state = runners.ledger.state.read();
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
        runners: &Arc<Runners>,
        topic: &TopicInfo,
        consumer: &dyn BatchConsumer,
        partition: PartitionId,
        taken: &Taken,
    ) -> Result<Result<Consumed, Failure>> {
        let input = input::input(runners, topic, partition, consumer.parameters(), taken)?;
        let (kept, kept_bytes) = {
            let state = runners.ledger.state.read();
            (state.kept(self.info.id, partition), state.kept_bytes(self.info.id))
        };
        let (source, unreadable) = Durable::new(kept);
        let state = KeyedState::new(Box::new(source), self.info.settings.state_bytes.saturating_sub(kept_bytes));
        let position =
            BatchPosition { topic: topic.name.clone(), partition, first_offset: taken.first, next_offset: taken.next };
        let called = catch_unwind(AssertUnwindSafe(|| consumer.consume(&input, &position, state)));
        unreadable.check()?;
        let called = called.unwrap_or_else(|_| Err(OperatorError::new(FailureKind::Host, "the consumer panicked")));
        Ok(called.map_err(|OperatorError { kind, message, .. }| Failure {
            why: message,
            row: None,
            passing: true,
            kind,
        }))
    }

    /// A letter for each of the rows, where the consumer keeps them; `failure` is the word for what failed.
    fn letters(
        &self,
        runners: &Runners,
        partition: PartitionId,
        taken: &Taken,
        rows: &[(usize, String)],
        failure: &'static str,
    ) -> Result<Vec<Letter>> {
        if self.info.settings.on_error != OnError::DeadLetter || rows.is_empty() {
            return Ok(Vec::new());
        }
        let plugin = runners.ledger.plugin(self.info.version_at(partition, taken.first).plugin)?;
        let plugin = Arc::new(PluginVersion { name: plugin.name.clone(), version: plugin.version });
        let letter = |(row, why): &(usize, String)| {
            let error = OperatorError { kind: FailureKind::Data, message: why.clone(), plugin: Some(plugin.clone()) };
            let offset = taken.offsets.get(*row).copied().unwrap_or(taken.first);
            Letter { offset, failure, error, row: Some(taken.rows.slice(*row, 1)) }
        };
        Ok(rows.iter().map(letter).collect())
    }

    fn commit(&mut self, runners: &Runners, topic: &TopicInfo, advance: Advance) -> Result<()> {
        let (partition, next) = (advance.partition, advance.next);
        let appended = commit(runners, &self.info, topic, advance)?;
        tracing::trace!(consumer = %self.info.name, partition, next, "committed");
        count(&self.standing.rows_out, appended);
        count(&self.standing.commits, 1);
        let settings = self.info.settings;
        self.lane(partition).passed(&settings);
        self.standing.go_on(partition);
        Ok(())
    }

    /// Counts and tells of rows that were left out, and are kept as letters or not at all.
    fn passed_over(&mut self, runners: &Runners, partition: PartitionId, taken: &Taken, rows: &[(usize, String)]) {
        let Some((first, why)) = rows.first() else { return };
        let (counter, deed) = match self.info.settings.on_error {
            OnError::DeadLetter => (&self.standing.dead_letters, "put into its dead letters"),
            OnError::Stop | OnError::Skip => (&self.standing.rows_skipped, "passed over"),
        };
        count(counter, rows.len());
        if self.told.is_some_and(|told| told.elapsed() < TELL_INTERVAL) {
            return;
        }
        self.told = Some(Stopwatch::start());
        let (name, offset) = (&self.info.name, taken.offsets.get(*first).copied().unwrap_or(taken.first));
        let rows = rows.len();
        runners.ledger.events.push(
            "row_skipped",
            format!("consumer {name:?} {deed} {rows} rows, the first at partition {partition} offset {offset}: {why}"),
        );
    }
}
