//! A handler that is not asked any more once the engine closes.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::DataType;

use super::Board;
use crate::contract::{CheckVerdict, CheckbackHandler};
use crate::model::{FailureKind, OperatorError};

/// One batch may take many calls, each as long as its plugin may: closing waits for one of them.
#[derive(Debug)]
pub(super) struct Stoppable {
    pub handler: Arc<dyn CheckbackHandler>,
    pub board: Arc<Board>,
}

impl CheckbackHandler for Stoppable {
    fn name(&self) -> &str {
        self.handler.name()
    }

    fn parameters(&self) -> &[(String, DataType)] {
        self.handler.parameters()
    }

    fn check(&self, half_messages: &RecordBatch) -> Result<Vec<CheckVerdict>, OperatorError> {
        match self.board.is_stopping() {
            true => Err(OperatorError::new(FailureKind::Host, "the engine is closing")),
            false => self.handler.check(half_messages),
        }
    }
}
