//! Topics: from a SELECT to a [`millstream_engine::BatchOperator`].
//!
//! `check` refuses what a stateless topic can't be, `plan` makes a [`Stateless`] of the rest, and `operator` compiles
//! that. History queries over tables and topics go through the same `Stateless`, so that a topic equals its SELECT.

mod check;
mod compile;
mod explain;
mod operator;
mod plan;
mod prune;
mod skip;
mod stateless;
#[cfg(test)]
mod tests;

pub(crate) use compile::{TopicDefinition, compile_definition, define, stateless_of, table_of};
pub(crate) use explain::{explain, explain_schema};
pub(crate) use operator::Operator;
pub(crate) use skip::SkipFailing;
pub(crate) use stateless::Stateless;
