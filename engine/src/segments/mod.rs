//! Immutable Parquet files that hold ranges of offsets. What this module writes and records is drawn in
//! `docs/segments.md`.

mod bounds;
mod checksum;
mod claims;
mod columns;
mod cut;
mod handle;
mod layout;
mod lsns;
mod merge;
mod missing;
mod name;
mod open;
mod pool;
mod prune;
mod read;
mod record;
mod rows;
mod run;
mod sample;
mod store;
mod sweep;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod value_tests;
mod work;
mod writer;
mod writing;

pub(crate) use handle::Segments;
pub(crate) use open::Segment;
pub(crate) use prune::Pruning;
pub(crate) use sweep::sweep;
pub(crate) use work::{Job, Task, due};
