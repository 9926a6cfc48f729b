//! Operators are other rooms' code, and what they run may be anybody's: a panic in one becomes an error here, and nowhere else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::contract::{BatchOperator, ChunkStatistics, Evaluated, InputColumn};
use crate::model::{FailureKind, OperatorError};
use crate::platform::panic_text;

/// An operator that does not panic.
#[derive(Debug)]
pub(crate) struct Guarded(pub Arc<dyn BatchOperator>);

impl BatchOperator for Guarded {
    fn inputs(&self) -> &[InputColumn] {
        self.0.inputs()
    }

    fn output_schema(&self) -> &SchemaRef {
        self.0.output_schema()
    }

    /// Nothing is skipped where the operator has no good answer.
    fn prune(&self, chunks: &[ChunkStatistics]) -> Vec<bool> {
        let answer = catch_unwind(AssertUnwindSafe(|| self.0.prune(chunks)));
        answer.ok().filter(|skip| skip.len() == chunks.len()).unwrap_or_else(|| vec![false; chunks.len()])
    }

    fn evaluate(&self, input: &RecordBatch) -> Result<Evaluated, OperatorError> {
        catch_unwind(AssertUnwindSafe(|| self.0.evaluate(input))).unwrap_or_else(|panic| {
            let message = format!("the operator panicked: {}", panic_text(panic.as_ref()));
            Err(OperatorError::new(FailureKind::Host, message))
        })
    }

    fn is_identity(&self) -> bool {
        self.0.is_identity()
    }
}
