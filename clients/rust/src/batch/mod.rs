//! What becomes of a record batch on its way out: unpacked, cut, encoded; and of one on its way in.

mod cut;
mod decode;
mod encode;
mod flat;
mod size;
mod unpack;

pub(crate) use cut::parts;
pub(crate) use decode::{batches_of, rows_of, schema_of};
pub(crate) use encode::{batch_message, schema_message};
