//! What readers see: changes that the state store lacks, over the store.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};

use super::super::changed::Changed;
use super::super::codec::{KeyBytes, KeyParts, VERSION};
use super::super::stored::Entries;
use super::recent::Recent;
use super::{PageSource, PagedEntries};
use crate::model::Result;

/// Entries of void owners that one checkpoint removes, at most.
const SWEPT_AT_ONCE: usize = 16_384;
/// Tag of void owners.
pub(in crate::state) const VOID_TAG: u8 = b'v';

/// Entries that differ from the store; `None` is one that is gone.
pub(super) type Changes<T> = BTreeMap<<T as PagedEntries>::Key, Option<<T as PagedEntries>::Value>>;

/// Shared by the readers' view and the writer's.
#[derive(Debug)]
pub(super) struct Pages<T: PagedEntries> {
    layers: RwLock<Layers<T>>,
    source: OnceLock<PageSource>,
    recent: Mutex<Recent<T>>,
}

#[derive(Debug)]
pub(super) struct Layers<T: PagedEntries> {
    changed: Changes<T>,
    changed_bytes: usize,
    /// What the checkpoint under way writes.
    writing: Option<Arc<Changes<T>>>,
    void: BTreeSet<u64>,
    unwritten_void: Changed<u64>,
    /// Void owners of which the checkpoint under way removes the last entry.
    swept: BTreeSet<u64>,
    /// Counts the checkpoints that were written: what was in memory before one may be in the store only.
    version: u64,
}

impl<T: PagedEntries> Default for Layers<T> {
    fn default() -> Self {
        Layers {
            changed: BTreeMap::new(),
            changed_bytes: 0,
            writing: None,
            void: BTreeSet::new(),
            unwritten_void: Changed::default(),
            swept: BTreeSet::new(),
            version: 0,
        }
    }
}

impl<T: PagedEntries> Default for Pages<T> {
    fn default() -> Self {
        Pages { layers: RwLock::default(), source: OnceLock::new(), recent: Mutex::default() }
    }
}

/// What memory says of the entries from a key on.
pub(super) struct Glance<T: PagedEntries> {
    pub version: u64,
    /// The first entry, or that it is gone.
    pub next: Option<(T::Key, Option<T::Value>)>,
}

impl<T: PagedEntries> Layers<T> {
    fn get(&self, key: &T::Key) -> Option<Option<T::Value>> {
        if self.void.contains(&T::owner(key)) {
            return Some(None);
        }
        let writing = || self.writing.as_ref().and_then(|writing| writing.get(key));
        self.changed.get(key).or_else(writing).cloned()
    }

    fn holds(&self, key: &T::Key) -> bool {
        let is_written = || self.writing.as_ref().is_some_and(|writing| writing.contains_key(key));
        self.void.contains(&T::owner(key)) || self.changed.contains_key(key) || is_written()
    }
}

impl<T: PagedEntries> Pages<T> {
    pub(super) fn attach(&self, source: &PageSource) {
        self.source.get_or_init(|| source.clone());
    }

    pub(super) fn source(&self) -> Option<&PageSource> {
        self.source.get()
    }

    pub(super) fn get(&self, key: &T::Key) -> Result<Option<T::Value>> {
        let version = {
            let layers = self.layers.read();
            if let Some(found) = layers.get(key) {
                return Ok(found);
            }
            layers.version
        };
        // A checkpoint that ends meanwhile has written before it let memory go.
        self.stored(version, key)
    }

    /// Reads an entry that is not in memory, for whoever is about to ask for it. What can't be read is seen by him.
    pub(super) fn fetch(&self, key: &T::Key) {
        let version = {
            let layers = self.layers.read();
            if layers.holds(key) {
                return;
            }
            layers.version
        };
        drop(self.stored(version, key));
    }

    /// For whoever has found nothing in memory at that version. What the store has of the entry changes no more before the next one:
    /// until then a changed entry is in memory.
    fn stored(&self, version: u64, key: &T::Key) -> Result<Option<T::Value>> {
        let Some(source) = self.source() else { return Ok(None) };
        if let Some(found) = self.recent.lock().get(version, key) {
            return Ok(found);
        }
        let found = source.get(&T::key(key), T::parse_value)?;
        self.recent.lock().put(version, key, found.as_ref());
        Ok(found)
    }

    /// Only one thread changes entries, so that what is read from the store is still true when it is put.
    pub(super) fn edit<R>(&self, key: &T::Key, edit: impl FnOnce(&mut Option<T::Value>) -> R) -> Result<R> {
        let mut layers = self.layers.write();
        if !layers.changed.contains_key(key) {
            drop(layers);
            let found = self.get(key)?;
            layers = self.layers.write();
            layers.changed_bytes += T::bytes(key, found.as_ref());
            layers.changed.insert(key.clone(), found);
        }
        let Some(value) = layers.changed.get_mut(key) else { return Ok(edit(&mut None)) };
        let before = T::bytes(key, value.as_ref());
        let edited = edit(value);
        let after = T::bytes(key, value.as_ref());
        let gone = value.is_none();
        layers.changed_bytes = layers.changed_bytes.saturating_sub(before).saturating_add(after);
        if gone && self.source().is_none() {
            layers.changed.remove(key);
            layers.changed_bytes = layers.changed_bytes.saturating_sub(after);
        }
        Ok(edited)
    }

