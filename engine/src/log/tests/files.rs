//! Rolling, indexes, trimming, the memory tail.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::support::*;
use crate::model::{Error, Lsn, TableId};
use crate::platform::disk::{Disk, Fault, RealDisk, SimDisk};
use crate::state::Record;
use crate::state::State;

fn tiny_files(options: &mut crate::platform::EngineOptions) {
    options.log_file_bytes = 4096;
    options.tail_bytes = 0;
}

fn filled(disk: &SimDisk, rows: i64) -> (Opened, TableId) {
    let opened = open_with(disk, State::default(), tiny_files).expect("open").started();
    let t = opened.create_table("t", 2).expect("create");
    for value in 0..rows {
        opened.do_now(small(t, (value % 2) as u32, &[value])).expect("durable");
    }
    (opened, t)
}

fn evens(rows: i64) -> Vec<i64> {
    (0..rows).filter(|value| value % 2 == 0).collect()
}

fn indexes(disk: &SimDisk) -> Vec<PathBuf> {
    disk.files().into_iter().map(|(path, _)| path).filter(|path| path.extension().is_some_and(|e| e == "idx")).collect()
}

#[test]
fn files_roll_and_are_read_through_their_indexes() {
    let disk = SimDisk::new(1);
    let (opened, t) = filled(&disk, 60);
    assert_eq!(opened.values(t, 0).expect("rows"), evens(60));
    let files = opened.log.files();
    assert!(files.len() > 4, "{files:?}");
    assert!(files.iter().all(|(_, bytes)| *bytes <= 4096), "{files:?}");
    assert_eq!(indexes(&disk).len(), files.len() - 1, "every sealed file has an index");
    let entry = opened.log.entry_at(t, 1, 3).expect("read").expect("there");
    assert_eq!((entry.base_offset, entry.rows), (3, 1));
    assert_eq!(opened.log.frame_at(t, 0, 30).expect("read").map(drop), None, "past the end");
    let commits = opened.sink.commits.lock();
    let sealed = commits.iter().flatten().filter_map(|(_, record)| match record {
        Record::Sealed { first } => Some(*first),
        _ => None,
    });
    let expected: Vec<Lsn> = files.iter().rev().skip(1).rev().map(|(first, _)| *first).collect();
    assert_eq!(sealed.collect::<Vec<_>>(), expected, "each roll is recorded, in order");
}

#[test]
fn opening_from_a_checkpoint_reads_the_last_files_only() {
    let disk = SimDisk::new(1);
    let (opened, t) = filled(&disk, 60);
    opened.log.close().expect("close");
    assert!(opened.sink.checkpoints.load(Ordering::SeqCst) > 0);
    let (checkpoint, state) = (opened.sink.checkpoint.lock().clone(), opened.sink.state.read().clone());
    let files = opened.log.files();
    drop(opened);
    // Files that the checkpoint covers are not read: their bytes do not matter to opening.
    let covered = files.iter().rev().find(|(first, _)| *first <= Lsn(checkpoint.applied().0 + 1)).expect("one").0;
    for (first, bytes) in files.iter().filter(|(first, _)| *first < covered) {
        for byte in 64..*bytes {
            disk.flip_bit(&log_file(first.0), byte * 8).expect("flip");
        }
    }
    let opened = open_with(&disk, checkpoint, tiny_files).expect("open").started();
    assert!(*opened.sink.state.read() == state, "the same state as before");
    let error = opened.values(t, 0).expect_err("a read finds the damage");
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}

#[test]
fn a_state_ahead_of_the_log_is_an_error() {
    let disk = SimDisk::new(1);
    let (opened, _) = filled(&disk, 10);
    opened.log.close().expect("close");
    let state = opened.sink.state.read().clone();
    drop(opened);
    let error = open_with(&SimDisk::new(2), state, |_| {}).err().expect("there is no log");
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}

#[test]
fn missing_and_damaged_indexes_are_made_anew() {
    let disk = SimDisk::new(1);
    let (opened, t) = filled(&disk, 60);
    opened.log.close().expect("close");
    drop(opened);
    let mut random = Random::new(5);
    for round in 0..40 {
        let copy = disk.kill(round);
        let all = indexes(&copy);
        let victim = &all[random.below(all.len() as u64) as usize];
        match round % 4 {
            0 => copy.remove(victim).expect("remove"),
            _ => {
                let bits = read(&copy, victim).len() as u64 * 8;
                copy.flip_bit(victim, random.below(bits)).expect("flip");
            }
        }
        let opened = open_with(&copy, State::default(), tiny_files).expect("open").started();
        assert_eq!(opened.values(t, 0).expect("rows"), evens(60), "round {round}");
        assert_eq!(opened.values(t, 1).expect("rows").len(), 30, "round {round}");
        assert!(opened.event_kinds().iter().all(|kind| *kind == "index_rebuilt"), "round {round}");
        if round % 4 == 0 {
            assert_eq!(opened.event_kinds(), ["index_rebuilt"], "round {round}");
        }
    }
}

