//! The file of a run of keys: their hashes in order, and the rows that have them. `docs/log-format.md` draws it.

use std::io::{self, ErrorKind};

use super::KeyEntry;
use crate::log::journal::{Fields, LogId};
use crate::model::Lsn;
use crate::platform::disk::DiskFile;

const MAGIC: [u8; 4] = *b"MSLK";
const VERSION: u32 = 1;
const HEADER_LEN: usize = 64;
const BLOCK_LEN: usize = 8;
const ENTRY_LEN: usize = 16;
/// Entries of one block, at most: 4 KiB.
const BLOCK_ENTRIES: usize = 256;

/// The bytes of a run's file. Entries of one hash stay in their order.
pub(super) fn encode(log_id: LogId, (from, to): (Lsn, Lsn), entries: &mut [KeyEntry]) -> Vec<u8> {
    entries.sort_by_key(|entry| entry.hash);
    let body_at = HEADER_LEN + entries.len().div_ceil(BLOCK_ENTRIES) * BLOCK_LEN;
    // All of it at once: runs are what most of this room's memory goes to.
    let mut out = Vec::with_capacity(body_at + entries.len() * ENTRY_LEN);
    out.resize(body_at, 0);
    let mut blocks = Vec::with_capacity(body_at - HEADER_LEN);
    for block in entries.chunks(BLOCK_ENTRIES) {
        let start = out.len();
        for entry in block {
            out.extend_from_slice(&entry.hash.to_le_bytes());
            out.extend_from_slice(&entry.partition.to_le_bytes());
            out.extend_from_slice(&entry.offset.to_le_bytes());
        }
        blocks.extend_from_slice(&block.first().map_or(0, |entry| entry.hash).to_le_bytes());
        blocks.extend_from_slice(&log_id.crc32c(out.get(start..).unwrap_or_default()).to_le_bytes());
    }
    let mut header = Vec::with_capacity(HEADER_LEN);
    header.extend_from_slice(&MAGIC);
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&from.0.to_le_bytes());
    header.extend_from_slice(&to.0.to_le_bytes());
    header.extend_from_slice(&(entries.len() as u64).to_le_bytes());
    header.extend_from_slice(&log_id.crc32c(&blocks).to_le_bytes());
    header.resize(HEADER_LEN - 4, 0);
    let checksum = log_id.crc32c(&header);
    header.extend_from_slice(&checksum.to_le_bytes());
    let front = header.iter().chain(&blocks);
    out.iter_mut().zip(front).for_each(|(at, byte)| *at = *byte);
    out
}

/// The entries of a hash, in their order. `None` where the file is damaged, or that of another run.
pub(super) fn find(
    file: &dyn DiskFile,
    log_id: LogId,
    run: (Lsn, Lsn),
    hash: u32,
) -> io::Result<Option<Vec<KeyEntry>>> {
    let mut header = [0; HEADER_LEN];
    if !read(file, &mut header, 0)? {
        return Ok(None);
    }
    let Some((count, blocks_crc)) = decode_header(&header, log_id, run) else { return Ok(None) };
    let (len, block_count) = (file.len()?, count.div_ceil(BLOCK_ENTRIES as u64));
    let body_at = HEADER_LEN as u64 + block_count.saturating_mul(BLOCK_LEN as u64);
    if body_at.saturating_add(count.saturating_mul(ENTRY_LEN as u64)) != len {
        return Ok(None);
    }
    let Ok(blocks_len) = usize::try_from(body_at - HEADER_LEN as u64) else { return Ok(None) };
    let mut blocks = vec![0; blocks_len];
    if !read(file, &mut blocks, HEADER_LEN as u64)? || log_id.crc32c(&blocks) != blocks_crc {
        return Ok(None);
    }
    let Some(blocks) = blocks.chunks_exact(BLOCK_LEN).map(decode_block).collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    // The first entries of a hash may end the block before the one that begins with it.
    let first = blocks.partition_point(|(begins, _)| *begins < hash).saturating_sub(1);
    let end = blocks.partition_point(|(begins, _)| *begins <= hash);
    let mut found = Vec::new();
    for (at, (_, crc)) in blocks.iter().enumerate().take(end).skip(first) {
        let before = (at * BLOCK_ENTRIES) as u64;
        let entries = usize::try_from(count - before).unwrap_or(usize::MAX).min(BLOCK_ENTRIES);
        let mut bytes = vec![0; entries * ENTRY_LEN];
        if !read(file, &mut bytes, body_at + before * ENTRY_LEN as u64)? || log_id.crc32c(&bytes) != *crc {
            return Ok(None);
        }
        let Some(entries) = bytes.chunks_exact(ENTRY_LEN).map(decode_entry).collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        found.extend(entries.into_iter().filter(|entry| entry.hash == hash));
    }
    Ok(Some(found))
}

