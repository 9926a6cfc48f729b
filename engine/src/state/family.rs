//! What a family of entries is: one kind of thing that the log says, and what the state keeps of it.
//!
//! A family is a file beside this one: the records that are its own ([`RecordKind`]), how they are folded ([`Family`]), and what of
//! that is in the state store ([`Stored`]). `state/families.rs` lists them; nothing else names them all.

use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;

use super::paged::PageSource;
use super::{Catalog, Earlier, State};
use crate::model::{Lsn, Result};
use crate::state::{Record, RecordContext};

/// A kind of record, beside rows. `Record` lists them with the bytes that name them in the log.
pub(crate) trait RecordKind: fmt::Debug {
    /// The record as it lies in its frame.
    fn encode(&self) -> Result<Vec<u8>>;

    /// What is wrong with the payload is said without its place.
    fn decode(payload: &[u8]) -> Result<Self, String>
    where
        Self: Sized;

    /// No more than this many bytes are needed for [`Self::encode`].
    fn payload_bytes(&self) -> Result<usize>;

    /// Whether the record may enter the log, by the state that includes every submission ahead; `earlier` has what the records
    /// before it in the same submission do, and takes note of what this one does.
    fn admit<'a>(&'a self, state: &State, earlier: &mut Earlier<'a>) -> Result<()>;

    /// Told once it is admitted, before it is applied: what it creates is named by its LSN.
    fn numbered(&mut self, _lsn: Lsn) {}

    /// Whether it grows with what was read or written: it then waits in the lane of rows.
    fn is_bulk(&self) -> bool {
        false
    }

    /// Whether it must lie behind the rows of all submissions before it.
    fn comes_after_rows(&self) -> bool {
        false
    }
}

/// What a family is told of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fold<'a> {
    pub context: RecordContext,
    /// What was defined before the record.
    pub catalog: &'a Catalog,
    /// The append time that the state had reached before the record.
    pub before_us: i64,
}

impl Fold<'_> {
    /// The append time that the state has now: the record's, unless an earlier one was later.
    pub(crate) fn append_us(&self) -> i64 {
        self.before_us.max(self.context.append_us)
    }
}

/// Receives what a checkpoint writes: a key, and its value; `None` removes it.
pub(crate) type Entries<'a> = dyn FnMut(Vec<u8>, Option<Vec<u8>>) + 'a;

/// What has entries in the state store.
pub(crate) trait Stored {
    /// What the keys begin with that are read back at opening, in the order in which they are.
    fn tags(&self) -> &'static [&'static [u8]];

    /// Takes an entry back. `key` has its tag.
    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), String>;

    /// A checkpoint begins: it writes what has changed until now.
    fn begin_checkpoint(&mut self);

    /// The entries that the checkpoint under way writes, as they are now.
    fn write(&self, entries: &mut Entries<'_>) -> Result<()>;

    /// The checkpoint ends. What was not `written` is written by the next one.
    fn end_checkpoint(&mut self, written: bool);

    /// Told where the entries lie that are not read back, of a family that is paged.
    fn attach(&mut self, _pages: &PageSource) {}

    /// Told once all entries are back, before anything is applied.
    fn restored(&mut self, _restored: &mut Restored<'_>) -> Result<()> {
        Ok(())
    }

    /// Bytes of what no checkpoint has yet, of a family that is paged.
    fn unwritten_bytes(&self) -> usize {
        0
    }
}

/// What a family is told when it is back.
pub(crate) struct Restored<'a> {
    pub catalog: &'a Catalog,
    /// The append time that the state has reached.
    pub append_us: i64,
    /// False in a store of a release that did not write what follows from other entries: that is made anew.
    pub complete: bool,
    /// Takes what is made anew of paged entries, keys with values, in any order.
    pub entries: &'a mut dyn FnMut(Vec<u8>, Vec<u8>) -> Result<()>,
}

/// What the log folds into state. Folding is a pure function: no clock, no chance, and the same in every replay. What it is told has
/// been admitted, so it refuses nothing: it does what makes sense of the record. An error is a state store that can't be read.
pub(crate) trait Family: Stored {
    /// Takes a record up, its own or another's that concerns it.
    fn apply(&mut self, fold: &Fold<'_>, record: &Record) -> Result<()>;

    /// The writer's view: no checkpoint is taken of it.
    fn ahead(&self) -> Self
    where
        Self: Sized;

    /// The writer's view is told that a commit is complete, and how far readers' state has come: what is below is decided, and need
    /// not be kept twice.
    fn end_commit(&mut self, _last: Lsn, _applied: Lsn) {}
}

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
