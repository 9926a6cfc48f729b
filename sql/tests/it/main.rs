//! The SQL room over a real engine: invariant 6, parameters, memory, cancellation, bounds on depth.

mod depth;
mod equality;
mod statements;
mod support;
