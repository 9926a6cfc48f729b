//! Queries: DataFusion over the engine's cursor. Tables and topics are providers whose scans are compiled operators.

mod catalog;
mod growth;
mod outgoing;
mod parameters;
mod planner;
mod scan_exec;
mod shape;
mod stream_table;

pub(crate) use catalog::{Reader, Relation, found};
pub(crate) use outgoing::{outgoing_schema, stream};
pub(crate) use parameters::{bind, bind_rows, parameter_schema};
pub(crate) use planner::{Planner, base_state, runtime};
pub(crate) use shape::check_shape;
