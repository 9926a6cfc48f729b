//! Logic that follows a topic at its own offset: the trait, and what a call is given and gives.

use std::fmt;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, SchemaRef};

use crate::contract::KeyedState;
use crate::model::OperatorError;
use crate::model::{Offset, PartitionId};

/// Follows a topic: rows in; rows for tables, changes of its own state and a verdict out. All of that becomes durable
/// together with the offset of the input, or not at all.
pub trait BatchConsumer: Send + Sync + fmt::Debug {
    fn name(&self) -> &str;
    /// Names and types of the columns it reads, in order. `_partition`, `_offset` and `_append_ts` may be among them.
    fn parameters(&self) -> &[(String, DataType)];
    /// The tables it writes to, by names of its own.
    fn outputs(&self) -> &[ConsumerOutput];
    /// `input` has the columns of [`Self::parameters`], and rows of one partition in the order of their offsets. `state`
    /// comes back in the answer with what the call has written; after an error its writes are lost.
    ///
    /// One partition is at one call at a time; calls of several partitions run side by side.
    fn consume(
        &self,
        input: &RecordBatch,
        position: &BatchPosition,
        state: KeyedState,
    ) -> Result<Consumed, OperatorError>;
    /// As [`crate::contract::ScalarFunction::throttled`].
    fn throttled(&self) -> Option<Duration> {
        None
    }
}

/// A table that a [`BatchConsumer`] writes to, as it declares it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ConsumerOutput {
    /// What the plugin calls it.
    pub name: String,
    /// The columns it gives; those of the table that are missing here become null.
    pub schema: SchemaRef,
}

/// Where a batch comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchPosition {
    pub topic: String,
    pub partition: PartitionId,
    /// The offset the partition was read from. The first row may have a higher one.
    pub first_offset: Offset,
    /// What is committed once the batch is done.
    pub next_offset: Offset,
}

/// What is to become of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Done,
    /// They are to be given again, later; the text says why.
    Retry(String),
    /// They go to the dead-letter table; the text says why.
    DeadLetter(String),
}

/// What a call of a [`BatchConsumer`] gives.
#[derive(Debug)]
pub struct Consumed {
    /// Rows for the declared outputs, counted from 0, in the order in which they are appended.
    pub outputs: Vec<(usize, RecordBatch)>,
    /// Of the rows that `exceptions` does not name.
    pub verdict: Verdict,
    /// Rows of the input, rising.
    pub exceptions: Vec<(u32, Verdict)>,
    /// The state that the call was given.
    pub state: KeyedState,
}
