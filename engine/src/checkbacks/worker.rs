//! A thread that takes turns.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Weak;
use std::time::Duration;

use super::board::{Board, Turn};
use super::handle::Checkbacks;
use super::turn::Turned;
use crate::model::{Error, ErrorKind};
use crate::platform::panic_text;
use crate::state::DueKey;

/// How long a thread without work waits before it looks whether the engine is still there.
const LOOK_AROUND: Duration = Duration::from_millis(500);
/// Before something is tried again that others are in the way of, such as a full queue.
const PAUSE: Duration = Duration::from_millis(200);
/// Before something is tried again that failed.
const LONG_PAUSE: Duration = Duration::from_secs(5);

pub(super) fn work(checkbacks: &Weak<Checkbacks>, board: &Board) {
    loop {
        let from = match board.take(LOOK_AROUND) {
            Turn::Stop => return,
            Turn::Wait if checkbacks.strong_count() == 0 => return,
            Turn::Wait => continue,
            Turn::Table(from) => from,
        };
        let Some(checkbacks) = checkbacks.upgrade() else { return };
        let more = one_turn(&checkbacks, from);
        board.done(from.table, more);
    }
}

/// Gives from where on the table is to be looked at again, and after which time.
fn one_turn(checkbacks: &Checkbacks, from: DueKey) -> Option<(DueKey, Option<Duration>)> {
    let turn = catch_unwind(AssertUnwindSafe(|| checkbacks.turn(from)));
    let turned = turn.unwrap_or_else(|panic| {
        Err(Error::Internal(format!("a turn of it has panicked: {}", panic_text(panic.as_ref()))))
    });
    match turned {
        Ok(Turned::Done) => None,
        Ok(Turned::More(from)) => Some((from, None)),
        Ok(Turned::Held(left)) => Some((from, Some(left))),
        Err(Error::Throttled { left, .. }) => Some((from, Some(left))),
        // Whatever is due is found again when the store is opened, is gone with its table, or is others' without its checkback.
        Err(Error::Closed | Error::LogFailed { .. } | Error::NotFound { .. } | Error::Fenced(_)) => None,
        Err(error) => {
            checkbacks.failed(from.table, &error.to_string());
            let pause = if error.kind() == ErrorKind::Retry { PAUSE } else { LONG_PAUSE };
            Some((from, Some(pause)))
        }
    }
}
