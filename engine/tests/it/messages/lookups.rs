//! Messages by id and by key, wherever they lie.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use millstream_engine::{
    Engine, EngineOptions, ErrorKind, FoundMessage, ManualClock, MessageKey, MessageKind, PartitionChoice, TableInfo,
    TableOptions, TableSpec,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{create, message, rows, send, send_to, visible};
use crate::fixture::{NOW_US, who};
use crate::table;

const ALWAYS: Range<i64> = i64::MIN..i64::MAX;

/// Files and segments are small, and nothing happens by itself.
fn options(dir: &Path, clock: &Arc<ManualClock>) -> EngineOptions {
    EngineOptions {
        clock: clock.clone(),
        log_file_bytes: 64 << 10,
        tail_bytes: 8 << 10,
        segment_bytes: 64 << 10,
        maintenance_interval_ms: 3_600_000,
        ..EngineOptions::new(dir)
    }
}

pub(super) fn by_id(engine: &Engine, table: &TableInfo, id: &str) -> Vec<FoundMessage> {
    engine.find_messages(&who(), table.id, MessageKey::Id(id), ALWAYS, 100).expect("it is looked for")
}

fn key_files(dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir.join("log")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "keys")).collect()
}

/// Messages that are looked up one by one, of all.
const LOOKED_UP: usize = 40;

/// Visible messages are found by their ids and their keys, at their places, and nothing else is.
pub(super) fn check(engine: &Engine, table: &TableInfo) {
    let mut all = BTreeMap::new();
    let starts: Vec<u64> = engine.table_offsets(&who(), table.id).unwrap().iter().map(|(start, _)| *start).collect();
    let mut next = starts.clone();
    let visible = visible(engine, table);
    let every = visible.len().div_ceil(LOOKED_UP).max(1);
    for (number, one) in visible.into_iter().enumerate() {
        let offset = next[one.partition as usize];
        next[one.partition as usize] += 1;
        all.insert((one.partition, offset), one.append_us);
        if number % every != 0 {
            continue;
        }
        let place = FoundMessage { partition: one.partition, offset, append_us: one.append_us };
        assert_eq!(by_id(engine, table, &one.id), [place], "{}", one.id);
        let find =
            |key, times, most| engine.find_messages(&who(), table.id, MessageKey::Key(key), times, most).unwrap();
        assert_eq!(find(&one.id, ALWAYS, 7), [place]);
        assert_eq!(find(&one.id, one.append_us..one.append_us + 1, 7), [place]);
        assert_eq!(find(&one.id, one.append_us + 1..i64::MAX, 7), [], "before the time");
        assert_eq!(find(&one.id, i64::MIN..one.append_us, 7), [], "after the time");
    }
    let find = |most| engine.find_messages(&who(), table.id, MessageKey::Key("second"), ALWAYS, most).unwrap();
    let found: BTreeMap<_, _> =
        find(usize::MAX).into_iter().map(|found| ((found.partition, found.offset), found.append_us)).collect();
    assert_eq!(found, all);
    assert_eq!(find(3).len(), all.len().min(3));
    assert_eq!(by_id(engine, table, "second"), [], "a key is no id");
    assert_eq!(by_id(engine, table, "nobody's"), []);
}

#[test]
fn every_retained_message_is_found_by_its_id_and_its_keys() {
    let first: u64 = rand::random();
    for seed in first..first + 3 {
        eprintln!("seed {seed}");
        let random = &mut StdRng::seed_from_u64(seed);
        let clock = Arc::new(ManualClock::new(NOW_US));
        let dir = tempfile::tempdir().unwrap();
        let mut engine = Engine::open_with(options(dir.path(), &clock)).unwrap();
        // Rows of other tables lie between, and before.
        let other = table::create(&engine, TableOptions { partitions: 1, ..TableOptions::default() });
        table::append(&engine, other.id, 0, 0..3_000, 0);
        let keep = TableOptions { partitions: 3, retention_ms: Some(60_000), ..TableOptions::default() };
        let spec = TableSpec::of_messages("public", "orders", MessageKind::Any, keep);
        let table = engine.create_table(&who(), spec).unwrap();
        let (mut sent, mut rows) = (0, 3_000);
        for _ in 0..50 {
            match random.random_range(0..100) {
                0..60 => {
                    let count = random.random_range(1..120);
                    let messages: Vec<_> = (sent..sent + count).map(|id| message(&id.to_string())).collect();
                    sent += count;
                    send_to(&engine, &table, PartitionChoice::Named(random.random_range(0..3)), &messages).unwrap();
                }
                60..65 => {
                    table::append(&engine, other.id, 0, rows..rows + 200, 0);
                    rows += 200;
                }
                65..77 => engine.cut_segments(&who(), table.id).unwrap(),
                77..83 => clock.advance(Duration::from_secs(random.random_range(1..30))),
                83..92 => engine.maintain(&who()).unwrap(),
                _ => {
                    engine.close().unwrap();
                    if let [file, ..] = &key_files(dir.path())[..] {
                        match random.random_range(0..3) {
                            0 => std::fs::remove_file(file).unwrap(),
                            1 => std::fs::write(file, b"damaged").unwrap(),
                            _ => {}
                        }
                    }
                    engine = Engine::open_with(options(dir.path(), &clock)).unwrap();
                }
            }
            if random.random_range(0..10) == 0 {
                check(&engine, &table);
            }
        }
        check(&engine, &table);
        engine.cut_segments(&who(), table.id).unwrap();
        engine.maintain(&who()).unwrap();
        check(&engine, &table);
        engine.close().unwrap();
        check(&Engine::open_with(options(dir.path(), &clock)).unwrap(), &table);
    }
}

#[test]
fn files_of_keys_go_with_those_of_the_log() {
    let clock = Arc::new(ManualClock::new(NOW_US));
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open_with(EngineOptions { segment_threads: 0, ..options(dir.path(), &clock) }).unwrap();
    let table = create(&engine, "orders", MessageKind::Any, 1);
    for round in 0..20 {
        let messages: Vec<_> = (0..100).map(|number| message(&format!("{round}-{number}"))).collect();
        send(&engine, &table, &messages).unwrap();
    }
    engine.maintain(&who()).unwrap();
    let before = key_files(dir.path());
    assert!(before.len() > 2, "{before:?}");
    // Whatever it says beside the hash that is asked for is not looked at, so that all of it is looked for.
    let damaged = &before[before.len() / 2];
    let mut bytes = std::fs::read(damaged).unwrap();
    bytes.iter_mut().for_each(|byte| *byte ^= 0x5a);
    std::fs::write(damaged, bytes).unwrap();
    check(&engine, &table);
    let events = engine.events(&who()).unwrap();
    assert!(events.iter().any(|event| event.kind == "index_rebuilt" && event.message.contains(".keys")), "{events:?}");
    engine.cut_segments(&who(), table.id).unwrap();
    engine.maintain(&who()).unwrap();
    check(&engine, &table);
    assert!(key_files(dir.path()).len() <= 1, "{:?}", key_files(dir.path()));
    assert_eq!(rows(&engine, &table).iter().map(|(_, batch)| batch.num_rows()).sum::<usize>(), 2_000);
}

#[test]
fn tables_without_messages_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open_with(options(dir.path(), &Arc::new(ManualClock::new(NOW_US)))).unwrap();
    let table = table::create(&engine, TableOptions::default());
    let refused = engine.find_messages(&who(), table.id, MessageKey::Id("x"), ALWAYS, 1).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::FailedPrecondition);
}
