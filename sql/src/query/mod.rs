//! Queries: DataFusion over the engine's cursor. Tables and topics are providers whose scans are compiled operators.

mod catalog;
mod growth;
mod information_schema;
mod interrupt;
mod outgoing;
mod parameters;
mod planner;
mod property;
mod recursion;
mod scan_exec;
mod session_functions;
mod shape;
mod sources;
mod stream_table;
mod values_rows;

pub(crate) use catalog::{Reader, Relation, found, permitted};
pub(crate) use interrupt::interruptible;
pub(crate) use outgoing::{outgoing_schema, stream};
pub(crate) use parameters::{bind, bind_rows, parameter_schema};
pub(crate) use planner::{Planner, analyse, base_state, one_thread, physical, runtime};
pub(crate) use session_functions::VERSION;
pub(crate) use shape::check_shape;
pub(crate) use sources::{Source, relations, sources};
pub(crate) use values_rows::name_row;
