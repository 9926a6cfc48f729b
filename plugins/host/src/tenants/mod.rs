//! What the plugins of all namespaces share, and what each namespace may have of it: CPU time, memory, instances and turns.

mod bucket;
mod cpu;
mod memory;
mod reserve;
mod tenant;
mod throttling;
mod turns;

pub(crate) use bucket::Bucket;
pub(crate) use cpu::{Meter, Stopwatch, Took, micros, nanos, ns_a_second};
pub(crate) use memory::Memory;
pub(crate) use reserve::{Idle, Reserve, UNITS};
pub(crate) use tenant::{LONGEST_HOLD, SharedResources, Tenant, Tenants};
pub(crate) use throttling::Throttling;
pub(crate) use turns::{Scarce, Turn, Turns};
