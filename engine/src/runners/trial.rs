//! A consumer over rows at hand, without a log: how a plugin is tried before it is loaded. What answers and failures come to
//! is what they come to in a running consumer, but for the pauses before a batch is tried again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use parking_lot::RwLock;

use super::input;
use super::judge::judge;
use super::lane::{Failure, Lane, Remedy};
use super::read::Taken;
use crate::contract::{BatchConsumer, BatchPosition, Consumed, KeyedState, StateEntries, StateSource, StateWrite};
use crate::contract::{entry_bytes, range_from};
use crate::model::{FailureKind, OperatorError};
use crate::model::{Offset, OnError, PartitionId, PluginConsumerSettings};
use crate::platform::Stopwatch;

/// One partition of a trial: its state, and where it stands.
#[derive(Debug)]
pub struct ConsumerTrial {
    consumer: Arc<dyn BatchConsumer>,
    settings: PluginConsumerSettings,
    topic: String,
    partition: PartitionId,
    next: Offset,
    lane: Lane,
    state: Memory,
}

/// What came of rows.
#[derive(Debug, Default)]
pub struct TrialOutcome {
    /// Rows by output, in the order in which a table would get them.
    pub outputs: Vec<(usize, RecordBatch)>,
    /// Rows of which the plugin says that they are to be given up, and why.
    pub given_up: Vec<(Offset, String)>,
    /// Rows at which it fails.
    pub failed: Vec<TrialFault>,
    /// Rows that were given more than once, counted each time.
    pub rows_again: usize,
    pub calls: u32,
    /// Time of all calls.
    pub time: Duration,
    pub longest: Duration,
}

/// A row at which every call fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialFault {
    pub offset: Offset,
    pub why: String,
    pub kind: FailureKind,
}

impl ConsumerTrial {
    /// A partition of a topic, empty. Rows that fail or are given up are passed over, whatever `settings` say of them.
    pub fn new(
        consumer: Arc<dyn BatchConsumer>,
        settings: PluginConsumerSettings,
        topic: &str,
        partition: PartitionId,
    ) -> ConsumerTrial {
        let settings = PluginConsumerSettings { on_error: OnError::Skip, ..settings };
        let (lane, state) = (Lane::default(), Memory::default());
        ConsumerTrial { consumer, settings, topic: topic.to_owned(), partition, next: 0, lane, state }
    }

    /// The offset of the next row.
    pub fn next(&self) -> Offset {
        self.next
    }

    /// What is kept, in the order of the keys.
    pub fn state(&self) -> StateEntries {
        self.state.scan(&[], None, usize::MAX)
    }

    /// Gives the consumer more rows, which have columns for its parameters but for pseudo-columns. Returns before the last
    /// row when `most` rows have failed. `Err`: the machinery failed, or the columns are not the consumer's.
    pub fn give(&mut self, rows: &RecordBatch, most: usize) -> Result<TrialOutcome, OperatorError> {
        let mut outcome = TrialOutcome::default();
        let (mut from, mut seen) = (0, 0);
        while from < rows.num_rows() && outcome.failed.len() < most {
            let count = self.lane.rows(&self.settings).min(rows.num_rows() - from);
            let taken = self.taken(rows.slice(from, count));
            outcome.rows_again += count.min(seen.max(from) - from);
            seen = seen.max(from + count);
            match self.call(&taken, &mut outcome)? {
                Ok((consumed, given_up)) => {
                    let offset = |row: usize| taken.offsets.get(row).copied().unwrap_or(taken.first);
                    outcome.given_up.extend(given_up.into_iter().map(|(row, why)| (offset(row), why)));
                    outcome.outputs.extend(consumed.outputs);
                    self.state.apply(consumed.state.into_writes());
                    self.lane.passed(&self.settings);
                }
                Err(failure) => match self.lane.failed(&taken, &failure, &self.settings) {
                    Remedy::Again => continue,
                    Remedy::RowAtFault => {
                        let Failure { why, kind, .. } = failure;
                        outcome.failed.push(TrialFault { offset: taken.first, why, kind });
                        self.lane.passed(&self.settings);
                    }
                    Remedy::Stop => return Err(OperatorError::new(failure.kind, failure.why)),
                },
            }
            from += count;
            self.next = taken.next;
        }
        Ok(outcome)
    }

    fn taken(&self, rows: RecordBatch) -> Taken {
        let next = self.next.saturating_add(u64::try_from(rows.num_rows()).unwrap_or(u64::MAX));
        Taken { rows, offsets: (self.next..next).collect(), first: self.next, next }
    }

    fn call(&self, taken: &Taken, outcome: &mut TrialOutcome) -> Result<Judged, OperatorError> {
        let parameters = self.consumer.parameters();
        let input = input::of_rows(parameters, self.partition, taken)
            .map_err(|error| OperatorError::new(FailureKind::Host, error.to_string()))?;
        let (topic, partition) = (self.topic.clone(), self.partition);
        let position = BatchPosition { topic, partition, first_offset: taken.first, next_offset: taken.next };
        let spare = self.settings.state_bytes.saturating_sub(self.state.bytes());
        let state = KeyedState::new(Box::new(self.state.clone()), spare);
        let began = Stopwatch::start();
        let answer = self.consumer.consume(&input, &position, state);
        let took = began.elapsed();
        outcome.calls += 1;
        outcome.time += took;
        outcome.longest = outcome.longest.max(took);
        Ok(answer
            .map_err(|OperatorError { kind, message: why, .. }| Failure { why, row: None, passing: true, kind })
            .and_then(|consumed| judge(consumed, taken, self.settings.on_error)))
    }
}

