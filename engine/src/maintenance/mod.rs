//! What goes on beside reading and writing: retention, cutting and merging segments, trimming the log, deleting files.
//!
//! One thread looks every `maintenance_interval_ms` for what is due by the engine's clock; `segment_threads` others write
//! segments. They hold the engine weakly and end with it.

mod retention;
mod rounds;
mod threads;
mod upkeep;

pub(crate) use threads::Maintenance;
