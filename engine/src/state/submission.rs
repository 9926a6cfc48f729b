//! What one caller wants atomic. The writer either takes all of it into one commit or refuses all of it.

use arrow_array::RecordBatch;
use bytes::Bytes;

use super::conditions::Precondition;
use super::producers::StreamStamp;
use crate::model::{Durability, EncodedBatch, PartitionId, TableId};
use crate::state::Record;

/// An atomic request to the writer. Its records lie in the log in their order, then its rows, and the producer's
/// answer last; small parts are joined with others and follow at the end of the commit. Created tables, topics
/// and plugins carry id 0; the writer fills in the LSN of the record.
#[derive(Debug, Clone, Default)]
pub(crate) struct Submission {
    pub rows: Vec<RowsPart>,
    /// Of any kind that a family brings.
    pub records: Vec<Record>,
    /// Checked before anything else: a repeat is answered without writing.
    pub stamp: Option<StreamStamp>,
    /// Checked against the state that includes every submission ahead of this one.
    pub preconditions: Vec<Precondition>,
    pub durability: Durability,
    /// The rows tell what the records do: they are few, and go where records go that have none. They are encoded, so that they
    /// follow their records at once.
    pub telling: bool,
}

impl Submission {
    /// Whether it may overtake rows: it holds none that somebody appends, nothing else that grows with what was read, and no
    /// producer's sequence.
    pub(crate) fn is_control(&self) -> bool {
        let bulk = |record: &Record| record.kind().is_ok_and(|kind| kind.is_bulk());
        !self.has_appends() && self.stamp.is_none() && !self.records.iter().any(bulk)
    }

    /// Whether somebody appends rows, which need free disk space.
    pub(crate) fn has_appends(&self) -> bool {
        !self.rows.is_empty() && !self.telling
    }

    /// One of records alone.
    pub(crate) fn of<R: Into<Record>>(records: impl IntoIterator<Item = R>) -> Submission {
        Submission::default().with(records)
    }

    /// This one with these records.
    pub(crate) fn with<R: Into<Record>>(mut self, records: impl IntoIterator<Item = R>) -> Submission {
        self.records.extend(records.into_iter().map(Into::into));
        self
    }
}

/// Rows for one partition. The writer gives them offsets; small parts of one partition become one frame.
#[derive(Debug, Clone)]
pub(crate) struct RowsPart {
    pub table: TableId,
    pub partition: PartitionId,
    pub schema_version: u32,
    pub rows: u32,
    /// An empty range, `i64::MAX` and `i64::MIN`, where the table has no time column: the writer puts append time.
    pub min_event_us: i64,
    pub max_event_us: i64,
    pub payload: RowsPayload,
}

/// Encoding happens on the caller's thread, unless the rows are few: then the writer joins them with others first.
#[derive(Debug, Clone)]
pub(crate) enum RowsPayload {
    /// To be coalesced: fewer than `write::COALESCE_ROWS` rows and `write::COALESCE_BYTES` bytes.
    Small(RecordBatch),
    /// A whole IPC record-batch message, ready for the file.
    Encoded(EncodedRows),
}

/// A record-batch message ready for the log.
#[derive(Debug, Clone)]
pub(crate) struct EncodedRows {
    /// Continuation marker, length, flatbuffer, padding: what stands before the body.
    pub head: Bytes,
    /// The flatbuffer (a part of `head`) and the body.
    pub batch: EncodedBatch,
    /// Of `head`, then the body.
    pub crc32c: u32,
}

impl EncodedRows {
    /// Bytes of the whole message.
    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.batch.body.len()
    }
}
