//! Segments that readers hold, and their footers.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};

use super::bounds::BoundsCache;
use super::checksum::{BLOCK_BYTES, CHECKSUMS_KEY, Checksums};
use super::layout::{self, Description, RowGroupSpan};
use super::lsns::{LSN_RUNS_KEY, LsnRuns};
use super::store::{SegmentFiles, StoredFile};
use crate::model::{Error, Result};
use crate::state::SegmentMeta;

/// Bytes of footers that stay in memory between reads.
const CACHED_BYTES: usize = 16 << 20;

/// Files that stay open between reads.
const CACHED_FILES: usize = 256;

/// Page index and footer of a file that could be ours are smaller than this.
const MAX_TAIL_BYTES: u64 = 256 << 20;

/// Ranges of a remote file that lie closer than this are fetched as one.
const REMOTE_GAP_BYTES: u64 = 256 << 10;

/// A recorded segment. Its file stays while anybody holds this.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(super) meta: Arc<SegmentMeta>,
    opened: Mutex<Option<Arc<Footer>>>,
    /// When it was last used, in uses of any segment.
    used: AtomicU64,
}

/// An open file and its decoded footer.
#[derive(Debug)]
pub(super) struct Footer {
    file: StoredFile,
    remote: bool,
    path: std::path::PathBuf,
    checksums: Checksums,
    pub(super) metadata: ArrowReaderMetadata,
    pub(super) description: Description,
    pub(super) row_groups: Vec<RowGroupSpan>,
    pub(super) bounds: BoundsCache,
    /// `None` in files of releases without.
    pub(super) lsns: Option<Arc<LsnRuns>>,
    bytes: usize,
}

impl Segment {
    /// Opens the file at the first use.
    pub(super) fn footer(&self, store: &SegmentFiles) -> Result<Arc<Footer>> {
        let mut opened = self.opened.lock();
        if let Some(footer) = &*opened {
            return Ok(footer.clone());
        }
        let footer = Arc::new(Footer::open(store, &self.meta)?);
        *opened = Some(footer.clone());
        Ok(footer)
    }
}

impl Footer {
    pub(super) fn open(store: &SegmentFiles, meta: &SegmentMeta) -> Result<Footer> {
        let path = store.display(&meta.path);
        let damaged = |position, message: String| Error::Corrupt { path: path.clone(), position, message };
        let tail_bytes = meta.bytes.saturating_sub(meta.body_bytes);
        if meta.body_bytes > meta.bytes || tail_bytes > MAX_TAIL_BYTES {
            return Err(damaged(
                0,
                format!("the manifest states {} bytes with a body of {}", meta.bytes, meta.body_bytes),
            ));
        }
        let file = store.open_file(&meta.path)?;
        let tail = file.read(std::slice::from_ref(&(meta.body_bytes..meta.bytes)))?.pop().unwrap_or_default();
        if crc32c::crc32c(&tail) != meta.tail_crc32c {
            return Err(damaged(meta.body_bytes, "the footer's checksum is wrong".to_owned()));
        }
        let parsed = || {
            let mut reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required);
            reader.try_parse_sized(&tail, meta.bytes)?;
            ArrowReaderMetadata::try_new(Arc::new(reader.finish()?), ArrowReaderOptions::new())
        };
        let metadata = parsed().map_err(|error| damaged(meta.body_bytes, error.to_string()))?;
        let value = |key: &str| layout::footer_value(metadata.metadata(), key);
        let checksums = value(CHECKSUMS_KEY).and_then(|text| Checksums::parse(text, meta.body_bytes));
        let checksums =
            checksums.ok_or_else(|| damaged(meta.body_bytes, "the footer holds no checksums".to_owned()))?;
        let description = value(layout::DESCRIPTION_KEY).and_then(|text| serde_json::from_str(text).ok());
        let description: Description =
            description.ok_or_else(|| damaged(meta.body_bytes, "the footer holds no description".to_owned()))?;
        let row_groups = layout::row_groups(metadata.metadata());
        let rows = row_groups.last().map_or(0, |group| group.first_row + group.rows);
        if rows != meta.next_offset.saturating_sub(meta.first_offset) {
            let message = format!("it holds {rows} rows, not offsets {}..{}", meta.first_offset, meta.next_offset);
            return Err(damaged(meta.body_bytes, message));
        }
        let lsns = match value(LSN_RUNS_KEY) {
            Some(text) if meta.has_lsns() => {
                let parsed = LsnRuns::parse(text, rows).filter(|lsns| lsns.first() == Some(meta.first_lsn));
                Some(parsed.ok_or_else(|| {
                    damaged(meta.body_bytes, "the footer's LSNs are not those of its rows".to_owned())
                })?)
            }
            None if meta.has_lsns() => {
                return Err(damaged(meta.body_bytes, "the footer holds no LSNs".to_owned()));
            }
            _ => None,
        };
        let lsn_bytes = lsns.as_ref().map_or(0, LsnRuns::memory_bytes);
        let bytes = metadata.metadata().memory_size() + checksums.memory_bytes() + lsn_bytes;
        Ok(Footer {
            file,
            remote: store.is_remote(),
            checksums,
            metadata,
            description,
            row_groups,
            bounds: BoundsCache::default(),
            lsns: lsns.map(Arc::new),
            bytes,
            path,
        })
    }

    /// Reads ranges of the body, checked: runs of whole blocks that cover them, with their positions, in order.
    pub(super) fn read_body(&self, ranges: Vec<Range<u64>>) -> Result<Vec<(u64, Bytes)>> {
        let runs = self.block_runs(ranges);
        let read = self.file.read(&runs)?;
        let mut checked = Vec::with_capacity(read.len());
        for (run, bytes) in runs.iter().zip(read) {
            self.checksums.verify(run.start, &bytes).map_err(|position| Error::Corrupt {
                path: self.path.clone(),
                position,
                message: "a block's checksum is wrong".to_owned(),
            })?;
            checked.push((run.start, bytes));
        }
        Ok(checked)
    }

    /// The bloom filter of a leaf column's row group. `None` where there is none, or it can't be read.
    pub(super) fn bloom_filter(&self, group: usize, leaf: usize) -> Option<Sbbf> {
        let column = self.metadata.metadata().row_groups().get(group)?.columns().get(leaf)?;
        let from = u64::try_from(column.bloom_filter_offset()?).ok()?;
        let to = from.checked_add(u64::try_from(column.bloom_filter_length()?).ok()?)?;
        if to > self.checksums.body_bytes() {
            return None;
        }
        let read = self.read_body(std::iter::once(from..to).collect()).ok()?;
        let (start, bytes) = read.first()?;
        let at = usize::try_from(from.checked_sub(*start)?).ok()?;
        Sbbf::from_bytes(bytes.get(at..at.checked_add(usize::try_from(to - from).ok()?)?)?).ok()
    }

    /// How many bytes [`Self::read_body`] reads for ranges.
    pub(super) fn body_bytes(&self, ranges: &[Range<u64>]) -> usize {
        let runs = self.block_runs(ranges.to_vec());
        usize::try_from(runs.iter().map(|run| run.end - run.start).sum::<u64>()).unwrap_or(usize::MAX)
    }

    /// Ranges of the body that are likely to be read next.
    pub(super) fn will_read(&self, ranges: Vec<Range<u64>>) {
        self.file.will_read(&self.block_runs(ranges));
    }

    /// The fewest runs of whole blocks that cover ranges, in order; near ones become one.
    fn block_runs(&self, mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
        ranges.sort_unstable_by_key(|range| range.start);
        let gap = if self.remote { REMOTE_GAP_BYTES } else { BLOCK_BYTES };
        let mut runs: Vec<Range<u64>> = Vec::new();
        for range in ranges {
            let start = range.start / BLOCK_BYTES * BLOCK_BYTES;
            let end = (range.end.div_ceil(BLOCK_BYTES) * BLOCK_BYTES).min(self.checksums.body_bytes());
            match runs.last_mut() {
                Some(last) if start <= last.end + gap => last.end = last.end.max(end),
                _ => runs.push(start..end),
            }
        }
        runs
    }

    /// The file is checked but can't be decoded.
    pub(super) fn undecodable(&self, error: &dyn std::fmt::Display) -> Error {
        Error::Corrupt { path: self.path.clone(), position: 0, message: error.to_string() }
    }
}

