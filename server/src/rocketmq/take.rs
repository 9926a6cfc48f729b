//! What passes of the rows that a read has found.

use arrow::array::RecordBatch;
use millstream_engine::FailureKind;

use super::filter::Filter;
use super::stored::MessageRows;

/// Rows that a condition is asked about first; each time that they are not enough it is asked about twice as many.
const FIRST_ROWS: usize = 64;

/// A filter's way through a batch: a piece at a time, so that no more rows are looked at than are wanted.
#[derive(Debug)]
pub(super) struct Passing<'a> {
    filter: &'a Filter,
    batch: &'a RecordBatch,
    rows: &'a MessageRows<'a>,
    at: usize,
    step: usize,
}

/// A piece.
#[derive(Debug, Default)]
pub(super) struct Piece {
    /// Rows of the batch that pass.
    pub(super) passing: Vec<usize>,
    /// The first row behind it.
    pub(super) end: usize,
    /// A row on which the condition fails, and why.
    pub(super) failed: Option<(usize, String)>,
}

/// A row on which a plugin fails, and why: it is not known whether it passes.
#[derive(Debug)]
pub(super) struct Stopped {
    pub(super) row: usize,
    pub(super) why: String,
}

impl<'a> Passing<'a> {
    pub(super) fn of(
        filter: &'a Filter,
        batch: &'a RecordBatch,
        rows: &'a MessageRows<'a>,
        wanted: usize,
    ) -> Passing<'a> {
        let step = match filter {
            Filter::All | Filter::Tags(_) => batch.num_rows(),
            Filter::Selector(_) => wanted.max(FIRST_ROWS),
        };
        Passing { filter, batch, rows, at: 0, step }
    }

    /// What comes next; `None` at the end. An error is a plugin's.
    pub(super) fn next(&mut self) -> Result<Option<Piece>, Stopped> {
        loop {
            let (at, all) = (self.at, self.batch.num_rows());
            let end = at.saturating_add(self.step).min(all);
            if at == end {
                return Ok(None);
            }
            let piece = match self.filter {
                Filter::All => Piece { passing: (at..end).collect(), end, failed: None },
                Filter::Tags(tags) => {
                    let passes = |row: &usize| self.rows.tag(*row).is_some_and(|tag| tags.contains(tag));
                    Piece { passing: (at..end).filter(passes).collect(), end, failed: None }
                }
                Filter::Selector(filter) => match filter.select(&self.batch.slice(at, end - at)) {
                    Ok(selection) => {
                        let passing = selection.passing.iter().map(|row| at + *row as usize).collect();
                        let failed = selection.failed.map(|(_, row, why)| (at + row as usize, why));
                        Piece { passing, end, failed }
                    }
                    // Those before the row at fault are handed out first.
                    Err(error) if error.kind != FailureKind::Host && end - at > 1 => {
                        self.step = (end - at) / 2;
                        continue;
                    }
                    Err(error) => return Err(Stopped { row: at, why: error.to_string() }),
                },
            };
            self.at = end;
            self.step = self.step.saturating_mul(2);
            return Ok(Some(piece));
        }
    }
}
