//! The LSNs of a segment's rows: runs of rows whose LSNs follow one another, in the footer as text and decoded in memory.

use std::fmt::Write;
use std::ops::Range;

use crate::model::Lsn;

/// The footer's key. Numbers with spaces between, in pairs: how many LSNs lie between the last row and the next one (before
/// the first row, from 0 on), and how many rows follow without one between.
pub(super) const LSN_RUNS_KEY: &str = "millstream.lsn-runs";

/// Rows `row..` up to the next run have the LSNs from `lsn` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    row: u64,
    lsn: u64,
}

/// A row's number within the file to its LSN, and back. Both rise together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct LsnRuns {
    rows: u64,
    runs: Vec<Run>,
}

impl LsnRuns {
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// The first row's; `None` where there are no rows.
    pub(super) fn first(&self) -> Option<Lsn> {
        self.lsn_of(0)
    }

    /// Adds rows that follow; false if their LSNs do not.
    #[must_use]
    pub(super) fn push(&mut self, lsn: Lsn, rows: u64) -> bool {
        let next = self.next_lsn();
        if rows == 0 {
            return true;
        }
        if lsn.0 < next || lsn.0.checked_add(rows).is_none() {
            return false;
        }
        if self.runs.is_empty() || lsn.0 > next {
            self.runs.push(Run { row: self.rows, lsn: lsn.0 });
        }
        self.rows += rows;
        true
    }

    /// Adds all rows of another; false if they do not follow.
    #[must_use]
    pub(super) fn extend(&mut self, other: &LsnRuns) -> bool {
        other.iter().all(|(lsn, rows)| self.push(lsn, rows))
    }

    pub(super) fn lsn_of(&self, row: u64) -> Option<Lsn> {
        let after = self.runs.partition_point(|run| run.row <= row);
        let run = self.runs.get(after.checked_sub(1)?)?;
        (row < self.rows).then(|| Lsn(run.lsn + (row - run.row)))
    }

    /// `None` where no row of the file has this LSN.
    pub(super) fn row_of(&self, lsn: Lsn) -> Option<u64> {
        let after = self.runs.partition_point(|run| run.lsn <= lsn.0);
        let rows = self.rows_of(after.checked_sub(1)?)?;
        let run = self.runs.get(after - 1)?;
        let row = run.row + (lsn.0 - run.lsn);
        rows.contains(&row).then_some(row)
    }

    pub(super) fn text(&self) -> String {
        let (mut text, mut end) = (String::new(), 0);
        for (lsn, rows) in self.iter() {
            let space = if text.is_empty() { "" } else { " " };
            // Writing to a String can't fail.
            let _ = write!(text, "{space}{} {rows}", lsn.0 - end);
            end = lsn.0 + rows;
        }
        text
    }

    /// `None` if the text is not of `rows` rows.
    pub(super) fn parse(text: &str, rows: u64) -> Option<LsnRuns> {
        let mut numbers = text.split(' ').map(|number| number.parse::<u64>().ok());
        let (mut runs, mut end) = (LsnRuns::default(), 0_u64);
        while let Some(gap) = numbers.next() {
            let lsn = end.checked_add(gap?)?;
            let count = numbers.next()??;
            if count == 0 || !runs.push(Lsn(lsn), count) {
                return None;
            }
            end = lsn.checked_add(count)?;
        }
        (runs.rows == rows).then_some(runs)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.runs.len() * size_of::<Run>()
    }

    /// (first LSN, rows) of every run.
    fn iter(&self) -> impl Iterator<Item = (Lsn, u64)> {
        self.runs.iter().enumerate().map(|(index, run)| {
            let rows = self.rows_of(index).map_or(0, |rows| rows.end - rows.start);
            (Lsn(run.lsn), rows)
        })
    }

    fn rows_of(&self, run: usize) -> Option<Range<u64>> {
        let start = self.runs.get(run)?.row;
        Some(start..self.runs.get(run + 1).map_or(self.rows, |next| next.row))
    }

    /// One past the last row's.
    fn next_lsn(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.lsn + (self.rows - run.row))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::{prop_assert, prop_assert_eq, proptest};

    use super::LsnRuns;
    use crate::model::Lsn;

    proptest! {
        #[test]
        fn runs_give_every_lsn_and_only_those(pieces in vec((0_u64..4, 0_u64..6), 1..40)) {
            let (mut runs, mut model, mut lsn) = (LsnRuns::default(), Vec::new(), 1);
            for (gap, rows) in pieces {
                lsn += gap;
                prop_assert!(runs.push(Lsn(lsn), rows));
                model.extend(lsn..lsn + rows);
                lsn += rows;
            }
            let rows = model.len() as u64;
            prop_assert_eq!(runs.rows(), rows);
            for (row, lsn) in (0..).zip(&model) {
                prop_assert_eq!(runs.lsn_of(row), Some(Lsn(*lsn)));
            }
            prop_assert_eq!(runs.lsn_of(rows), None);
            for lsn in 0..lsn + 2 {
                let row = model.iter().position(|other| *other == lsn).map(|row| row as u64);
                prop_assert_eq!(runs.row_of(Lsn(lsn)), row);
            }
            if rows > 0 {
                prop_assert_eq!(LsnRuns::parse(&runs.text(), rows), Some(runs.clone()));
                prop_assert!(!runs.push(Lsn(model[model.len() - 1]), 1), "LSNs rise");
            }
            prop_assert_eq!(LsnRuns::parse(&runs.text(), rows + 1), None);
        }

        #[test]
        fn mutated_text_is_refused_or_consistent(text in "[0-9 x]{0,40}", rows in 0_u64..1_000) {
            if let Some(runs) = LsnRuns::parse(&text, rows) {
                prop_assert_eq!(runs.rows(), rows);
                prop_assert!((0..rows).all(|row| runs.lsn_of(row).and_then(|lsn| runs.row_of(lsn)) == Some(row)));
            }
        }
    }

    #[test]
    fn the_text_is_short() {
        let mut runs = LsnRuns::default();
        assert!(runs.push(Lsn(17), 300) && runs.push(Lsn(317), 200) && runs.push(Lsn(521), 1_200));
        assert_eq!(runs.text(), "17 500 4 1200");
    }
}
