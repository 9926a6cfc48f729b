//! How much room a submission takes.

use crate::log::journal::FRAME_HEADER_LEN;
use crate::log::rows::ipc;
use crate::model::{Error, Result};
use crate::state::{RowsPayload, Submission};

/// Headers, padding and the description of columns that a frame takes besides its values, at most.
const FRAME_OVERHEAD: usize = FRAME_HEADER_LEN + 64 + 1024;
const COLUMN_OVERHEAD: usize = 256;

/// An upper estimate of a submission's bytes in the log.
pub(in crate::log) fn estimated_bytes(submission: &Submission) -> Result<usize> {
    let mut bytes = 0_usize;
    for part in &submission.rows {
        if part.rows == 0 {
            return Err(Error::Internal("a part without rows was submitted".to_owned()));
        }
        let payload = match &part.payload {
            RowsPayload::Encoded(rows) => rows.len(),
            RowsPayload::Small(batch) => {
                let columns = batch.schema().flattened_fields().len();
                // Validity bitmaps are written even where there are no nulls.
                let column = COLUMN_OVERHEAD + batch.num_rows().div_ceil(8);
                ipc::sliced_bytes(batch).saturating_add(columns * column)
            }
        };
        bytes = bytes.saturating_add(payload).saturating_add(FRAME_OVERHEAD);
    }
    for record in &submission.records {
        bytes = bytes.saturating_add(FRAME_OVERHEAD).saturating_add(record.kind()?.payload_bytes()?);
    }
    if submission.stamp.is_some() {
        bytes = bytes.saturating_add(FRAME_OVERHEAD + submission.rows.len() * 40);
    }
    Ok(bytes)
}
