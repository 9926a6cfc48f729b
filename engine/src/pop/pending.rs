//! What is on its way to the log: messages that are handed out, and acknowledgements. Nobody holds a thread while it waits.

use std::sync::Arc;

use super::Pop;
use super::deciding::Deciding;
use super::handed::HandedMessages;
use super::returns::Returned;
use super::turns::Turn;
use crate::log::Ticket;
use crate::messages::ClientName;
use crate::model::{Error, PopAcked, PopReceipt, Popped, Result};
use crate::state::{HandOutKey, PopQueueId};

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

/// Messages that are being handed out. Whoever lets go of them meanwhile gives them back once they are.
#[derive(Debug)]
pub struct PendingPop {
    all: Arc<Pop>,
    /// `None` once it is decided.
    deciding: Option<Deciding>,
    popped: Vec<Popped>,
    /// Held until it is decided.
    turns: Vec<Turn>,
    /// How far a group is in these may have changed.
    queues: Vec<PopQueueId>,
    hand_outs: Vec<HandOutKey>,
    /// Who keeps them as long as it is there.
    kept_by: Option<ClientName>,
}

impl PendingPop {
    pub(super) fn new(
        all: &Arc<Pop>,
        ticket: Ticket,
        popped: Vec<Popped>,
        turns: Vec<Turn>,
        (queues, hand_outs): (Vec<PopQueueId>, Vec<HandOutKey>),
        kept_by: Option<ClientName>,
    ) -> PendingPop {
        let deciding = Some(Deciding::new(ticket));
        PendingPop { all: all.clone(), deciding, popped, turns, queues, hand_outs, kept_by }
    }

    /// Gives the messages once it is durable that they are handed out. `None`: one of them was acknowledged at the last moment, or the
    /// group's offset was set; to be tried again. Empty where messages were passed over or given up only; to be tried again, too.
    pub async fn finish(mut self) -> Result<Option<HandedMessages>> {
        let decided = match &mut self.deciding {
            Some(deciding) => deciding.await,
            None => Err(Error::Internal("messages are handed out twice".to_owned())),
        };
        self.deciding = None;
        self.turns.clear();
        let (popped, hand_outs) = (std::mem::take(&mut self.popped), std::mem::take(&mut self.hand_outs));
        match decided {
            Ok(_) => {
                if let Some(client) = &self.kept_by {
                    let keep = |(key, one): (&HandOutKey, &Popped)| {
                        self.all.kept.keep(client, *key, one.offsets.len(), one.visible_us);
                    };
                    hand_outs.iter().zip(&popped).for_each(keep);
                }
                // From here on they are given back where that fails.
                let handed = HandedMessages::new(&self.all, popped, hand_outs);
                self.queues.iter().try_for_each(|queue| self.all.settle_floor(*queue, false))?;
                Ok(Some(handed))
            }
            Err(Error::Fenced(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for PendingPop {
    fn drop(&mut self) {
        if let Some(deciding) = self.deciding.take() {
            let (hand_outs, turns) = (std::mem::take(&mut self.hand_outs), std::mem::take(&mut self.turns));
            self.all.returns.add(Returned { deciding: Some(deciding), hand_outs, turns, counts: false });
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
            let decided = Deciding::new(ticket).await;
            match decided {
                Ok(_) => queues.into_iter().try_for_each(|queue| all.settle_floor(queue, false))?,
                Err(Error::Fenced(_)) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some((found, receipt)))
    }
}
