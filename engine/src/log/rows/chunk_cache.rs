//! Chunks of index entries read from index files, bounded by bytes.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::entry::IndexEntry;
use crate::model::Lsn;

/// Chunks held, at most; each is at most 1,024 entries, about 64 KiB.
const KEPT: usize = 128;

type ChunkKey = (Lsn, usize);

/// Least recently used chunks go first.
#[derive(Debug, Default)]
pub(super) struct ChunkCache {
    chunks: Mutex<CachedChunks>,
}

#[derive(Debug, Default)]
struct CachedChunks {
    clock: u64,
    by_key: HashMap<ChunkKey, (u64, Arc<[IndexEntry]>)>,
}

impl ChunkCache {
    pub(super) fn get(&self, extent: Lsn, chunk: usize) -> Option<Arc<[IndexEntry]>> {
        let mut cached = self.chunks.lock();
        cached.clock += 1;
        let now = cached.clock;
        let (used, entries) = cached.by_key.get_mut(&(extent, chunk))?;
        *used = now;
        Some(entries.clone())
    }

    pub(super) fn put(&self, extent: Lsn, chunk: usize, entries: Arc<[IndexEntry]>) -> Arc<[IndexEntry]> {
        let mut cached = self.chunks.lock();
        cached.clock += 1;
        let now = cached.clock;
        if cached.by_key.len() >= KEPT
            && let Some(oldest) = cached.by_key.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| *key)
        {
            cached.by_key.remove(&oldest);
        }
        cached.by_key.insert((extent, chunk), (now, entries.clone()));
        entries
    }

    /// Drops what is held of an extent.
    pub(super) fn forget(&self, extent: Lsn) {
        self.chunks.lock().by_key.retain(|(first, _), _| *first != extent);
    }
}
