//! Continuous topics: a SELECT over windows of one table, to a [`millstream_engine::ContinuousPlan`].
//!
//! `check` refuses what can't be closed window by window, by what is written, and `separable` by what it means. `define` plans the
//! SELECT over a stand-in for the table with its windows, and `split` cuts the plan in two: what is done to rows as they come, and what
//! is done to a window's rows when it closes, a bounded query. Between them lie panes, the pieces that windows are made of (`panes`):
//! rows, or, where every aggregate allows it, partial aggregates (`groups`). `run` drives it, and `pieces` says how panes are saved.

mod check;
mod close;
mod define;
mod groups;
mod late;
mod panes;
mod pieces;
mod plan;
mod run;
mod separable;
mod split;
#[cfg(test)]
mod tests;

pub(crate) use define::{ContinuousDefinition, Over, begins_us, compile, define, is_continuous, source_of};