#[test]
fn trimming_deletes_whole_files_below() {
    let disk = SimDisk::new(1);
    let (opened, t) = filled(&disk, 60);
    let files = opened.log.files();
    let keep_from = Lsn(files[2].0.0 + 1);
    assert!(opened.log.can_trim(keep_from));
    opened.log.trim(keep_from).expect("trim");
    assert!(!opened.log.can_trim(keep_from));
    assert_eq!(opened.log.files(), files[2..]);
    assert_eq!(opened.log.frame_at(t, 0, 0).expect("read").map(drop), None);
    assert!(opened.log.frame_at(t, 0, 29).expect("read").is_some());
    opened.log.trim(Lsn(u64::MAX)).expect("trim");
    assert_eq!(opened.log.files().len(), 1, "the active file stays");
    opened.log.close().expect("close");
    let checkpoint = opened.sink.checkpoint.lock().clone();
    drop(opened);
    open_with(&disk, checkpoint, tiny_files).expect("open");
    let error = open(&disk).err().expect("the records are gone");
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}

#[test]
fn a_reader_that_is_late_does_not_make_the_index_of_a_trimmed_file_again() {
    let disk = SimDisk::new(1);
    let opened = open_with(&disk, State::default(), |options| options.tail_bytes = 0).expect("open").started();
    let t = opened.create_table("t", 1).expect("create");
    opened.do_now(small(t, 0, &[1])).expect("durable");
    opened.log.close().expect("close");
    drop(opened);
    let opened = open_with(&disk, State::default(), tiny_files).expect("open").started();
    // The reader has found the file, which is the active one now,
    let found = opened.log.rows.index_of((t, 0), 0).expect("read").expect("there");
    let index = log_file(found.first().0).with_extension("idx");
    for value in 0..40 {
        opened.do_now(small(t, 0, &[value; 20])).expect("durable");
    }
    assert!(opened.log.files().len() > 2 && indexes(&disk).contains(&index));
    // and looks into it when it is gone.
    opened.log.trim(Lsn(u64::MAX)).expect("trim");
    opened.log.rows.ensure_found(&found).expect("nothing to do");
    assert!(!indexes(&disk).contains(&index), "an index without its file");
    assert_eq!(opened.event_kinds(), Vec::<&str>::new());
}

#[test]
fn an_index_without_its_file_is_removed_at_opening() {
    let disk = SimDisk::new(1);
    let (opened, _) = filled(&disk, 60);
    opened.log.close().expect("close");
    drop(opened);
    let left = log_file(1_000_000).with_extension("idx");
    disk.create(&left).expect("create");
    let before = indexes(&disk).len();
    open_with(&disk, State::default(), tiny_files).expect("open");
    assert!(!indexes(&disk).contains(&left) && indexes(&disk).len() == before - 1);
}

#[test]
fn a_removal_that_could_not_be_synced_does_not_stop_trimming() {
    let disk = SimDisk::new(1);
    let (opened, _) = filled(&disk, 60);
    // The index, the file, and the sync of the directory.
    disk.fail_at(disk.operations() + 2, Fault::Error);
    opened.log.trim(Lsn(u64::MAX)).expect_err("it fails once");
    opened.log.trim(Lsn(u64::MAX)).expect("and goes on");
    assert_eq!(opened.log.files().len(), 1);
}

#[test]
fn the_tail_holds_the_newest_frames() {
    let disk = SimDisk::new(1);
    let opened = open_with(&disk, State::default(), |options| options.tail_bytes = 10_000).expect("open").started();
    let t = opened.create_table("t", 2).expect("create");
    for value in 0..20 {
        opened.do_now(small(t, (value % 2) as u32, &[value])).expect("durable");
    }
    let mut stats = crate::model::EngineStats::default();
    opened.log.stats(&mut stats);
    assert!(stats.tail_bytes > 5_000 && stats.tail_bytes <= 10_000, "{stats:?}");
    assert!(opened.log.tail_frame_at(t, 0, 0).is_none() && opened.log.tail_frame_at(t, 0, 9).is_some());
    let first = opened.log.tail_frame_at(t, 1, 9).expect("held");
    let second = opened.log.frame_at(t, 1, 9).expect("read").expect("held");
    assert!(Arc::ptr_eq(&first, &second), "readers share the frame");
    assert_eq!(opened.values(t, 0).expect("rows"), evens(20), "older rows come from the file");
}

#[test]
fn a_real_directory_is_written_and_read_again() {
    let dir = std::env::temp_dir().join(format!("millstream-log-{}", std::process::id()));
    let open = || {
        open_with(&SimDisk::new(1), State::default(), |options| {
            options.disk = Arc::new(RealDisk);
            options.dir.clone_from(&dir);
            options.log_file_bytes = 4096;
            options.tail_bytes = 0;
        })
    };
    std::fs::create_dir_all(&dir).expect("a directory");
    let lock = RealDisk.lock(&dir.join("LOCK")).expect("lock");
    assert!(lock.is_some() && RealDisk.lock(&dir.join("LOCK")).expect("lock").is_none(), "one opener at a time");
    drop(lock);
    assert!(RealDisk.lock(&dir.join("LOCK")).expect("lock").is_some(), "the lock is let go");
    let first = open().expect("open").started();
    let t = first.create_table("t", 1).expect("create");
    let values: Vec<i64> = (0..3000).collect();
    for run in values.chunks(300) {
        first.do_now(whole(t, 0, run)).expect("durable");
    }
    assert_eq!(first.values(t, 0).expect("rows"), values);
    first.log.close().expect("close");
    drop(first);
    let again = open().expect("open").started();
    assert_eq!(again.values(t, 0).expect("rows"), values);
    drop(again);
    std::fs::remove_dir_all(&dir).expect("clean up");
}
