//! The commit log: the one write-ahead log, its files, and what readers take from it. Byte layouts are drawn in
//! `docs/log-format.md`.

mod frame;
mod ipc;

use std::sync::Arc;

pub(crate) use frame::Frame;
pub(crate) use ipc::{EncodedRows, encode, sliced_bytes};

use crate::submission::Submission;
use crate::{Lsn, Offset, PartitionId, PendingReceipt, Result, TableId};

/// The open log.
#[derive(Debug, Default)]
pub(crate) struct Log {}

#[allow(unused_variables, clippy::unimplemented, reason = "signatures first: bodies land with their modules")]
impl Log {
    /// Queues a submission for the writer; blocks while the queue is full.
    pub(crate) fn submit(&self, submission: Submission) -> Result<PendingReceipt> {
        unimplemented!()
    }

    /// The frame that holds an offset: from the memory tail, else from the log's files. `None` when the log does not hold it
    /// (trimmed, or never written). Only what has been applied is found.
    pub(crate) fn frame_at(
        &self,
        table: TableId,
        partition: PartitionId,
        offset: Offset,
    ) -> Result<Option<Arc<Frame>>> {
        unimplemented!()
    }

    /// As [`Self::frame_at`], of the memory tail alone.
    pub(crate) fn tail_frame_at(&self, table: TableId, partition: PartitionId, offset: Offset) -> Option<Arc<Frame>> {
        unimplemented!()
    }

    /// Whether [`Self::trim`] would delete a file.
    pub(crate) fn can_trim(&self, keep_from: Lsn) -> bool {
        unimplemented!()
    }

    /// Bytes of the log's files.
    pub(crate) fn bytes(&self) -> u64 {
        unimplemented!()
    }

    /// The highest durable LSN.
    pub(crate) fn durable(&self) -> Lsn {
        unimplemented!()
    }

    /// The epoch of this opening.
    pub(crate) fn epoch(&self) -> u64 {
        unimplemented!()
    }

    /// Deletes the files that hold nothing at or above `keep_from`. Only after a checkpoint that covers them.
    pub(crate) fn trim(&self, keep_from: Lsn) -> Result<()> {
        unimplemented!()
    }

    /// Writes the clean-shutdown record and stops the threads. Later submissions get `Closed`.
    pub(crate) fn close(&self) -> Result<()> {
        unimplemented!()
    }
}
