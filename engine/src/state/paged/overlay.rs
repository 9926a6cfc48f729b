//! What the writer has decided and readers do not see yet.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use super::PagedEntries;
use crate::model::{Lsn, Result};

/// What is kept though it is decided, so that what is changed again and again is not read and copied each time: changes, and bytes.
const KEPT: usize = 8_192;
const KEPT_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Overlay<T: PagedEntries> {
    entries: BTreeMap<T::Key, Undecided<T::Value>>,
    bytes: usize,
    void: BTreeMap<u64, u64>,
    /// The commit in the making; counts from 0.
    commit: u64,
    touched: Vec<T::Key>,
    /// Commits before, their last LSNs, and what they have touched.
    commits: VecDeque<(Lsn, u64, Vec<T::Key>)>,
    /// Commits before, and keys that they have touched.
    changes: usize,
}

#[derive(Debug)]
struct Undecided<V> {
    /// The last commit that has changed it.
    commit: u64,
    value: Option<V>,
}

impl<T: PagedEntries> Default for Overlay<T> {
    fn default() -> Self {
        Overlay {
            entries: BTreeMap::new(),
            bytes: 0,
            void: BTreeMap::new(),
            commit: 0,
            touched: Vec::new(),
            commits: VecDeque::new(),
            changes: 0,
        }
    }
}

impl<T: PagedEntries> Overlay<T> {
    pub(super) fn get(&self, key: &T::Key) -> Option<Option<T::Value>> {
        if self.is_void(T::owner(key)) {
            return Some(None);
        }
        self.entries.get(key).map(|entry| entry.value.clone())
    }

    pub(super) fn is_void(&self, owner: u64) -> bool {
        self.void.contains_key(&owner)
    }

    /// The first entry from a key on.
    pub(super) fn next(&self, from: (Bound<&T::Key>, Bound<&T::Key>)) -> Option<(T::Key, Option<T::Value>)> {
        let (key, entry) = self.entries.range(from).next()?;
        Some((key.clone(), entry.value.clone()))
    }

    pub(super) fn edit<R>(
        &mut self,
        key: &T::Key,
        below: impl FnOnce() -> Result<Option<T::Value>>,
        edit: impl FnOnce(&mut Option<T::Value>) -> R,
    ) -> Result<R> {
        if !self.entries.contains_key(key) {
            let value = if self.is_void(T::owner(key)) { None } else { below()? };
            self.put(key, value);
        }
        self.touch(key);
        let Some(entry) = self.entries.get_mut(key) else { return Ok(edit(&mut None)) };
        let before = T::bytes(key, entry.value.as_ref());
        let edited = edit(&mut entry.value);
        let after = T::bytes(key, entry.value.as_ref());
        self.bytes = self.bytes.saturating_sub(before).saturating_add(after);
        Ok(edited)
    }

    pub(super) fn put(&mut self, key: &T::Key, value: Option<T::Value>) {
        self.touch(key);
        self.bytes = self.bytes.saturating_add(T::bytes(key, value.as_ref()));
        let before = self.entries.insert(key.clone(), Undecided { commit: self.commit, value });
        self.let_go(key, before);
    }

    fn let_go(&mut self, key: &T::Key, gone: Option<Undecided<T::Value>>) {
        let bytes = gone.map_or(0, |gone| T::bytes(key, gone.value.as_ref()));
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Notes once a commit that an entry is changed.
    fn touch(&mut self, key: &T::Key) {
        match self.entries.get_mut(key) {
            Some(entry) if entry.commit == self.commit => {}
            found => {
                if let Some(entry) = found {
                    entry.commit = self.commit;
                }
                self.touched.push(key.clone());
            }
        }
    }

    pub(super) fn make_void(&mut self, owner: u64) {
        let last = owner.checked_add(1).map_or(Bound::Unbounded, |next| Bound::Excluded(T::first_of(next)));
        let range = (Bound::Included(T::first_of(owner)), last);
        let keys: Vec<T::Key> = self.entries.range(range).map(|(key, _)| key.clone()).collect();
        for key in keys {
            let gone = self.entries.remove(&key);
            self.let_go(&key, gone);
        }
        self.void.insert(owner, self.commit);
    }

    pub(super) fn end_commit(&mut self, last: Lsn, applied: Lsn) {
        let touched = std::mem::take(&mut self.touched);
        self.changes += 1 + touched.len();
        self.commits.push_back((last, self.commit, touched));
        self.commit += 1;
        while self.commits.front().is_some_and(|(last, ..)| *last <= applied) {
            if self.changes <= KEPT && self.bytes <= KEPT_BYTES && self.void.is_empty() {
                break;
            }
            let Some((_, commit, touched)) = self.commits.pop_front() else { break };
            self.changes -= 1 + touched.len();
            for key in touched {
                if self.entries.get(&key).is_some_and(|entry| entry.commit == commit) {
                    let gone = self.entries.remove(&key);
                    self.let_go(&key, gone);
                }
            }
            self.void.retain(|_, of| *of != commit);
        }
    }

    /// What it holds: changes, and bytes of entries.
    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize) {
        (self.changes, self.bytes)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}
