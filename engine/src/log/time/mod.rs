//! The log's time: what append times are taken from, and how old rows are.
//!
//! The wall clock is believed as long as it goes as the monotonic one does. A step is not taken into append times: these go on
//! by the monotonic clock until both have agreed for an hour, or a tenth of the step where that is more, a day at most. Ages count the time that has passed, not the difference
//! of two append times, so that no step makes a row older than it is. `docs/operations.md`, "The clock", says what operators see.

mod ages;
mod judge;
mod record;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use self::ages::{Ages, SLOWNESS};
pub(crate) use self::judge::STEP_US;
use self::judge::{Judge, Reading, SETTLED_US, Turn, settles_after_us};
use self::record::{Mark, Recorded, micros};
use crate::model::{EngineStats, Result};
use crate::platform::BootTime;
use crate::platform::Events;
use crate::platform::disk::Disk;
use crate::platform::{Clock, EngineOptions};

/// How often the record on the disk is brought up to date.
const RECORD_EVERY_US: i64 = 60 * 1_000_000;

/// The time of one open log.
#[derive(Debug)]
pub(crate) struct LogTime {
    clock: Arc<dyn Clock>,
    disk: Arc<dyn Disk>,
    path: PathBuf,
    events: Arc<Events>,
    inner: Mutex<Inner>,
    /// Held while the record is written.
    recording: Mutex<()>,
    steps: AtomicU64,
    /// The wall clock less the log's time, µs, when last looked at.
    difference_us: AtomicI64,
}

#[derive(Debug)]
struct Inner {
    judge: Judge,
    ages: Ages,
    /// The time last given, and what had passed then.
    last_us: i64,
    last_elapsed_us: i64,
    /// Since when the log waits for the clock: its time then, and what had passed.
    slow: Option<(i64, i64)>,
    /// The time between the last append and this opening, if only the wall clock tells of it: from, to. Ages leave it out until
    /// the clocks have agreed for long enough.
    gap: Option<(i64, i64)>,
    start: Start,
    recorded_us: i64,
    /// What is recorded says something else of ages.
    changed: bool,
}

/// The clocks at opening.
#[derive(Debug)]
struct Start {
    monotonic: Duration,
    boot: Option<BootTime>,
    /// For how long the machine has slept since, which the monotonic clock does not count.
    slept_us: i64,
}

impl LogTime {
    /// `newest_us` is the append time of the newest commit; a new log has none.
    pub(crate) fn open(options: &EngineOptions, events: Arc<Events>, newest_us: Option<i64>) -> Result<LogTime> {
        let (clock, disk) = (options.clock.clone(), options.disk.clone());
        let path = record::path(&options.dir);
        let start = Start { monotonic: clock.monotonic(), boot: clock.boot(), slept_us: 0 };
        let wall_us = clock.wall_us();
        let Recorded { mark, mut ages, damaged } = record::read(disk.as_ref(), &path)?;
        let floor_us = newest_us.map(|newest_us| ages.last_axis().map_or(newest_us, |last| last.max(newest_us)));
        let mut found = Found { at_us: wall_us, last_us: wall_us, gap: None, ahead: false, doubt: None };
        if let Some(floor_us) = floor_us {
            if damaged {
                ages = Ages::beginning_at(floor_us);
                events.push("clock_record_damaged", format!("{}: ages of rows count from now on", path.display()));
            }
            found = Found::new(wall_us, floor_us, mark.as_ref(), start.boot.as_ref());
            if found.ahead {
                // When the log got ahead, if the clock is right, is not known: nobody's age may count it.
                ages.leave_out(wall_us, floor_us);
            }
            if let Some((from, to)) = found.gap {
                ages.jump(from, to);
                let shown = shown(to - from);
                events.push("clock_unconfirmed", format!("the newest row is {shown} old by the wall clock; until it has gone evenly for an hour, rows are not deleted for that age"));
            }
        }
        let gap = found.gap.or(mark.and_then(|mark| mark.gap));
        let inner = Inner {
            judge: found.doubt.map_or_else(|| Judge::new(found.at_us), |doubt| Judge::doubting(found.at_us, doubt)),
            ages,
            last_us: found.last_us,
            last_elapsed_us: 0,
            slow: None,
            gap,
            start,
            recorded_us: 0,
            changed: found.gap.is_some() || found.ahead || damaged,
        };
        let (steps, difference_us) = (AtomicU64::new(0), AtomicI64::new(0));
        let time = LogTime {
            clock,
            disk,
            path,
            events,
            inner: Mutex::new(inner),
            recording: Mutex::new(()),
            steps,
            difference_us,
        };
        if let Some((by_us, _)) = found.doubt {
            time.tell_step(by_us);
        }
        time.now_us();
        Ok(time)
    }

