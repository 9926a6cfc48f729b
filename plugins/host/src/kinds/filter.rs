//! Filters: a bitmap of the rows that are kept.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::{ArrayRef, BooleanArray};
use arrow_buffer::{BooleanBuffer, Buffer};

use crate::instances::Kind;

#[derive(Debug)]
pub(crate) struct Filter;

impl Kind for Filter {
    type Answer = Vec<u8>;
    /// True for the rows that are kept.
    type Output = ArrayRef;

    fn check(&self, bitmap: Vec<u8>, rows: usize) -> Result<ArrayRef, String> {
        let expected = rows.div_ceil(8);
        if bitmap.len() != expected {
            return Err(format!("a bitmap of {} bytes, where {expected} are needed", bitmap.len()));
        }
        Ok(Arc::new(BooleanArray::new(BooleanBuffer::new(Buffer::from_vec(bitmap), 0, rows), None)))
    }

    fn answer_bytes(bitmap: &Vec<u8>) -> usize {
        bitmap.len()
    }

    fn rows_out(kept: &ArrayRef, _: usize) -> usize {
        kept.as_boolean_opt().map_or(0, BooleanArray::true_count)
    }
}
