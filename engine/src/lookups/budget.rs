//! The bytes that the indexes of one plugin share.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    used: AtomicU64,
}

impl Budget {
    pub(crate) fn new(limit: u64) -> Budget {
        Budget { limit, used: AtomicU64::new(0) }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Takes `more` bytes and gives `less` back; false, and nothing done, where that goes past the limit. What grows no
    /// further is always let through.
    pub(crate) fn change(&self, more: u64, less: u64) -> bool {
        let changed = |used: u64| {
            let then = used.saturating_add(more).saturating_sub(less);
            (then <= used || then <= self.limit).then_some(then)
        };
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, changed).is_ok()
    }
}
