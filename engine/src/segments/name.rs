//! Names of segment files. A name is given once and never again: by the segment's id, and in an object store, which several
//! copies of a data directory may reach, by the epoch of the owner that wrote it.

use super::store::SegmentFiles;
use crate::model::{Offset, PartitionId, TableInfo};

/// Bytes of a name that go into a path.
const MAX_NAME_BYTES: usize = 120;

/// Whose file it is, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SegmentName {
    pub id: u64,
    /// Below the segment store.
    pub path: String,
}

impl SegmentName {
    /// `<namespace>/<table>-<table id>/p<partition>/<first offset>-<id>[-e<epoch>].parquet`.
    pub(super) fn new(
        store: &SegmentFiles,
        id: u64,
        table: &TableInfo,
        partition: PartitionId,
        first_offset: Offset,
    ) -> SegmentName {
        let (namespace, name) = (encoded(&table.namespace), encoded(&table.name));
        let epoch = store.epoch().map_or_else(String::new, |epoch| format!("-e{epoch}"));
        let file = format!("{first_offset:020}-{id}{epoch}.parquet");
        SegmentName { id, path: format!("{namespace}/{name}-{}/p{partition}/{file}", table.id) }
    }
}

/// The epoch of the owner that wrote a file; 0 for one of a release without epochs.
pub(super) fn epoch_of(path: &str) -> u64 {
    let stem = path.strip_suffix(".parquet").unwrap_or_default();
    stem.rsplit_once("-e").and_then(|(_, epoch)| epoch.parse().ok()).unwrap_or(0)
}

/// A name as one part of a path: bytes other than letters, digits, `_` and `-` are percent-encoded. Names that get too
/// long for a file system are cut: the table's id keeps paths apart.
fn encoded(name: &str) -> String {
    let mut path = String::with_capacity(name.len());
    for byte in name.bytes() {
        if path.len() > MAX_NAME_BYTES {
            break;
        }
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => path.push(char::from(byte)),
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::epoch_of;

    #[test]
    fn a_path_says_whose_epoch_wrote_it() {
        for (path, epoch) in [
            ("public/t-1/p0/00000000000000000000-57-e12.parquet", 12),
            ("public/t-1/p0/00000000000000000000-57.parquet", 0),
            ("public/a-e5-1/p0/00000000000000000000-57.parquet", 0),
        ] {
            assert_eq!(epoch_of(path), epoch, "{path}");
        }
    }
}
