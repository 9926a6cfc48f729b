//! What the log says of continuous topics' steps, and of how far event time has come.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{ContinuousId, Offset, TableId};

/// A continuous topic has made a step, or somebody has said how far event time is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ContinuousRecord {
    Stepped(Box<ContinuousStep>),
    Advanced(WatermarkAdvance),
}

/// One step, with all that was done in it but rows, which lie in the same submission. What is dropped goes before what is saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContinuousStep {
    pub topic: ContinuousId,
    /// The table of its output, whose watermark is the topic's.
    pub output: TableId,
    pub header: Arc<ContinuousHeader>,
    /// All pieces of these operators and windows.
    pub dropped: Vec<(u16, i64)>,
    /// `None`: the piece is void.
    pub saved: Vec<(SavedKey, Option<Arc<[u8]>>)>,
}

/// A piece of the state of one topic: operator, window (µs), and sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct SavedKey {
    pub operator: u16,
    pub window_us: i64,
    pub sequence: u32,
}

/// Where a continuous topic is after a step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct ContinuousHeader {
    /// Counts the steps: a step follows one that is known.
    pub steps: u64,
    /// All that was appended at or before this was read.
    pub instant_us: i64,
    pub watermark_us: Option<i64>,
    /// All that ends by the watermark was closed; else the next steps close the rest, and readers of the output are not told yet.
    pub complete: bool,
    /// Where closing has come to, as the run has said last.
    pub cursor: Option<Arc<[u8]>>,
    /// By source, in the topic's order, and partition.
    pub sources: Vec<Vec<SourcePartition>>,
    pub rows_in: u64,
    pub rows_out: u64,
    pub late_rows: u64,
    pub ahead_rows: u64,
    pub open_windows: u64,
    /// Memory that they take.
    pub open_bytes: u64,
    /// The least watermark at which a window closes.
    pub next_close_us: Option<i64>,
}

/// How far a partition was read, and what its rows say of event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct SourcePartition {
    pub next: Offset,
    /// The highest event time, of rows that count for the watermark, and when the last of these was appended; `None` before the
    /// first.
    pub seen: Option<(i64, i64)>,
}

/// `ALTER TABLE … ADVANCE WATERMARK`: holds from the record's append time on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WatermarkAdvance {
    pub table: TableId,
    pub to_us: i64,
}

impl ContinuousRecord {
    /// The table whose readers look again.
    pub(crate) fn table(&self) -> TableId {
        match self {
            ContinuousRecord::Stepped(step) => step.output,
            ContinuousRecord::Advanced(advance) => advance.table,
        }
    }

    /// The table of which it says how far event time has come, and how far that is.
    pub(super) fn watermark(&self) -> Option<(TableId, i64)> {
        match self {
            ContinuousRecord::Stepped(step) if !step.header.complete => None,
            ContinuousRecord::Stepped(step) => Some((step.output, step.header.watermark_us?)),
            ContinuousRecord::Advanced(advance) => Some((advance.table, advance.to_us)),
        }
    }
}
