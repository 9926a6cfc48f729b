//! A data directory that an earlier release has written opens, and says what it said.
//!
//! `tests/data/directory.bin` was written by this test with `MILLSTREAM_WRITE_DIRECTORY=1`, by a release whose state store had
//! neither ages of producer streams nor sums of consumers' state. It stays as it is: another layout adds a file beside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_engine::{
    Append, Engine, EngineOptions, ErrorKind, ManualClock, NamespaceLimit, OnError, PartitionChoice, ProducerStamp,
    Receipt, Result, TableInfo, TableOptions,
};

use crate::fixture::{MIB, NO_WAIT, NOW_US, Words as Topics, manual, numbers, topic_spec, who};
use crate::plugin_consumers::host::Words;
use crate::plugin_consumers::store::{create_plugin, create_sums, expected, spec, totals, until, until_done};
use crate::support::rows;
use crate::table;

const STORED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/directory.bin");

/// Path, length, and the bytes up to the zeros at the end.
type Files = Vec<(String, u64, Vec<u8>)>;

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, found) } else { found.push(path) }
    }
}

fn pack(dir: &Path) -> Vec<u8> {
    let mut paths = Vec::new();
    walk(dir, &mut paths);
    paths.sort();
    let packed = paths.iter().map(|path| {
        let mut bytes = std::fs::read(path).unwrap();
        let length = bytes.len() as u64;
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        (path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned(), length, bytes)
    });
    postcard::to_stdvec(&packed.collect::<Files>()).unwrap()
}

fn unpack(packed: &[u8], dir: &Path) {
    for (path, length, bytes) in postcard::from_bytes::<Files>(packed).unwrap() {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
    }
}

fn open(dir: &Path) -> Engine {
    let clock = Arc::new(ManualClock::new(NOW_US));
    let options = EngineOptions { clock, segment_threads: 0, free_space_floor_bytes: 0, ..EngineOptions::new(dir) };
    let engine = Engine::open_with(options).unwrap();
    engine.set_topic_compiler(Arc::new(Topics::default()));
    engine.set_plugin_host(Arc::new(Words::default()));
    engine
}

fn stamped(engine: &Engine, table: &TableInfo, id: u128, epoch: u32, sequence: u64) -> Result<Receipt> {
    let partition = PartitionChoice::ByKey;
    let append = Append { table: table.id, partition, batch: rows([sequence as i64]) };
    engine.append(&who(), append, Some(ProducerStamp { id, epoch, sequence }))?.wait()
}

fn append_numbers(engine: &Engine, table: &TableInfo, partition: u32, numbers: std::ops::Range<i64>) {
    let column = Arc::new(arrow_array::Int64Array::from_iter_values(numbers));
    let batch = arrow_array::RecordBatch::try_new(crate::fixture::schema(), vec![column]).unwrap();
    let append = Append { table: table.id, partition: PartitionChoice::Named(partition), batch };
    engine.append(&who(), append, None).unwrap().wait().unwrap();
}

fn sent() -> Vec<(u32, i64)> {
    (0..40).map(|number| (0, number)).chain((0..25).map(|number| (2, number))).collect()
}

