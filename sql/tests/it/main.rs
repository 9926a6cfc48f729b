//! The SQL room over a real engine: invariant 6, parameters, memory, cancellation.

mod equality;
mod statements;
mod support;
