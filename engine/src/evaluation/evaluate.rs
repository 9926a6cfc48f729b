//! One batch through one operator, down to the row at fault.

use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use arrow_select::concat::concat_batches;

use crate::contract::scope;
use crate::contract::{BatchOperator, Evaluated, RowMap};
use crate::model::{FailureKind, OperatorError};
use crate::model::{Offset, OnError};

/// Failed calls that cost a guest's whole time or memory allowance are not repeated more often than this for one batch:
/// a batch of 8,192 rows that all time out must not hold a reader for hours.
const COSTLY_FAILURES: usize = 64;

/// How long to wait before a row whose evaluation timed out is tried again, each time: a busy machine is not its fault.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(200)];

/// What came of a batch.
#[derive(Debug)]
pub(super) struct Outcome {
    pub batch: RecordBatch,
    /// The input row of each output row.
    pub rows: RowMap,
    /// The first row that could not be passed, and why. Rows before it are in `batch`.
    pub fault: Option<(usize, OperatorError)>,
    /// Rows left out under [`OnError::Skip`] and [`OnError::DeadLetter`], each with its error.
    pub skipped: Vec<(usize, OperatorError)>,
}

/// Evaluates `input`. An error means that no row is at fault ([`FailureKind::Host`]).
pub(super) fn evaluate(
    operator: &dyn BatchOperator,
    input: &RecordBatch,
    on_error: OnError,
) -> Result<Outcome, OperatorError> {
    match call(operator, input) {
        Ok(Evaluated { batch, rows }) => Ok(Outcome { batch, rows, fault: None, skipped: Vec::new() }),
        Err(error) if error.kind == FailureKind::Host => Err(error),
        Err(error) => {
            let mut search = Search { operator, input, on_error, pieces: Vec::new(), skipped: Vec::new(), costly: 0 };
            let fault = search.failed(0, input.num_rows(), error)?;
            let (batch, rows) = join(operator, &search.pieces)?;
            Ok(Outcome { batch, rows, fault, skipped: search.skipped })
        }
    }
}

/// Bisection: a failing range is halved until single rows are left.
struct Search<'a> {
    operator: &'a dyn BatchOperator,
    input: &'a RecordBatch,
    on_error: OnError,
    /// Evaluated ranges in order, with the input row each begins at.
    pieces: Vec<(usize, Evaluated)>,
    skipped: Vec<(usize, OperatorError)>,
    costly: usize,
}

type Fault = Option<(usize, OperatorError)>;

impl Search<'_> {
    fn call(&self, from: usize, rows: usize) -> Result<Evaluated, OperatorError> {
        let before = scope::advance(from);
        let answer = call(self.operator, &self.input.slice(from, rows));
        scope::back(before);
        answer
    }

    fn range(&mut self, from: usize, rows: usize) -> Result<Fault, OperatorError> {
        match self.call(from, rows) {
            Ok(evaluated) => {
                self.pieces.push((from, evaluated));
                Ok(None)
            }
            Err(error) if error.kind == FailureKind::Host => Err(error),
            Err(error) => self.failed(from, rows, error),
        }
    }

    /// `from..from + rows` failed as a whole. Gives the row that ends the search, if one does.
    fn failed(&mut self, from: usize, rows: usize, error: OperatorError) -> Result<Fault, OperatorError> {
        if rows <= 1 {
            return self.one_row(from, rows, error);
        }
        if error.kind.is_costly() {
            self.costly += 1;
            if self.costly > COSTLY_FAILURES {
                let message = format!("too many failing rows in one batch to set each aside; {}", error.message);
                return Ok(Some((from, OperatorError { message, ..error })));
            }
        }
        let half = rows / 2;
        match self.range(from, half)? {
            Some(fault) => Ok(Some(fault)),
            None => self.range(from + half, rows - half),
        }
    }

    /// A row that fails by itself, after it was tried as often as makes sense.
    fn one_row(&mut self, from: usize, rows: usize, mut error: OperatorError) -> Result<Fault, OperatorError> {
        for pause in PAUSES {
            if error.kind != FailureKind::Timeout {
                break;
            }
            std::thread::sleep(pause);
            match self.call(from, rows) {
                Ok(evaluated) => {
                    self.pieces.push((from, evaluated));
                    return Ok(None);
                }
                Err(again) if again.kind == FailureKind::Host => return Err(again),
                Err(again) => error = again,
            }
        }
        Ok(match self.on_error {
            OnError::Stop => Some((from, error)),
            OnError::Skip | OnError::DeadLetter => {
                self.skipped.push((from, error));
                None
            }
        })
    }
}

/// Calls the operator and checks what it gives.
fn call(operator: &dyn BatchOperator, input: &RecordBatch) -> Result<Evaluated, OperatorError> {
    let evaluated = operator.evaluate(input)?;
    let bad = |message: String| Err(OperatorError::new(FailureKind::BadOutput, message));
    let (given, taken) = (evaluated.batch.num_rows(), input.num_rows());
    match &evaluated.rows {
        RowMap::Every if given != taken => bad(format!("{given} rows came of {taken}, without saying which")),
        RowMap::Indices(rows) if rows.len() != given => bad(format!("{given} rows came with {} indices", rows.len())),
        RowMap::Indices(rows) if rows.last().is_some_and(|last| index(*last) >= taken) || !rows.is_sorted() => {
            bad(format!("row indices are out of order or beyond the {taken} rows given"))
        }
        _ => Ok(evaluated),
    }
}

fn join(operator: &dyn BatchOperator, pieces: &[(usize, Evaluated)]) -> Result<(RecordBatch, RowMap), OperatorError> {
    let schema = pieces.first().map_or_else(|| operator.output_schema().clone(), |(_, piece)| piece.batch.schema());
    let batch = concat_batches(&schema, pieces.iter().map(|(_, piece)| &piece.batch)).map_err(|error| {
        OperatorError::new(FailureKind::BadOutput, format!("its batches differ in schema: {error}"))
    })?;
    let mut rows = Vec::with_capacity(batch.num_rows());
    for (from, piece) in pieces {
        let from = u32::try_from(*from).unwrap_or(u32::MAX);
        match &piece.rows {
            RowMap::Every => rows.extend((from..).take(piece.batch.num_rows())),
            RowMap::Indices(indices) => rows.extend(indices.iter().map(|row| from.saturating_add(*row))),
        }
    }
    Ok((batch, RowMap::Indices(rows)))
}

fn index(row: u32) -> usize {
    usize::try_from(row).unwrap_or(usize::MAX)
}

pub(super) fn same_types(given: &Schema, expected: &Schema) -> bool {
    let given = given.fields().iter().map(|field| field.data_type());
    given.eq(expected.fields().iter().map(|field| field.data_type()))
}

pub(super) fn offset(row: usize) -> Offset {
    Offset::try_from(row).unwrap_or(Offset::MAX)
}
