//! A commit as it is read back.

use super::format::{CommitHeader, FrameHeader, FrameKind};
use crate::model::Lsn;
use crate::state::{Record, RecordContext};

/// What must hold of the next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expected {
    pub lsn: Lsn,
    /// At least.
    pub epoch: u64,
    /// At least.
    pub append_us: i64,
}

/// A commit whose checksums all hold.
#[derive(Debug)]
pub(in crate::log) struct ReadCommit {
    pub header: CommitHeader,
    pub records: Vec<ReadRecord>,
}

/// A record and where its frame lies.
#[derive(Debug)]
pub(in crate::log) struct ReadRecord {
    pub position: u64,
    pub header: FrameHeader,
    pub record: Record,
}

impl ReadCommit {
    /// Its records, each with where and when it was committed.
    pub(in crate::log) fn records(&self) -> impl Iterator<Item = (RecordContext, &Record)> {
        self.records.iter().map(|record| (self.header.context(record.header.lsn), &record.record))
    }

    /// The LSN after the commit's last.
    pub(in crate::log) fn next_lsn(&self) -> Lsn {
        let last = self.records.last();
        last.map_or(self.header.first_lsn, |record| Lsn(record.header.lsn.0.saturating_add(record.header.lsns())))
    }

    /// What must hold of the commit after this one.
    pub(super) fn expected_next(&self) -> Expected {
        Expected { lsn: self.next_lsn(), epoch: self.header.epoch, append_us: self.header.append_us }
    }

    /// Frames of rows, for indexes.
    pub(in crate::log) fn rows(&self) -> impl Iterator<Item = &ReadRecord> {
        self.records.iter().filter(|record| record.header.kind == FrameKind::ROWS)
    }
}
