//! The state store as paged families read it.

use std::fmt;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;

use fjall::{Iter, Keyspace};
use parking_lot::RwLock;

use crate::model::{Error, Result};
use crate::state::store::errors::{contained, damaged, store_error};

/// The store's entries, until it is closed. What is written becomes visible a checkpoint at a time.
#[derive(Clone)]
pub(crate) struct PageSource {
    path: Arc<PathBuf>,
    /// `None` once the store is closed.
    entries: Arc<RwLock<Option<Keyspace>>>,
}

impl fmt::Debug for PageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageSource").field("path", &self.path).finish_non_exhaustive()
    }
}

impl PageSource {
    pub(in crate::state) fn new(path: PathBuf, entries: Keyspace) -> PageSource {
        PageSource { path: Arc::new(path), entries: Arc::new(RwLock::new(Some(entries))) }
    }

    /// Lets the store's files go; reads answer `Closed` from now on.
    pub(in crate::state) fn close(&self) {
        self.entries.write().take();
    }

    pub(super) fn get<V>(&self, key: &[u8], parse: impl FnOnce(&[u8]) -> Result<V, String>) -> Result<Option<V>> {
        let entries = self.entries.read();
        let entries = entries.as_ref().ok_or(Error::Closed)?;
        let found = contained(&self.path, || entries.get(key).map_err(|error| store_error(&self.path, &error)))?;
        found.map(|value| parse(&value).map_err(|error| self.damaged_entry(key, &error))).transpose()
    }

    /// Entries of a tag, from a key on, as they are now.
    pub(super) fn iter(&self, tag: u8, from: Bound<Vec<u8>>) -> Result<PageIter> {
        let entries = self.entries.read();
        let entries = entries.as_ref().ok_or(Error::Closed)?;
        let from = match from {
            Bound::Unbounded => Bound::Included(vec![tag]),
            from => from,
        };
        let range = (from, Bound::Excluded(vec![tag.saturating_add(1)]));
        let iter = contained(&self.path, || Ok(entries.range::<Vec<u8>, _>(range)))?;
        Ok(PageIter { source: self.clone(), iter })
    }

    pub(super) fn damaged_entry(&self, key: &[u8], error: &str) -> Error {
        damaged(&self.path, format!("entry {key:02x?}: {error}"))
    }
}

/// Entries in order.
pub(super) struct PageIter {
    source: PageSource,
    iter: Iter,
}

impl PageIter {
    /// Key and value of the next entry.
    pub(super) fn next(&mut self) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let (path, iter) = (self.source.path.as_path(), &mut self.iter);
        contained(path, || {
            let next = iter.next().map(fjall::Guard::into_inner).transpose();
            let next = next.map_err(|error| store_error(path, &error))?;
            Ok(next.map(|(key, value)| (key.to_vec(), value.to_vec())))
        })
    }
}
