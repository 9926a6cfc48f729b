//! Submissions on their way to the writer, in two lanes, each first in, first out and bounded by bytes: those with rows, and
//! those without (offset commits, definitions), which never wait behind the rows of others.
//!
//! A submission has its place in its lane at once, and nothing here waits but the writer: a submitter waits for room by
//! its [`Ticket`]. Those that have room may be taken; what lies behind them is not held for long by whoever sent it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::channel::oneshot;
use parking_lot::{Condvar, Mutex};

use super::lane::{Lane, Queued};
use super::ticket::Ticket;
use crate::model::{Error, PendingReceipt, Result, TableId};
use crate::state::Record;
use crate::state::Submission;

/// Bytes of submissions without rows that have room.
const CONTROL_BYTES: usize = 4 << 20;
/// The share of a commit that submissions without rows take at most while rows wait, and the share that rows take beside
/// them: both go on, and neither waits for a long commit of the other.
const CONTROL_SHARE: usize = 4;
const ROWS_SHARE: usize = 4;

/// What the writer finds.
#[derive(Debug)]
pub(super) enum Taken {
    Work(VecDeque<Queued>),
    /// Nothing came in the time given.
    Idle,
    /// Closed, and all that had room has been taken.
    Closed,
}

#[derive(Debug)]
pub(super) struct Queue {
    lanes: Mutex<Lanes>,
    filled: Condvar,
}

#[derive(Debug)]
struct Lanes {
    control: Lane,
    rows: Lane,
    next_id: u64,
    /// Once set, every submission is answered with it.
    refusal: Option<Error>,
}

impl Lanes {
    fn is_empty(&self) -> bool {
        self.control.is_empty() && self.rows.is_empty()
    }

    /// Whether rows of these tables lie ahead.
    fn rows_ahead(&self, tables: &[TableId]) -> bool {
        let of_them = |queued: &Queued| queued.submission.rows.iter().any(|part| tables.contains(&part.table));
        !tables.is_empty() && self.rows.admitted().any(of_them)
    }
}

impl Queue {
    /// `limit` is the bound of the rows' lane.
    pub(super) fn new(limit: usize) -> Queue {
        let (control, rows) = (Lane::new(CONTROL_BYTES), Lane::new(limit));
        Queue { lanes: Mutex::new(Lanes { control, rows, next_id: 0, refusal: None }), filled: Condvar::new() }
    }

    /// Adds a submission. Never waits.
    ///
    /// Without rows it overtakes rows, but for a change of a table that rows lie ahead of, such as its end: that goes
    /// behind those which have room, because whoever appended them may be the one who makes the change.
    pub(super) fn push(self: &Arc<Self>, submission: Submission, bytes: usize) -> Result<Ticket> {
        let (answer, receiver) = oneshot::channel();
        let receipt = PendingReceipt { receiver };
        let changed: Vec<TableId> = submission.records.iter().filter_map(Record::table).collect();
        let control = submission.is_control();
        let mut lanes = self.lanes.lock();
        if let Some(refusal) = &lanes.refusal {
            return Err(refusal.clone());
        }
        let id = lanes.next_id;
        lanes.next_id += 1;
        let queued = Queued { id, submission, bytes, answer, room: None };
        let room = match control {
            true if lanes.rows_ahead(&changed) => {
                lanes.rows.push_admitted(queued);
                None
            }
            true => lanes.control.push(queued),
            false => lanes.rows.push(queued),
        };
        self.filled.notify_one();
        Ok(match room {
            None => Ticket::admitted(receipt),
            Some(room) => Ticket::waiting(self.clone(), id, room, receipt),
        })
    }

    /// Takes back a submission that has no room yet.
    pub(super) fn withdraw(&self, id: u64) {
        let withdrawn = {
            let mut lanes = self.lanes.lock();
            lanes.rows.withdraw(id).or_else(|| lanes.control.withdraw(id))
        };
        // Rows are let go outside of the lock.
        drop(withdrawn);
    }

    /// Takes what is queued, about `limit` bytes of it, in order: first what has no rows. Waits for the first one, at most
    /// `patience` if given.
    pub(super) fn take(&self, limit: usize, patience: Option<Duration>) -> Taken {
        let mut lanes = self.lanes.lock();
        while lanes.is_empty() {
            if lanes.refusal.is_some() {
                return Taken::Closed;
            }
            match patience {
                None => self.filled.wait(&mut lanes),
                Some(patience) => {
                    if self.filled.wait_for(&mut lanes, patience).timed_out() && lanes.is_empty() {
                        return if lanes.refusal.is_some() { Taken::Closed } else { Taken::Idle };
                    }
                }
            }
        }
        let mut taken = VecDeque::new();
        lanes.control.take(limit / CONTROL_SHARE, &mut taken);
        let beside = if taken.is_empty() { limit } else { limit / ROWS_SHARE };
        lanes.rows.take(beside, &mut taken);
        Taken::Work(taken)
    }

    /// Refuses submissions from now on, and rows that have no room. All else that is queued is still taken.
    pub(super) fn close(&self) {
        let waiting = {
            let mut lanes = self.lanes.lock();
            lanes.refusal.get_or_insert(Error::Closed);
            self.filled.notify_all();
            lanes.rows.split_waiting()
        };
        waiting.into_iter().for_each(|queued| queued.refuse(&Error::Closed));
    }

    /// Bytes of the submissions that have room, and how many have none.
    pub(super) fn figures(&self) -> (u64, u64) {
        let lanes = self.lanes.lock();
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        (count(lanes.control.bytes() + lanes.rows.bytes()), count(lanes.control.waiting() + lanes.rows.waiting()))
    }

    /// What submissions are answered with now.
    pub(super) fn refusal(&self) -> Option<Error> {
        self.lanes.lock().refusal.clone()
    }

    /// Refuses submissions from now on, and those that are queued, with this error.
    pub(super) fn fail(&self, error: &Error) {
        let refused = {
            let mut lanes = self.lanes.lock();
            // The first failure is the one that says what happened.
            if !matches!(lanes.refusal, Some(Error::LogFailed { .. })) {
                lanes.refusal = Some(error.clone());
            }
            self.filled.notify_all();
            [lanes.control.take_all(), lanes.rows.take_all()]
        };
        refused.into_iter().flatten().for_each(|queued| queued.refuse(error));
    }
}
