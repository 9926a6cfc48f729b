//! What has entries in the state store.

use super::catalog::Catalog;
use super::paged::PageSource;
use crate::model::Result;

/// Receives what a checkpoint writes: a key, and its value; `None` removes it.
pub(crate) type Entries<'a> = dyn FnMut(Vec<u8>, Option<Vec<u8>>) + 'a;

/// A family, or the catalog.
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
