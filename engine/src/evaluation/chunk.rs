//! An evaluated chunk, and the parts of it that deliveries take.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use super::compact::compact;
use super::evaluate::Outcome;
use super::evaluate::offset;
use crate::chunks::{Chunk, SharedRead};
use crate::contract::RowMap;
use crate::log::sliced_bytes;
use crate::model::{Assignment, Delivery, EncodedBatch, Offset, PartitionId, RowOffsets, TopicId};
use crate::model::{FailureKind, OperatorError};

/// One partition of one version of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct EvaluatedPlace {
    pub topic: TopicId,
    pub version: u32,
    pub partition: PartitionId,
}

/// A topic's rows of one canonical chunk, shared by everyone who reads it.
#[derive(Debug)]
pub(crate) struct EvaluatedChunk {
    pub base: Offset,
    /// One past the last source row that this answers for.
    pub next: Offset,
    pub batch: RecordBatch,
    pub offsets: RowOffsets,
    /// The first row that could not be evaluated; rows from it on are not in `batch`.
    pub fault: Option<(Offset, OperatorError)>,
    /// Bytes of `batch` and `offsets`.
    pub bytes: usize,
    /// The whole chunk as it lies in the log, if it is raw.
    pub encoded: Option<EncodedBatch>,
    /// False where making it anew costs next to nothing (a raw frame in memory), or may end otherwise (a time-out).
    pub keep: bool,
}

/// Rows from a position on, within a reader's limits.
#[derive(Debug)]
pub(crate) struct Part {
    pub batch: RecordBatch,
    pub offsets: RowOffsets,
    /// The position after these rows.
    pub next: Offset,
    pub bytes: usize,
    pub encoded: Option<EncodedBatch>,
}

impl Part {
    /// The rows for whoever stood at `from`, be it that he has passed rows of which there are none here.
    pub(crate) fn delivery(self, at: Assignment, from: Offset) -> Delivery {
        Delivery {
            topic: at.topic,
            partition: at.partition,
            first_offset: from,
            next_offset: self.next,
            batch: self.batch,
            offsets: self.offsets,
            encoded: self.encoded,
        }
    }
}

impl EvaluatedChunk {
    pub(super) fn empty(base: Offset, next: Offset, schema: SchemaRef) -> EvaluatedChunk {
        let batch = RecordBatch::new_empty(schema);
        let offsets = RowOffsets::none();
        EvaluatedChunk { base, next, batch, offsets, fault: None, bytes: 0, encoded: None, keep: true }
    }

    /// The table's rows unchanged. `version` is the schema version that readers of the topic were told.
    pub(super) fn raw(chunk: &Chunk, batch: RecordBatch, version: u32) -> EvaluatedChunk {
        let encoded = chunk.encoded.clone().filter(|_| chunk.schema_version == version);
        EvaluatedChunk {
            base: chunk.base_offset,
            next: chunk.next_offset,
            bytes: sliced_bytes(&batch),
            batch,
            offsets: RowOffsets::Dense(chunk.base_offset..chunk.next_offset),
            fault: None,
            keep: chunk.encoded.is_none(),
            encoded,
        }
    }

    pub(super) fn evaluated(base: Offset, next: Offset, outcome: Outcome) -> EvaluatedChunk {
        let offsets = match &outcome.rows {
            RowMap::Every => RowOffsets::Dense(base..base + offset(outcome.batch.num_rows())),
            RowMap::Indices(rows) => RowOffsets::Listed(rows.iter().map(|row| base + Offset::from(*row)).collect()),
        };
        let batch = compact(outcome.batch);
        // A machine that was busy is no property of the row: it is tried again when it is next read.
        let timed_out = outcome.fault.as_ref().is_some_and(|(_, error)| error.kind == FailureKind::Timeout);
        EvaluatedChunk {
            base,
            next,
            bytes: sliced_bytes(&batch) + offsets.bytes(),
            batch,
            offsets,
            keep: !timed_out,
            fault: outcome.fault.map(|(row, error)| (base + offset(row), error)),
            encoded: None,
        }
    }

    /// Rows from `from` up to `until` (an offset, not included), at most `max_rows` of them and at most `max_bytes`, but one
    /// row at least if there is any. Rows of one offset are never parted: more than asked for are given where they are more,
    /// because no position lies between them.
    pub(crate) fn part(&self, from: Offset, until: Offset, max_rows: usize, max_bytes: usize) -> Part {
        let end = self.fault.as_ref().map_or(self.next, |(at, _)| *at).min(until);
        let first = self.offsets.first_from(from);
        let ready = self.offsets.first_from(end).saturating_sub(first);
        if first == 0 && ready == self.batch.num_rows() && ready <= max_rows && self.bytes <= max_bytes {
            let whole = from <= self.base && end == self.next;
            return Part {
                batch: self.batch.clone(),
                offsets: self.offsets.clone(),
                next: end,
                bytes: self.bytes,
                encoded: self.encoded.clone().filter(|_| whole),
            };
        }
        let (fitting, mut bytes) = fit(&self.batch.slice(first, ready.min(max_rows.max(1))), max_bytes);
        let rows = self.whole_offsets(first, fitting, ready);
        if rows != fitting {
            bytes = size(&self.batch.slice(first, rows));
        }
        let offsets = self.offsets.slice(first..first + rows);
        let next = match rows.checked_sub(1).and_then(|last| offsets.get(last)) {
            Some(last) if rows < ready => last + 1,
            _ => end.max(from),
        };
        Part { batch: self.batch.slice(first, rows), offsets, next, bytes, encoded: None }
    }

    /// `rows` rows from `first` on, fewer or more so that those of one offset stay together; at most `ready`.
    fn whole_offsets(&self, first: usize, rows: usize, ready: usize) -> usize {
        let at = |row: usize| self.offsets.get(first + row);
        let (Some(last), Some(next)) = (rows.checked_sub(1).and_then(at), at(rows)) else { return rows };
        if rows >= ready || last != next {
            return rows;
        }
        let of = |offset: Offset| self.offsets.first_from(offset).saturating_sub(first);
        match of(last) {
            0 => of(last + 1).min(ready),
            before => before,
        }
    }
}

impl SharedRead for EvaluatedChunk {
    fn base(&self) -> Offset {
        self.base
    }

    /// Past a fault there is no answer here.
    fn answers(&self, position: Offset) -> bool {
        let end = self.fault.as_ref().map_or(self.next, |(at, _)| at + 1);
        self.base <= position && position < end
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn is_kept(&self) -> bool {
        self.keep
    }
}

/// How many leading rows stay within `max_bytes` (at least one), and their bytes.
fn fit(batch: &RecordBatch, max_bytes: usize) -> (usize, usize) {
    let all = batch.num_rows();
    let bytes = size(batch);
    if bytes <= max_bytes || all <= 1 {
        return (all, bytes);
    }
    let (mut fits, mut too_many) = (1, all);
    while too_many - fits > 1 {
        let middle = fits + (too_many - fits) / 2;
        if size(&batch.slice(0, middle)) <= max_bytes {
            fits = middle;
        } else {
            too_many = middle;
        }
    }
    (fits, size(&batch.slice(0, fits)))
}

/// Bytes of rows with their offsets.
fn size(batch: &RecordBatch) -> usize {
    sliced_bytes(batch) + batch.num_rows() * size_of::<Offset>()
}
