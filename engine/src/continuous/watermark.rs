//! How far event time has come: a pure function of what lies in the log, asked about an append time.
//!
//! Rows of a partition that had some lately hold it back to the highest event time that they have had, less the table's delay. A
//! partition that has had none for as long as a topic calls idle holds nothing back. Where all have had none, event time goes on as
//! the log's time does. What is on record of a table (`ADVANCE WATERMARK`, or the watermark of the continuous topic that writes it)
//! is the least that it is from then on.

use std::sync::Arc;

use crate::state::{RecordedWatermark, SourcePartition};

/// Nothing is known.
pub(super) const NONE: i64 = i64::MIN;

/// One source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableTime {
    pub delay_us: i64,
    pub max_lead_us: i64,
    /// `None`: a partition holds event time back for as long as it takes.
    pub idle_us: Option<i64>,
    /// False of another continuous topic's output: that topic knows, and says so.
    pub by_rows: bool,
    pub recorded: Arc<[RecordedWatermark]>,
    pub partitions: Vec<SourcePartition>,
}

impl TableTime {
    /// Of rows that were appended at `at_us`: by what was there before them.
    fn before(&self, at_us: i64) -> i64 {
        let before = self.recorded.partition_point(|recorded| recorded.instant_us < at_us);
        self.rows(at_us).max(self.recorded_last(before))
    }

    /// By all that was appended at or before `at_us`, if it was taken note of.
    fn at(&self, at_us: i64) -> i64 {
        let until = self.recorded.partition_point(|recorded| recorded.instant_us <= at_us);
        self.rows(at_us).max(self.recorded_last(until))
    }

    fn recorded_last(&self, count: usize) -> i64 {
        let last = count.checked_sub(1).and_then(|last| self.recorded.get(last));
        last.map_or(NONE, |recorded| recorded.watermark_us)
    }

    fn rows(&self, at_us: i64) -> i64 {
        if !self.by_rows {
            return NONE;
        }
        let since_us = self.idle_us.map_or(NONE, |idle_us| at_us.saturating_sub(idle_us));
        let (mut lowest, mut highest, mut last_us) = (None::<i64>, NONE, NONE);
        for (event_us, append_us) in self.partitions.iter().filter_map(|partition| partition.seen) {
            if append_us > since_us {
                lowest = Some(lowest.map_or(event_us, |lowest| lowest.min(event_us)));
            }
            (highest, last_us) = (highest.max(event_us), last_us.max(append_us));
        }
        match lowest {
            Some(lowest) => lowest.saturating_sub(self.delay_us),
            None if last_us == NONE => NONE,
            None => {
                let silence_us = at_us.saturating_sub(last_us).max(0);
                highest.saturating_sub(self.delay_us).saturating_add(silence_us)
            }
        }
    }

    /// Takes note of a row; false if its event time lies too far ahead to count.
    pub(super) fn note(&mut self, partition: usize, event_us: i64, append_us: i64) -> bool {
        if event_us > append_us.saturating_add(self.max_lead_us) {
            return false;
        }
        if let Some(partition) = self.partitions.get_mut(partition) {
            let highest = partition.seen.map_or(event_us, |(highest, _)| highest.max(event_us));
            partition.seen = Some((highest, append_us));
        }
        true
    }

    /// When what the rows say may change though no row comes: when partitions become idle, and when a silence has lasted for long
    /// enough for `target_us`.
    fn turns(&self, target_us: i64) -> impl Iterator<Item = i64> {
        let idle_us = self.idle_us.filter(|_| self.by_rows);
        let seen = || self.partitions.iter().filter_map(|partition| partition.seen);
        let silence = seen().map(|(event_us, _)| event_us).max().zip(seen().map(|(_, append_us)| append_us).max());
        let lasted = silence.map(|(highest, last_us)| {
            last_us.saturating_add(target_us.saturating_sub(highest.saturating_sub(self.delay_us)))
        });
        let idle = seen().filter_map(move |(_, append_us)| Some(append_us.saturating_add(idle_us?)));
        idle.chain(lasted.filter(|_| idle_us.is_some())).collect::<Vec<_>>().into_iter()
    }
}

/// All sources of a topic: the least of what they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Times {
    pub tables: Vec<TableTime>,
    /// It never goes back.
    pub watermark_us: i64,
}

impl Times {
    /// Goes on to rows that were appended at `at_us`; gives what they are judged by.
    pub(super) fn reach(&mut self, at_us: i64) -> i64 {
        let least = self.tables.iter().map(|table| table.before(at_us)).min().unwrap_or(NONE);
        self.watermark_us = self.watermark_us.max(least);
        self.watermark_us
    }

