//! The log's time under clocks that step, and its record on the disk.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::ages::{Ages, Knot};
use super::record::{self, Mark};
use super::{LogTime, STEP_US};
use crate::platform::BootTime;
use crate::platform::Events;
use crate::platform::disk::{Disk, SimDisk};
use crate::platform::{Clock, EngineOptions, ManualClock};

const NOW_US: i64 = 1_800_000_000_000_000;
const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;

/// One opening of a store.
struct Opened {
    time: LogTime,
    clock: Arc<ManualClock>,
    events: Arc<Events>,
}

fn open(disk: &SimDisk, clock: &Arc<ManualClock>, newest_us: Option<i64>) -> Opened {
    let mut options = EngineOptions::new("/store");
    options.disk = Arc::new(disk.clone());
    options.clock = clock.clone();
    let events = Arc::new(Events::new(clock.clone()));
    let time = LogTime::open(&options, events.clone(), newest_us).expect("open");
    Opened { time, clock: clock.clone(), events }
}

impl Opened {
    fn step(&self, by_us: i64) {
        self.clock.set_wall_us(self.clock.wall_us() + by_us);
    }

    /// Time passes, and somebody looks every minute.
    fn pass(&self, us: i64) {
        for _ in 0..us / (60 * SECOND) {
            self.clock.advance(Duration::from_secs(60));
            self.time.now_us();
        }
    }

    fn age_us(&self, append_us: i64) -> i64 {
        let now_us = self.time.now_us();
        self.time.between_us(append_us, now_us)
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.events.list().iter().map(|event| event.kind).collect()
    }
}

fn near(found: i64, expected: i64) -> bool {
    (found - expected).abs() <= STEP_US
}

#[test]
fn a_clock_that_goes_evenly_is_followed_to_the_microsecond() {
    let opened = open(&SimDisk::new(1), &Arc::new(ManualClock::new(NOW_US)), None);
    for by in [0, 5, -3 * SECOND, 20 * SECOND, 7] {
        opened.clock.advance(Duration::from_secs(5));
        opened.step(by);
        assert_eq!(opened.time.now_us(), opened.clock.wall_us(), "after a correction of {by} µs");
    }
    assert!(opened.kinds().is_empty());
}

#[test]
fn a_step_is_not_taken_and_when_it_is_undone_nothing_is_left_of_it() {
    for by in [HOUR, -HOUR, 10 * DAY, -10 * DAY] {
        let opened = open(&SimDisk::new(1), &Arc::new(ManualClock::new(NOW_US)), None);
        opened.pass(10 * 60 * SECOND);
        opened.step(by);
        opened.pass(50 * 60 * SECOND);
        assert!(near(opened.time.now_us(), NOW_US + HOUR), "{by}");
        assert!(near(opened.age_us(NOW_US), HOUR), "{by}");
        let mut stats = crate::model::EngineStats::default();
        opened.time.stats(&mut stats);
        assert!(near(stats.clock_difference_us, by) && stats.clock_steps == 1, "{by}: {stats:?}");
        opened.step(-by);
        assert!(near(opened.time.now_us(), opened.clock.wall_us()), "{by}");
        assert_eq!(opened.kinds(), ["clock_stepped", "clock_returned"], "{by}");
    }
}

#[test]
fn a_step_that_lasts_is_believed_and_makes_no_row_older() {
    for by in [2 * HOUR, 10 * DAY] {
        let opened = open(&SimDisk::new(1), &Arc::new(ManualClock::new(NOW_US)), None);
        opened.pass(HOUR);
        opened.step(by);
        opened.pass(25 * HOUR);
        assert!(near(opened.time.now_us(), opened.clock.wall_us()), "{by}");
        assert!(near(opened.age_us(NOW_US), 26 * HOUR), "{by}: {}", opened.age_us(NOW_US));
        assert!(near(opened.time.before_age_us(26 * HOUR), NOW_US), "{by}");
        opened.pass(HOUR);
        assert!(near(opened.age_us(NOW_US), 27 * HOUR), "{by}");
        assert!(near(opened.time.before_age_us(HOUR), opened.time.now_us() - HOUR), "{by}");
        assert_eq!(opened.kinds(), ["clock_stepped", "clock_believed"], "{by}");
    }
}

