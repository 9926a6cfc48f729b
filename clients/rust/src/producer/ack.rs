//! Answers to batches.

use millstream_protocol::Durability;
use tokio::sync::oneshot;

use crate::error::{Error, Result};

/// A run of rows as it lies in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    pub partition: u32,
    pub first_offset: u64,
    pub rows: u64,
}

/// The server's answer to one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// Of the batch, or of the first of its parts.
    pub sequence: u64,
    /// Where a producer of the same id goes on after this batch.
    pub next_sequence: u64,
    /// In the order of the batch's rows where they all go to one partition.
    pub appended: Vec<Appended>,
    /// The batch had arrived before, whole; this is the first answer again.
    pub duplicate: bool,
    pub durability: Durability,
}

/// An acknowledgement under way. Dropping it does not take the batch back.
#[derive(Debug)]
pub struct PendingAck(pub(super) oneshot::Receiver<Result<Ack>>);

impl std::future::Future for PendingAck {
    type Output = Result<Ack>;

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(Error::Closed)))
    }
}
