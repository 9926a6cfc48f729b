//! What the engine asks of the machine, injected where it is opened: disk, clock, threads, and the ring of events.

mod clock;
pub mod disk;
mod events;
mod options;
mod threads;

pub use clock::{BootTime, Clock, ManualClock, SystemClock};
pub(crate) use clock::{Patience, Stopwatch};
pub(crate) use events::Events;
pub use options::{AuditOptions, EngineOptions, SegmentStore, TransactionChecks};
pub use threads::{ThreadPanic, panic_text, repeat_after_panics};
pub(crate) use threads::{Threads, join, start_aside};
