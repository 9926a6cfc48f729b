//! The Flight door, spoken to directly: what no client of ours would send too.

mod bad_input;
mod black_hole;
mod exchange;
mod put;
mod sql;
mod streams;
mod vanishing;
pub(crate) mod wire;
