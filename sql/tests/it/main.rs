//! The SQL room over a real engine: invariant 6, parameters, memory, cancellation, bounds on depth, mutated
//! statements.

mod crowd;
mod depth;
mod equality;
mod files;
mod fuzz;
mod identities;
mod statements;
mod support;
mod values;
