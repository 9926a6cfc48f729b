//! What a submitter holds until there is room for its submission.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::channel::oneshot;

use super::queue::Queue;
use crate::model::{Error, PendingReceipt, Result};

/// A submission's place in the writer's queue. It is there already, behind all that came before; the ticket resolves when
/// it is within what the queue may hold, and whoever submits much waits for that before submitting more. No thread waits,
/// unless [`Ticket::wait`] is called.
///
/// Dropping it takes the submission back while there is no room for it; afterwards it does as dropping the receipt does:
/// nothing. Of several, the last one is to be dropped first, or one may be appended whose forerunner was not: [`Tickets`]
/// does that.
#[must_use = "dropping it may take the submission back"]
#[derive(Debug)]
pub struct Ticket {
    /// `None` once there is room.
    awaited: Option<AwaitedRoom>,
    /// `None` once given.
    receipt: Option<PendingReceipt>,
}

#[derive(Debug)]
struct AwaitedRoom {
    queue: Arc<Queue>,
    id: u64,
    room: oneshot::Receiver<Result<()>>,
}

impl Ticket {
    /// Of what has room.
    pub(crate) fn admitted(receipt: PendingReceipt) -> Ticket {
        Ticket { awaited: None, receipt: Some(receipt) }
    }

    pub(super) fn waiting(
        queue: Arc<Queue>,
        id: u64,
        room: oneshot::Receiver<Result<()>>,
        receipt: PendingReceipt,
    ) -> Ticket {
        Ticket { awaited: Some(AwaitedRoom { queue, id, room }), receipt: Some(receipt) }
    }

    /// Blocks until there is room. An error if the log has failed or is closed.
    pub fn wait(mut self) -> Result<PendingReceipt> {
        if self.awaited.is_none()
            && let Some(receipt) = self.receipt.take()
        {
            return Ok(receipt);
        }
        futures::executor::block_on(self)
    }

    /// Leaves the submission where it is and waits for nothing. For what is small, and one of few.
    pub(crate) fn keep(mut self) -> PendingReceipt {
        self.awaited = None;
        self.receipt.take().unwrap_or_else(|| PendingReceipt { receiver: oneshot::channel().1 })
    }
}

impl Future for Ticket {
    type Output = Result<PendingReceipt>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(awaited) = &mut self.awaited {
            let room = ready!(Pin::new(&mut awaited.room).poll(context));
            self.awaited = None;
            room.unwrap_or(Err(Error::Closed))?;
        }
        Poll::Ready(self.receipt.take().ok_or_else(|| Error::Internal("a ticket was polled after its end".to_owned())))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(awaited) = &self.awaited {
            awaited.queue.withdraw(awaited.id);
        }
    }
}

/// Tickets of one submitter, in the order of their submissions.
#[derive(Debug, Default)]
pub struct Tickets {
    waiting: VecDeque<Ticket>,
}

impl Tickets {
    pub fn push(&mut self, ticket: Ticket) {
        self.waiting.push_back(ticket);
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The receipt of the first one, once there is room for it. `None` when there are no more. Dropping the future loses
    /// nothing.
    pub async fn next(&mut self) -> Option<Result<PendingReceipt>> {
        let admitted = self.waiting.front_mut()?.await;
        self.waiting.pop_front();
        Some(admitted)
    }

    /// As [`Self::next`], blocking.
    pub fn wait_next(&mut self) -> Option<Result<PendingReceipt>> {
        futures::executor::block_on(self.next())
    }
}

impl FromIterator<Ticket> for Tickets {
    fn from_iter<I: IntoIterator<Item = Ticket>>(tickets: I) -> Tickets {
        Tickets { waiting: tickets.into_iter().collect() }
    }
}

impl Drop for Tickets {
    fn drop(&mut self) {
        while self.waiting.pop_back().is_some() {}
    }
}
