//! Power is lost at every operation of the disk, for hundreds of random histories; what is found afterwards is held to the
//! invariants. Seeds are printed; `MILLSTREAM_CRASH_SEED=n` runs one history alone.

mod check;
mod history;
mod state;

use millstream_engine::disk::{Fault, SimDisk};
use millstream_engine::{Error, ErrorKind};

use self::check::Found;
use self::history::{History, Outcome};

/// Histories of which every crash point is tried.
const HISTORIES: u64 = 440;
/// The same, of those in which time passes.
const MAINTAINED_HISTORIES: u64 = 16;

fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("MILLSTREAM_CRASH_SEED") {
        Ok(seed) => vec![seed.parse().expect("MILLSTREAM_CRASH_SEED is a number")],
        Err(_) => (0..count).collect(),
    }
}

/// Runs `case` for every seed on as many threads as there are cores; a panic names its seed.
pub(crate) fn for_each_seed(count: u64, case: impl Fn(u64) + Sync) {
    let seeds = seeds(count);
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |cores| cores.get()) {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    let _named = NameSeed(*seed);
                    case(*seed);
                }
            });
        }
    });
}

/// Prints its seed when dropped by a panic.
struct NameSeed(u64);

impl Drop for NameSeed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with seed {}: run again with MILLSTREAM_CRASH_SEED={}", self.0, self.0);
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_at_any_crash_point() {
    for_each_seed(HISTORIES, |seed| {
        let history = History::random(seed);
        let points = history.run(&SimDisk::new(seed)).disk.operations();
        for point in 0..points {
            let disk = SimDisk::new(seed);
            disk.fail_at(point, Fault::Crash);
            let outcome = history.run(&disk);
            outcome.after_crash(seed ^ point).expect_all_kept(&format!("crash at operation {point}"));
        }
    });
}

#[test]
fn nothing_is_lost_at_any_crash_point_of_retention_merging_and_trimming() {
    let went = std::sync::atomic::AtomicU64::new(0);
    for_each_seed(MAINTAINED_HISTORIES, |seed| {
        let history = History::of_maintenance(seed);
        let whole = history.run(&SimDisk::new(seed));
        let points = whole.disk.operations();
        went.fetch_add(u64::from(whole.segments_went()), std::sync::atomic::Ordering::Relaxed);
        for point in 0..points {
            let disk = SimDisk::new(seed);
            disk.fail_at(point, Fault::Crash);
            let outcome = history.run(&disk);
            outcome.after_crash(seed ^ point).expect_all_kept(&format!("crash at operation {point}"));
        }
    });
    let went = went.into_inner();
    let alone = std::env::var("MILLSTREAM_CRASH_SEED").is_ok();
    assert!(alone || went > MAINTAINED_HISTORIES / 8, "in {went} histories only did segments go");
}

#[test]
fn after_a_failed_operation_the_next_process_builds_on_what_is_durable_only() {
    let failed = std::sync::atomic::AtomicU64::new(0);
    for_each_seed(200, |seed| {
        let history = if seed % 4 == 0 { History::of_maintenance(seed) } else { History::random(seed) };
        let points = history.run(&SimDisk::new(seed)).disk.operations();
        let disk = SimDisk::new(seed);
        disk.fail_at(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) % points.max(1), Fault::Error);
        let outcome = history.run(&disk);
        failed.fetch_add(u64::from(disk.faulted()), std::sync::atomic::Ordering::Relaxed);
        outcome.restarted(seed).after_crash(seed).expect_all_kept("restarted after a failure, then power was lost");
    });
    let failed = failed.into_inner();
    assert!(std::env::var("MILLSTREAM_CRASH_SEED").is_ok() || failed > 150, "only {failed} histories met their fault");
}

#[test]
fn a_killed_process_loses_nothing_that_was_written() {
    for_each_seed(100, |seed| {
        let outcome = History::random(seed).run(&SimDisk::new(seed));
        outcome.after_kill(seed).expect_everything_written("killed");
    });
}

#[test]
fn after_a_failed_operation_writes_are_refused_and_nothing_acknowledged_is_lost() {
    for_each_seed(100, |seed| {
        let history = History::random(seed);
        let points = history.run(&SimDisk::new(seed)).disk.operations();
        for (number, fault) in [Fault::Error, Fault::NoSpace].into_iter().enumerate() {
            let point = (seed.wrapping_mul(31) + number as u64 * 7) % points.max(1);
            let disk = SimDisk::new(seed);
            disk.fail_at(point, fault);
            let outcome = history.run(&disk);
            disk.set_free_bytes(1 << 40);
            outcome.after_crash(seed).expect_all_kept(&format!("{fault:?} at operation {point}"));
        }
    });
}

#[test]
fn under_a_lying_sync_what_is_found_is_a_prefix_or_an_error() {
    for_each_seed(200, |seed| {
        let history = History::random(seed);
        let points = history.run(&SimDisk::new(seed)).disk.operations();
        let disk = SimDisk::new(seed);
        disk.fail_at(seed % points.max(1), Fault::LyingSync);
        let outcome = history.run(&disk);
        match outcome.after_crash(seed) {
            Found::Open(found) => found.expect_prefix("lying sync"),
            Found::Refused(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
        }
    });
}

#[test]
fn a_flipped_bit_gives_an_error_or_the_right_rows() {
    for_each_seed(200, |seed| {
        let outcome = History::random(seed).run(&SimDisk::new(seed)).closed();
        let (path, len) = {
            let files = outcome.disk.files();
            files[seed as usize % files.len()].clone()
        };
        if len == 0 {
            return;
        }
        outcome.disk.flip_bit(&path, seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) % (len * 8)).expect("flip");
        let what = format!("flipped a bit of {}", path.display());
        match outcome.reopen() {
            Found::Open(found) => found.expect_right_rows_or_errors(&what),
            Found::Refused(error) => assert_names_a_file(&error, &what),
        }
    });
}

fn assert_names_a_file(error: &Error, what: &str) {
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
    assert!([".log", ".idx", ".parquet"].iter().any(|name| error.to_string().contains(name)), "{what}: {error}");
}

#[test]
fn replay_from_nothing_gives_the_state_that_the_checkpoints_gave() {
    for_each_seed(100, |seed| {
        let outcome: Outcome = History::random(seed).run(&SimDisk::new(seed)).closed();
        if !outcome.log_is_whole() {
            return;
        }
        let with = outcome.reopen().opened("with its checkpoints").contents();
        outcome.forget_checkpoints();
        let without = outcome.reopen().opened("without checkpoints").contents();
        assert_eq!(with, without);
    });
}
