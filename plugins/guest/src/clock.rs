//! The time, for plugins that ask for [`crate::Capability::Clock`]. A call without it ends the instance.

use std::time::Duration;

use crate::bindings::filter::millstream::plugin::clock;

/// Wall time, in µs since 1970-01-01 UTC.
pub fn now_us() -> i64 {
    clock::now()
}

/// A time that never goes back, since a moment that is the same for one instance.
pub fn monotonic() -> Duration {
    Duration::from_nanos(clock::monotonic())
}
