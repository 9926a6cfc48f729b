//! Running guests: an instance and calls into it, the bounded pool of each plugin, the clock that interrupts them.

mod blame;
mod caller;
mod deadline;
mod instance;
mod panics;
mod pool;
mod slots;

pub(crate) use caller::{Caller, Kind};
pub(crate) use deadline::Ticker;
pub(crate) use instance::Instance;
pub(crate) use panics::Panics;
pub(crate) use pool::Pool;
