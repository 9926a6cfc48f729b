//! Topics: from a SELECT to a [`millstream_engine::BatchOperator`].
//!
//! `check` refuses what a stateless topic can't be, `plan` makes a [`Stateless`] of the rest, and `operator` compiles
//! that. With a transform, `topic_plan` puts a plugin behind it. History queries over tables and topics go through the
//! same [`TopicPlan`], so that a topic equals its SELECT.

mod check;
mod compile;
mod explain;
mod layered;
mod operator;
mod plan;
mod prune;
mod stateless;
#[cfg(test)]
mod tests;
mod topic_plan;
mod transform;

pub(crate) use check::{check_columns, check_names};
pub(crate) use compile::{
    TopicDefinition, compile_topic, define, plan_of, schema_at, select_over, table_of, table_of_query,
};
pub(crate) use explain::{explain, explain_schema};
pub(crate) use layered::Layered;
pub(crate) use operator::Operator;
pub(crate) use plan::analyse_over;
pub(crate) use stateless::{Output, Stateless};
pub(crate) use topic_plan::{TopicPlan, coerces};
