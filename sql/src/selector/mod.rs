//! Message selectors: which messages a consumer wants, as an SQL92 condition over their properties. Language and values are those
//! of Apache RocketMQ, which has them from JMS: properties are texts that are read as numbers where they meet numbers, and a
//! message on which an expression fails does not pass. Plugins are called by name.
//!
//! `token` and `parse` turn a text into a [`condition::Condition`], `value` has how values compare, `evaluate` runs conditions
//! over batches, `filter` joins them to the columns of messages and to plugins, and `cache` keeps what is in use.

mod cache;
mod call;
mod columns;
mod condition;
mod evaluate;
mod filter;
mod operands;
mod parse;
#[cfg(test)]
mod tests;
mod token;
mod value;

pub(crate) use cache::Filters;
pub use columns::{MessageProperty, PropertyNames};
pub use filter::{MessageFilter, Selection};
