//! Functions: a batch of one column.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::instances::Kind;
use crate::messages;

#[derive(Debug)]
pub(crate) struct Function {
    schema: SchemaRef,
}

impl Function {
    pub(crate) fn new(returns: &DataType) -> Function {
        Function { schema: Arc::new(Schema::new(vec![Field::new("answer", returns.clone(), true)])) }
    }
}

impl Kind for Function {
    type Answer = Vec<u8>;
    type Output = ArrayRef;

    fn check(&self, message: Vec<u8>, rows: usize) -> Result<ArrayRef, String> {
        let batch = messages::read_batch(&self.schema, message)?;
        if batch.num_rows() != rows {
            return Err(format!("it has {} rows", batch.num_rows()));
        }
        Ok(batch.column(0).clone())
    }

    fn answer_bytes(message: &Vec<u8>) -> usize {
        message.len()
    }

    fn rows_out(_: &ArrayRef, rows: usize) -> usize {
        rows
    }
}
