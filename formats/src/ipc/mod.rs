//! Arrow streams, as messages and as files. Everything in a message is checked before arrow-ipc sees it, because its reader
//! trusts counts, lengths and types: a hostile message must cost an error, never a panic or memory beyond the limits.

mod body;
mod decoder;
mod expand;
mod file;
mod schema;
#[cfg(test)]
mod tests;

pub use decoder::{Decoded, Decoder, Limits, Message, Needs};
pub use file::ArrowFile;
