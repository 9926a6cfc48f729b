//! What becomes of a record batch on its way out: unpacked, cut, encoded.

mod cut;
mod encode;
mod size;
mod unpack;

pub(crate) use cut::parts;
pub(crate) use encode::{batch_message, schema_message};
