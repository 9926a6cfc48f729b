//! The Flight door, spoken to directly: what no client of ours would send too.

mod bad_input;
mod exchange;
mod put;
mod sql;
mod wire;
