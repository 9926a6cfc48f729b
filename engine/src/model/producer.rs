//! What an append asks for and what it is answered.

use arrow_array::RecordBatch;

use crate::model::{Durability, Error, Lsn, Offset, PartitionId, Result, TableId};

/// Which partitions the rows of a batch go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PartitionChoice {
    /// By the table's partition key; round robin by batch if it has none.
    #[default]
    ByKey,
    /// All rows to this one.
    Named(PartitionId),
}

/// Makes an append idempotent: a repeat of the same stamp returns the first answer instead of appending again.
/// A stream is one producer writing to one table; a higher epoch fences the lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct ProducerStamp {
    /// Chosen by the producer once, at random (a UUID).
    pub id: u128,
    pub epoch: u32,
    /// 0 for the stream's first batch, then one more for each.
    pub sequence: u64,
}

/// One run of rows as it lies in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Appended {
    pub table: TableId,
    pub partition: PartitionId,
    pub first_offset: Offset,
    pub rows: u64,
}

/// An acknowledged submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The submission's last LSN.
    pub lsn: Lsn,
    pub appended: Vec<Appended>,
    /// The stamp had been seen: nothing was written, `appended` is the first answer.
    pub duplicate: bool,
    /// What the acknowledgement promises.
    pub durability: Durability,
}

/// A receipt that is under way. Dropping it does not take the submission back.
#[derive(Debug)]
pub struct PendingReceipt {
    pub(crate) receiver: futures::channel::oneshot::Receiver<Result<Receipt>>,
}

impl PendingReceipt {
    /// Blocks until the submission is durable or refused.
    pub fn wait(self) -> Result<Receipt> {
        futures::executor::block_on(self)
    }
}

impl std::future::Future for PendingReceipt {
    type Output = Result<Receipt>;

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.receiver).poll(context).map(|answer| answer.unwrap_or_else(|_| Err(unanswered())))
    }
}

/// A thread of the log has ended with the submission in hand.
fn unanswered() -> Error {
    let message =
        "a thread of the log has ended; whether the submission was written is known once the store is open again";
    Error::LogFailed { operation: "answer", message: message.to_owned() }
}

/// Rows for one table, not yet placed.
#[derive(Debug, Clone)]
pub struct Append {
    pub table: TableId,
    pub partition: PartitionChoice,
    /// Columns by name; missing nullable columns are filled with null, types are cast where `docs/types.md` allows.
    pub batch: RecordBatch,
}
