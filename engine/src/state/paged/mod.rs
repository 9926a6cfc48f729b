//! Families that can be large. What the log has and the state store lacks is in memory; the rest is read from the store, through
//! the store's own cache, which is bounded.
//!
//! ```text
//!   writer's view:   what is undecided        (overlay.rs)
//!                        │ else
//!   readers' view:   changed since the last checkpoint ── what the checkpoint under way writes   (layers.rs)
//!                        │ else
//!   state store      what was read of it last (recent.rs), else the store (source.rs)
//! ```
//!
//! Entries that go together, such as a dropped consumer's, are not looked up: their owner is void, which hides them at once, and
//! checkpoints remove them a share at a time.

mod entries;
mod layers;
mod overlay;
mod recent;
mod scan;
mod source;
#[cfg(test)]
mod tests;

use std::ops::Bound;
use std::sync::Arc;

pub(crate) use self::entries::PagedEntries;
use self::layers::Pages;
pub(super) use self::layers::VOID_TAG;
use self::overlay::Overlay;
pub(crate) use self::source::PageSource;
use super::stored::Entries;
use crate::model::{Lsn, Result};

/// A family's entries: the readers' view, or the writer's.
#[derive(Debug)]
pub(crate) struct Paged<T: PagedEntries> {
    pages: Arc<Pages<T>>,
    /// In the writer's view only.
    overlay: Option<Overlay<T>>,
}

impl<T: PagedEntries> Default for Paged<T> {
    fn default() -> Self {
        Paged { pages: Arc::default(), overlay: None }
    }
}

impl<T: PagedEntries> Paged<T> {
    /// The writer's view of the same entries.
    pub(crate) fn ahead(&self) -> Paged<T> {
        Paged { pages: self.pages.clone(), overlay: Some(Overlay::default()) }
    }

    /// The same entries as readers see them, to be read while no lock of the state is held.
    pub(crate) fn reader(&self) -> Paged<T> {
        Paged { pages: self.pages.clone(), overlay: None }
    }

    pub(crate) fn get(&self, key: &T::Key) -> Result<Option<T::Value>> {
        match self.overlay.as_ref().and_then(|overlay| overlay.get(key)) {
            Some(undecided) => Ok(undecided),
            None => self.pages.get(key),
        }
    }

    /// Reads an entry that is not in memory, for whoever is about to ask for it.
    pub(crate) fn fetch(&self, key: &T::Key) {
        self.pages.fetch(key);
    }

    /// Changes an entry in place; `None` is one that is not there.
    pub(crate) fn edit<R>(&mut self, key: &T::Key, edit: impl FnOnce(&mut Option<T::Value>) -> R) -> Result<R> {
        let Some(overlay) = &mut self.overlay else { return self.pages.edit(key, edit) };
        let pages = &self.pages;
        overlay.edit(key, || pages.get(key), edit)
    }

    /// As [`Self::edit`], whatever is there.
    pub(crate) fn put(&mut self, key: &T::Key, value: Option<T::Value>) {
        match &mut self.overlay {
            None => self.pages.put(key, value),
            Some(overlay) => overlay.put(key, value),
        }
    }

    /// All entries of an owner are gone, and it will never have others.
    pub(crate) fn make_void(&mut self, owner: u64) {
        match &mut self.overlay {
            None => self.pages.make_void(owner),
            Some(overlay) => overlay.make_void(owner),
        }
    }

    /// Entries from a key on, in order, until `each` gives false.
    pub(crate) fn scan(&self, from: Bound<T::Key>, each: impl FnMut(&T::Key, &T::Value) -> Result<bool>) -> Result<()> {
        scan::scan(&self.pages, self.overlay.as_ref(), from, each)
    }

    /// See [`super::family::Family::end_commit`].
    pub(crate) fn end_commit(&mut self, last: Lsn, applied: Lsn) {
        if let Some(overlay) = &mut self.overlay {
            overlay.end_commit(last, applied);
        }
    }

    pub(crate) fn attach(&mut self, source: &PageSource) {
        self.pages.attach(source);
    }

    /// Takes back that an owner is void.
    pub(crate) fn restore_void(&mut self, key: &[u8]) -> Result<(), String> {
        self.pages.restore_void(key)
    }

    pub(crate) fn begin_checkpoint(&mut self) {
        self.pages.begin_checkpoint();
    }

    pub(crate) fn write(&self, entries: &mut Entries<'_>) -> Result<()> {
        self.pages.write(entries)
    }

    pub(crate) fn end_checkpoint(&mut self, written: bool) {
        self.pages.end_checkpoint(written);
    }

    pub(crate) fn unwritten_bytes(&self) -> usize {
        self.pages.unwritten_bytes()
    }
}

/// All entries, for comparisons in tests.
#[cfg(test)]
impl<T: PagedEntries> Paged<T> {
    pub(crate) fn all(&self) -> Vec<(T::Key, T::Value)> {
        let mut all = Vec::new();
        let each = |key: &T::Key, value: &T::Value| {
            all.push((key.clone(), value.clone()));
            Ok(true)
        };
        self.scan(Bound::Unbounded, each).expect("the state store can be read");
        all
    }

    /// Entries that are in memory.
    pub(crate) fn in_memory(&self) -> usize {
        self.pages.in_memory() + self.overlay.as_ref().map_or(0, Overlay::len)
    }

    /// What the writer's view holds by itself: changes, and bytes of entries.
    pub(crate) fn held(&self) -> (usize, usize) {
        self.overlay.as_ref().map_or((0, 0), Overlay::held)
    }
}

#[cfg(test)]
impl<T: PagedEntries> PartialEq for Paged<T> {
    fn eq(&self, other: &Self) -> bool {
        self.all() == other.all()
    }
}

/// A copy that needs no store.
#[cfg(test)]
impl<T: PagedEntries> Clone for Paged<T> {
    fn clone(&self) -> Self {
        let mut copy = Paged::default();
        self.all().into_iter().for_each(|(key, value)| copy.put(&key, Some(value)));
        copy
    }
}
