//! Windows of time in FROM: `TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)`, HOP and CUMULATE.
//!
//! `call` reads what is written, `spec` says which windows a time is in, and `expand` writes a call out as the sub-query that it
//! stands for, with the functions of `functions` in it: DataFusion sees nothing new. Continuous topics take the calls as they are.

mod call;
mod expand;
mod functions;
mod spec;

pub(crate) use call::{Source, WindowCall};
pub(crate) use expand::{expand, first_call};
pub(crate) use functions::{between_ticks, functions};
pub(crate) use spec::{WindowKind, WindowSpec, per_second};

/// The columns that a call adds, in this order.
pub(crate) const COLUMNS: [&str; 3] = ["window_start", "window_end", "window_time"];
