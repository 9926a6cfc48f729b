//! SQL over the engine: text to plan to engine calls, and topics compiled to [`millstream_engine::BatchOperator`]s.
//!
//! This crate is the only owner of DataFusion; none of its types appear in the public API. It knows no protocol and no
//! Wasm: plugins reach it as [`millstream_engine::ScalarFunction`]s through the engine.
//!
//! Start at [`SqlEngine`]; the language is described in `docs/sql.md`. Inside: `parse` turns text into statements,
//! `query` plans and runs the ones that give rows, `run` the others, `topic` compiles subscriptions, `selector` what consumers of
//! message queues want; all of it on `threads`
//! of its own.

mod continuous;
mod convert;
mod error;
mod listing;
mod names;
mod options;
mod outcome;
mod parse;
mod plugin;
mod poll;
mod prepared;
mod pseudo;
mod query;
mod rewrite;
mod run;
mod selector;
mod session;
mod shares;
mod sql_engine;
mod standing;
mod system;
mod threads;
mod topic;
mod types;
mod values;
mod windows;

pub use error::{Error, Position, Result};
pub use options::{ShownSetting, SqlOptions};
pub use outcome::{BatchStream, Outcome};
pub use prepared::Prepared;
pub use selector::{MessageFilter, MessageProperty, PropertyNames, Selection};
pub use session::SqlSession;
pub use sql_engine::SqlEngine;