/// A call that passed, with the rows that it gives up; or why it did not.
type Judged = Result<(Consumed, Vec<(usize, String)>), Failure>;

/// State that lasts as long as the trial.
#[derive(Debug, Clone, Default)]
struct Memory(Arc<RwLock<Entries>>);

type Entries = BTreeMap<Arc<[u8]>, Arc<[u8]>>;

impl Memory {
    fn bytes(&self) -> u64 {
        self.0.read().iter().map(|(key, value)| entry_bytes(key, value)).sum()
    }

    fn apply(&self, writes: Vec<StateWrite>) {
        let mut entries = self.0.write();
        for (key, value) in writes {
            match value {
                Some(value) => entries.insert(key, value),
                None => entries.remove(&key),
            };
        }
    }
}

impl StateSource for Memory {
    fn get(&self, key: &[u8]) -> Option<Arc<[u8]>> {
        self.0.read().get(key).cloned()
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> StateEntries {
        let entries = self.0.read();
        let found = entries.range::<[u8], _>(range_from(prefix, after)).take_while(|(key, _)| key.starts_with(prefix));
        found.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::Int64Type;
    use arrow_array::{ArrayRef, Int64Array};
    use arrow_schema::DataType;

    use super::*;
    use crate::contract::{ConsumerOutput, Verdict};

    /// Counts rows in state and gives the count so far with each; fails at what `fails_at` says.
    #[derive(Debug)]
    struct Counter {
        parameters: Vec<(String, DataType)>,
        output: Vec<ConsumerOutput>,
        fails_at: i64,
    }

    impl BatchConsumer for Counter {
        fn name(&self) -> &str {
            "counter"
        }

        fn parameters(&self) -> &[(String, DataType)] {
            &self.parameters
        }

        fn outputs(&self) -> &[ConsumerOutput] {
            &self.output
        }

        fn consume(
            &self,
            input: &RecordBatch,
            _: &BatchPosition,
            mut state: KeyedState,
        ) -> Result<Consumed, OperatorError> {
            let numbers = input.column(0).as_primitive::<Int64Type>();
            if numbers.values().contains(&self.fails_at) {
                state.put(b"n", b"lost").unwrap();
                return Err(OperatorError::new(FailureKind::Trap, "that one"));
            }
            let before = state.get(b"n").unwrap().map_or(0, |n| i64::from_le_bytes(n[..8].try_into().unwrap()));
            let after = before + i64::try_from(numbers.len()).unwrap();
            state.put(b"n", &after.to_le_bytes()).unwrap();
            let counts: ArrayRef = Arc::new(Int64Array::from_iter_values(before + 1..=after));
            let counts = RecordBatch::try_from_iter([("n", counts)]).unwrap();
            let odd = |(row, n): (u32, &i64)| (*n == 13).then(|| (row, Verdict::DeadLetter("unlucky".to_owned())));
            let exceptions = (0..).zip(numbers.values()).filter_map(odd).collect();
            Ok(Consumed { outputs: vec![(0, counts)], verdict: Verdict::Done, exceptions, state })
        }
    }

    fn trial(fails_at: i64, column: &str) -> ConsumerTrial {
        let counter = Counter { parameters: vec![(column.to_owned(), DataType::Int64)], output: Vec::new(), fails_at };
        let settings = PluginConsumerSettings { retries: 1, batch_rows: 8, ..PluginConsumerSettings::default() };
        ConsumerTrial::new(Arc::new(counter), settings, "numbers", 0)
    }

    fn rows(numbers: std::ops::Range<i64>) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers));
        RecordBatch::try_from_iter([("number", numbers)]).unwrap()
    }

    fn counts(outcome: &TrialOutcome) -> Vec<i64> {
        let of = |(_, batch): &(usize, RecordBatch)| batch.column(0).as_primitive::<Int64Type>().values().to_vec();
        outcome.outputs.iter().flat_map(of).collect()
    }

    #[test]
    fn state_goes_on_and_the_row_at_fault_is_found() {
        let mut trial = trial(5, "number");
        let outcome = trial.give(&rows(0..20), 10).unwrap();
        assert_eq!(counts(&outcome), (1..=19).collect::<Vec<_>>());
        let fault = TrialFault { offset: 5, why: "that one".to_owned(), kind: FailureKind::Trap };
        assert_eq!(outcome.failed, [fault]);
        assert_eq!(outcome.given_up, [(13, "unlucky".to_owned())]);
        assert!(outcome.rows_again >= 8 && outcome.calls > 4, "{outcome:?}");
        let outcome = trial.give(&rows(20..21), 10).unwrap();
        assert_eq!((counts(&outcome), trial.next(), trial.state().len()), (vec![20], 21, 1));
    }

    #[test]
    fn no_more_faults_are_looked_for_than_asked() {
        let mut trial = trial(0, "number");
        let outcome = trial.give(&rows(0..1), 0).unwrap();
        assert_eq!((outcome.calls, trial.next()), (0, 0));
        let zeros: ArrayRef = Arc::new(Int64Array::from_iter_values([0; 20]));
        let outcome = trial.give(&RecordBatch::try_from_iter([("number", zeros)]).unwrap(), 3).unwrap();
        assert_eq!((outcome.failed.len(), trial.next()), (3, 3));
    }

    #[test]
    fn offsets_are_there_and_missing_columns_are_said() {
        let outcome = trial(5, "_offset").give(&rows(100..104), 10).unwrap();
        assert_eq!(counts(&outcome), [1, 2, 3, 4]);
        let error = trial(5, "price").give(&rows(0..1), 10).unwrap_err();
        assert!(error.message.contains("\"price\""), "{error}");
    }
}
