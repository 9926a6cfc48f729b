//! Headers byte by byte.

use crate::log::journal::file::FileHeader;
use crate::log::journal::{CommitHeader, FrameHeader, FrameKind, LogId, Malformed};
use crate::model::{Lsn, TableId};

const LOG: LogId = LogId(0x0123_4567_89ab_cdef);

fn file() -> FileHeader {
    FileHeader { log_id: LOG, first_lsn: Lsn(17), epoch: 3, append_us: -5 }
}

fn commit() -> CommitHeader {
    CommitHeader {
        length: 4096,
        records: 3,
        first_lsn: Lsn(100),
        durable_lsn: Lsn(99),
        epoch: 4,
        append_us: 1_700_000_000_000_000,
        crc32c: 0xdead_beef,
    }
}

fn frame() -> FrameHeader {
    FrameHeader {
        kind: FrameKind::ROWS,
        length: 640,
        payload_crc32c: 77,
        lsn: Lsn(100),
        table: TableId(9),
        base_offset: 5_000_000_000,
        partition: 2,
        schema_version: 1,
        rows: 8,
        min_event_us: i64::MIN,
        max_event_us: i64::MAX,
        payload_at: 128,
    }
}

#[test]
fn headers_read_back() {
    assert_eq!(FileHeader::decode(&file().encode()), Ok(file()));
    assert_eq!(CommitHeader::decode(&commit().encode(LOG), LOG), Ok(commit()));
    assert_eq!(FrameHeader::decode(&frame().encode(LOG), LOG), Ok(frame()));
}

#[test]
fn fields_lie_where_the_page_draws_them() {
    let bytes = file().encode();
    assert_eq!(&bytes[..8], b"MSLF\x01\0\0\0");
    assert_eq!(&bytes[8..24], [0x0123_4567_89ab_cdef_u64.to_le_bytes(), 17_u64.to_le_bytes()].concat());
    let bytes = commit().encode(LOG);
    assert_eq!(&bytes[..8], b"MSLC\x01\0\0\0");
    assert_eq!(&bytes[8..24], [4096_u32.to_le_bytes(), 3_u32.to_le_bytes(), 100_u32.to_le_bytes(), [0; 4]].concat());
    assert_eq!(&bytes[56..60], 0xdead_beef_u32.to_le_bytes());
    let bytes = frame().encode(LOG);
    assert_eq!(&bytes[..8], b"MSLR\x01\x01\0\0");
    assert_eq!(&bytes[40..56], [2_u32, 1, 8, 128].map(u32::to_le_bytes).concat());
    assert_eq!(&bytes[56..72], [i64::MIN.to_le_bytes(), i64::MAX.to_le_bytes()].concat());
}

#[test]
fn no_flipped_bit_passes() {
    let flipped = |bytes: &[u8], bit: usize| {
        let mut bytes = bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    };
    let (file, commit, frame) = (file().encode(), commit().encode(LOG), frame().encode(LOG));
    for bit in 0..64 * 8 {
        let damaged =
            |result: Result<(), Malformed>| assert!(matches!(result, Err(Malformed::Damaged(_))), "bit {bit}");
        damaged(FileHeader::decode(flipped(&file, bit).first_chunk().expect("64")).map(drop));
        damaged(CommitHeader::decode(flipped(&commit, bit).first_chunk().expect("64"), LOG).map(drop));
    }
    for bit in 0..80 * 8 {
        let result = FrameHeader::decode(flipped(&frame, bit).first_chunk().expect("80"), LOG);
        assert!(matches!(result, Err(Malformed::Damaged(_))), "bit {bit}");
    }
}

#[test]
fn zeros_and_other_logs_are_never_valid() {
    assert!(FileHeader::decode(&[0; 64]).is_err());
    assert!(CommitHeader::decode(&[0; 64], LOG).is_err() && CommitHeader::decode(&[0; 64], LogId(0)).is_err());
    assert!(FrameHeader::decode(&[0; 80], LOG).is_err() && FrameHeader::decode(&[0; 80], LogId(0)).is_err());
    assert!(CommitHeader::decode(&commit().encode(LOG), LogId(1)).is_err());
    assert!(FrameHeader::decode(&frame().encode(LOG), LogId(1)).is_err());
}

#[test]
fn a_later_version_is_told_from_damage() {
    let mut bytes = frame().encode(LOG).to_vec();
    bytes[4] = 2;
    let checksum = LOG.crc32c(&bytes[..76]);
    bytes[76..].copy_from_slice(&checksum.to_le_bytes());
    let result = FrameHeader::decode(bytes.first_chunk().expect("80"), LOG);
    assert_eq!(result, Err(Malformed::Unknown("version of the frame")));
}
