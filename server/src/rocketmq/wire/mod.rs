//! What goes over the wire, byte by byte, and nothing of what it is for.

pub(super) mod batch;
pub(super) mod bodies;
pub(super) mod codes;
pub(super) mod command;
pub(super) mod field_texts;
pub(super) mod found;
mod json_header;
pub(super) mod loose;
pub(super) mod message;
pub(super) mod message_id;
pub(super) mod popped;
pub(super) mod properties;
pub(super) mod reader;
pub(super) mod unpack;
