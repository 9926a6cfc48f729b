//! The index file of a sealed extent: its chunks of entries are read when needed. `docs/log-format.md` draws it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::entry::{ENTRY_LEN, Entries, IndexEntry, PartitionKey};
use crate::log::journal::{Fields, LogId};
use crate::model::{Lsn, Offset, PartitionId, TableId};
use crate::platform::disk::DiskFile;

const MAGIC: [u8; 4] = *b"MSLX";
const VERSION: u32 = 1;
const HEADER_LEN: usize = 64;
const CHUNK_LEN: usize = 48;
/// Entries of one chunk, at most.
const CHUNK_ENTRIES: usize = 1024;

/// A run of entries of one partition in an index file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct IndexChunk {
    table: TableId,
    partition: PartitionId,
    first_offset: Offset,
    next_offset: Offset,
    position: u64,
    count: u32,
    crc32c: u32,
}

/// An open index file: its chunks, sorted by partition and offset.
#[derive(Debug)]
pub(super) struct IndexFile {
    file: Arc<dyn DiskFile>,
    chunks: Vec<IndexChunk>,
    log_id: LogId,
}

/// Where to look on for an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WhereToLook {
    /// In this chunk of the index.
    Chunk(usize),
    /// In an older extent, if anywhere.
    Older,
    /// Nowhere: the extent holds later and earlier rows of the partition, or only earlier ones.
    Nowhere,
}

impl IndexFile {
    /// Which chunk may hold an offset.
    pub(super) fn look_for(&self, (table, partition): PartitionKey, offset: Offset) -> WhereToLook {
        let after = self
            .chunks
            .partition_point(|chunk| (chunk.table, chunk.partition, chunk.first_offset) <= (table, partition, offset));
        match after.checked_sub(1).and_then(|at| Some((at, self.chunks.get(at)?))) {
            Some((at, chunk)) if (chunk.table, chunk.partition) == (table, partition) => {
                if offset < chunk.next_offset {
                    WhereToLook::Chunk(at)
                } else {
                    WhereToLook::Nowhere
                }
            }
            _ => WhereToLook::Older,
        }
    }

    /// Reads the entries of a chunk. `None` where they are damaged.
    pub(super) fn read(&self, chunk: usize) -> std::io::Result<Option<Vec<IndexEntry>>> {
        let Some(chunk) = self.chunks.get(chunk) else { return Ok(None) };
        let count = usize::try_from(chunk.count).ok().filter(|count| *count <= CHUNK_ENTRIES);
        let Some(count) = count else { return Ok(None) };
        let mut bytes = vec![0; count * ENTRY_LEN];
        match self.file.read_at(&mut bytes, chunk.position) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        if self.log_id.crc32c(&bytes) != chunk.crc32c {
            return Ok(None);
        }
        Ok(bytes.chunks_exact(ENTRY_LEN).map(IndexEntry::decode).collect())
    }

    /// Every entry of some tables, by partition. `None` where some are damaged.
    pub(super) fn all(
        &self,
        wanted: &dyn Fn(TableId) -> bool,
    ) -> std::io::Result<Option<Vec<(PartitionKey, IndexEntry)>>> {
        let mut all = Vec::new();
        for (at, chunk) in self.chunks.iter().enumerate().filter(|(_, chunk)| wanted(chunk.table)) {
            let Some(entries) = self.read(at)? else { return Ok(None) };
            all.extend(entries.into_iter().map(|entry| ((chunk.table, chunk.partition), entry)));
        }
        Ok(Some(all))
    }

