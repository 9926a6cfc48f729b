//! Torn tails and damage: what is cut, and what is an error.

use super::support::*;
use crate::log::journal::file::FileHeader;
use crate::log::journal::{COMMIT_HEADER_LEN, CommitHeader, LogId};
use crate::model::{Error, TableId};
use crate::platform::disk::SimDisk;

pub(super) const ROWS: usize = 6;

/// A log of one table, and one commit for each row; killed without a clean end.
pub(super) fn written(seed: u64) -> (SimDisk, TableId) {
    let disk = SimDisk::new(seed);
    let opened = open(&disk).expect("open");
    let t = opened.create_table("t", 1).expect("create");
    for value in 0..ROWS as i64 {
        opened.do_now(small(t, 0, &[value])).expect("durable");
    }
    let killed = disk.kill(seed);
    drop(opened);
    (killed, t)
}

/// Where commits start, the end of the last one included.
fn commits(bytes: &[u8]) -> Vec<usize> {
    let log_id = FileHeader::decode(bytes.first_chunk().expect("a header")).expect("a header").log_id;
    let mut starts = vec![64];
    while let Some(header) =
        bytes.get(starts[starts.len() - 1]..).and_then(|rest| rest.first_chunk::<COMMIT_HEADER_LEN>())
    {
        let header = CommitHeader::decode(header, log_id).expect("a commit");
        starts.push(starts[starts.len() - 1] + header.length as usize);
    }
    starts
}

/// Rows in the file when commits up to the one before this position are whole. The first two commits, of the opening and of
/// the table, hold none.
fn rows_before(starts: &[usize], position: usize) -> usize {
    starts.iter().filter(|start| **start <= position).count().saturating_sub(3)
}

#[test]
fn a_file_cut_anywhere_opens_with_what_is_whole() {
    let (disk, t) = written(1);
    let path = log_file(1);
    let bytes = read(&disk, &path);
    let starts = commits(&bytes);
    for len in 0..=bytes.len() {
        let opened =
            open(&with_bytes(&disk, &path, &bytes[..len])).unwrap_or_else(|error| panic!("{len} bytes: {error}"));
        let values = opened.values(t, 0).expect("rows");
        let expected: Vec<i64> = (0..rows_before(&starts, len) as i64).collect();
        assert_eq!(values, expected, "{len} bytes");
        let clean = starts.contains(&len);
        assert_eq!(opened.event_kinds().is_empty(), clean, "{len} bytes: a cut is reported");
        opened.create_table("another", 1).expect("the log goes on");
    }
}

#[test]
fn a_flipped_bit_is_cut_in_the_last_commit_and_an_error_before() {
    let (disk, t) = written(1);
    let path = log_file(1);
    let bytes = read(&disk, &path);
    let starts = commits(&bytes);
    let last = starts[starts.len() - 2];
    let mut random = Random::new(2);
    let (mut cut, mut refused) = (0, 0);
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << random.below(8);
        match open(&with_bytes(&disk, &path, &damaged)) {
            Ok(opened) => {
                let rows = opened.values(t, 0).expect("rows").len();
                if rows < ROWS {
                    cut += 1;
                    assert!(at >= last && rows == ROWS - 1, "byte {at}: {rows} rows are left");
                } else {
                    // Padding, which nothing looks at.
                    assert_eq!(bytes[at], 0, "byte {at} was flipped and nobody saw it");
                }
            }
            Err(Error::Corrupt { path: found, position, .. }) => {
                refused += 1;
                assert_eq!(found, path, "byte {at}");
                assert!(position as usize <= at && at < last, "byte {at}: damage found at {position}");
            }
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
    assert!(cut > 200 && refused > 1000, "{cut} cut, {refused} refused");
}

#[test]
fn damage_in_a_sealed_file_is_an_error() {
    let disk = SimDisk::new(1);
    let opened = open_with(&disk, crate::state::State::default(), |options| options.log_file_bytes = 1).expect("open");
    let opened = opened.started();
    let t = opened.create_table("t", 1).expect("create");
    for value in 0..3 {
        opened.do_now(small(t, 0, &[value])).expect("durable");
    }
    let files = opened.log.files();
    let killed = disk.kill(1);
    drop(opened);
    for (first, _) in files.iter().rev().skip(1) {
        let path = log_file(first.0);
        let bytes = read(&killed, &path);
        for len in [0, 10, 64, 100, bytes.len() - 64] {
            let error = open(&with_bytes(&killed, &path, &bytes[..len])).err();
            assert!(matches!(error, Some(Error::Corrupt { .. })), "{} cut to {len}: {error:?}", path.display());
        }
    }
}

#[test]
fn zeros_after_the_end_are_cut() {
    let (disk, t) = written(1);
    let path = log_file(1);
    for zeros in [1, 63, 64, 4096, 100_000] {
        let mut bytes = read(&disk, &path);
        bytes.resize(bytes.len() + zeros, 0);
        let opened = open(&with_bytes(&disk, &path, &bytes)).expect("open");
        assert_eq!(opened.values(t, 0).expect("rows").len(), ROWS);
        assert_eq!(opened.event_kinds(), ["torn_tail_cut"]);
    }
}

#[test]
fn rows_that_look_like_headers_are_only_rows() {
    let (disk, t) = written(1);
    let path = log_file(1);
    let bytes = read(&disk, &path);
    // A client sends a commit header that claims a durable LSN far ahead, made with another log's id.
    let forged = CommitHeader {
        length: 64,
        records: 0,
        first_lsn: crate::model::Lsn(1_000),
        durable_lsn: crate::model::Lsn(999),
        epoch: 9,
        append_us: 1,
        crc32c: 0,
    };
    let mut longer = bytes.clone();
    longer.extend_from_slice(&[7; 64]);
    longer.extend_from_slice(&forged.encode(LogId(1)));
    let opened = open(&with_bytes(&disk, &path, &longer)).expect("a torn tail");
    assert_eq!(opened.values(t, 0).expect("rows").len(), ROWS);
}