/// Who holds which segment. A lease is taken under the state's lock, so that a segment which the manifest no longer
/// names gets no new holders.
#[derive(Debug, Default)]
pub(super) struct Leases {
    inner: Mutex<LeasesInner>,
    uses: AtomicU64,
}

#[derive(Debug, Default)]
struct LeasesInner {
    live: HashMap<u64, Weak<Segment>>,
    /// Kept for their footers while they fit.
    cached: HashMap<u64, Arc<Segment>>,
}

impl Leases {
    /// Does no I/O.
    pub(super) fn take(&self, meta: &Arc<SegmentMeta>) -> Arc<Segment> {
        let used = self.uses.fetch_add(1, Ordering::Relaxed);
        let mut inner = self.inner.lock();
        let held = inner.live.get(&meta.id).and_then(Weak::upgrade);
        let segment = held.unwrap_or_else(|| {
            let segment =
                Arc::new(Segment { meta: meta.clone(), opened: Mutex::new(None), used: AtomicU64::new(used) });
            inner.live.insert(meta.id, Arc::downgrade(&segment));
            segment
        });
        segment.used.store(used, Ordering::Relaxed);
        if let Entry::Vacant(place) = inner.cached.entry(meta.id) {
            place.insert(segment.clone());
            inner.shrink();
        }
        segment
    }

    /// Forgets a removed segment; true once nobody holds it, so that its file can be deleted.
    pub(super) fn is_free(&self, id: u64) -> bool {
        let mut inner = self.inner.lock();
        inner.cached.remove(&id);
        let held = inner.live.get(&id).is_some_and(|segment| segment.strong_count() > 0);
        if !held {
            inner.live.remove(&id);
        }
        !held
    }
}

impl LeasesInner {
    /// Lets go of the least recently used footers over the bounds.
    fn shrink(&mut self) {
        let bytes = |segment: &Segment| {
            segment.opened.try_lock().and_then(|opened| opened.as_ref().map(|o| o.bytes)).unwrap_or(0)
        };
        let mut total: usize = self.cached.values().map(|segment| bytes(segment)).sum();
        while self.cached.len() > CACHED_FILES || (total > CACHED_BYTES && self.cached.len() > 1) {
            let oldest = self.cached.iter().min_by_key(|(_, segment)| segment.used.load(Ordering::Relaxed));
            let Some(id) = oldest.map(|(id, _)| *id) else { break };
            if let Some(segment) = self.cached.remove(&id) {
                total = total.saturating_sub(bytes(&segment));
            }
        }
        if self.live.len() > 4 * CACHED_FILES {
            self.live.retain(|_, segment| segment.strong_count() > 0);
        }
    }
}
