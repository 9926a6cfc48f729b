//! Segments in the state store. postcard names no fields, so each layout has a version of its own.

use serde::Deserialize;

use crate::model::{Lsn, Offset, Result};
use crate::state::SegmentMeta;
use crate::state::codec;

/// The version byte of what is written now.
const VERSION: u8 = 2;

/// Version 1, which knew nothing of the first row's LSN.
#[derive(Debug, Deserialize)]
struct WithoutLsns {
    id: u64,
    first_offset: Offset,
    next_offset: Offset,
    schema_version: u32,
    bytes: u64,
    log_bytes: u64,
    next_lsn: Lsn,
    path: String,
    min_event_us: i64,
    max_event_us: i64,
    min_append_us: i64,
    max_append_us: i64,
    body_bytes: u64,
    tail_crc32c: u32,
}

impl From<WithoutLsns> for SegmentMeta {
    fn from(stored: WithoutLsns) -> SegmentMeta {
        SegmentMeta {
            id: stored.id,
            first_offset: stored.first_offset,
            next_offset: stored.next_offset,
            schema_version: stored.schema_version,
            bytes: stored.bytes,
            log_bytes: stored.log_bytes,
            next_lsn: stored.next_lsn,
            path: stored.path,
            min_event_us: stored.min_event_us,
            max_event_us: stored.max_event_us,
            min_append_us: stored.min_append_us,
            max_append_us: stored.max_append_us,
            body_bytes: stored.body_bytes,
            tail_crc32c: stored.tail_crc32c,
            first_lsn: Lsn(0),
        }
    }
}

pub(super) fn encode(segment: &SegmentMeta) -> Result<Vec<u8>> {
    codec::postcard_as(VERSION, segment)
}

pub(super) fn decode(value: &[u8]) -> Result<SegmentMeta, String> {
    match value.split_first() {
        Some((&VERSION, rest)) => codec::whole_postcard(rest),
        _ => codec::from_postcard::<WithoutLsns>(value).map(SegmentMeta::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_of_a_release_without_lsns_is_read() {
        let fields = (7_u64, 0_u64, 40_u64, 1_u32, 50_u64, 100_u64, 41_u64, "a/b.parquet");
        let more = (1_i64, 2_i64, 3_i64, 4_i64, 40_u64, 9_u32);
        let old = postcard::to_extend(&(fields, more), vec![1]).unwrap();
        let segment = decode(&old).unwrap();
        assert_eq!((segment.id, segment.next_offset, segment.next_lsn), (7, 40, Lsn(41)));
        assert_eq!((segment.path.as_str(), segment.tail_crc32c), ("a/b.parquet", 9));
        assert!(!segment.has_lsns());
        let now = SegmentMeta { first_lsn: Lsn(1), ..segment };
        assert_eq!(decode(&encode(&now).unwrap()).unwrap(), now);
        assert!(decode(&[3]).unwrap_err().contains("version 3"), "an unknown version");
    }
}
