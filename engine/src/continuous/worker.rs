//! A thread that takes turns.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::board::{Board, Rest, Turn};
use super::handle::ContinuousTopics;
use super::turn::{Work, turn};
use crate::log::Ledger;
use crate::model::{ContinuousId, ContinuousInfo, Error, ErrorKind};
use crate::platform::panic_text;

/// How long a thread without work waits before it looks whether the engine is still there.
const LOOK_AROUND: Duration = Duration::from_millis(500);
/// Before something is tried again that others are in the way of.
const PAUSE: Duration = Duration::from_millis(200);
/// A step's input is halved so many times, at most.
const MOST_HALVINGS: u32 = 12;

pub(super) fn work(topics: &Weak<ContinuousTopics>, board: &Board, ledger: &Ledger) {
    loop {
        let topic = match board.take(|| ledger.log.time().now_us(), LOOK_AROUND) {
            Turn::Stop => return,
            Turn::Wait if topics.strong_count() == 0 => return,
            Turn::Wait => continue,
            Turn::Topic(topic) => topic,
        };
        let Some(topics) = topics.upgrade() else { return };
        let rest = topics.one_turn(topic);
        board.done(topic, rest);
    }
}

impl ContinuousTopics {
    fn one_turn(&self, topic: ContinuousId) -> Rest {
        let info = self.needs.ledger.state.read().catalog().continuous(topic).cloned();
        let Some(info) = info else {
            self.forget(topic);
            return Rest::ASLEEP;
        };
        let work = self.work_of(topic);
        let mut work = work.lock();
        if info.paused || work.stopped == Some(info.version) || !self.needs.is_ready(&info) {
            work.running = None;
            return Rest::ASLEEP;
        }
        let turned = catch_unwind(AssertUnwindSafe(|| turn(&self.needs, &info, &mut work)));
        let turned = turned.unwrap_or_else(|panic| {
            Err(Error::Internal(format!("a turn of it has panicked: {}", panic_text(panic.as_ref()))))
        });
        match turned {
            Ok(rest) => {
                self.standings.go_on(topic);
                rest
            }
            Err(error) => {
                // What the run has read is on record only in part: it is read back.
                work.running = None;
                self.settle(&info, &mut work, error)
            }
        }
    }

    /// What is to be done about an error of a turn.
    fn settle(&self, info: &Arc<ContinuousInfo>, work: &mut Work, error: Error) -> Rest {
        match error {
            Error::Closed | Error::LogFailed { .. } => Rest::ASLEEP,
            // It was altered, or dropped: its next turn sees that.
            Error::Fenced(_) => Rest::Held(PAUSE),
            Error::Throttled { left, .. } => Rest::Held(left),
            Error::TooLarge { .. } if work.halved < MOST_HALVINGS => {
                work.halved += 1;
                Rest::Ready
            }
            error if error.kind() == ErrorKind::Retry || matches!(error, Error::Io { .. }) => {
                self.standings.wait(info, &error.to_string());
                Rest::Held(PAUSE)
            }
            error => {
                work.stopped = Some(info.version);
                let why = explained(info, &error);
                self.standings.stop(info, &why, &self.needs.ledger.events);
                Rest::ASLEEP
            }
        }
    }
}

/// Why it has stopped, and what to do.
fn explained(info: &ContinuousInfo, error: &Error) -> String {
    let name = &info.name;
    match error {
        Error::OffsetOutOfRange { partition, offset, start, .. } => format!(
            "rows {offset} to {start} of partition {partition} of its source were not read before they were deleted (retention); \
             RELOAD TOPIC {name} REBUILD begins anew with what is retained"
        ),
        Error::PermissionDenied(why) => format!("{why}; grant it, then ALTER TOPIC {name} RESUME"),
        Error::FailedPrecondition(why) if why.contains("REBUILD") || why.contains("state_bytes") => why.clone(),
        error => format!("{error}; once that is mended, ALTER TOPIC {name} RESUME goes on where it stopped"),
    }
}
