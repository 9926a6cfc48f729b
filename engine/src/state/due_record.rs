//! What the log says of due times and of half messages.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{Lsn, TableId, TransactionId};

/// One entry's name: those of one table are in the order of their times, and of one time in that of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct DueKey {
    pub table: TableId,
    /// µs since the Unix epoch.
    pub at_us: i64,
    /// The record that set it, and which of its entries it is.
    pub lsn: Lsn,
    pub index: u32,
}

impl DueKey {
    /// Below all that is due then or later.
    pub(crate) fn first_at(table: TableId, at_us: i64) -> DueKey {
        DueKey { table, at_us, lsn: Lsn(0), index: 0 }
    }
}

/// Who knows what to do when the time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum DueWhat {
    /// A message becomes visible.
    Message,
    /// A half message is asked about.
    Check,
}

/// What is to happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DueEntry {
    pub what: DueWhat,
    pub payload: Arc<[u8]>,
}

/// Entries that are set and such as are done with. What came of those lies in the same submission. Whoever submits it has seen to it
/// that they are there and that nobody else is at them ([`crate::due`]): admission does not read each of them from the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DueRecord {
    pub table: TableId,
    /// With their times, µs since the Unix epoch.
    pub set: Vec<(i64, DueEntry)>,
    pub done: Vec<(DueWhat, DueKey)>,
}

/// Half messages of one table that begin, are asked about, or end. Those that are committed lie in the same submission as rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HalfRecord {
    pub table: TableId,
    pub begun: Vec<HalfBegun>,
    /// Asked about once more, with when they will be again; `None`: nobody is asked any more.
    pub asked: Vec<(TransactionId, Option<i64>)>,
    pub ended: Vec<TransactionId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HalfBegun {
    /// Producers of this group are asked.
    pub group: Arc<str>,
    pub payload: Arc<[u8]>,
    /// µs since the Unix epoch.
    pub check_us: i64,
}
