//! What is defined and the line that tells of it are one: power is lost at every operation of the disk, and neither is found without
//! the other.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use millstream_engine::disk::{Fault, SimDisk};
use millstream_engine::{
    AuditOptions, Engine, EngineOptions, Error, GroupRetryChanges, ManualClock, Principal, Result, ScanRequest,
    TableOptions, TopicId,
};

use crate::support::spec;

const PUBLIC: &str = "public";

fn options(dir: &Path, disk: &SimDisk) -> EngineOptions {
    let audit = AuditOptions { always: true, ..AuditOptions::default() };
    let clock = Arc::new(ManualClock::new(1_000_000));
    let disk = Arc::new(disk.clone());
    EngineOptions { disk, clock, audit, seed: Some(1), segment_threads: 0, ..EngineOptions::new(dir) }
}

/// Defines what it can until the disk fails; gives what was answered.
fn define(dir: &Path, disk: &SimDisk) -> Result<BTreeSet<String>> {
    let (engine, who) = (Engine::open_with(options(dir, disk))?, Principal::anonymous());
    let mut done = BTreeSet::new();
    let defined = |engine: &Engine, done: &mut BTreeSet<String>| -> Result<()> {
        for number in 0..3 {
            let (table, role, group) = (format!("t{number}"), format!("r{number}"), format!("g{number}"));
            engine.create_table(&who, spec(&table, TableOptions::default()))?;
            done.insert(format!("create_table {table}"));
            engine.create_role(&who, &role)?;
            done.insert(format!("create_role {role}"));
            engine.create_group(&who, PUBLIC, &group, GroupRetryChanges::default())?;
            done.insert(format!("create_group {group}"));
        }
        engine.drop_table(&who, PUBLIC, "t0", false)?;
        done.insert("drop_table t0".to_owned());
        Ok(())
    };
    match defined(&engine, &mut done) {
        Ok(()) | Err(Error::LogFailed { .. } | Error::Io { .. } | Error::Closed) => {}
        Err(error) => panic!("{error}"),
    }
    // It can't be closed in order where the disk has failed.
    drop(engine);
    Ok(done)
}

/// What is there, as the lines have to tell it.
fn defined(engine: &Engine) -> BTreeSet<String> {
    let who = Principal::anonymous();
    let mut found = BTreeSet::new();
    let tables = engine.tables(&who).unwrap().into_iter().filter(|table| table.namespace == PUBLIC);
    found.extend(tables.map(|table| format!("create_table {}", table.name)));
    found.extend(engine.roles(&who).unwrap().into_iter().map(|role| format!("create_role {}", role.name)));
    found.extend(engine.groups(&who).unwrap().into_iter().map(|group| format!("create_group {}", group.group_id)));
    found
}

/// The lines of what was done, each once.
fn lines(engine: &Engine) -> Vec<String> {
    let who = Principal::anonymous();
    let Ok(table) = engine.table(&who, "system", "audit") else { return Vec::new() };
    let topic = TopicId(table.id.0);
    let operator = engine.topic_operator(&who, topic).unwrap();
    let request = ScanRequest { topic, ranges: None, event_time_us: None, operator };
    let mut lines = Vec::new();
    for batch in engine.scan(&who, request).unwrap() {
        let batch = batch.unwrap().batch;
        let text = |name: &str, row| batch.column_by_name(name).unwrap().as_string::<i32>().value(row).to_owned();
        let done = (0..batch.num_rows()).filter(|row| text("outcome", *row) == "done");
        lines.extend(done.map(|row| format!("{} {}", text("action", row), text("name", row))));
    }
    lines
}

#[test]
fn what_is_defined_and_its_line_are_found_together_after_any_crash() {
    let whole = SimDisk::new(1);
    let dir = tempfile::tempdir().unwrap();
    let all = define(dir.path(), &whole).unwrap();
    assert_eq!(all.len(), 10);
    let mut partly = 0;
    for point in 0..whole.operations() {
        let (dir, disk) = (tempfile::tempdir().unwrap(), SimDisk::new(point));
        disk.fail_at(point, Fault::Crash);
        let done = define(dir.path(), &disk).unwrap_or_default();
        let engine = Engine::open_with(options(dir.path(), &disk.crash(point)));
        let engine = engine.unwrap_or_else(|error| panic!("point {point}: {error}"));
        let (lines, mut found) = (lines(&engine), defined(&engine));
        if lines.contains(&"drop_table t0".to_owned()) {
            assert!(!found.contains("create_table t0"), "point {point}");
            found.extend(["create_table t0", "drop_table t0"].map(str::to_owned));
        }
        let told: BTreeSet<String> = lines.iter().cloned().collect();
        assert_eq!(told.len(), lines.len(), "point {point}: {lines:?}");
        assert_eq!(told, found, "point {point}");
        assert!(done.is_subset(&told), "point {point}: {done:?} was answered, and {told:?} is found");
        partly += u32::from(!told.is_empty() && told.len() < all.len());
    }
    assert!(partly > 5, "{partly} crashes came in between");
}