    /// The log's time, µs since the Unix epoch. Never less than before.
    pub(crate) fn now_us(&self) -> i64 {
        self.look(&mut self.inner.lock())
    }

    /// Rows appended before this time are older than `age_us`.
    pub(crate) fn before_age_us(&self, age_us: i64) -> i64 {
        let mut inner = self.inner.lock();
        let now_us = self.look(&mut inner);
        inner.ages.axis_at(inner.ages.counted(now_us).saturating_sub(age_us))
    }

    /// What passed between two append times, µs.
    pub(crate) fn between_us(&self, from_us: i64, to_us: i64) -> i64 {
        let inner = self.inner.lock();
        inner.ages.counted(to_us).saturating_sub(inner.ages.counted(from_us))
    }

    /// Brings the record up to date where that is due; `closing`: at once.
    pub(crate) fn record(&self, closing: bool) -> Result<()> {
        let _one_at_a_time = self.recording.lock();
        let mut inner = self.inner.lock();
        let axis_us = self.look(&mut inner);
        let due = inner.last_elapsed_us.saturating_sub(inner.recorded_us) >= RECORD_EVERY_US;
        if !inner.changed && !due && !closing {
            return Ok(());
        }
        // The mark goes on by the trusted clock, which a log that is ahead waits for.
        let at_us = inner.judge.expected_us(inner.last_elapsed_us);
        let mark = Mark {
            boot: self.clock.boot(),
            axis_us: at_us,
            gap: inner.gap,
            doubt: inner.judge.doubt(inner.last_elapsed_us),
        };
        let mut ages = inner.ages.clone();
        if inner.slow.is_some() {
            ages.end_slow(axis_us);
        }
        let whole = std::mem::take(&mut inner.changed) || inner.slow.is_some();
        inner.recorded_us = inner.last_elapsed_us;
        // Appends ask for the time meanwhile.
        drop(inner);
        let recorded = match whole {
            true => record::write(self.disk.as_ref(), &self.path, &mark, &ages),
            false => record::refresh(self.disk.as_ref(), &self.path, &mark, &ages),
        };
        if recorded.is_err() {
            self.inner.lock().changed |= whole;
        }
        recorded
    }

    /// Fills in the clock's figures.
    pub(crate) fn stats(&self, stats: &mut EngineStats) {
        stats.clock_steps = self.steps.load(Ordering::Relaxed);
        stats.clock_difference_us = self.difference_us.load(Ordering::Relaxed);
    }

    fn tell_step(&self, by_us: i64) {
        self.steps.fetch_add(1, Ordering::Relaxed);
        let way = if by_us < 0 { "back" } else { "ahead" };
        let (by, lasting) = (shown(by_us), shown(settles_after_us(by_us)));
        let message = format!(
            "the wall clock is {by} {way}; append times go on by the monotonic clock until it comes back, or has gone evenly for {lasting}"
        );
        self.events.push("clock_stepped", message);
    }

    fn look(&self, inner: &mut Inner) -> i64 {
        let mut reading = self.read(&inner.start);
        if inner.judge.would_step(reading) && inner.start.has_slept(self.clock.as_ref()) {
            reading = self.read(&inner.start);
        }
        let (at_us, turn) = inner.judge.look(reading);
        if let Some(turn) = turn {
            self.tell(inner, turn);
        }
        inner.advance(at_us, reading.elapsed_us);
        inner.confirm_gap(reading.elapsed_us);
        self.difference_us.store(reading.wall_us.saturating_sub(inner.last_us), Ordering::Relaxed);
        inner.last_us
    }

    fn read(&self, start: &Start) -> Reading {
        let passed = self.clock.monotonic().saturating_sub(start.monotonic);
        Reading { wall_us: self.clock.wall_us(), elapsed_us: micros(passed).saturating_add(start.slept_us) }
    }

