//! Numbers of connections. Both doors' clients are alive in the engine by these, so that both count on from one.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number for one more connection.
pub(super) fn next_connection() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
