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
use crate::platform::Patience;
use crate::state::Record;
use crate::state::Submission;

/// Bytes of submissions without rows that have room.
const CONTROL_BYTES: usize = 4 << 20;
/// The share of a commit that submissions without rows take at most while rows wait, and the share that rows take beside
/// them: both go on, and neither waits for a long commit of the other.
const CONTROL_SHARE: usize = 4;
const ROWS_SHARE: usize = 4;
/// So many submissions without rows in one commit are a crowd, and share the machine with producers, who take all that they are let.
const CROWD: usize = 16;

/// What the writer finds.
#[derive(Debug)]
pub(super) enum Taken {
    Work {
        submissions: VecDeque<Queued>,
        /// There are rows among them beside a crowd of others: the next rows should rest.
        crowded: bool,
    },
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

    /// Takes what is queued, about `limit` bytes of it, in order: first what has no rows, and rows unless they still rest. Waits for the
    /// first one, at most `patience` if given.
    pub(super) fn take(&self, limit: usize, patience: Option<Duration>, rest: Patience) -> Taken {
        let patience = patience.map(Patience::of);
        let mut lanes = self.lanes.lock();
        let resting = loop {
            // Rows whose room is refused by now are not taken any more, and the others soon.
            let resting = !rest.is_over() && lanes.refusal.is_none();
            if !lanes.control.is_empty() || !resting && !lanes.rows.is_empty() {
                break resting;
            }
            if lanes.refusal.is_some() {
                return Taken::Closed;
            }
            if patience.is_some_and(|patience| patience.is_over()) {
                return Taken::Idle;
            }
            let until_rested = Some(rest.left()).filter(|_| resting && !lanes.rows.is_empty());
            match patience.map(|patience| patience.left()).into_iter().chain(until_rested).min() {
                None => self.filled.wait(&mut lanes),
                Some(wait) => drop(self.filled.wait_for(&mut lanes, wait)),
            }
        };
        let mut submissions = VecDeque::new();
        lanes.control.take(limit / CONTROL_SHARE, &mut submissions);
        let others = submissions.len();
        if !resting {
            let beside = if others == 0 { limit } else { limit / ROWS_SHARE };
            lanes.rows.take(beside, &mut submissions);
        }
        Taken::Work { crowded: others >= CROWD && submissions.len() > others, submissions }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ProducerStamp;
    use crate::state::StreamStamp;

    const LONG: Duration = Duration::from_secs(3_600);

    fn push(queue: &Arc<Queue>, rows: bool) {
        let stamp = StreamStamp { table: TableId(1), stamp: ProducerStamp { id: 1, epoch: 0, sequence: 0 } };
        let submission = Submission { stamp: rows.then_some(stamp), ..Submission::default() };
        drop(queue.push(submission, 100));
    }

    fn take(queue: &Queue, patience: Duration, rest: Duration) -> Option<(usize, bool)> {
        match queue.take(1 << 20, Some(patience), Patience::of(rest)) {
            Taken::Work { submissions, crowded } => Some((submissions.len(), crowded)),
            Taken::Idle | Taken::Closed => None,
        }
    }

    #[test]
    fn rows_rest_after_a_crowd_and_while_nothing_else_comes_no_longer_than_that() {
        let queue = Arc::new(Queue::new(1 << 20));
        push(&queue, true);
        (0..CROWD).for_each(|_| push(&queue, false));
        assert_eq!(take(&queue, LONG, Duration::ZERO), Some((CROWD + 1, true)));
        push(&queue, true);
        (1..CROWD).for_each(|_| push(&queue, false));
        assert_eq!(take(&queue, LONG, Duration::ZERO), Some((CROWD, false)), "they are few");
        push(&queue, true);
        push(&queue, false);
        assert_eq!(take(&queue, LONG, LONG), Some((1, false)), "the rows rest");
        assert_eq!(take(&queue, Duration::from_millis(5), LONG), None);
        assert_eq!(take(&queue, LONG, Duration::from_millis(5)), Some((1, false)), "they have rested");
        push(&queue, true);
        queue.close();
        assert_eq!(take(&queue, LONG, LONG), Some((1, false)), "nobody waits for the end");
        assert!(matches!(queue.take(1, None, Patience::of(LONG)), Taken::Closed));
    }
}
