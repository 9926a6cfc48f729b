//! Power is lost at operations of the disk while topics run, one over the other's output. What is found holds together at once, and
//! after it has gone on it is the batch answer: nothing twice, nothing lost.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use millstream_engine::disk::{Fault, SimDisk};
use millstream_engine::{Engine, EngineOptions, Result, TableOptions};

use super::at;
use super::plan::Windows;
use super::store::{MINUTE, Row, SECOND, append, batch, create_table_with, ended, given, spec, status, until_closed};
use crate::crash::for_each_seed;
use crate::fixture::who;

/// More than a run has operations, for what differs between runs.
const POINTS: u64 = 260;
const PARTITIONS: u32 = 2;
const WIDTH: i64 = 10 * SECOND;

fn open(dir: &Path, disk: &SimDisk) -> Result<Engine> {
    let mut options = EngineOptions::new(dir);
    options.disk = Arc::new(disk.clone());
    options.seed = Some(1);
    // Checkpoints are taken at rolls, so that some runs begin from one.
    options.log_file_bytes = 16 << 10;
    // A window of many keys takes several steps to close.
    options.max_commit_bytes = 64 << 10;
    options.segment_threads = 0;
    options.maintenance_interval_ms = 3_600_000;
    options.free_space_floor_bytes = 0;
    Engine::open_with(options)
}

/// Out of order, some of them late, of a few keys.
fn rows_of(round: i64) -> Vec<Row> {
    let row = |number: i64| {
        let back = (round * 7 + number * 5) % 23;
        (at(round * 4 - back), (number % 4 > 0).then_some(number % 4), round + number)
    };
    let keys = if round % 6 == 1 { 450 } else { 0 };
    let many = (0..keys).map(|key| (at(round * 4), Some(1_000 + key), key));
    (0..6).map(row).chain(many).collect()
}

fn run(engine: &Engine) -> Result<()> {
    engine.set_topic_compiler(Arc::new(Windows::default()));
    // Event time is what the rows say, whenever this runs.
    let options = TableOptions { partitions: PARTITIONS, max_lead_ms: u64::MAX, ..TableOptions::default() };
    create_table_with(engine, "t", options)?;
    engine.create_continuous_topic(&who(), spec("first", "t", "tumble 10000000 parts 50"))?;
    engine.create_continuous_topic(&who(), spec("second", "first", "tumble 60000000"))?;
    for round in 0..24 {
        append(engine, "t", u32::try_from(round % 2).expect("small"), &rows_of(round))?;
        // So that steps lie between appends.
        if round % 3 == 0 {
            until_stepped(engine)?;
        }
    }
    Ok(())
}

/// Waits until the first topic has read something more, but not for long: there may be nothing to close.
fn until_stepped(engine: &Engine) -> Result<()> {
    let read = || -> Result<u64> { Ok(engine.continuous_topics(&who())?.iter().map(|status| status.rows_in).sum()) };
    let before = read()?;
    for _ in 0..20 {
        if read()? != before || engine.check_writable().is_err() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    Ok(())
}

/// What a topic has given is the beginning of what its windows that have ended come to, in their order.
fn expect_whole(engine: &Engine, topic: &str, source: &str, width_us: i64, what: &str) {
    let found = given(engine, topic);
    let wanted = ended(batch(engine, topic, source, width_us), width_us, status(engine, topic).watermark_us);
    assert!(found.iter().eq(wanted.iter().take(found.len())), "{what}: {topic} gave {found:?} of {wanted:?}");
}

/// Holds what is found to what must hold, and goes on.
fn check(dir: &Path, disk: &SimDisk, what: &str) {
    let engine = open(dir, disk).unwrap_or_else(|error| panic!("{what}: does not open: {error}"));
    let topics = engine.continuous_topics(&who()).expect("they are listed").len();
    // No compiler is there yet, so that nothing runs.
    if topics > 0 {
        expect_whole(&engine, "first", "t", WIDTH, what);
    }
    if topics > 1 {
        expect_whole(&engine, "second", "first", MINUTE, what);
    }
    engine.set_topic_compiler(Arc::new(Windows::default()));
    if topics == 0 {
        return;
    }
    // The second time closes what the first one has opened, so that there is something to say in any case.
    for (time_us, partition) in
        [at(600), at(700)].into_iter().flat_map(|at_us| (0..PARTITIONS).map(move |of| (at_us, of)))
    {
        append(&engine, "t", partition, &[(time_us, None, 1)]).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
    until_closed(&engine, "first", "t", WIDTH, at(700));
    if topics > 1 {
        until_closed(&engine, "second", "first", MINUTE, at(660));
        assert_eq!(status(&engine, "second").late_rows, 0, "{what}: an output is never late");
    }
    let rows = status(&engine, "first");
    let table = engine.table(&who(), "public", "t").expect("a table").id;
    let all: u64 = engine.table_offsets(&who(), table).expect("offsets").iter().map(|(_, end)| *end).sum();
    // What closed nothing is on record a little later.
    assert_eq!(rows.rows_in + rows.lag, all, "{what}");
    engine.close().unwrap_or_else(|error| panic!("{what}: {error}"));
}

fn base() -> PathBuf {
    if Path::new("/dev/shm").is_dir() { PathBuf::from("/dev/shm") } else { std::env::temp_dir() }
}

#[test]
fn windows_are_given_once_and_whole_at_any_crash_point() {
    let begun = AtomicUsize::new(0);
    for_each_seed(POINTS, |point| {
        let dir = tempfile::tempdir_in(base()).expect("a temporary directory");
        let disk = SimDisk::new(point);
        disk.fail_at(point, Fault::Crash);
        let engine = open(dir.path(), &disk);
        if let Ok(engine) = &engine {
            let ended = run(engine);
            begun.fetch_add(usize::from(disk.faulted()), Ordering::Relaxed);
            assert!(ended.is_ok() || disk.faulted(), "{ended:?}");
        }
        disk.power_off();
        let found = if point % 3 == 0 { disk.kill(point) } else { disk.crash(point) };
        if let Ok(engine) = engine {
            let _refused = engine.close();
        }
        check(dir.path(), &found, &format!("crash at operation {point}"));
    });
    let begun = begun.into_inner();
    let alone = std::env::var("MILLSTREAM_CRASH_SEED").is_ok();
    assert!(alone || begun > 40, "only {begun} runs were cut short: the points lie past the end");
}
