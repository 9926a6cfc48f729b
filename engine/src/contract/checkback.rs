//! Deciding on transactions whose producer has not said how they ended: the trait, and asking a handler about many half
//! messages at once, so that those at which it fails keep no others from their verdict.

use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, Schema};

use crate::model::{Error, Result};
use crate::model::{FailureKind, OperatorError};

/// Half messages of one call.
const CALL_ROWS: usize = 8_192;
/// Failed calls of one check; after that the rest stays unknown until it is asked about again.
const MAX_FAILED_CALLS: usize = 32;
/// Of them, those that took all the time or memory that they may.
const MAX_COSTLY_CALLS: usize = 16;

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CheckVerdict {
    /// The half message becomes visible.
    Commit,
    /// It is dropped.
    Rollback,
    /// It is not known yet; it is asked about again later.
    Unknown,
}

impl CheckVerdict {
    /// As listings show it.
    pub fn name(self) -> &'static str {
        match self {
            CheckVerdict::Commit => "commit",
            CheckVerdict::Rollback => "rollback",
            CheckVerdict::Unknown => "unknown",
        }
    }
}

/// Decides on half messages.
pub trait CheckbackHandler: Send + Sync + fmt::Debug {
    fn name(&self) -> &str;
    /// Names and types of the columns it reads, in order. `_checks` (Int32) is how often a message was asked about before.
    fn parameters(&self) -> &[(String, DataType)];
    /// `half_messages` has the columns of [`Self::parameters`]; the answer has a verdict for each row.
    fn check(&self, half_messages: &RecordBatch) -> Result<Vec<CheckVerdict>, OperatorError>;
    /// As [`crate::ScalarFunction::throttled`].
    fn throttled(&self) -> Option<Duration> {
        None
    }
}

/// What a handler says of half messages.
#[derive(Debug, Clone)]
pub struct Checked {
    /// One for each half message.
    pub verdicts: Vec<CheckVerdict>,
    /// Rows, in order, which are unknown because the handler failed.
    pub faults: Vec<CheckFault>,
}

/// Rows at which a handler failed.
#[derive(Debug, Clone)]
pub struct CheckFault {
    pub rows: Range<usize>,
    pub error: OperatorError,
}

/// Asks a handler about half messages, whose columns are found by name and have the declared types.
///
/// An error that the handler returns makes all rows of its call unknown. After a trap, a time-out, too much memory or an
/// answer that does not hold to the contract, the rows are halved until those at fault are found, and those alone are
/// unknown; the number of calls that fail is bounded. An error of this function is about the columns.
pub fn check(handler: &Arc<dyn CheckbackHandler>, half_messages: &RecordBatch) -> Result<Checked> {
    let rows = half_messages.num_rows();
    let input = input(handler.as_ref(), half_messages)?;
    let mut asked = Asked {
        handler: handler.as_ref(),
        input,
        verdicts: vec![CheckVerdict::Unknown; rows],
        faults: Vec::new(),
        failed: 0,
        costly: 0,
    };
    for first in (0..rows).step_by(CALL_ROWS) {
        asked.ask(first..rows.min(first + CALL_ROWS));
    }
    Ok(Checked { verdicts: asked.verdicts, faults: asked.faults })
}

struct Asked<'a> {
    handler: &'a dyn CheckbackHandler,
    input: RecordBatch,
    verdicts: Vec<CheckVerdict>,
    faults: Vec<CheckFault>,
    failed: usize,
    costly: usize,
}

impl Asked<'_> {
    fn ask(&mut self, rows: Range<usize>) {
        if let Some(last) = self.faults.last()
            && (last.error.kind == FailureKind::Host || self.is_given_up())
        {
            let error = last.error.clone();
            return self.fail(rows, error);
        }
        let error = match self.call(&rows) {
            Ok(verdicts) => {
                self.verdicts.splice(rows, verdicts);
                return;
            }
            Err(error) => error,
        };
        self.failed += 1;
        self.costly += usize::from(error.kind.is_costly());
        let blames_rows = !matches!(error.kind, FailureKind::Data | FailureKind::Host);
        if !blames_rows || rows.len() <= 1 || self.is_given_up() {
            return self.fail(rows, error);
        }
        let middle = rows.start + rows.len() / 2;
        self.ask(rows.start..middle);
        self.ask(middle..rows.end);
    }

    fn is_given_up(&self) -> bool {
        self.failed >= MAX_FAILED_CALLS || self.costly >= MAX_COSTLY_CALLS
    }

    /// Neighbours that fail alike are one fault.
    fn fail(&mut self, rows: Range<usize>, error: OperatorError) {
        match self.faults.last_mut() {
            Some(last) if last.rows.end == rows.start && last.error.message == error.message => {
                last.rows.end = rows.end
            }
            _ => self.faults.push(CheckFault { rows, error }),
        }
    }

    fn call(&self, rows: &Range<usize>) -> Result<Vec<CheckVerdict>, OperatorError> {
        let part = self.input.slice(rows.start, rows.len());
        let called = catch_unwind(AssertUnwindSafe(|| self.handler.check(&part)));
        let verdicts = called.unwrap_or_else(|_| Err(OperatorError::new(FailureKind::Host, "the handler panicked")))?;
        if verdicts.len() == rows.len() {
            return Ok(verdicts);
        }
        let message = format!("{} verdicts about {} half messages", verdicts.len(), rows.len());
        Err(OperatorError::new(FailureKind::BadOutput, message))
    }
}

fn input(handler: &dyn CheckbackHandler, half_messages: &RecordBatch) -> Result<RecordBatch> {
    let name = handler.name();
    let columns = handler.parameters().iter().map(|(column, wanted)| {
        let found = half_messages.column_by_name(column).ok_or_else(|| {
            Error::InvalidInput(format!("checkback handler {name:?} reads {column:?}, which half messages don't have"))
        })?;
        match found.data_type() == wanted {
            true => Ok(found.clone()),
            false => Err(Error::InvalidInput(format!(
                "checkback handler {name:?} reads {column:?} as {wanted}, and not as {}",
                found.data_type()
            ))),
        }
    });
    let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
    let fields = handler.parameters().iter().map(|(column, wanted)| Field::new(column, wanted.clone(), true));
    let options = RecordBatchOptions::new().with_row_count(Some(half_messages.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns, &options)
        .map_err(|error| Error::Internal(format!("half messages don't make a batch: {error}")))
}