/// False where the file is too short.
fn read(file: &dyn DiskFile, buffer: &mut [u8], position: u64) -> io::Result<bool> {
    match file.read_at(buffer, position) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

/// (entries, checksum of the blocks).
fn decode_header(bytes: &[u8; HEADER_LEN], log_id: LogId, (from, to): (Lsn, Lsn)) -> Option<(u64, u32)> {
    let (covered, checksum) = bytes.split_last_chunk::<4>()?;
    let mut fields = Fields(covered);
    let right = log_id.crc32c(covered) == u32::from_le_bytes(*checksum)
        && fields.magic() == Some(MAGIC)
        && fields.u32() == Some(VERSION)
        && fields.u64() == Some(from.0)
        && fields.u64() == Some(to.0);
    right.then_some((fields.u64()?, fields.u32()?))
}

fn decode_block(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut fields = Fields(bytes);
    Some((fields.u32()?, fields.u32()?))
}

fn decode_entry(bytes: &[u8]) -> Option<KeyEntry> {
    let mut fields = Fields(bytes);
    Some(KeyEntry { hash: fields.u32()?, partition: fields.u32()?, offset: fields.u64()? })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::platform::disk::{Disk, SimDisk};

    const LOG: LogId = LogId(7);
    const RUN: (Lsn, Lsn) = (Lsn(3), Lsn(900));

    fn entries() -> Vec<KeyEntry> {
        // Some hashes many times, over the borders of blocks.
        let hash = |at: u64| if at.is_multiple_of(3) { 500 } else { (at % 1_000) as u32 };
        (0..3_000_u64).map(|at| KeyEntry { hash: hash(at), partition: (at % 4) as u32, offset: at }).collect()
    }

    fn file(bytes: &[u8]) -> std::sync::Arc<dyn DiskFile> {
        let disk = SimDisk::new(1);
        let file = disk.create(Path::new("/run")).unwrap();
        file.write_at(&[bytes], 0).unwrap();
        file
    }

    #[test]
    fn each_hash_gives_its_rows_in_order() {
        let file = file(&encode(LOG, RUN, &mut entries()));
        for hash in [0, 1, 499, 500, 501, 998, 999, 1_000, u32::MAX] {
            let expected: Vec<_> = entries().into_iter().filter(|entry| entry.hash == hash).collect();
            assert_eq!(find(file.as_ref(), LOG, RUN, hash).unwrap(), Some(expected), "{hash}");
        }
        assert_eq!(find(file.as_ref(), LOG, (Lsn(3), Lsn(901)), 0).unwrap(), None, "of another run");
        assert_eq!(find(file.as_ref(), LogId(8), RUN, 0).unwrap(), None, "of another log");
        let empty = self::file(&encode(LOG, RUN, &mut []));
        assert_eq!(find(empty.as_ref(), LOG, RUN, 0).unwrap(), Some(Vec::new()));
    }

    #[test]
    fn a_file_that_is_cut_or_changed_is_damaged() {
        let mut all: Vec<_> = (0..300).map(|at| KeyEntry { hash: at as u32, partition: 0, offset: at }).collect();
        let bytes = encode(LOG, RUN, &mut all);
        for end in 0..bytes.len() {
            assert_eq!(find(file(&bytes[..end]).as_ref(), LOG, RUN, 7).unwrap(), None, "cut at {end}");
        }
        let block_of_7 = HEADER_LEN + 2 * BLOCK_LEN + BLOCK_ENTRIES * ENTRY_LEN;
        for at in 0..block_of_7 {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            assert_eq!(find(file(&changed).as_ref(), LOG, RUN, 7).unwrap(), None, "changed at {at}");
        }
    }
}
