//! The index of one log file: where each frame of rows lies. The active file's is in memory; a sealed file has an index file
//! beside it, whose directory is kept and whose chunks of entries are read when needed.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::bytes::Fields;
use super::format::LogId;
use super::walk::{ReadCommit, io_error};
use crate::model::{Lsn, Offset, PartitionId, Result, TableId};
use crate::platform::disk::{Disk, DiskFile};

const MAGIC: [u8; 4] = *b"MSLX";
const VERSION: u32 = 1;
const HEADER_LEN: usize = 64;
const CHUNK_LEN: usize = 48;
const ENTRY_LEN: usize = 64;
/// Entries of one chunk, at most.
const CHUNK_ENTRIES: usize = 1024;

/// A partition of a table.
pub(super) type Key = (TableId, PartitionId);

/// Where a frame of rows lies, and what its header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub base_offset: Offset,
    pub lsn: Lsn,
    pub position: u64,
    pub min_event_us: i64,
    pub max_event_us: i64,
    pub append_us: i64,
    pub frame_bytes: u32,
    pub rows: u32,
    pub schema_version: u32,
}

impl IndexEntry {
    /// One past the frame's last offset.
    pub(crate) fn next_offset(&self) -> Offset {
        self.base_offset.saturating_add(u64::from(self.rows))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.base_offset.to_le_bytes());
        out.extend_from_slice(&self.lsn.0.to_le_bytes());
        out.extend_from_slice(&self.position.to_le_bytes());
        out.extend_from_slice(&self.min_event_us.to_le_bytes());
        out.extend_from_slice(&self.max_event_us.to_le_bytes());
        out.extend_from_slice(&self.append_us.to_le_bytes());
        out.extend_from_slice(&self.frame_bytes.to_le_bytes());
        out.extend_from_slice(&self.rows.to_le_bytes());
        out.extend_from_slice(&self.schema_version.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
    }

    fn decode(bytes: &[u8]) -> Option<IndexEntry> {
        let mut fields = Fields(bytes);
        Some(IndexEntry {
            base_offset: fields.u64()?,
            lsn: Lsn(fields.u64()?),
            position: fields.u64()?,
            min_event_us: fields.i64()?,
            max_event_us: fields.i64()?,
            append_us: fields.i64()?,
            frame_bytes: fields.u32()?,
            rows: fields.u32()?,
            schema_version: fields.u32()?,
        })
    }
}

/// The entry that holds an offset, in entries sorted by offset.
pub(super) fn find(entries: &[IndexEntry], offset: Offset) -> Option<&IndexEntry> {
    let after = entries.partition_point(|entry| entry.base_offset <= offset);
    entries.get(after.checked_sub(1)?).filter(|entry| offset < entry.next_offset())
}

/// What a commit adds to the index of its file.
pub(super) fn entries_of(commit: &ReadCommit) -> impl Iterator<Item = (Key, IndexEntry)> {
    commit.rows().map(|record| {
        let header = &record.header;
        let entry = IndexEntry {
            base_offset: header.base_offset,
            lsn: header.lsn,
            position: record.position,
            min_event_us: header.min_event_us,
            max_event_us: header.max_event_us,
            append_us: commit.header.append_us,
            frame_bytes: u32::try_from(header.frame_bytes()).unwrap_or(u32::MAX),
            rows: header.rows,
            schema_version: header.schema_version,
        };
        ((header.table, header.partition), entry)
    })
}

/// All entries of one file, by partition and in offset order.
pub(super) type Entries = HashMap<Key, Vec<IndexEntry>>;

/// A run of entries of one partition in an index file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
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
pub(super) struct Directory {
    file: Arc<dyn DiskFile>,
    chunks: Vec<Chunk>,
    log_id: LogId,
}

/// Where to look on for an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In this chunk of the file.
    Chunk(usize),
    /// In an older file, if anywhere.
    Older,
    /// Nowhere: the file holds later and earlier rows of the partition, or only earlier ones.
    Nowhere,
}

impl Directory {
    /// Which chunk may hold an offset.
    pub(super) fn place(&self, (table, partition): Key, offset: Offset) -> Place {
        let after = self
            .chunks
            .partition_point(|chunk| (chunk.table, chunk.partition, chunk.first_offset) <= (table, partition, offset));
        match after.checked_sub(1).and_then(|at| Some((at, self.chunks.get(at)?))) {
            Some((at, chunk)) if (chunk.table, chunk.partition) == (table, partition) => {
                if offset < chunk.next_offset {
                    Place::Chunk(at)
                } else {
                    Place::Nowhere
                }
            }
            _ => Place::Older,
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

    /// Every entry, by partition. `None` where some are damaged.
    pub(super) fn all(&self) -> std::io::Result<Option<Vec<(Key, IndexEntry)>>> {
        let mut all = Vec::new();
        for (at, chunk) in self.chunks.iter().enumerate() {
            let Some(entries) = self.read(at)? else { return Ok(None) };
            all.extend(entries.into_iter().map(|entry| ((chunk.table, chunk.partition), entry)));
        }
        Ok(Some(all))
    }

    /// Opens the index of the log file that starts at `first`. `None` where there is none, or a damaged one.
    pub(super) fn open(disk: &dyn Disk, path: &Path, log_id: LogId, first: Lsn) -> Result<Option<Directory>> {
        let file = match disk.open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error(path, &error)),
        };
        Directory::load(file, log_id, first).map_err(|error| io_error(path, &error))
    }

    fn load(file: Arc<dyn DiskFile>, log_id: LogId, first: Lsn) -> std::io::Result<Option<Directory>> {
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
        let chunks: Option<Vec<Chunk>> = bytes.chunks_exact(CHUNK_LEN).map(decode_chunk).collect();
        Ok(chunks.map(|chunks| Directory { file, chunks, log_id }))
    }
}

/// Writes an index file: under another name first, so that it is there whole or not at all.
pub(super) fn write(
    disk: &dyn Disk,
    path: &Path,
    log_id: LogId,
    first: Lsn,
    next_lsn: Lsn,
    entries: &Entries,
) -> Result<()> {
    let temporary = temporary(path);
    let bytes = encode(log_id, first, next_lsn, entries);
    let written = remove_if_there(disk, &temporary).and_then(|()| {
        let file = disk.create(&temporary)?;
        file.write_at(&[&bytes], 0)?;
        file.sync()?;
        disk.rename(&temporary, path)?;
        disk.sync_dir(path.parent().unwrap_or(Path::new(".")))
    });
    written.map_err(|error| io_error(path, &error))
}

/// Where an index is written before it gets its name.
fn temporary(path: &Path) -> PathBuf {
    path.with_extension("idx.tmp")
}

/// Removes a file, which may be gone already.
pub(super) fn remove_if_there(disk: &dyn Disk, path: &Path) -> std::io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn encode(log_id: LogId, first: Lsn, next_lsn: Lsn, entries: &Entries) -> Vec<u8> {
    let sorted: BTreeMap<&Key, &Vec<IndexEntry>> = entries.iter().collect();
    let runs: Vec<(&Key, &[IndexEntry])> =
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

fn decode_chunk(bytes: &[u8]) -> Option<Chunk> {
    let mut fields = Fields(bytes);
    Some(Chunk {
        table: TableId(fields.u64()?),
        first_offset: fields.u64()?,
        next_offset: fields.u64()?,
        position: fields.u64()?,
        partition: fields.u32()?,
        count: fields.u32()?,
        crc32c: fields.u32()?,
    })
}
