//! What happens at a time: one thread takes what is due, in the order of the times, has a submission made of it, and submits that
//! together with the record that the entries are done with.
//!
//! Times are those of the log ([`crate::log`]): nothing happens earlier because the wall clock has jumped. Entries lie in the state,
//! most of them on the disk; here is only where each table's next one is.

mod claims;
mod next;
mod thread;
mod times;

pub(crate) use next::Due;
pub(crate) use times::{Acts, DueTimes};