    /// `None` where it is damaged, or that of another extent than the one that begins at `first`.
    pub(super) fn load(file: Arc<dyn DiskFile>, log_id: LogId, first: Lsn) -> std::io::Result<Option<IndexFile>> {
        let len = file.len()?;
        let mut header = [0; HEADER_LEN];
        if len < HEADER_LEN as u64 {
            return Ok(None);
        }
        file.read_at(&mut header, 0)?;
        let Some((count, directory_crc)) = decode_header(&header, log_id, first) else { return Ok(None) };
        let directory_len = u64::from(count) * CHUNK_LEN as u64;
        let Ok(directory_len) = usize::try_from(directory_len) else { return Ok(None) };
        if (HEADER_LEN as u64).saturating_add(directory_len as u64) > len {
            return Ok(None);
        }
        let mut bytes = vec![0; directory_len];
        file.read_at(&mut bytes, HEADER_LEN as u64)?;
        if log_id.crc32c(&bytes) != directory_crc {
            return Ok(None);
        }
        let chunks: Option<Vec<IndexChunk>> = bytes.chunks_exact(CHUNK_LEN).map(decode_chunk).collect();
        Ok(chunks.map(|chunks| IndexFile { file, chunks, log_id }))
    }
}

/// The bytes of an index file.
pub(super) fn encode(log_id: LogId, first: Lsn, next_lsn: Lsn, entries: &Entries) -> Vec<u8> {
    let sorted: BTreeMap<&PartitionKey, &Vec<IndexEntry>> = entries.iter().collect();
    let runs: Vec<(&PartitionKey, &[IndexEntry])> =
        sorted.iter().flat_map(|(key, all)| all.chunks(CHUNK_ENTRIES).map(move |run| (*key, run))).collect();
    let mut position = HEADER_LEN + runs.len() * CHUNK_LEN;
    let (mut directory, mut body) = (Vec::new(), Vec::new());
    for ((table, partition), run) in &runs {
        let start = body.len();
        run.iter().for_each(|entry| entry.encode(&mut body));
        let encoded = body.get(start..).unwrap_or_default();
        let first_offset = run.first().map_or(0, |entry| entry.base_offset);
        let next_offset = run.last().map_or(0, IndexEntry::next_offset);
        directory.extend_from_slice(&table.0.to_le_bytes());
        directory.extend_from_slice(&first_offset.to_le_bytes());
        directory.extend_from_slice(&next_offset.to_le_bytes());
        directory.extend_from_slice(&(position as u64).to_le_bytes());
        directory.extend_from_slice(&partition.to_le_bytes());
        directory.extend_from_slice(&(run.len() as u32).to_le_bytes());
        directory.extend_from_slice(&log_id.crc32c(encoded).to_le_bytes());
        directory.extend_from_slice(&[0; 4]);
        position += encoded.len();
    }
    let mut out = Vec::with_capacity(position);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&first.0.to_le_bytes());
    out.extend_from_slice(&next_lsn.0.to_le_bytes());
    out.extend_from_slice(&(runs.len() as u32).to_le_bytes());
    out.extend_from_slice(&log_id.crc32c(&directory).to_le_bytes());
    out.resize(HEADER_LEN - 4, 0);
    let checksum = log_id.crc32c(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(&directory);
    out.extend_from_slice(&body);
    out
}

/// (chunks, checksum of the directory).
fn decode_header(bytes: &[u8; HEADER_LEN], log_id: LogId, first: Lsn) -> Option<(u32, u32)> {
    let (covered, checksum) = bytes.split_last_chunk::<4>()?;
    let mut fields = Fields(covered);
    let right = log_id.crc32c(covered) == u32::from_le_bytes(*checksum)
        && fields.magic() == Some(MAGIC)
        && fields.u32() == Some(VERSION)
        && fields.u64() == Some(first.0)
        && fields.u64().is_some_and(|next_lsn| next_lsn >= first.0);
    right.then_some((fields.u32()?, fields.u32()?))
}

fn decode_chunk(bytes: &[u8]) -> Option<IndexChunk> {
    let mut fields = Fields(bytes);
    Some(IndexChunk {
        table: TableId(fields.u64()?),
        first_offset: fields.u64()?,
        next_offset: fields.u64()?,
        position: fields.u64()?,
        partition: fields.u32()?,
        count: fields.u32()?,
        crc32c: fields.u32()?,
    })
}