#[test]
fn after_a_lasting_step_back_the_log_waits_for_the_clock_and_ages_go_on() {
    let disk = SimDisk::new(1);
    let opened = open(&disk, &Arc::new(ManualClock::new(NOW_US)), None);
    opened.step(-30 * HOUR);
    opened.pass(4 * HOUR);
    let waits_at = opened.time.now_us();
    opened.pass(3 * HOUR);
    assert!(opened.time.now_us() - waits_at < 60 * SECOND, "it creeps");
    assert!(near(opened.age_us(NOW_US), 7 * HOUR), "{}", opened.age_us(NOW_US));
    // Another process on the same machine.
    opened.time.record(true).expect("recorded");
    let opened = open(&disk, &opened.clock, Some(waits_at));
    opened.pass(3 * HOUR);
    assert!(near(opened.age_us(NOW_US), 10 * HOUR), "{}", opened.age_us(NOW_US));
    opened.pass(30 * HOUR);
    assert_eq!(opened.time.now_us(), opened.clock.wall_us(), "it has caught up");
    assert!(near(opened.age_us(NOW_US), 40 * HOUR), "{}", opened.age_us(NOW_US));
}

#[test]
fn a_clock_that_comes_back_from_a_lasting_step_back_is_right_at_once() {
    let opened = open(&SimDisk::new(1), &Arc::new(ManualClock::new(NOW_US)), None);
    opened.step(-10 * DAY);
    opened.pass(3 * DAY);
    opened.step(10 * DAY);
    assert_eq!(opened.time.now_us(), opened.clock.wall_us());
    assert!(near(opened.age_us(NOW_US), 3 * DAY));
}

#[test]
fn on_a_machine_that_was_on_the_time_between_two_openings_is_known() {
    for by in [0, HOUR, -HOUR, 10 * DAY, -10 * DAY] {
        let disk = SimDisk::new(1);
        let opened = open(&disk, &Arc::new(ManualClock::new(NOW_US)), None);
        opened.time.record(true).expect("recorded");
        opened.clock.advance(Duration::from_secs(5 * 3600));
        opened.step(by);
        let opened = open(&disk, &opened.clock, Some(NOW_US));
        assert!(near(opened.time.now_us(), NOW_US + 5 * HOUR), "{by}");
        assert!(near(opened.age_us(NOW_US), 5 * HOUR), "{by}");
        assert_eq!(opened.kinds().is_empty(), by == 0, "{by}");
        opened.step(-by);
        assert!(near(opened.time.now_us(), opened.clock.wall_us()), "{by}");
    }
}

#[test]
fn a_step_goes_on_lasting_through_restarts() {
    let disk = SimDisk::new(1);
    let mut opened = open(&disk, &Arc::new(ManualClock::new(NOW_US)), None);
    opened.step(10 * DAY);
    for _ in 0..5 {
        opened.pass(5 * HOUR);
        let newest_us = opened.time.now_us();
        opened.time.record(true).expect("recorded");
        opened = open(&disk, &opened.clock, Some(newest_us));
    }
    assert!(near(opened.time.now_us(), opened.clock.wall_us()), "it has lasted for a day");
    assert!(near(opened.age_us(NOW_US), 25 * HOUR));
}

#[test]
fn time_that_a_machine_was_off_counts_when_the_clock_has_gone_evenly_for_an_hour() {
    let disk = SimDisk::new(1);
    let opened = open(&disk, &Arc::new(ManualClock::new(NOW_US + 10 * DAY)), Some(NOW_US));
    assert_eq!(opened.time.now_us(), opened.clock.wall_us());
    assert_eq!(opened.kinds(), ["clock_unconfirmed"]);
    opened.pass(HOUR / 2);
    assert!(near(opened.age_us(NOW_US), HOUR / 2));
    // A restart meanwhile begins the hour anew.
    opened.time.record(false).expect("recorded");
    let opened = open(&disk, &opened.clock, Some(NOW_US + 10 * DAY));
    opened.pass(HOUR / 2);
    assert!(near(opened.age_us(NOW_US), HOUR));
    opened.pass(HOUR);
    assert!(near(opened.age_us(NOW_US), 10 * DAY + 2 * HOUR), "{}", opened.age_us(NOW_US));
}

#[test]
fn time_that_only_a_wrong_clock_told_of_never_counts() {
    let opened = open(&SimDisk::new(1), &Arc::new(ManualClock::new(NOW_US + 10 * DAY)), Some(NOW_US));
    opened.pass(HOUR / 2);
    opened.step(-10 * DAY);
    opened.pass(20 * DAY);
    assert!(near(opened.age_us(NOW_US), 20 * DAY + HOUR / 2), "{}", opened.age_us(NOW_US));
    assert_eq!(opened.time.now_us(), opened.clock.wall_us(), "the log has waited for the clock");
}

