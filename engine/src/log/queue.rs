//! Submissions on their way to the writer: bounded by bytes, first in, first out.

use std::collections::VecDeque;
use std::time::Duration;

use futures::channel::oneshot;
use parking_lot::{Condvar, Mutex};

use super::format::FRAME_HEADER_LEN;
use super::ipc;
use crate::submission::{RowsPayload, Submission};
use crate::{Error, PendingReceipt, Receipt, Result, StateWrite};

/// Headers, padding and the description of columns that a frame takes besides its values, at most.
const FRAME_OVERHEAD: usize = FRAME_HEADER_LEN + 64 + 1024;
const COLUMN_OVERHEAD: usize = 256;

/// A submission and who waits for its answer.
#[derive(Debug)]
pub(super) struct Queued {
    pub submission: Submission,
    /// An upper estimate of its bytes in the log.
    pub bytes: usize,
    pub answer: oneshot::Sender<Result<Receipt>>,
}

/// What the writer finds.
#[derive(Debug)]
pub(super) enum Taken {
    Work(VecDeque<Queued>),
    /// Nothing came in the time given.
    Idle,
    /// Closed, and all that was queued has been taken.
    Closed,
}

#[derive(Debug)]
pub(super) struct Queue {
    limit: usize,
    inner: Mutex<Inner>,
    filled: Condvar,
    drained: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Queued>,
    bytes: usize,
    /// Once set, every submission is answered with it.
    refusal: Option<Error>,
}

impl Queue {
    pub(super) fn new(limit: usize) -> Queue {
        Queue { limit, inner: Mutex::default(), filled: Condvar::new(), drained: Condvar::new() }
    }

    /// Adds a submission; blocks while the queue is full.
    pub(super) fn push(&self, submission: Submission, bytes: usize) -> Result<PendingReceipt> {
        let (answer, receiver) = oneshot::channel();
        let mut inner = self.inner.lock();
        loop {
            if let Some(refusal) = &inner.refusal {
                return Err(refusal.clone());
            }
            if inner.waiting.is_empty() || inner.bytes.saturating_add(bytes) <= self.limit {
                break;
            }
            self.drained.wait(&mut inner);
        }
        inner.bytes += bytes;
        inner.waiting.push_back(Queued { submission, bytes, answer });
        self.filled.notify_one();
        Ok(PendingReceipt { receiver })
    }

    /// Takes what is waiting, about `limit` bytes of it, in order. Waits for the first one, at most `patience` if given.
    pub(super) fn take(&self, limit: usize, patience: Option<Duration>) -> Taken {
        let mut inner = self.inner.lock();
        while inner.waiting.is_empty() {
            if inner.refusal.is_some() {
                return Taken::Closed;
            }
            match patience {
                None => self.filled.wait(&mut inner),
                Some(patience) => {
                    if self.filled.wait_for(&mut inner, patience).timed_out() && inner.waiting.is_empty() {
                        return if inner.refusal.is_some() { Taken::Closed } else { Taken::Idle };
                    }
                }
            }
        }
        let (mut taken, mut bytes) = (VecDeque::new(), 0_usize);
        while let Some(next) = inner.waiting.front() {
            if !taken.is_empty() && bytes.saturating_add(next.bytes) > limit {
                break;
            }
            bytes = bytes.saturating_add(next.bytes);
            taken.extend(inner.waiting.pop_front());
        }
        inner.bytes = inner.bytes.saturating_sub(bytes);
        self.drained.notify_all();
        Taken::Work(taken)
    }

    /// Refuses submissions from now on. What is queued is still taken.
    pub(super) fn close(&self) {
        let mut inner = self.inner.lock();
        inner.refusal.get_or_insert(Error::Closed);
        self.filled.notify_all();
        self.drained.notify_all();
    }

    /// What submissions are answered with now.
    pub(super) fn refusal(&self) -> Option<Error> {
        self.inner.lock().refusal.clone()
    }

    /// Refuses submissions from now on, and those that are queued, with this error.
    pub(super) fn fail(&self, error: &Error) {
        let refused = {
            let mut inner = self.inner.lock();
            // The first failure is the one that says what happened.
            if !matches!(inner.refusal, Some(Error::LogFailed { .. })) {
                inner.refusal = Some(error.clone());
            }
            inner.bytes = 0;
            self.filled.notify_all();
            self.drained.notify_all();
            std::mem::take(&mut inner.waiting)
        };
        for queued in refused {
            // Whoever has stopped waiting needs no answer.
            let _ = queued.answer.send(Err(error.clone()));
        }
    }
}

/// An upper estimate of a submission's bytes in the log.
pub(super) fn estimate(submission: &Submission) -> Result<usize> {
    let mut bytes = 0_usize;
    for part in &submission.rows {
        if part.rows == 0 {
            return Err(Error::Internal("a part without rows was submitted".to_owned()));
        }
        let payload = match &part.payload {
            RowsPayload::Encoded(rows) => rows.len(),
            RowsPayload::Small(batch) => {
                let columns = batch.schema().flattened_fields().len();
                // Validity bitmaps are written even where there are no nulls.
                let column = COLUMN_OVERHEAD + batch.num_rows().div_ceil(8);
                ipc::sliced_bytes(batch).saturating_add(columns * column)
            }
        };
        bytes = bytes.saturating_add(payload).saturating_add(FRAME_OVERHEAD);
    }
    for offsets in &submission.offsets {
        bytes = bytes.saturating_add(FRAME_OVERHEAD + offsets.entries.len() * 24);
    }
    for state in &submission.state {
        let entry = |(key, value): &StateWrite| key.len() + value.as_ref().map_or(0, |value| value.len()) + 16;
        bytes = bytes.saturating_add(FRAME_OVERHEAD + state.writes.iter().map(entry).sum::<usize>());
    }
    for change in &submission.changes {
        let json = serde_json::to_vec(change).map_err(|error| Error::Internal(error.to_string()))?;
        bytes = bytes.saturating_add(FRAME_OVERHEAD + json.len());
    }
    if submission.stamp.is_some() {
        bytes = bytes.saturating_add(FRAME_OVERHEAD + submission.rows.len() * 40);
    }
    Ok(bytes)
}