    fn tell(&self, inner: &mut Inner, turn: Turn) {
        match turn {
            Turn::Stepped { by_us } => {
                // What only the wall clock told of is in doubt for good.
                inner.gap = None;
                self.tell_step(by_us);
            }
            Turn::Returned => self.events.push("clock_returned", "the wall clock is right again"),
            Turn::Settled { by_us } => {
                inner.changed = true;
                let message = if by_us < 0 {
                    "the wall clock has gone evenly since it stepped back and is believed; append times, which never go back, wait for it"
                } else {
                    "the wall clock has gone evenly since it stepped ahead and is believed; rows are as old as before"
                };
                self.events.push("clock_believed", message);
            }
        }
    }
}

impl Inner {
    /// Moves the log's time to that of the judge, or waits for it, and keeps ages to what has passed.
    fn advance(&mut self, at_us: i64, elapsed_us: i64) {
        let passed_us = elapsed_us.saturating_sub(self.last_elapsed_us).max(0);
        if at_us >= self.last_us {
            if self.slow.take().is_some() {
                self.ages.end_slow(self.last_us);
                self.changed = true;
            }
            let by_elapsed_us = self.last_us.saturating_add(passed_us);
            if at_us > by_elapsed_us.saturating_add(STEP_US) {
                self.ages.jump(by_elapsed_us, at_us);
                self.changed = true;
            }
            self.last_us = at_us;
        } else if self.slow.is_some() || self.last_us.saturating_sub(at_us) > STEP_US {
            if self.slow.is_none() {
                self.ages.begin_slow(self.last_us);
            }
            let (since_us, since_elapsed_us) = *self.slow.get_or_insert((self.last_us, self.last_elapsed_us));
            let slowly_us = elapsed_us.saturating_sub(since_elapsed_us) / SLOWNESS;
            self.last_us = self.last_us.max(since_us.saturating_add(slowly_us));
        }
        self.last_elapsed_us = self.last_elapsed_us.max(elapsed_us);
    }

    /// Counts the gap before this opening once the clocks have agreed for long enough.
    fn confirm_gap(&mut self, elapsed_us: i64) {
        if elapsed_us >= SETTLED_US
            && let Some((from, to)) = self.gap.take()
        {
            self.ages.count_again(from, to);
            self.changed = true;
        }
    }
}

impl Start {
    /// Whether the machine has slept since this was last asked.
    fn has_slept(&mut self, clock: &dyn Clock) -> bool {
        let (Some(then), Some(now)) = (&self.boot, clock.boot()) else { return false };
        if then.id != now.id {
            return false;
        }
        let up = micros(now.up.saturating_sub(then.up));
        let slept_us = up.saturating_sub(micros(clock.monotonic().saturating_sub(self.monotonic)));
        let more = slept_us.saturating_sub(self.slept_us) > STEP_US / 2;
        self.slept_us = if more { slept_us } else { self.slept_us };
        more
    }
}

/// What the clocks and the log say at opening.
struct Found {
    /// Where the judge begins.
    at_us: i64,
    /// The log's time begins here.
    last_us: i64,
    gap: Option<(i64, i64)>,
    /// The newest row is from the future, and nothing is known of how that came.
    ahead: bool,
    doubt: Option<(i64, i64)>,
}

impl Found {
    fn new(wall_us: i64, floor_us: i64, mark: Option<&Mark>, boot: Option<&BootTime>) -> Found {
        let same_boot = mark.and_then(|mark| mark.now_us(boot?));
        if let Some((mark, at_us)) = mark.zip(same_boot) {
            // The machine has not been off: what has passed is known.
            let passed_us = at_us.saturating_sub(mark.axis_us);
            let doubt = mark.doubt.map(|(by_us, lasts_us)| (by_us, lasts_us.saturating_add(passed_us)));
            let still = |(by_us, _): &(i64, i64)| (wall_us - at_us - by_us).abs() <= STEP_US;
            return Found { at_us, last_us: floor_us.max(at_us), gap: None, ahead: false, doubt: doubt.filter(still) };
        }
        if wall_us > floor_us.saturating_add(STEP_US) {
            return Found {
                at_us: wall_us,
                last_us: wall_us,
                gap: Some((floor_us, wall_us)),
                ahead: false,
                doubt: None,
            };
        }
        let ahead = wall_us < floor_us.saturating_sub(STEP_US);
        Found { at_us: if ahead { floor_us } else { wall_us }, last_us: floor_us, gap: None, ahead, doubt: None }
    }
}

/// A span of time for people.
fn shown(us: i64) -> String {
    let seconds = us.unsigned_abs() / 1_000_000;
    match seconds {
        0..600 => format!("{seconds} s"),
        600..36_000 => format!("{} min", seconds / 60),
        36_000..864_000 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
