//! Two answers about the same rows.

use std::fmt::Write as _;

use arrow_array::RecordBatch;
use arrow_cast::display::{ArrayFormatter, FormatOptions};

use crate::contract::RowMap;
use crate::model::OperatorError;

/// Texts of a difference are cut to this many bytes.
const MAX_TEXT_BYTES: usize = 1_024;

/// What one version came to.
pub(super) struct Answer<'a> {
    pub batch: &'a RecordBatch,
    pub rows: &'a RowMap,
    /// Rising.
    pub failed: &'a [(usize, OperatorError)],
}

/// Calls `differs` with each row of `rows` of which the answers differ, and what they say of it.
pub(super) fn compare(old: &Answer<'_>, new: &Answer<'_>, rows: usize, mut differs: impl FnMut(usize, String, String)) {
    let same_columns = old.batch.columns() == new.batch.columns();
    if same_columns && old.indices().eq(new.indices()) && old.failed.is_empty() && new.failed.is_empty() {
        return;
    }
    let (mut old, mut new) = (Walk::new(old), Walk::new(new));
    for row in 0..rows {
        let (before, after) = (old.row(row), new.row(row));
        if !before.is(&after) {
            differs(row, before.text(), after.text());
        }
    }
}

impl Answer<'_> {
    fn indices(&self) -> impl Iterator<Item = usize> {
        let of = |output: usize| match self.rows {
            RowMap::Every => output,
            RowMap::Indices(rows) => rows.get(output).map_or(usize::MAX, |row| *row as usize),
        };
        (0..self.batch.num_rows()).map(of)
    }
}

/// Goes through an answer row by row of the input.
struct Walk<'a> {
    answer: &'a Answer<'a>,
    output: usize,
    failed: usize,
}

/// What an answer says of one row: an error, or the rows that it gives.
enum Said<'a> {
    Failed(&'a OperatorError),
    Gives(RecordBatch),
}

impl<'a> Walk<'a> {
    fn new(answer: &'a Answer<'a>) -> Walk<'a> {
        Walk { answer, output: 0, failed: 0 }
    }

    fn row(&mut self, row: usize) -> Said<'a> {
        if let Some((at, error)) = self.answer.failed.get(self.failed)
            && *at == row
        {
            self.failed += 1;
            return Said::Failed(error);
        }
        let first = self.output;
        let is_of = |output: usize| match self.answer.rows {
            RowMap::Every => output == row,
            RowMap::Indices(rows) => rows.get(output).is_some_and(|of| *of as usize == row),
        };
        while self.output < self.answer.batch.num_rows() && is_of(self.output) {
            self.output += 1;
        }
        Said::Gives(self.answer.batch.slice(first, self.output - first))
    }
}

impl Said<'_> {
    fn is(&self, other: &Said<'_>) -> bool {
        match (self, other) {
            // What is said of a failure may have times and addresses in it.
            (Said::Failed(a), Said::Failed(b)) => a.kind == b.kind,
            (Said::Gives(a), Said::Gives(b)) => a.num_rows() == b.num_rows() && a.columns() == b.columns(),
            _ => false,
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        match self {
            Said::Failed(error) => text = format!("{}: {}", error.failure(), error.message),
            Said::Gives(rows) if rows.num_rows() == 0 => text.push_str("left out"),
            Said::Gives(rows) => {
                for row in 0..rows.num_rows() {
                    if row > 0 {
                        text.push_str("; ");
                    }
                    write_row(&mut text, rows, row);
                    if text.len() > MAX_TEXT_BYTES {
                        break;
                    }
                }
            }
        }
        if text.len() > MAX_TEXT_BYTES {
            text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
            text.push('…');
        }
        text
    }
}

fn write_row(text: &mut String, rows: &RecordBatch, row: usize) {
    let options = FormatOptions::default().with_null("NULL").with_display_error(true);
    for (index, (field, column)) in rows.schema_ref().fields().iter().zip(rows.columns()).enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        // Writing to a string can't fail, and a value that has no text is left out.
        let _ = write!(text, "{comma}{} ", field.name());
        if let Ok(formatter) = ArrayFormatter::try_new(column.as_ref(), &options) {
            let _ = write!(text, "{}", formatter.value(row));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::Int64Array;
    use arrow_schema::{DataType, Field, Schema};

    use super::*;
    use crate::model::FailureKind;

    fn batch(values: &[i64]) -> RecordBatch {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(values.to_vec()))]).expect("a batch")
    }

    fn check(
        old: (&[i64], RowMap, &[usize]),
        new: (&[i64], RowMap, &[usize]),
        rows: usize,
        expected: &[(usize, &str, &str)],
    ) {
        let failed = |rows: &[usize]| -> Vec<(usize, OperatorError)> {
            rows.iter().map(|row| (*row, OperatorError::new(FailureKind::Trap, "no"))).collect()
        };
        let (old_batch, new_batch) = (batch(old.0), batch(new.0));
        let (old_failed, new_failed) = (failed(old.2), failed(new.2));
        let old = Answer { batch: &old_batch, rows: &old.1, failed: &old_failed };
        let new = Answer { batch: &new_batch, rows: &new.1, failed: &new_failed };
        let mut found = Vec::new();
        compare(&old, &new, rows, |row, before, after| found.push((row, before, after)));
        let expected: Vec<_> =
            expected.iter().map(|(row, old, new)| (*row, (*old).to_owned(), (*new).to_owned())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn rows_are_compared_by_what_comes_of_them() {
        let some = |rows: &[u32]| RowMap::Indices(rows.to_vec());
        check((&[1, 2, 3], RowMap::Every, &[]), (&[1, 2, 3], some(&[0, 1, 2]), &[]), 3, &[]);
        check((&[1, 2, 3], RowMap::Every, &[]), (&[1, 5, 3], RowMap::Every, &[]), 3, &[(1, "n 2", "n 5")]);
        check((&[2], some(&[1]), &[]), (&[2], some(&[2]), &[]), 3, &[(1, "n 2", "left out"), (2, "left out", "n 2")]);
        check((&[1, 2], some(&[0, 0]), &[]), (&[1, 3], some(&[0, 0]), &[]), 1, &[(0, "n 1; n 2", "n 1; n 3")]);
        check((&[1], some(&[0]), &[1]), (&[1, 2], RowMap::Every, &[]), 2, &[(1, "trap: no", "n 2")]);
        check((&[1], some(&[0]), &[1]), (&[1], some(&[0]), &[1]), 2, &[]);
    }
}
