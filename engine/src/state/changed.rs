//! Which entries a checkpoint has to write.

use std::collections::HashSet;
use std::hash::Hash;

/// Keys of entries that differ from the last checkpoint. Two states are equal whatever awaits a checkpoint.
#[derive(Debug, Clone)]
pub(crate) struct Changed<K> {
    /// `None` in views that no checkpoint is taken of.
    since: Option<HashSet<K>>,
    /// Those that the checkpoint under way writes.
    writing: HashSet<K>,
}

impl<K> Default for Changed<K> {
    fn default() -> Self {
        Changed { since: Some(HashSet::new()), writing: HashSet::new() }
    }
}

impl<K> PartialEq for Changed<K> {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl<K: Eq + Hash + Clone> Changed<K> {
    pub(crate) fn untracked() -> Changed<K> {
        Changed { since: None, writing: HashSet::new() }
    }

    pub(crate) fn mark(&mut self, key: K) {
        if let Some(since) = &mut self.since {
            since.insert(key);
        }
    }

    pub(crate) fn begin(&mut self) {
        if let Some(since) = &mut self.since {
            self.writing.extend(since.drain());
        }
    }

    pub(crate) fn writing(&self) -> impl Iterator<Item = &K> {
        self.writing.iter()
    }

    pub(crate) fn end(&mut self, written: bool) {
        let kept = std::mem::take(&mut self.writing);
        if let (false, Some(since)) = (written, &mut self.since) {
            since.extend(kept);
        }
    }
}
