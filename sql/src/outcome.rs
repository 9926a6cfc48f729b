//! What a statement gives.

use std::pin::Pin;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::Stream;

use crate::Result;

/// Rows as they come. Dropping it cancels the query.
pub type BatchStream = Pin<Box<dyn Stream<Item = Result<RecordBatch>> + Send>>;

/// The result of one statement.
pub enum Outcome {
    /// A query, or a statement that lists something.
    Rows { schema: SchemaRef, stream: BatchStream },
    /// Everything else.
    Done {
        /// Rows inserted or copied; 0 for definitions.
        rows: u64,
        /// One line for people, such as `3 rows inserted into "flights"`.
        message: String,
    },
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome::Rows { schema, .. } => f.debug_struct("Rows").field("schema", schema).finish_non_exhaustive(),
            Outcome::Done { rows, message } => {
                f.debug_struct("Done").field("rows", rows).field("message", message).finish()
            }
        }
    }
}
