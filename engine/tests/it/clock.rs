//! Clocks that step: nothing is deleted for it, no producer refused, and append times are right when the clock is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use millstream_engine::disk::SimDisk;
use millstream_engine::{
    Append, Engine, EngineOptions, ErrorKind, InputColumn, ManualClock, Offset, PartitionChoice, ProducerStamp, Result,
    TableId, TableOptions, TableSpec, TopicId,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use crate::fixture::{Fixture, NOW_US, schema, who};
use crate::table::{Columns, scan};

const MINUTE_US: i64 = 60 * 1_000_000;
const HOUR_US: i64 = 60 * MINUTE_US;
const DAY_US: i64 = 24 * HOUR_US;
const KEPT_US: i64 = 3 * DAY_US;
/// What the log tolerates between the clock and its own time.
const TOLERANCE_US: i64 = MINUTE_US;

/// What has really happened.
struct Truth {
    /// `None` only while it is reopened.
    engine: Option<Engine>,
    clock: Arc<ManualClock>,
    disk: SimDisk,
    dir: TempDir,
    table: TableId,
    now_us: i64,
    /// How far the wall clock is off, and for how long it has been.
    off_us: i64,
    wrong_for_us: i64,
    /// When each row was appended.
    rows: Vec<i64>,
}

fn open(dir: &Path, disk: &SimDisk, clock: &Arc<ManualClock>) -> Engine {
    let mut options = EngineOptions::new(dir);
    options.disk = Arc::new(disk.clone());
    options.clock = clock.clone();
    options.segment_threads = 0;
    options.maintenance_interval_ms = 3_600_000;
    Engine::open_with(options).expect("it opens")
}

impl Truth {
    fn new() -> Truth {
        let base = if Path::new("/dev/shm").is_dir() { PathBuf::from("/dev/shm") } else { std::env::temp_dir() };
        let dir = tempfile::tempdir_in(base).expect("a temporary directory");
        let (disk, clock) = (SimDisk::new(1), Arc::new(ManualClock::new(NOW_US)));
        let engine = open(dir.path(), &disk, &clock);
        let retention_ms = Some(u64::try_from(KEPT_US / 1_000).expect("positive"));
        let options = TableOptions { retention_ms, ..TableOptions::default() };
        let spec = TableSpec { namespace: "public".into(), name: "t".into(), schema: schema(), options };
        let table = engine.create_table(&who(), spec).expect("the table is created").id;
        let engine = Some(engine);
        Truth { engine, clock, disk, dir, table, now_us: NOW_US, off_us: 0, wrong_for_us: 0, rows: Vec::new() }
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("open")
    }

    fn reopen(&mut self) {
        self.engine.take().expect("open").close().expect("it closes");
        self.engine = Some(open(self.dir.path(), &self.disk, &self.clock));
    }

    /// The partition's start and end.
    fn offsets(&self) -> (Offset, Offset) {
        self.engine().table_offsets(&who(), self.table).expect("offsets")[0]
    }

    /// Events of one kind.
    fn events(&self, kind: &str) -> usize {
        self.engine().events(&who()).unwrap().iter().filter(|event| event.kind == kind).count()
    }

    /// Appends a row, and gives whether it is a repeat.
    fn send(&self, stamp: Option<ProducerStamp>) -> Result<bool> {
        let column = Arc::new(Int64Array::from(vec![self.rows.len() as i64]));
        let batch = RecordBatch::try_new(schema(), vec![column]).expect("a batch");
        let append = Append { table: self.table, partition: PartitionChoice::Named(0), batch };
        Ok(self.engine().append(&who(), append, stamp)?.wait()?.duplicate)
    }

    fn pass(&mut self, us: i64) {
        self.now_us += us;
        self.wrong_for_us += us;
        self.clock.advance(Duration::from_micros(us.unsigned_abs()));
    }

    fn set_off(&mut self, off_us: i64) {
        (self.off_us, self.wrong_for_us) = (off_us, 0);
        self.clock.set_wall_us(self.now_us + off_us);
    }

    fn append(&mut self) {
        let stamp = ProducerStamp { id: 1, epoch: 0, sequence: self.rows.len() as u64 };
        assert!(!self.send(Some(stamp)).expect("the producer is known"));
        self.rows.push(self.now_us);
    }

    /// Retention has deleted what is too old, and nothing else.
    fn check(&self, exactly: bool) {
        self.engine().maintain(&who()).expect("maintenance");
        let (start, end) = self.offsets();
        assert_eq!(end as usize, self.rows.len());
        let age = |row: u64| self.now_us - self.rows[row as usize];
        if let Some(last) = start.checked_sub(1) {
            assert!(age(last) > KEPT_US - TOLERANCE_US, "a row of {} h was deleted", age(last) / HOUR_US);
        }
        assert!(
            !exactly || start == end || age(start) <= KEPT_US + 4 * HOUR_US,
            "a row of {} h is kept",
            age(start) / HOUR_US
        );
    }

    /// A row that is appended now gets the time of now.
    fn check_append_time(&mut self) {
        self.append();
        let at = |us: i64| self.engine().offset_at(&who(), TopicId(self.table.0), 0, us).expect("an offset") as usize;
        let last = self.rows.len() - 1;
        assert!(at(self.now_us - TOLERANCE_US) <= last && at(self.now_us + TOLERANCE_US) == last + 1);
    }
}

fn run(seed: u64) {
    let chance = &mut StdRng::seed_from_u64(seed);
    let mut truth = Truth::new();
    truth.append();
    for _ in 0..30 {
        match chance.random_range(0..10) {
            0 | 1 if truth.off_us == 0 => {
                let steps = [HOUR_US, -HOUR_US, 10 * DAY_US, -10 * DAY_US];
                truth.set_off(steps[chance.random_range(0..steps.len())]);
            }
            0 | 1 => truth.set_off(0),
            2 => truth.reopen(),
            3 | 4 => {
                let most = if truth.off_us == 0 { 12 * HOUR_US } else { 50 * MINUTE_US - truth.wrong_for_us };
                truth.pass(chance.random_range(0..=most.max(0)));
            }
            _ => truth.append(),
        }
        truth.check(false);
    }
    truth.set_off(0);
    truth.check_append_time();
    for _ in 0..19 {
        truth.pass(4 * HOUR_US);
        truth.check(true);
    }
    assert_eq!(truth.offsets().0 as usize, truth.rows.len(), "retention goes on");
    truth.check_append_time();
}

#[test]
fn whenever_the_clock_steps_nothing_is_deleted_no_producer_is_refused_and_times_are_right_again() {
    crate::crash::for_each_seed(200, run);
}

#[test]
fn a_step_is_told_once_and_counted() {
    let mut truth = Truth::new();
    truth.append();
    truth.set_off(10 * DAY_US);
    for _ in 0..3 {
        truth.append();
        truth.check(false);
    }
    assert_eq!((truth.events("clock_stepped"), truth.events("clock_returned")), (1, 0));
    let stats = truth.engine().stats(&who()).unwrap();
    assert_eq!((stats.clock_steps, stats.clock_difference_us), (1, 10 * DAY_US));
    truth.set_off(0);
    truth.check_append_time();
    assert_eq!(truth.events("clock_returned"), 1);
    assert_eq!(truth.engine().stats(&who()).unwrap().clock_difference_us, 0);
}

#[test]
fn a_correction_that_lasts_is_taken_and_deletes_nothing_by_itself() {
    let mut truth = Truth::new();
    truth.append();
    truth.set_off(10 * DAY_US);
    for hour in 0..60 {
        if hour % 7 == 0 {
            truth.reopen();
        }
        truth.append();
        truth.check(true);
        truth.pass(HOUR_US);
    }
    // The clock that was believed before was the wrong one: rows are as old as they were.
    truth.now_us += 10 * DAY_US;
    truth.rows.iter_mut().for_each(|row| *row += 10 * DAY_US);
    truth.off_us = 0;
    truth.check_append_time();
    for _ in 0..80 {
        truth.pass(HOUR_US);
        truth.check(true);
    }
    let (start, end) = truth.offsets();
    assert_eq!(start, end, "retention goes on");
}

#[test]
fn a_stream_that_is_silent_while_the_log_is_not_is_forgotten() {
    let mut truth = Truth::new();
    truth.append();
    for _ in 0..7 * 24 * 2 + 4 {
        truth.pass(HOUR_US / 2);
        truth.send(None).expect("a row of another producer");
    }
    let stamp = ProducerStamp { id: 1, epoch: 0, sequence: 1 };
    assert_eq!(truth.send(Some(stamp)).expect_err("it is forgotten").kind(), ErrorKind::FailedPrecondition);
}

#[test]
fn each_commit_has_an_append_time_of_its_own_also_while_the_clock_stands_still() {
    let mut fixture = Fixture::new();
    let table = fixture.table("t", 2);
    let times = |fixture: &Fixture| -> Vec<i64> {
        let data_type = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let schema = Arc::new(Schema::new(vec![Field::new("_append_ts", data_type, false)]));
        let columns = Columns { inputs: vec![InputColumn::AppendTs], schema, wanted: None };
        let batches = scan(&fixture.engine, columns, table.id, None).expect("it is read");
        let times =
            batches.iter().flat_map(|batch| batch.batch.column(0).as_primitive::<TimestampMicrosecondType>().values());
        times.copied().collect()
    };
    for round in 0..6 {
        fixture.append(&table, round % 2, [1, 2]);
        if round == 3 {
            fixture = fixture.reopen();
        }
    }
    let mut found = times(&fixture);
    assert!(found.iter().all(|time_us| (0..1_000).contains(&(time_us - NOW_US))), "{found:?}");
    found.sort_unstable();
    let pairs: Vec<i64> = found.chunks(2).map(|pair| pair[0]).collect();
    assert!(found.chunks(2).all(|pair| pair[0] == pair[1]), "rows of one commit: {found:?}");
    assert!(pairs.windows(2).all(|pair| pair[0] < pair[1]), "{found:?}");
}
