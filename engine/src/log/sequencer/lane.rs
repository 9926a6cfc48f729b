//! One lane of the queue: submissions in their order, of which as many from the front as its bound holds have room.

use std::collections::VecDeque;

use futures::channel::oneshot;

use crate::model::{Error, Receipt, Result};
use crate::state::Submission;

/// A submission and who waits for its answer.
#[derive(Debug)]
pub(in crate::log) struct Queued {
    pub id: u64,
    pub submission: Submission,
    /// An upper estimate of its bytes in the log.
    pub bytes: usize,
    pub answer: oneshot::Sender<Result<Receipt>>,
    /// Told when there is room; `None` for what has some.
    pub room: Option<oneshot::Sender<Result<()>>>,
}

impl Queued {
    /// Answers it with an error, wherever its submitter waits. Whoever has stopped waiting needs no answer.
    pub(super) fn refuse(self, error: &Error) {
        if let Some(room) = self.room {
            let _ = room.send(Err(error.clone()));
        }
        let _ = self.answer.send(Err(error.clone()));
    }
}

/// First in, first out. The submissions that have room come first, and take at most `limit` bytes, unless it is only one.
#[derive(Debug)]
pub(super) struct Lane {
    limit: usize,
    queued: VecDeque<Queued>,
    /// How many, from the front, have room, and their bytes.
    admitted: usize,
    bytes: usize,
}

impl Lane {
    pub(super) fn new(limit: usize) -> Lane {
        Lane { limit, queued: VecDeque::new(), admitted: 0, bytes: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queued.is_empty()
    }

    /// Bytes of those that have room.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many have none.
    pub(super) fn waiting(&self) -> usize {
        self.queued.len() - self.admitted
    }

    /// Those that have room.
    pub(super) fn admitted(&self) -> impl Iterator<Item = &Queued> {
        self.queued.iter().take(self.admitted)
    }

    /// Gives what tells of room, if it has to wait for some.
    pub(super) fn push(&mut self, queued: Queued) -> Option<oneshot::Receiver<Result<()>>> {
        self.queued.push_back(queued);
        self.admit();
        if self.admitted == self.queued.len() {
            return None;
        }
        let (room, has_room) = oneshot::channel();
        self.queued.back_mut()?.room = Some(room);
        Some(has_room)
    }

    /// Puts it right behind those that have room, and makes room for it.
    pub(super) fn push_admitted(&mut self, queued: Queued) {
        self.bytes = self.bytes.saturating_add(queued.bytes);
        self.queued.insert(self.admitted, queued);
        self.admitted += 1;
    }

    /// Moves about `limit` bytes from the front to `taken`, one submission at least if there is any.
    pub(super) fn take(&mut self, limit: usize, taken: &mut VecDeque<Queued>) {
        let mut bytes = 0_usize;
        while let Some(next) = self.queued.front() {
            if bytes > 0 && bytes.saturating_add(next.bytes) > limit {
                break;
            }
            let Some(queued) = self.queued.pop_front() else { break };
            // Those at the front have room, and the first one always has.
            self.admitted = self.admitted.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(queued.bytes);
            bytes = bytes.saturating_add(queued.bytes.max(1));
            taken.push_back(queued);
            self.admit();
        }
    }

    /// Takes one back that has no room yet.
    pub(super) fn withdraw(&mut self, id: u64) -> Option<Queued> {
        let place = self.queued.iter().skip(self.admitted).position(|queued| queued.id == id)?;
        let queued = self.queued.remove(self.admitted + place);
        self.admit();
        queued
    }

    /// Takes out all that have no room.
    pub(super) fn split_waiting(&mut self) -> VecDeque<Queued> {
        self.queued.split_off(self.admitted)
    }

    pub(super) fn take_all(&mut self) -> VecDeque<Queued> {
        (self.admitted, self.bytes) = (0, 0);
        std::mem::take(&mut self.queued)
    }

    fn admit(&mut self) {
        while let Some(next) = self.queued.get_mut(self.admitted) {
            if self.admitted > 0 && self.bytes.saturating_add(next.bytes) > self.limit {
                return;
            }
            if let Some(room) = next.room.take() {
                // Whoever has stopped waiting withdraws it himself.
                let _ = room.send(Ok(()));
            }
            self.bytes = self.bytes.saturating_add(next.bytes);
            self.admitted += 1;
        }
    }
}
