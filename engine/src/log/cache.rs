//! Chunks of index entries read from index files, bounded by bytes.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::index::IndexEntry;
use crate::model::Lsn;

/// Chunks held, at most; each is at most 1,024 entries, about 64 KiB.
const KEPT: usize = 128;

type ChunkKey = (Lsn, usize);

/// Least recently used chunks go first.
#[derive(Debug, Default)]
pub(super) struct ChunkCache {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    clock: u64,
    chunks: HashMap<ChunkKey, (u64, Arc<[IndexEntry]>)>,
}

impl ChunkCache {
    pub(super) fn get(&self, file: Lsn, chunk: usize) -> Option<Arc<[IndexEntry]>> {
        let mut inner = self.inner.lock();
        inner.clock += 1;
        let now = inner.clock;
        let (used, entries) = inner.chunks.get_mut(&(file, chunk))?;
        *used = now;
        Some(entries.clone())
    }

    pub(super) fn put(&self, file: Lsn, chunk: usize, entries: Arc<[IndexEntry]>) -> Arc<[IndexEntry]> {
        let mut inner = self.inner.lock();
        inner.clock += 1;
        let now = inner.clock;
        if inner.chunks.len() >= KEPT
            && let Some(oldest) = inner.chunks.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| *key)
        {
            inner.chunks.remove(&oldest);
        }
        inner.chunks.insert((file, chunk), (now, entries.clone()));
        entries
    }

    /// Drops what is held of a file.
    pub(super) fn forget(&self, file: Lsn) {
        self.inner.lock().chunks.retain(|(first, _), _| *first != file);
    }
}
