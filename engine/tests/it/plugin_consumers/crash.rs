//! Exactly once: power is lost at operations of the disk while a consumer runs. What is found holds together at once,
//! dead letters and the offsets at which a new version begins with it, and after it has gone on nothing is lost or doubled.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use millstream_engine::disk::{Fault, SimDisk};
use millstream_engine::{
    Append, ConsumerReload, Engine, EngineOptions, OnError, PartitionChoice, PluginConsumerSettings,
    PluginConsumerSpec, Result, SeekTo, TableOptions, TableSpec,
};

use super::host::Words;
use super::letters::letters;
use super::store::{Totals, create_plugin, create_sums, expected, put_plugin, spec, totals, until_done};
use crate::fixture::{schema, who};
use crate::table::{Columns, scan};

const PARTITIONS: u32 = 2;
/// Points at which the disk is stopped: as many as a run has operations, and some more for what differs between runs.
const POINTS: u64 = 180;
/// Multiples of this, and the numbers after them, go to the dead letters of the second version; the first one takes them.
const POISON: i64 = 20;

fn open(dir: &Path, disk: &SimDisk) -> Result<Engine> {
    let mut options = EngineOptions::new(dir);
    options.disk = Arc::new(disk.clone());
    options.seed = Some(1);
    // Checkpoints are taken at rolls, so that some runs begin from one.
    options.log_file_bytes = 16 << 10;
    options.segment_threads = 0;
    options.maintenance_interval_ms = 3_600_000;
    options.free_space_floor_bytes = 0;
    Engine::open_with(options)
}

fn append(engine: &Engine, partition: u32, numbers: std::ops::Range<i64>) -> Result<()> {
    let table = engine.table(&who(), "public", "t")?.id;
    let column = arrow_array::Int64Array::from_iter_values(numbers);
    let batch = arrow_array::RecordBatch::try_new(schema(), vec![Arc::new(column)]).expect("a batch");
    let append = Append { table, partition: PartitionChoice::Named(partition), batch };
    engine.append(&who(), append, None)?.wait().map(drop)
}

/// Appends while the consumer runs, until the disk fails.
fn run(engine: &Engine) -> Result<()> {
    engine.set_plugin_host(Arc::new(Words::default()));
    let options = TableOptions { partitions: PARTITIONS, ..TableOptions::default() };
    engine
        .create_table(&who(), TableSpec { namespace: "public".into(), name: "t".into(), schema: schema(), options })?;
    create_sums(engine)?;
    create_plugin(engine, "p", "sums")?;
    let settings = PluginConsumerSettings { batch_rows: 7, on_error: OnError::DeadLetter, ..spec("t", "p").settings };
    engine.create_plugin_consumer(&who(), PluginConsumerSpec { settings, ..spec("t", "p") })?;
    for round in 0..12 {
        append(engine, round % PARTITIONS, i64::from(round) * 10..i64::from(round) * 10 + 10)?;
        if round == 5 {
            put_plugin(engine, "p", &format!("sums poison {POISON}"), true)?;
            let reload = ConsumerReload { version: None, at: Some(SeekTo::End) };
            engine.reload_plugin_consumer(&who(), "public", "c", reload)?;
        }
    }
    Ok(())
}

/// Every (partition, offset, number) of the input; only those below the given offsets.
fn input(engine: &Engine, below: impl Fn(u32) -> u64) -> Vec<(u32, u64, i64)> {
    let table = engine.table(&who(), "public", "t").expect("there is a table");
    let mut found = Vec::new();
    for batch in scan(engine, Columns::of(&table, &[0]), table.id, None).expect("it is read") {
        let numbers = batch.batch.column(0).as_primitive::<Int64Type>().values();
        let numbers = (batch.range.start..).zip(numbers).filter(|(offset, _)| *offset < below(batch.partition));
        found.extend(numbers.map(|(offset, number)| (batch.partition, offset, *number)));
    }
    found
}

/// What sums and letters must be by the rows that are done, as the versions are that their offsets have.
fn expectation(engine: &Engine, done: &[(u32, u64, i64)]) -> (Totals, Vec<(u32, i64)>) {
    let consumer = engine.plugin_consumers(&who()).expect("they are listed").remove(0).info;
    let from = |partition: u32| consumer.upcoming.as_ref().and_then(|next| next.from.get(&partition).copied());
    let (mut poison, mut sound) = (Vec::new(), Vec::new());
    for &(partition, offset, number) in done {
        let second = from(partition).is_some_and(|from| offset >= from);
        let kept = second && (0..=1).contains(&number.rem_euclid(POISON));
        if kept { &mut poison } else { &mut sound }.push((partition, number));
    }
    poison.sort_unstable();
    (expected(&sound), poison)
}

/// What sums and letters must be by what the group has committed.
fn committed(engine: &Engine) -> (Totals, Vec<(u32, i64)>) {
    let offsets = engine.group_offsets(&who(), "public", "c").expect("the group is there");
    let of = |partition: u32| offsets.iter().find(|at| at.partition == partition).and_then(|at| at.committed);
    expectation(engine, &input(engine, |partition| of(partition).unwrap_or(0)))
}

fn found(engine: &Engine) -> (Totals, Vec<(u32, i64)>) {
    let mut letters: Vec<_> = letters(engine).into_iter().map(|letter| (letter.partition, letter.number)).collect();
    letters.sort_unstable();
    (totals(engine), letters)
}

/// Holds what is found to what must hold, and goes on.
fn check(dir: &Path, disk: &SimDisk, what: &str) {
    let engine = open(dir, disk).unwrap_or_else(|error| panic!("{what}: does not open: {error}"));
    if engine.plugin_consumers(&who()).expect("they are listed").is_empty() {
        return;
    }
    // No plugin host is there yet, so that nothing runs.
    assert_eq!(found(&engine), committed(&engine), "{what}: outputs, letters and offsets differ");
    engine.set_plugin_host(Arc::new(Words::default()));
    for partition in 0..PARTITIONS {
        append(&engine, partition, 1_000..1_010).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
    until_done(&engine);
    // Every key was written anew, from state: state and outputs are the same.
    assert_eq!(found(&engine), expectation(&engine, &input(&engine, |_| u64::MAX)), "{what}: after it went on");
    engine.close().unwrap_or_else(|error| panic!("{what}: {error}"));
}

fn base() -> PathBuf {
    if Path::new("/dev/shm").is_dir() { PathBuf::from("/dev/shm") } else { std::env::temp_dir() }
}

#[test]
fn consumed_exactly_once_at_any_crash_point() {
    let mut begun = 0;
    for point in 0..POINTS {
        let dir = tempfile::tempdir_in(base()).expect("a temporary directory");
        let disk = SimDisk::new(point);
        disk.fail_at(point, Fault::Crash);
        let engine = open(dir.path(), &disk);
        if let Ok(engine) = &engine {
            let ended = run(engine);
            begun += usize::from(disk.faulted());
            assert!(ended.is_ok() || disk.faulted(), "{ended:?}");
        }
        disk.power_off();
        let found = if point % 3 == 0 { disk.kill(point) } else { disk.crash(point) };
        if let Ok(engine) = engine {
            let _refused = engine.close();
        }
        check(dir.path(), &found, &format!("crash at operation {point}"));
    }
    assert!(begun > 30, "only {begun} runs were cut short: the points lie past the end");
}