    pub(super) fn put(&self, key: &T::Key, value: Option<T::Value>) {
        let mut layers = self.layers.write();
        let before = layers.changed.get(key).map_or(0, |before| T::bytes(key, before.as_ref()));
        let mut after = 0;
        if value.is_none() && self.source().is_none() {
            layers.changed.remove(key);
        } else {
            after = T::bytes(key, value.as_ref());
            layers.changed.insert(key.clone(), value);
        }
        layers.changed_bytes = layers.changed_bytes.saturating_sub(before).saturating_add(after);
    }

    pub(super) fn make_void(&self, owner: u64) {
        let mut layers = self.layers.write();
        let last = owner.checked_add(1).map_or(Bound::Unbounded, |next| Bound::Excluded(T::first_of(next)));
        let range = (Bound::Included(T::first_of(owner)), last);
        let keys: Vec<T::Key> = layers.changed.range(range).map(|(key, _)| key.clone()).collect();
        for key in keys {
            if let Some(value) = layers.changed.remove(&key) {
                layers.changed_bytes = layers.changed_bytes.saturating_sub(T::bytes(&key, value.as_ref()));
            }
        }
        if self.source().is_some() {
            layers.void.insert(owner);
            layers.unwritten_void.mark(owner);
        }
    }

    pub(super) fn restore_void(&self, key: &[u8]) -> Result<(), String> {
        let mut parts = KeyParts::of(key.get(1..).unwrap_or_default());
        let owner = parts.u64()?;
        parts.end()?;
        self.layers.write().void.insert(owner);
        Ok(())
    }

    /// The first of the changes from a key on.
    pub(super) fn glance(&self, from: (Bound<&T::Key>, Bound<&T::Key>)) -> Glance<T> {
        let layers = self.layers.read();
        let changed = layers.changed.range(from).next();
        let writing = layers.writing.as_ref().and_then(|writing| writing.range(from).next());
        let next = match (changed, writing) {
            (Some(changed), Some(writing)) if writing.0 < changed.0 => Some(writing),
            (changed, writing) => changed.or(writing),
        };
        let next = next.map(|(key, value)| {
            let void = layers.void.contains(&T::owner(key));
            (key.clone(), value.clone().filter(|_| !void))
        });
        Glance { version: layers.version, next }
    }

    pub(super) fn is_void(&self, owner: u64) -> bool {
        self.layers.read().void.contains(&owner)
    }

    pub(super) fn version(&self) -> u64 {
        self.layers.read().version
    }

    pub(super) fn begin_checkpoint(&self) {
        let mut layers = self.layers.write();
        layers.changed_bytes = 0;
        layers.writing = Some(Arc::new(std::mem::take(&mut layers.changed)));
        layers.unwritten_void.begin();
    }

    pub(super) fn write(&self, entries: &mut Entries<'_>) -> Result<()> {
        let (writing, void) = {
            let layers = self.layers.read();
            for owner in layers.unwritten_void.writing() {
                entries(void_key::<T>(*owner), Some(vec![VERSION]));
            }
            (layers.writing.clone(), layers.void.clone())
        };
        for (key, value) in writing.iter().flat_map(|writing| writing.iter()) {
            if !void.contains(&T::owner(key)) {
                entries(T::key(key), value.as_ref().map(T::value).transpose()?);
            }
        }
        self.sweep(&void, entries)
    }

    fn sweep(&self, void: &BTreeSet<u64>, entries: &mut Entries<'_>) -> Result<()> {
        let Some(source) = self.source() else { return Ok(()) };
        let mut left = SWEPT_AT_ONCE;
        for owner in void {
            let first = KeyBytes::new(T::TAG).u64(*owner).done();
            let mut found = source.iter(T::TAG, Bound::Included(first.clone()))?;
            while let Some((key, _)) = found.next()?.filter(|(key, _)| key.starts_with(&first)) {
                if left == 0 {
                    return Ok(());
                }
                left -= 1;
                entries(key, None);
            }
            entries(void_key::<T>(*owner), None);
            self.layers.write().swept.insert(*owner);
        }
        Ok(())
    }

    pub(super) fn end_checkpoint(&self, written: bool) {
        let mut layers = self.layers.write();
        let (swept, writing) = (std::mem::take(&mut layers.swept), layers.writing.take());
        layers.unwritten_void.end(written);
        if written {
            layers.version += 1;
            swept.iter().for_each(|owner| {
                layers.void.remove(owner);
            });
            return;
        }
        // What was changed since is newer.
        let Some(writing) = writing else { return };
        for (key, value) in writing.iter() {
            if !layers.changed.contains_key(key) {
                layers.changed_bytes += T::bytes(key, value.as_ref());
                layers.changed.insert(key.clone(), value.clone());
            }
        }
    }

    pub(super) fn unwritten_bytes(&self) -> usize {
        self.layers.read().changed_bytes
    }

    #[cfg(test)]
    pub(super) fn in_memory(&self) -> usize {
        let layers = self.layers.read();
        layers.changed.len() + layers.writing.as_ref().map_or(0, |writing| writing.len())
    }
}

fn void_key<T: PagedEntries>(owner: u64) -> Vec<u8> {
    KeyBytes::new(VOID_TAG).rest(&[T::TAG]).u64(owner).done()
}
