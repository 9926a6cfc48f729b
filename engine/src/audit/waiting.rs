//! Lines on their way to the table, within bounds.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::line::{AuditLine, Deed};
use crate::platform::Clock;

/// How long a line waits for more.
const EVERY: Duration = Duration::from_secs(1);
/// Lines alike are one in so many seconds.
const ALIKE_SECONDS: u64 = 60;
/// Lines that wait, where the table can't be written as fast as they come.
const MAX_WAITING: usize = 32_768;

/// Who makes lines, each with a bound of its own: who has no credentials crowds nobody out who has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    LoggedIn,
    NotLoggedIn,
    Refused,
    Failed,
    Read,
}

impl Class {
    const COUNT: usize = 5;

    fn index(self) -> usize {
        match self {
            Class::LoggedIn => 0,
            Class::NotLoggedIn => 1,
            Class::Refused => 2,
            Class::Failed => 3,
            Class::Read => 4,
        }
    }

    /// Lines that are not alike, in [`ALIKE_SECONDS`].
    fn limit(self) -> usize {
        match self {
            Class::LoggedIn => 16_384,
            Class::Read => 4_096,
            Class::Refused | Class::Failed => 1_024,
            Class::NotLoggedIn => 256,
        }
    }

    /// Whether it says something how often there was one like it.
    fn is_counted(self) -> bool {
        !matches!(self, Class::LoggedIn | Class::Read)
    }
}

/// What is alike has one key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noted {
    pub(super) key: u64,
    pub(super) class: Class,
}

#[derive(Debug)]
pub(crate) struct WaitingLines {
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
    stopped: Condvar,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    lines: Vec<AuditLine>,
    /// By the clock that does not step.
    minute: u64,
    /// Of this minute, by their keys.
    seen: HashMap<u64, Seen>,
    of_class: [usize; Class::COUNT],
    /// Lost, and not told of yet.
    untold: u64,
    stopped: bool,
}

#[derive(Debug)]
struct Seen {
    /// Of those that are counted.
    line: Option<AuditLine>,
    more: u64,
}

impl WaitingLines {
    pub(super) fn new(clock: Arc<dyn Clock>) -> WaitingLines {
        WaitingLines { clock, inner: Mutex::default(), stopped: Condvar::new(), lost: AtomicU64::new(0) }
    }

    pub(super) fn tell(&self, line: AuditLine) {
        self.inner.lock().push(line, &self.lost);
    }

    /// Never waits for the disk.
    pub(super) fn note(&self, noted: Noted, line: impl FnOnce() -> AuditLine) {
        let Noted { key, class } = noted;
        {
            let mut inner = self.inner.lock();
            self.turn(&mut inner);
            if let Some(seen) = inner.seen.get_mut(&key) {
                seen.more = seen.more.saturating_add(1);
                return;
            }
            let Some(count) = inner.of_class.get_mut(class.index()) else { return };
            if *count >= class.limit() {
                return inner.lose(1, &self.lost);
            }
            *count += 1;
            inner.seen.insert(key, Seen { line: None, more: 0 });
        }
        // Made without the lock: it asks who there is.
        let line = line();
        let mut inner = self.inner.lock();
        if class.is_counted()
            && let Some(seen) = inner.seen.get_mut(&key)
        {
            seen.line = Some(line.clone());
        }
        inner.push(line, &self.lost);
    }

    /// What has come in a second, and whether it is all that will come.
    pub(crate) fn next(&self) -> (Vec<AuditLine>, bool) {
        {
            let mut inner = self.inner.lock();
            if !inner.stopped {
                self.stopped.wait_for(&mut inner, EVERY);
            }
        }
        self.take()
    }

    pub(super) fn take(&self) -> (Vec<AuditLine>, bool) {
        let mut inner = self.inner.lock();
        self.turn(&mut inner);
        if inner.stopped {
            inner.count_up(self.clock.wall_us(), &self.lost);
        }
        let mut lines = std::mem::take(&mut inner.lines);
        let untold = std::mem::take(&mut inner.untold);
        if untold > 0 {
            let detail = format!("{untold} lines were too many and are not kept");
            lines
                .push(AuditLine::of_the_server(self.clock.wall_us(), Deed::new("lost", "server", "", "").with(detail)));
        }
        (lines, inner.stopped)
    }

    /// So many could not be written.
    pub(crate) fn lose(&self, lines: usize) {
        self.inner.lock().lose(u64::try_from(lines).unwrap_or(u64::MAX), &self.lost);
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(super) fn stop(&self) {
        self.inner.lock().stopped = true;
        self.stopped.notify_all();
    }

    /// Begins a minute, if the one before is over.
    fn turn(&self, inner: &mut Inner) {
        let minute = self.clock.monotonic().as_secs() / ALIKE_SECONDS;
        if inner.minute != minute {
            inner.minute = minute;
            inner.count_up(self.clock.wall_us(), &self.lost);
        }
    }
}

impl Inner {
    fn push(&mut self, line: AuditLine, lost: &AtomicU64) {
        if self.lines.len() >= MAX_WAITING {
            return self.lose(1, lost);
        }
        self.lines.push(line);
    }

    fn lose(&mut self, lines: u64, lost: &AtomicU64) {
        self.untold = self.untold.saturating_add(lines);
        lost.fetch_add(lines, Ordering::Relaxed);
    }

    /// Tells how often there was more like what was told of, and forgets that.
    fn count_up(&mut self, at_us: i64, lost: &AtomicU64) {
        self.of_class = [0; Class::COUNT];
        for seen in std::mem::take(&mut self.seen).into_values().filter(|seen| seen.more > 0) {
            let Some(line) = seen.line else { continue };
            let detail = format!("{}; and {} more like it within a minute", line.deed.detail, seen.more);
            let deed = Deed { detail: detail.trim_start_matches("; ").to_owned(), ..line.deed };
            self.push(AuditLine { at_us, deed, ..line }, lost);
        }
    }
}
