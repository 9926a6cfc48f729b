//! Rows as they cross the border, in Arrow IPC messages: arguments are written, answers are read as untrusted.

mod read;
mod write;

pub(crate) use read::{read_batch, read_schema};
pub(crate) use write::{Encoder, argument_batch, schema_message};
