//! What the doors are at, for `/metrics`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A kind of call that a door counts while it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Label {
    pub(crate) door: &'static str,
    pub(crate) call: &'static str,
}

/// Calls under way at one server.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    counts: Mutex<BTreeMap<Label, Arc<AtomicU64>>>,
}

/// Counts one until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Arc<AtomicU64>);

impl Figures {
    /// Shown from now on, at first with none.
    pub(crate) fn show(&self, label: Label) {
        self.count_of(label);
    }

    pub(crate) fn count(&self, label: Label) -> Counted {
        let count = self.count_of(label);
        count.fetch_add(1, Ordering::Relaxed);
        Counted(count)
    }

    pub(crate) fn all(&self) -> Vec<(Label, u64)> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(label, count)| (*label, count.load(Ordering::Relaxed))).collect()
    }

    fn count_of(&self, label: Label) -> Arc<AtomicU64> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(counts.entry(label).or_default())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_while_they_last() {
        let (get, put) = (Label { door: "test", call: "get" }, Label { door: "test", call: "put" });
        let figures = Figures::default();
        figures.show(put);
        let counted = (figures.count(get), figures.count(get));
        assert_eq!(figures.all(), [(get, 2), (put, 0)]);
        drop(counted);
        assert_eq!(figures.all(), [(get, 0), (put, 0)]);
    }
}
