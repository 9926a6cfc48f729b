//! Whose turn is next. A topic with nothing to do costs a place in a map.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::model::ContinuousId;
use crate::platform::Patience;

#[derive(Debug, Default)]
pub(super) struct Board {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    ready: VecDeque<ContinuousId>,
    is_ready: HashSet<ContinuousId>,
    waiting: HashMap<ContinuousId, Waiting>,
    /// With whether something has come meanwhile.
    at_work: HashMap<ContinuousId, bool>,
    stopping: bool,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    /// In the log's time, µs.
    due_us: Option<i64>,
    until: Option<Patience>,
    /// What comes does not hurry it.
    held: bool,
}

/// What a topic does after its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// It has more to do.
    Ready,
    /// It waits for rows, and has its turn at this time of the log, or after so long, whatever comes.
    Until { due_us: Option<i64>, left: Option<Duration> },
    /// It is left alone for so long.
    Held(Duration),
}

impl Rest {
    /// It waits for rows, or for a word.
    pub(super) const ASLEEP: Rest = Rest::Until { due_us: None, left: None };
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Stop,
    /// Nothing, for the moment.
    Wait,
    Topic(ContinuousId),
}

impl Board {
    /// Something has come for the topic.
    pub(super) fn note(&self, topic: ContinuousId) {
        let mut inner = self.inner.lock();
        if let Some(more) = inner.at_work.get_mut(&topic) {
            *more = true;
        } else if !inner.waiting.get(&topic).is_some_and(|waiting| waiting.held) {
            inner.make_ready(topic);
            self.changed.notify_one();
        }
    }

    /// As [`Self::note`], also of a topic that is to be left alone: it was altered.
    pub(super) fn altered(&self, topic: ContinuousId) {
        self.inner.lock().waiting.remove(&topic);
        self.note(topic);
    }

    /// The topic whose turn it is; the turn ends with [`Self::done`]. `now_us` gives the log's time.
    pub(super) fn take(&self, now_us: impl Fn() -> i64, patience: Duration) -> Turn {
        let mut inner = self.inner.lock();
        if inner.stopping {
            return Turn::Stop;
        }
        if inner.ready.is_empty() {
            let left = inner.wake_due(now_us());
            if inner.ready.is_empty() {
                self.changed.wait_for(&mut inner, left.unwrap_or(patience).min(patience));
                return Turn::Wait;
            }
        }
        match inner.ready.pop_front() {
            Some(topic) => {
                inner.is_ready.remove(&topic);
                inner.at_work.insert(topic, false);
                Turn::Topic(topic)
            }
            None => Turn::Wait,
        }
    }

    pub(super) fn done(&self, topic: ContinuousId, rest: Rest) {
        let mut inner = self.inner.lock();
        let more = inner.at_work.remove(&topic).unwrap_or(false);
        let waiting = match rest {
            Rest::Ready => None,
            Rest::Until { .. } if more => None,
            Rest::Until { due_us, left } => Some(Waiting { due_us, until: left.map(Patience::of), held: false }),
            Rest::Held(left) => Some(Waiting { due_us: None, until: Some(Patience::of(left)), held: true }),
        };
        match waiting {
            None => inner.make_ready(topic),
            Some(Waiting { due_us: None, until: None, .. }) => {}
            Some(waiting) => {
                inner.waiting.insert(topic, waiting);
            }
        }
        self.changed.notify_one();
    }

    pub(super) fn stop(&self) {
        self.inner.lock().stopping = true;
        self.changed.notify_all();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.inner.lock().stopping
    }
}

impl Inner {
    fn make_ready(&mut self, topic: ContinuousId) {
        self.waiting.remove(&topic);
        if self.is_ready.insert(topic) {
            self.ready.push_back(topic);
        }
    }

    /// Makes those ready whose time has come; gives how long the next one has.
    fn wake_due(&mut self, now_us: i64) -> Option<Duration> {
        let left = |waiting: &Waiting| {
            let due = waiting.due_us.map(|due_us| Duration::from_micros(u64::try_from(due_us - now_us).unwrap_or(0)));
            [due, waiting.until.map(|until| until.left())].into_iter().flatten().min()
        };
        let mut due: Vec<ContinuousId> = Vec::new();
        let mut next = None::<Duration>;
        for (topic, waiting) in &self.waiting {
            match left(waiting) {
                Some(left) if left.is_zero() => due.push(*topic),
                Some(left) => next = Some(next.map_or(left, |next| next.min(left))),
                None => {}
            }
        }
        due.sort_unstable();
        due.into_iter().for_each(|topic| self.make_ready(topic));
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;
    const A: ContinuousId = ContinuousId(1);
    const B: ContinuousId = ContinuousId(2);

    fn take(board: &Board, now_us: i64) -> Turn {
        board.take(|| now_us, NOW)
    }

    #[test]
    fn a_topic_is_at_work_once_and_what_comes_meanwhile_is_not_missed() {
        let board = Board::default();
        assert_eq!(take(&board, 0), Turn::Wait);
        board.note(A);
        board.note(A);
        board.note(B);
        assert_eq!((take(&board, 0), take(&board, 0)), (Turn::Topic(A), Turn::Topic(B)));
        board.note(A);
        assert_eq!(take(&board, 0), Turn::Wait);
        board.done(A, Rest::ASLEEP);
        board.done(B, Rest::ASLEEP);
        assert_eq!(take(&board, 0), Turn::Topic(A));
        board.done(A, Rest::ASLEEP);
        assert_eq!(take(&board, 0), Turn::Wait);
        board.stop();
        assert_eq!(take(&board, 0), Turn::Stop);
    }

    #[test]
    fn what_waits_for_a_time_comes_then_or_with_rows_and_what_is_held_does_not() {
        let board = Board::default();
        let begin = |rest| {
            board.note(A);
            assert_eq!(take(&board, 0), Turn::Topic(A));
            board.done(A, rest);
        };
        begin(Rest::Until { due_us: Some(100), left: None });
        assert_eq!(take(&board, 99), Turn::Wait);
        assert_eq!(take(&board, 100), Turn::Topic(A));
        board.done(A, Rest::Until { due_us: Some(200), left: None });
        begin(Rest::Held(Duration::from_secs(3_600)));
        board.note(A);
        assert_eq!(take(&board, i64::MAX), Turn::Wait, "rows do not hurry it");
        board.altered(A);
        assert_eq!(take(&board, 0), Turn::Topic(A));
    }
}