/// Everything that the log can say, in small.
fn write(dir: &Path) {
    let engine = open(dir);
    let for_ever = || TableOptions { retention_ms: None, ..TableOptions::default() };
    // Rows in segments, and rows in the log.
    let cut = table::create(&engine, for_ever());
    table::append(&engine, cut.id, 0, 0..200, 0);
    engine.cut_segments(&who(), cut.id).unwrap();
    table::append(&engine, cut.id, 0, 200..240, 0);
    // Producers: two at work, one whose answers are forgotten, one of a table that is gone.
    let written = engine.create_table(&who(), crate::support::spec("written", for_ever())).unwrap();
    for (id, batches) in [(1, 200), (2, 3)] {
        for sequence in 0..batches {
            stamped(&engine, &written, id, 0, sequence).unwrap();
        }
    }
    stamped(&engine, &written, 3, 7, 0).unwrap();
    let gone = engine.create_table(&who(), crate::support::spec("gone", for_ever())).unwrap();
    stamped(&engine, &gone, 1, 0, 0).unwrap();
    engine.drop_table(&who(), "public", "gone", false).unwrap();
    let limits = [(NamespaceLimit::ProducerStreams, Some(50))].into();
    engine.create_namespace(&who(), "other", &limits).unwrap();
    // A consumer's state, a topic, and what groups have committed.
    create_sums(&engine).unwrap();
    create_plugin(&engine, "p", "sums").unwrap();
    let options = TableOptions { partitions: 3, retention_ms: None, ..TableOptions::default() };
    let (namespace, name, schema) = ("public".to_owned(), "n".to_owned(), crate::fixture::schema());
    let numbered =
        engine.create_table(&who(), millstream_engine::TableSpec { namespace, name, schema, options }).unwrap();
    append_numbers(&engine, &numbered, 0, 0..40);
    append_numbers(&engine, &numbered, 2, 0..25);
    engine.create_plugin_consumer(&who(), spec("n", "p")).unwrap();
    until_done(&engine);
    engine.create_topic(&who(), topic_spec("even", &numbered, "even", OnError::Stop)).unwrap();
    let member = engine.join(&who(), manual("g"), &["even".to_owned()]).unwrap();
    let polled: usize = member.poll(MIB, NO_WAIT).unwrap().iter().map(|delivery| numbers(delivery).len()).sum();
    assert!(polled > 0);
    member.commit_positions().unwrap().wait().unwrap();
    member.leave().unwrap();
    engine.close().unwrap();
    drop(engine);
    // Records behind the checkpoint, as a crash leaves them.
    let copy = tempfile::tempdir().unwrap();
    let engine = open(dir);
    stamped(&engine, &written, 2, 0, 3).unwrap();
    append_numbers(&engine, &numbered, 0, 40..50);
    until_done(&engine);
    crate::stores::copy_dir(dir, copy.path());
    engine.close().unwrap();
    drop(engine);
    std::fs::write(STORED, pack(copy.path())).unwrap();
}

#[test]
fn a_data_directory_of_before_opens() {
    let dir = tempfile::tempdir().unwrap();
    if std::env::var_os("MILLSTREAM_WRITE_DIRECTORY").is_some() {
        write(dir.path());
    }
    let read = tempfile::tempdir().unwrap();
    unpack(&std::fs::read(STORED).unwrap(), read.path());
    let mut numbers = sent();
    numbers.extend((40..50).map(|number| (0, number)));
    // As it was, and once more from the checkpoint that this release writes.
    for opening in 0..2_i64 {
        let engine = open(read.path());
        let cut = engine.table(&who(), "public", table::NAME).unwrap();
        table::check(&engine, &cut, 0, 0..240, |_| 0);

        let written = engine.table(&who(), "public", "written").unwrap();
        for (id, first, last) in [(1, 72, 199), (2, 0, 3), (3, 0, 0)] {
            let epoch = if id == 3 { 7 } else { 0 };
            for sequence in [first, last] {
                assert!(stamped(&engine, &written, id, epoch, sequence).unwrap().duplicate, "{id} {sequence}");
            }
        }
        assert!(stamped(&engine, &written, 1, 0, 71).unwrap_err().to_string().contains("no longer kept"));
        assert_eq!(stamped(&engine, &written, 3, 6, 1).unwrap_err().kind(), ErrorKind::Fenced);
        assert_eq!(engine.stats(&who()).unwrap().producer_streams, 3);
        let limits = engine.namespace_limits(&who(), "other").unwrap();
        assert_eq!(limits.get(NamespaceLimit::ProducerStreams), Some(50));

        until_done(&engine);
        assert_eq!(totals(&engine), expected(&numbers));
        let numbered = engine.table(&who(), "public", "n").unwrap();
        let more = 100 * (opening + 1);
        append_numbers(&engine, &numbered, 2, more..more + 10);
        numbers.extend((more..more + 10).map(|number| (2, number)));
        until_done(&engine);
        assert_eq!(totals(&engine), expected(&numbers), "sums go on from the state that was kept");
        let status = until(&engine, "its state", |status| status.state_bytes > 0);
        assert_eq!(status.state_bytes, 10 * (8 + 16 + 64), "five keys in two partitions");

        let committed: BTreeMap<u32, u64> = engine
            .group_offsets(&who(), "public", "g")
            .unwrap()
            .into_iter()
            .filter_map(|at| Some((at.partition, at.committed?)))
            .collect();
        assert_eq!((committed[&0], committed[&2]), (40, 25));
        engine.close().unwrap();
    }
}
