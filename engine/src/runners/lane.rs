//! Where one partition stands: how many rows it is given at a time, and what it does about failures.
//!
//! A batch at which the plugin fails is given again, a bounded number of times and later each time. Then it is cut in half
//! from the front; what succeeds is committed, so that what is left at the end is the row at fault.

use std::time::Duration;

use super::read::Taken;
use crate::model::FailureKind;
use crate::model::{Offset, PluginConsumerSettings};
use crate::platform::Patience;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Tries after failures of the machinery, where no row is at fault, whatever the consumer's own number.
const HOST_RETRIES: u32 = 5;

#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Rows of the next batch; `None`: as many as the settings say.
    limit: Option<usize>,
    /// Failed tries, one after the other.
    tries: u32,
    /// Up to here rows are not tried again: the batch that they came in was.
    tried_until: Offset,
    /// Before it is over nothing is tried.
    pub pause: Option<Patience>,
    pub stopped: bool,
}

/// Why a batch did not pass.
#[derive(Debug)]
pub(super) struct Failure {
    pub why: String,
    /// The row at fault, where the plugin has named it.
    pub row: Option<usize>,
    /// Whether the same rows may pass another time.
    pub passing: bool,
    pub kind: FailureKind,
}

/// What is to be done about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The lane has taken note: the next step is another one, or later.
    Again,
    /// This row fails by itself.
    RowAtFault,
    /// No row is at fault, and it does not pass.
    Stop,
}

impl Lane {
    pub(super) fn rows(&self, settings: &PluginConsumerSettings) -> usize {
        let most = usize::try_from(settings.batch_rows).unwrap_or(usize::MAX);
        self.limit.map_or(most, |limit| limit.min(most)).max(1)
    }

    /// A batch has passed.
    pub(super) fn passed(&mut self, settings: &PluginConsumerSettings) {
        let most = usize::try_from(settings.batch_rows).unwrap_or(usize::MAX);
        self.limit = self.limit.map(|limit| limit.saturating_mul(2)).filter(|limit| *limit < most);
        (self.tries, self.pause) = (0, None);
    }

    /// Makes the next batch smaller; false if there is nothing to make smaller.
    pub(super) fn halve(&mut self, taken: &Taken) -> bool {
        if taken.is_single() {
            return false;
        }
        self.limit = Some((taken.offsets.len() / 2).max(1));
        true
    }

    pub(super) fn failed(&mut self, taken: &Taken, failure: &Failure, settings: &PluginConsumerSettings) -> Remedy {
        let host = failure.kind == FailureKind::Host;
        let retries = if host { settings.retries.max(HOST_RETRIES) } else { settings.retries };
        let fresh = host || taken.first >= self.tried_until;
        if failure.passing && fresh && self.tries < retries {
            self.wait(FIRST_PAUSE.saturating_mul(1 << self.tries.min(10)));
            self.tries += 1;
            return Remedy::Again;
        }
        if host {
            return Remedy::Stop;
        }
        self.tried_until = self.tried_until.max(taken.next);
        self.tries = 0;
        let before = failure.row.map(|row| taken.rows_before(row)).filter(|rows| *rows > 0);
        match before {
            Some(rows) => self.limit = Some(rows),
            None if failure.row.is_some() && !taken.is_single() => self.limit = Some(1),
            None if !self.halve(taken) => return Remedy::RowAtFault,
            None => {}
        }
        Remedy::Again
    }

    pub(super) fn wait(&mut self, pause: Duration) {
        self.pause = Some(Patience::of(pause.min(LONGEST_PAUSE)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::RecordBatch;
    use arrow_schema::Schema;

    use super::*;

    fn taken(offsets: std::ops::Range<Offset>) -> Taken {
        let rows = RecordBatch::new_empty(Arc::new(Schema::empty()));
        Taken { rows, first: offsets.start, next: offsets.end, offsets: offsets.collect() }
    }

    fn failure(row: Option<usize>, kind: FailureKind) -> Failure {
        Failure { why: String::new(), row, passing: true, kind }
    }

    #[test]
    fn tries_come_first_then_halves_then_the_row() {
        let settings = PluginConsumerSettings { retries: 2, batch_rows: 8, ..PluginConsumerSettings::default() };
        let mut lane = Lane::default();
        let data = failure(None, FailureKind::Data);
        for _ in 0..2 {
            assert_eq!(lane.failed(&taken(0..8), &data, &settings), Remedy::Again);
            assert!(lane.pause.take().is_some());
            assert_eq!(lane.rows(&settings), 8);
        }
        for rows in [4, 2, 1] {
            assert_eq!(lane.failed(&taken(0..rows * 2), &data, &settings), Remedy::Again);
            assert_eq!((lane.rows(&settings), lane.pause.is_none()), (rows as usize, true));
        }
        assert_eq!(lane.failed(&taken(0..1), &data, &settings), Remedy::RowAtFault);
        lane.passed(&settings);
        assert_eq!(lane.rows(&settings), 2);
        // The rest of the batch is not tried again, what comes after it is.
        assert_eq!(lane.failed(&taken(7..8), &data, &settings), Remedy::RowAtFault);
        assert_eq!(lane.failed(&taken(8..9), &data, &settings), Remedy::Again);
        assert!(lane.pause.is_some());
    }

    #[test]
    fn a_named_row_is_found_at_once() {
        let settings = PluginConsumerSettings { retries: 0, ..PluginConsumerSettings::default() };
        let mut lane = Lane::default();
        assert_eq!(lane.failed(&taken(0..8), &failure(Some(5), FailureKind::Data), &settings), Remedy::Again);
        assert_eq!(lane.rows(&settings), 5);
        assert_eq!(lane.failed(&taken(5..8), &failure(Some(0), FailureKind::Data), &settings), Remedy::Again);
        assert_eq!(lane.rows(&settings), 1);
        assert_eq!(lane.failed(&taken(5..6), &failure(Some(0), FailureKind::Data), &settings), Remedy::RowAtFault);
    }

    #[test]
    fn the_machinery_blames_no_row() {
        let settings = PluginConsumerSettings { retries: 0, ..PluginConsumerSettings::default() };
        let mut lane = Lane::default();
        for _ in 0..HOST_RETRIES {
            assert_eq!(lane.failed(&taken(0..8), &failure(None, FailureKind::Host), &settings), Remedy::Again);
        }
        assert_eq!(lane.failed(&taken(0..8), &failure(None, FailureKind::Host), &settings), Remedy::Stop);
    }
}
