//! Copies of the whole store.

use crate::model::Lsn;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupInfo {
    /// The last record that is in it.
    pub lsn: Lsn,
    /// When it was taken, µs since the Unix epoch.
    pub taken_us: i64,
    pub files: u64,
    pub bytes: u64,
    /// Where its segments lie if they are not in it: the address of an object store.
    pub segments: Option<String>,
}