    /// Goes on to `at_us`, all that was appended until then being taken note of.
    pub(super) fn rest(&mut self, at_us: i64) -> i64 {
        self.watermark_us = self.watermark_us.max(self.at(at_us));
        self.watermark_us
    }

    fn at(&self, at_us: i64) -> i64 {
        self.tables.iter().map(|table| table.at(at_us)).min().unwrap_or(NONE)
    }

    /// The append time at which event time will have come to `target_us` if nothing else comes, from `from_us` on; `None`: never.
    pub(super) fn when(&self, target_us: i64, from_us: i64) -> Option<i64> {
        if self.watermark_us >= target_us || self.at(from_us) >= target_us {
            return Some(from_us);
        }
        let mut turns: Vec<i64> = self.tables.iter().flat_map(|table| table.turns(target_us)).collect();
        turns.retain(|at_us| *at_us > from_us);
        turns.sort_unstable();
        // While nothing comes it only rises.
        let short = turns.partition_point(|at_us| self.at(*at_us) < target_us);
        turns.get(short).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn table(partitions: &[Option<(i64, i64)>]) -> TableTime {
        let partition = |seen: &Option<(i64, i64)>| SourcePartition { next: 0, seen: *seen };
        TableTime {
            delay_us: 5,
            max_lead_us: 100,
            idle_us: Some(60 * SECOND),
            by_rows: true,
            recorded: Arc::from([]),
            partitions: partitions.iter().map(partition).collect(),
        }
    }

    fn times(tables: Vec<TableTime>) -> Times {
        Times { tables, watermark_us: NONE }
    }

    #[test]
    fn the_slowest_partition_that_is_not_idle_holds_it_back() {
        let mut times = times(vec![table(&[Some((100, SECOND)), Some((50, 2 * SECOND)), None])]);
        assert_eq!(times.reach(3 * SECOND), 45);
        assert_eq!(times.reach(61 * SECOND), 45, "the first one's row is 60 s old, and it does not hold back");
        assert_eq!(times.reach(62 * SECOND), 100 - 5 + 60 * SECOND, "all are silent: the clock goes on");
        times.tables[0].note(1, 60, 62 * SECOND);
        assert_eq!(times.reach(63 * SECOND), 95 + 60 * SECOND, "it never goes back");
    }

    #[test]
    fn nothing_is_known_before_the_first_row_and_what_is_far_ahead_says_nothing() {
        let mut times = times(vec![table(&[None])]);
        assert_eq!(times.rest(9 * SECOND), NONE);
        assert!(!times.tables[0].note(0, 10 * SECOND + 101, 10 * SECOND));
        assert_eq!(times.rest(99 * SECOND), NONE);
        assert!(times.tables[0].note(0, 10 * SECOND + 100, 10 * SECOND));
        assert_eq!(times.rest(11 * SECOND), 10 * SECOND + 95);
    }

    #[test]
    fn when_it_comes_to_a_time_is_known_beforehand() {
        let times = times(vec![table(&[Some((100, SECOND)), Some((50, 2 * SECOND))])]);
        let check = |target_us, expected| {
            assert_eq!(times.when(target_us, 3 * SECOND), expected, "{target_us}");
            let Some(at_us) = expected.filter(|at_us| *at_us > 3 * SECOND) else { return };
            assert!(times.at(at_us) >= target_us && times.at(at_us - 1) < target_us, "{target_us}");
        };
        check(45, Some(3 * SECOND));
        check(46, Some(62 * SECOND));
        check(95 + 60 * SECOND, Some(62 * SECOND));
        check(95 + 61 * SECOND, Some(63 * SECOND));
        let mut waits = times.clone();
        waits.tables[0].idle_us = None;
        assert_eq!(waits.when(46, 3 * SECOND), None);
        assert_eq!(waits.at(900 * SECOND), 45);
    }

    #[test]
    fn what_is_on_record_holds_for_rows_behind_it() {
        let mut of_topic = table(&[Some((1_000, SECOND))]);
        of_topic.by_rows = false;
        of_topic.recorded = Arc::from([
            RecordedWatermark { instant_us: 5, watermark_us: 10 },
            RecordedWatermark { instant_us: 9, watermark_us: 30 },
        ]);
        assert_eq!([4, 5, 6, 9, 10].map(|at_us| of_topic.before(at_us)), [NONE, NONE, 10, 10, 30]);
        assert_eq!([4, 5, 8, 9].map(|at_us| of_topic.at(at_us)), [NONE, 10, 10, 30]);
        assert_eq!(times(vec![of_topic.clone(), table(&[None])]).reach(10), NONE, "the least of the sources");
        assert_eq!(times(vec![of_topic]).when(31, 10), None);
    }
}
