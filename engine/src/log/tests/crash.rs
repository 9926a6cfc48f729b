//! Power loss at every operation.

use super::support::*;
use crate::model::{Error, TableId};
use crate::platform::disk::{Fault, SimDisk};
use crate::state::State;

/// What one run was promised and may have written besides.
#[derive(Debug, Default)]
struct Expected {
    table: Option<TableId>,
    /// Values whose append was acknowledged, by partition.
    acknowledged: [Vec<i64>; 2],
    /// All values sent, by partition, in order.
    sent: [Vec<i64>; 2],
}

fn settings(options: &mut crate::platform::EngineOptions) {
    options.log_file_bytes = 3000;
    options.tail_bytes = 500;
}

/// Appends pairs of rows, one for each partition, as one submission each, until something fails.
fn run(disk: &SimDisk, expected: &mut Expected, random: &mut Random) -> Result<(), Error> {
    let opened = open_with(disk, State::default(), settings)?.started();
    let table = match expected.table {
        Some(table) => table,
        None => *expected.table.insert(opened.create_table("t", 2)?),
    };
    for round in 0..8 {
        let pending: Vec<_> = (0..=random.below(3))
            .map(|index| {
                let value = (expected.sent[0].len() as i64) * 10 + index as i64 + round;
                let values: Vec<i64> = (0..=random.below(40) as i64).map(|row| value * 1000 + row).collect();
                let as_whole = random.below(2) == 0;
                let rows = vec![part(table, 0, &values, as_whole), part(table, 1, &values, false)];
                expected.sent.iter_mut().for_each(|sent| sent.extend(&values));
                let submission = crate::state::Submission { rows, ..Default::default() };
                (values, opened.submit(submission))
            })
            .collect();
        for (values, receipt) in pending {
            receipt?.wait()?;
            expected.acknowledged.iter_mut().for_each(|acknowledged| acknowledged.extend(&values));
        }
    }
    opened.log.close()
}

/// Checks what is found and goes on from it: acknowledged rows are there, submissions are whole, nothing is invented.
fn check(disk: &SimDisk, expected: &mut Expected, context: &str) {
    let opened = open_with(disk, State::default(), settings).unwrap_or_else(|error| panic!("{context}: {error}"));
    let Some(table) = expected.table else { return };
    let found = [0, 1].map(|partition| opened.values(table, partition).unwrap_or_else(|e| panic!("{context}: {e}")));
    assert_eq!(found[0], found[1], "{context}: a submission is seen whole or not at all");
    assert!(expected.sent[0].starts_with(&found[0]), "{context}: rows were invented or lost");
    assert!(found[0].starts_with(&expected.acknowledged[0]), "{context}: acknowledged rows were lost");
    expected.sent = found.clone();
    expected.acknowledged = found;
}

fn crash_at(seed: u64, operation: u64, fault: Fault) -> bool {
    let context = format!("seed {seed}, {fault:?} at operation {operation}");
    let (disk, mut expected, mut random) = (SimDisk::new(seed), Expected::default(), Random::new(seed));
    disk.fail_at(operation, fault);
    let outcome = run(&disk, &mut expected, &mut random);
    let reached = disk.operations() > operation;
    if outcome.is_ok() {
        return reached;
    }
    let found = disk.crash(seed ^ operation);
    check(&found, &mut expected, &context);
    // And once more, with a crash while recovering or soon after.
    found.fail_at(found.operations() + random.below(12), Fault::Crash);
    let _ = run(&found, &mut expected, &mut random);
    check(&found.crash(seed + operation), &mut expected, &format!("{context}, again"));
    true
}

#[test]
fn acknowledged_rows_survive_power_loss_at_any_operation() {
    for seed in 1..=6 {
        for operation in 0.. {
            if !crash_at(seed, operation, Fault::Crash) {
                assert!(operation > 20, "seed {seed}: only {operation} operations");
                break;
            }
        }
    }
}

#[test]
fn acknowledged_rows_survive_a_failing_operation() {
    for seed in 1..=3 {
        for operation in 0.. {
            let reached = crash_at(seed, operation, Fault::Error) && crash_at(seed, operation, Fault::NoSpace);
            if !reached {
                break;
            }
        }
    }
}

/// An operation fails, the process ends, and the next one on the same machine acknowledges a row before power is lost: it may
/// build on nothing that only the page cache has.
#[test]
fn what_a_failed_sync_has_let_go_is_written_anew_before_anything_builds_on_it() {
    let (mut failed, mut kept) = (0, 0);
    for seed in 0..200 {
        let context = format!("seed {seed}");
        let (disk, mut expected, mut random) = (SimDisk::new(seed), Expected::default(), Random::new(seed));
        disk.fail_at(random.below(40), Fault::Error);
        if run(&disk, &mut expected, &mut random).is_ok() {
            continue;
        }
        failed += 1;
        let restarted = disk.kill(seed);
        // Opening may fail as well, and is tried again.
        restarted.fail_at(random.below(12), Fault::Error);
        let _ = open_with(&restarted, State::default(), settings);
        let restarted = restarted.kill(seed + 1);
        let opened =
            open_with(&restarted, State::default(), settings).unwrap_or_else(|error| panic!("{context}: {error}"));
        let opened = opened.started();
        let table = match expected.table {
            Some(table) => table,
            // A first one may be there though nobody was told.
            None => *expected.table.insert(opened.create_table("u", 2).expect("create")),
        };
        let found = opened.values(table, 0).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert!(expected.sent[0].starts_with(&found), "{context}: rows were invented or lost");
        assert!(found.starts_with(&expected.acknowledged[0]), "{context}: acknowledged rows were lost");
        kept += usize::from(found.len() > expected.acknowledged[0].len());
        let rows = vec![part(table, 0, &[-1], false), part(table, 1, &[-1], false)];
        opened.do_now(crate::state::Submission { rows, ..Default::default() }).expect("durable");
        let mut all = found;
        all.push(-1);
        expected.sent = [all.clone(), all.clone()];
        expected.acknowledged = expected.sent.clone();
        let found = restarted.crash(seed);
        drop(opened);
        check(&found, &mut expected, &context);
    }
    assert!(failed > 100 && kept > 3, "{failed} runs failed, {kept} had written more than was acknowledged");
}

#[test]
fn under_a_lying_sync_a_prefix_or_an_error_is_found() {
    let (mut prefixes, mut errors) = (0, 0);
    for seed in 1..=8 {
        for operation in (0..60).step_by(3) {
            let (disk, mut expected, mut random) = (SimDisk::new(seed), Expected::default(), Random::new(seed));
            disk.fail_at(operation, Fault::LyingSync);
            disk.fail_at(operation + 25, Fault::Crash);
            let _ = run(&disk, &mut expected, &mut random);
            let Some(table) = expected.table else { continue };
            match open_with(&disk.crash(seed), State::default(), settings) {
                Ok(opened) => {
                    prefixes += 1;
                    let found = [0, 1].map(|partition| opened.values(table, partition).expect("rows"));
                    assert_eq!(found[0], found[1], "seed {seed}, lying from {operation}");
                    assert!(
                        expected.sent[0].starts_with(&found[0]),
                        "seed {seed}, lying from {operation}: invented rows"
                    );
                }
                Err(Error::Corrupt { .. }) => errors += 1,
                Err(error) => panic!("seed {seed}, lying from {operation}: {error}"),
            }
        }
    }
    assert!(prefixes > 0, "{prefixes} prefixes, {errors} errors");
}