#[test]
fn a_log_that_was_written_ahead_comes_free() {
    let opened = open(&SimDisk::new(1), &Arc::new(ManualClock::new(NOW_US)), Some(NOW_US + 10 * DAY));
    let (old, ahead) = (NOW_US - DAY, NOW_US + 10 * DAY - HOUR);
    opened.pass(DAY + HOUR);
    // Rows from before are as old as they are, those written ahead begin to age.
    assert!(near(opened.age_us(old), 2 * DAY + HOUR), "{}", opened.age_us(old));
    assert!(near(opened.age_us(ahead), DAY + HOUR), "{}", opened.age_us(ahead));
    opened.pass(4 * DAY);
    assert!(near(opened.age_us(ahead), 5 * DAY + HOUR), "{}", opened.age_us(ahead));
    opened.pass(6 * DAY);
    assert_eq!(opened.time.now_us(), opened.clock.wall_us());
    assert!(near(opened.age_us(ahead), 11 * DAY + HOUR), "{}", opened.age_us(ahead));
}

#[test]
fn a_machine_that_did_not_know_the_time_is_right_when_it_does() {
    let opened = open(&SimDisk::new(1), &Arc::new(ManualClock::new(1_000 * SECOND)), None);
    opened.pass(60 * SECOND);
    opened.clock.set_wall_us(NOW_US);
    assert_eq!(opened.time.now_us(), NOW_US);
    assert!(near(opened.age_us(1_000 * SECOND), 60 * SECOND));
}

#[test]
fn ages_and_append_times_lead_to_one_another() {
    let mut ages = Ages::default();
    ages.jump(100, 500);
    ages.begin_slow(600);
    ages.end_slow(610);
    assert_eq!(
        [50, 100, 300, 500, 600, 605, 610, 700].map(|at| ages.counted(at)),
        [50, 100, 100, 100, 200, 5_200, 10_200, 10_290]
    );
    for counted in (0..12_000).step_by(7) {
        let at = ages.axis_at(counted);
        assert!(ages.counted(at) <= counted && ages.counted(at + 1) >= counted, "{counted} at {at}");
    }
    assert_eq!(ages.axis_at(100), 100, "rows in a hole are not older than what begins it");
    ages.count_again(100, 500);
    assert_eq!(ages.counted(700) - ages.counted(50), 10_640);
    ages.leave_out(550, 650);
    assert_eq!([50, 550, 600, 650, 700].map(|at| ages.counted(at)), [50, 550, 550, 550, 600]);
}

#[test]
fn a_record_that_is_cut_or_changed_is_found_out() {
    let (disk, path) = (SimDisk::new(1), record::path(Path::new("/store")));
    let mark = Mark {
        boot: Some(BootTime { id: 7, up: Duration::from_secs(3) }),
        axis_us: NOW_US,
        gap: Some((NOW_US - DAY, NOW_US)),
        doubt: Some((-HOUR, 7)),
    };
    let knots = vec![Knot { axis_us: 1, counted_us: 2 }, Knot { axis_us: 30, counted_us: 2 }];
    record::write(&disk, &path, &mark, &Ages::new(knots.clone())).expect("written");
    let found = record::read(&disk, &path).expect("read");
    assert_eq!((found.mark.as_ref(), found.ages.knots()), (Some(&mark), knots.as_slice()));
    let survivor = record::read(&disk.crash(5), &path).expect("durable");
    assert_eq!((survivor.mark, survivor.ages.knots()), (Some(mark), knots.as_slice()));
    let file = disk.open(&path).expect("there");
    let mut bytes = vec![0; file.len().expect("its length") as usize];
    file.read_at(&mut bytes, 0).expect("read");
    for (at, byte) in bytes.iter().enumerate() {
        let copy = disk.kill(1);
        let file = copy.open(&path).expect("there");
        file.write_at(&[&[byte ^ 4]], at as u64).expect("write");
        if let Ok(found) = record::read(&copy, &path) {
            let untouched = found.mark.is_none() || found.damaged;
            assert!(untouched, "byte {at} was changed and nobody saw it");
        }
        file.truncate(at as u64).expect("cut");
        let found = record::read(&copy, &path).expect("read");
        assert!(found.mark.is_none() && (found.damaged || at < 88), "cut to {at} bytes");
    }
}
