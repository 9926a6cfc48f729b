//! What is on its way to the log: messages that are handed out, and acknowledgements. Nobody holds a thread while it waits.

use std::sync::Arc;

use super::Pop;
use super::turns::Turn;
use crate::log::Ticket;
use crate::model::{Error, PopAcked, PopReceipt, Popped, Result};
use crate::state::{PopQueueId, Submission};

/// What a pop has come to.
#[derive(Debug)]
pub enum PopOutcome {
    /// To be waited for before it is given to anybody.
    Taken(PendingPop),
    /// The first message is longer than all that was asked for: its bytes.
    TooLong(usize),
    /// Nothing is there. When one of those in flight is visible again, in µs since the Unix epoch, if there are any.
    Nothing { next_us: Option<i64> },
    /// Some were handed out as often as they may be, and the table for them is not there.
    NeedsDeadLetters,
}

/// Messages that are being handed out.
#[derive(Debug)]
pub struct PendingPop {
    all: Arc<Pop>,
    ticket: Ticket,
    popped: Vec<Popped>,
    /// Held until it is decided.
    turns: Vec<Turn>,
    queues: Vec<PopQueueId>,
}

impl PendingPop {
    pub(super) fn new(
        all: &Arc<Pop>,
        ticket: Ticket,
        popped: Vec<Popped>,
        turns: Vec<Turn>,
        queues: Vec<PopQueueId>,
    ) -> PendingPop {
        PendingPop { all: all.clone(), ticket, popped, turns, queues }
    }

    /// Gives the messages once it is durable that they are handed out. `None`: one of them was acknowledged at the last moment, or the
    /// group's offset was set; to be tried again. Empty where messages were passed over or given up only; to be tried again, too.
    pub async fn finish(self) -> Result<Option<Vec<Popped>>> {
        let PendingPop { all, ticket, popped, turns, queues } = self;
        let decided = match ticket.await {
            Ok(receipt) => receipt.await,
            Err(error) => Err(error),
        };
        drop(turns);
        match decided {
            Ok(_) => {
                queues.into_iter().try_for_each(|queue| all.settle_floor(queue, false))?;
                Ok(Some(popped))
            }
            Err(Error::Fenced(_)) => {
                all.caught_up().await?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Acknowledgements, and other changes of what was handed out.
#[derive(Debug)]
pub struct PendingAck {
    all: Arc<Pop>,
    /// `None`: nothing was left to do.
    ticket: Option<Ticket>,
    queues: Vec<PopQueueId>,
    found: Vec<PopAcked>,
    /// What the message is acknowledged with from now on.
    receipt: Option<PopReceipt>,
}

impl PendingAck {
    pub(super) fn new(
        all: &Arc<Pop>,
        ticket: Option<Ticket>,
        queues: Vec<PopQueueId>,
        found: Vec<PopAcked>,
        receipt: Option<PopReceipt>,
    ) -> PendingAck {
        PendingAck { all: all.clone(), ticket, queues, found, receipt }
    }

    /// What each receipt was good for, and the new one of a change, once it is durable. `None`: somebody was faster with one of the
    /// messages; to be tried again.
    pub async fn finish(self) -> Result<Option<(Vec<PopAcked>, Option<PopReceipt>)>> {
        let PendingAck { all, ticket, queues, found, receipt } = self;
        if let Some(ticket) = ticket {
            let decided = match ticket.await {
                Ok(receipt) => receipt.await,
                Err(error) => Err(error),
            };
            match decided {
                Ok(_) => queues.into_iter().try_for_each(|queue| all.settle_floor(queue, false))?,
                Err(Error::Fenced(_)) => {
                    all.caught_up().await?;
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Some((found, receipt)))
    }
}

impl Pop {
    /// What others have queued before is seen from now on: a refusal is answered ahead of that.
    async fn caught_up(&self) -> Result<()> {
        self.ledger().log.enqueue(Submission::default())?.await?.await.map(drop)
    }
}
