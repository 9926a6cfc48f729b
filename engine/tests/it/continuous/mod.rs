//! Continuous topics: rows in, windows out, whatever happens to the store, the clock and the definitions around them.

mod crash;
mod life;
mod plan;
mod store;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millstream_engine::{
    ContinuousSettings, ContinuousSpec, ContinuousStart, Engine, EngineOptions, ManualClock, TableOptions,
};
use tempfile::TempDir;

use crate::fixture::{NOW_US, until, who};
use plan::Windows;
use store::{
    MINUTE, Row, SECOND, append, batch, create, create_table, create_table_with, dropping, ended, given, rows, spec,
    status, until_closed,
};

/// On full five minutes.
const BEGIN: i64 = NOW_US - NOW_US % (5 * MINUTE);

/// An engine with [`Windows`], and a clock that is moved by hand.
struct Fixture {
    engine: Engine,
    clock: Arc<ManualClock>,
    compiler: Arc<Windows>,
    dir: TempDir,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture::with(|_| {})
    }

    fn with(change: impl Fn(&mut EngineOptions)) -> Fixture {
        let dir = tempfile::tempdir().expect("a directory");
        let (clock, compiler) = (Arc::new(ManualClock::new(BEGIN)), Arc::new(Windows::default()));
        let engine = open(dir.path(), &clock, change);
        engine.set_topic_compiler(compiler.clone());
        Fixture { engine, clock, compiler, dir }
    }

    fn reopen(self) -> Fixture {
        let Fixture { engine, clock, compiler, dir } = self;
        engine.close().expect("it closes");
        drop(engine);
        let engine = open(dir.path(), &clock, |_| {});
        engine.set_topic_compiler(compiler.clone());
        Fixture { engine, clock, compiler, dir }
    }

    fn append(&self, table: &str, partition: u32, rows: &[Row]) {
        append(&self.engine, table, partition, rows).expect("appended");
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

fn open(dir: &Path, clock: &Arc<ManualClock>, change: impl Fn(&mut EngineOptions)) -> Engine {
    let mut options = EngineOptions::new(dir);
    options.clock = clock.clone();
    options.segment_threads = 0;
    options.free_space_floor_bytes = 0;
    options.maintenance_interval_ms = 3_600_000;
    change(&mut options);
    Engine::open_with(options).expect("it opens")
}

/// So many seconds after the beginning.
fn at(seconds: i64) -> i64 {
    BEGIN + seconds * SECOND
}

#[test]
fn windows_close_as_event_time_goes_on_and_late_rows_are_kept() {
    let fixture = Fixture::new();
    let engine = &fixture.engine;
    create_table(engine, "t", 1).expect("a table");
    create(engine, spec("per_minute", "t", "tumble 60000000"));
    fixture.append("t", 0, &[(at(1), Some(1), 10), (at(30), None, 20), (at(59), Some(1), 5)]);
    // Of one commit none makes another late: the second row is of the first minute.
    fixture.append("t", 0, &[(at(61), Some(2), 1), (at(2), Some(1), 100)]);
    until_closed(engine, "per_minute", "t", MINUTE, at(61));
    let first = given(engine, "per_minute");
    assert_eq!(first.get(&(at(0), Some(1))), Some(&(3, 115)));
    assert_eq!((first.get(&(at(0), None)), first.len()), (Some(&(1, 20)), 2));
    fixture.append("t", 0, &[(at(3), Some(9), 7), (at(62), Some(2), 2)]);
    until(|| status(engine, "per_minute").late_rows == 1);
    assert_eq!(rows(engine, "per_minute$late"), [(at(3), Some(9), 7)]);
    fixture.append("t", 0, &[(at(130), Some(2), 3)]);
    until_closed(engine, "per_minute", "t", MINUTE, at(130));
    let found = status(engine, "per_minute");
    assert_eq!((found.rows_in, found.rows_out, found.late_rows, found.ahead_rows, found.lag), (8, 3, 1, 0, 0));
    assert_eq!((found.open_windows, found.watermark_us), (1, Some(at(130))));
}

#[test]
fn late_rows_that_are_dropped_are_counted() {
    let fixture = Fixture::new();
    let engine = &fixture.engine;
    create_table(engine, "t", 1).expect("a table");
    create(engine, dropping(spec("per_minute", "t", "tumble 60000000")));
    fixture.append("t", 0, &[(at(61), Some(1), 1)]);
    fixture.append("t", 0, &[(at(1), Some(1), 2)]);
    fixture.append("t", 0, &[(at(121), Some(1), 3)]);
    until(|| status(engine, "per_minute").watermark_us == Some(at(121)));
    assert_eq!(given(engine, "per_minute").into_iter().collect::<Vec<_>>(), [((at(60), Some(1)), (1, 1))]);
    assert_eq!(status(engine, "per_minute").late_rows, 1);
    engine.table(&who(), "public", "per_minute$late").expect_err("there is none");
}

#[test]
fn the_last_window_closes_after_a_silence() {
    let fixture = Fixture::new();
    let engine = &fixture.engine;
    create_table(engine, "t", 2).expect("a table");
    create(engine, spec("per_minute", "t", "tumble 60000000"));
    fixture.append("t", 0, &[(at(10), Some(1), 1)]);
    fixture.append("t", 1, &[(at(20), Some(2), 1)]);
    fixture.advance(59);
    assert_eq!(given(engine, "per_minute").len(), 0);
    // A minute of silence: event time is 20 s and what has passed since.
    fixture.advance(2);
    until_closed(engine, "per_minute", "t", MINUTE, at(60));
    assert_eq!(given(engine, "per_minute").len(), 2);
    // What comes after that is judged by it.
    fixture.append("t", 0, &[(at(30), Some(3), 1)]);
    until(|| status(engine, "per_minute").late_rows == 1);
}

#[test]
fn a_partition_that_is_silent_holds_back_until_it_is_idle() {
    let fixture = Fixture::new();
    let engine = &fixture.engine;
    create_table(engine, "t", 2).expect("a table");
    create(engine, spec("per_minute", "t", "tumble 60000000"));
    fixture.append("t", 1, &[(at(5), Some(2), 1)]);
    fixture.advance(30);
    fixture.append("t", 0, &[(at(70), Some(1), 1)]);
    fixture.advance(29);
    fixture.append("t", 0, &[(at(75), Some(1), 1)]);
    until(|| status(engine, "per_minute").rows_in == 3);
    assert_eq!(given(engine, "per_minute").len(), 0, "the second partition had a row 59 s ago");
    fixture.advance(2);
    until_closed(engine, "per_minute", "t", MINUTE, at(60));
    assert_eq!(given(engine, "per_minute").len(), 1);
}

#[test]
fn a_row_of_the_year_2999_counts_and_moves_nothing() {
    let fixture = Fixture::new();
    let engine = &fixture.engine;
    create_table(engine, "t", 1).expect("a table");
    create(engine, spec("per_minute", "t", "tumble 60000000"));
    let far_us = 32_472_144_000_000_000;
    fixture.append("t", 0, &[(at(1), Some(1), 1), (far_us, Some(1), 1)]);
    fixture.append("t", 0, &[(at(2), Some(1), 1)]);
    fixture.append("t", 0, &[(at(61), Some(1), 1)]);
    until_closed(engine, "per_minute", "t", MINUTE, at(61));
    let found = status(engine, "per_minute");
    assert_eq!((found.watermark_us, found.ahead_rows, found.late_rows), (Some(at(61)), 1, 0));
    assert_eq!(found.open_windows, 2, "its window is open");
    assert_eq!(given(engine, "per_minute").get(&(at(0), Some(1))), Some(&(2, 2)));
}

#[test]
fn a_clock_that_jumps_closes_nothing() {
    let fixture = Fixture::new();
    let engine = &fixture.engine;
    create_table(engine, "t", 1).expect("a table");
    create(engine, spec("per_minute", "t", "tumble 60000000"));
    fixture.append("t", 0, &[(at(10), Some(1), 1)]);
    fixture.clock.set_wall_us(BEGIN + 86_400 * SECOND);
    fixture.append("t", 0, &[(at(11), Some(1), 1)]);
    fixture.clock.set_wall_us(BEGIN - 86_400 * SECOND);
    fixture.append("t", 0, &[(at(12), Some(1), 1)]);
    fixture.append("t", 0, &[(at(61), Some(1), 1)]);
    until_closed(engine, "per_minute", "t", MINUTE, at(61));
    let found = status(engine, "per_minute");
    assert_eq!((found.watermark_us, found.late_rows, found.ahead_rows), (Some(at(61)), 0, 0));
}

#[test]
fn partitions_that_come_while_it_runs_are_read() {
    let fixture = Fixture::new();
    let engine = &fixture.engine;
    create_table(engine, "t", 1).expect("a table");
    create(engine, spec("per_minute", "t", "tumble 60000000"));
    fixture.append("t", 0, &[(at(1), Some(1), 1)]);
    fixture.append("t", 0, &[(at(61), Some(1), 1)]);
    until_closed(engine, "per_minute", "t", MINUTE, at(61));
    engine.set_partitions(&who(), "public", "t", 3).expect("they are added");
    fixture.append("t", 2, &[(at(62), Some(2), 1)]);
    fixture.append("t", 0, &[(at(125), Some(1), 1)]);
    fixture.append("t", 2, &[(at(126), Some(2), 1)]);
    until_closed(engine, "per_minute", "t", MINUTE, at(125));
    assert_eq!(given(engine, "per_minute").get(&(at(60), Some(2))), Some(&(1, 1)));
}

#[test]
fn history_gives_what_the_same_rows_gave_when_they_came() {
    // Steps of 16 KiB, so that there are many.
    let fixture = Fixture::with(|options| options.max_commit_bytes = 64 << 10);
    let engine = &fixture.engine;
    let options = TableOptions { partitions: 3, watermark_delay_ms: 3_000, ..TableOptions::default() };
    create_table_with(engine, "t", options).expect("a table");
    create(engine, spec("live", "t", "tumble 10000000"));
    let mut state = 7_u64;
    let mut chance = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for round in 0..300 {
        let count = 1 + chance(80);
        let row = |_| {
            let time_us = at(round / 2) - i64::try_from(chance(9_000)).expect("small") * 1_000;
            (time_us, chance(10).checked_sub(1).map(|key| key as i64), chance(100) as i64)
        };
        let rows: Vec<Row> = (0..count).map(row).collect();
        fixture.append("t", u32::try_from(round % 3).expect("small"), &rows);
        fixture.clock.advance(Duration::from_millis(chance(700)));
        if round == 150 {
            engine.cut_segments(&who(), engine.table(&who(), "public", "t").expect("a table").id).expect("segments");
        }
    }
    (0..3).for_each(|partition| fixture.append("t", partition, &[(at(200), None, 0)]));
    create(engine, spec("history", "t", "tumble 10000000 parts 3"));
    for topic in ["live", "history"] {
        until_closed(engine, topic, "t", 10 * SECOND, at(190));
    }
    let (live, history) = (status(engine, "live"), status(engine, "history"));
    assert!(live.late_rows > 0 && live.rows_out > 50, "{live:?}");
    assert_eq!(given(engine, "live"), given(engine, "history"));
    assert_eq!(rows(engine, "live$late"), rows(engine, "history$late"));
    assert_eq!(live.watermark_us, history.watermark_us);
}

#[test]
fn a_topic_over_anothers_output_goes_by_its_watermark() {
    let fixture = Fixture::new();
    let engine = &fixture.engine;
    create_table(engine, "t", 1).expect("a table");
    create(engine, spec("per_minute", "t", "tumble 60000000"));
    create(engine, spec("per_five", "per_minute", "tumble 300000000"));
    for minute in 0..4 {
        fixture.append("t", 0, &[(at(minute * 60 + 1), Some(1), 2)]);
        fixture.advance(50);
    }
    // The fifth minute is empty, and it takes the sixth to close the first five.
    fixture.append("t", 0, &[(at(301), Some(1), 2)]);
    until_closed(engine, "per_five", "per_minute", 5 * MINUTE, at(300));
    assert_eq!(given(engine, "per_five").get(&(at(0), Some(1))), Some(&(4, 8)));
    // Nobody sends anything any more: both close what is open.
    fixture.advance(600);
    until_closed(engine, "per_five", "per_minute", 5 * MINUTE, at(600));
    assert_eq!(given(engine, "per_five").get(&(at(300), Some(1))), Some(&(1, 2)));
    let watermarks = engine.watermarks(&who()).expect("a listing");
    let of = watermarks.iter().find(|of| of.table.name == "per_minute").expect("it is on record");
    assert!(of.watermark_us >= at(600) && of.topic.as_deref() == Some("per_minute"), "{of:?}");
}

#[test]
fn a_watermark_can_be_advanced_by_hand() {
    let fixture = Fixture::new();
    let engine = &fixture.engine;
    create_table(engine, "t", 1).expect("a table");
    let settings = ContinuousSettings { idle_ms: None, ..ContinuousSettings::default() };
    create(engine, ContinuousSpec { settings, ..spec("per_minute", "t", "tumble 60000000") });
    fixture.append("t", 0, &[(at(10), Some(1), 1)]);
    fixture.advance(3_600);
    assert_eq!(given(engine, "per_minute").len(), 0, "it waits for rows");
    engine.advance_watermark(&who(), "public", "t", at(60)).expect("it is on record");
    until_closed(engine, "per_minute", "t", MINUTE, at(60));
    assert_eq!(given(engine, "per_minute").len(), 1);
    fixture.append("t", 0, &[(at(20), Some(1), 1)]);
    until(|| status(engine, "per_minute").late_rows == 1);
    // A topic that reads the history takes it as it came.
    create(engine, spec("again", "t", "tumble 60000000"));
    until_closed(engine, "again", "t", MINUTE, at(60));
    until(|| status(engine, "again").late_rows == 1);
    let refused = engine.advance_watermark(&who(), "public", "again", at(90)).expect_err("it is the topic's");
    assert!(refused.to_string().contains("continuous topic \"again\""), "{refused}");
}

#[test]
fn it_may_begin_with_what_comes() {
    let fixture = Fixture::new();
    let engine = &fixture.engine;
    create_table(engine, "t", 1).expect("a table");
    fixture.append("t", 0, &[(at(1), Some(1), 1)]);
    fixture.advance(5);
    let settings = ContinuousSettings { start: ContinuousStart::Latest, ..ContinuousSettings::default() };
    create(engine, ContinuousSpec { settings, ..spec("latest", "t", "tumble 60000000") });
    fixture.append("t", 0, &[(at(30), Some(1), 1), (at(61), Some(1), 4)]);
    fixture.append("t", 0, &[(at(121), Some(1), 1)]);
    until(|| status(engine, "latest").watermark_us == Some(at(121)));
    let found: Vec<_> = given(engine, "latest").into_iter().collect();
    assert_eq!(found, [((at(60), Some(1)), (1, 4))], "the window that was open when it began is not its");
    assert_eq!((status(engine, "latest").rows_in, status(engine, "latest").late_rows), (3, 0));
}

#[test]
fn it_goes_on_where_it_was_after_the_store_was_closed() {
    let fixture = Fixture::new();
    create_table(&fixture.engine, "t", 1).expect("a table");
    create(&fixture.engine, spec("per_minute", "t", "tumble 60000000"));
    let mut fixture = fixture;
    for minute in 0..6 {
        let begin = minute * 60;
        fixture.advance(50);
        fixture.append("t", 0, &[(at(begin + 1), Some(minute), 1), (at(begin + 70), Some(minute), 1)]);
        until_closed(&fixture.engine, "per_minute", "t", MINUTE, at(begin + 60));
        fixture = fixture.reopen();
        assert_eq!(status(&fixture.engine, "per_minute").lag, 0);
    }
    let wanted = ended(batch(&fixture.engine, "per_minute", "t", MINUTE), MINUTE, Some(at(360)));
    until_closed(&fixture.engine, "per_minute", "t", MINUTE, at(360));
    assert_eq!(given(&fixture.engine, "per_minute"), wanted);
}
