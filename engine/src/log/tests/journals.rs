//! The seam between the journal and what stands on it: the same history over files and over memory.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::support::*;
use crate::log::Log;
use crate::log::journal::file::LogDirectory;
use crate::log::journal::memory::MemoryExtents;
use crate::log::journal::{
    Checkpointed, CommitLayout, FramePayload, Journal, LogId, NextCommit, PlannedRecord, ReplayedJournal, encode,
};
use crate::model::{Error, Lsn, TableId};
use crate::platform::Events;
use crate::platform::disk::SimDisk;
use crate::state::{Record, State, Submission};

const PARTITIONS: u32 = 3;
const STEPS: usize = 120;

/// Where the journal lies while it is closed. Index files lie on the disk in either case.
#[derive(Clone)]
enum Medium {
    Files,
    Memory(MemoryExtents),
}

/// One log, and all that was seen of it.
struct Watched {
    medium: Medium,
    disk: SimDisk,
    opened: Opened,
    table: TableId,
    seen: Vec<String>,
}

fn open_on(medium: &Medium, disk: &SimDisk, state: State) -> Opened {
    let small = |options: &mut crate::platform::EngineOptions| {
        (options.log_file_bytes, options.tail_bytes) = (6_000, 3_000);
    };
    let opened = match medium.clone() {
        Medium::Files => open_with(disk, state, small),
        Medium::Memory(extents) => open_by(disk, state, small, |options, events, state| {
            Log::replay(options, events, state, |checkpoint, each| extents.replay(checkpoint, each))
        }),
    };
    opened.expect("open")
}

impl Watched {
    fn new(medium: Medium) -> Watched {
        let disk = SimDisk::new(1);
        let opened = open_on(&medium, &disk, State::default()).started();
        let table = opened.create_table("t", PARTITIONS).expect("create");
        Watched { medium, disk, opened, table, seen: Vec::new() }
    }

    /// One step; equal numbers do the same.
    fn step(&mut self, random: &mut Random) {
        let (table, log) = (self.table, &self.opened.log);
        let partition = random.below(PARTITIONS.into()) as u32;
        let end = self.opened.sink.state.read().partition(table, partition).map_or(0, |partition| partition.end);
        let durable = log.durable().0;
        let seen = match random.below(24) {
            0..12 => {
                self.opened.clock.0.fetch_add(random.below(1_000) as i64, Ordering::SeqCst);
                format!("{:?}", self.opened.do_now(rows(table, random)))
            }
            12..16 => {
                let frame = log.frame_at(table, partition, random.below(end + 2)).expect("read");
                let frame = frame.map(|frame| {
                    let place = (frame.base_offset, frame.rows, frame.lsn, frame.frame_bytes, frame.schema_version);
                    let times = (frame.append_us, frame.min_event_us, frame.max_event_us);
                    (place, times, frame.encoded.header.clone(), frame.encoded.body.clone())
                });
                format!("{frame:?}")
            }
            16..18 => format!("{:?}", log.entry_at(table, partition, random.below(end + 2)).expect("read")),
            18..21 => format!("{:?}", log.row_at(Lsn(1 + random.below(durable))).expect("read")),
            21 => {
                let covered = self.opened.sink.checkpoint.lock().applied().0;
                let keep_from = Lsn(random.below(covered + 2));
                let can = log.can_trim(keep_from);
                log.trim(keep_from).expect("trim");
                format!("{can} {:?}", log.files())
            }
            22 => {
                self.reopen(random);
                format!("{:?}", self.opened.event_kinds())
            }
            _ => format!("{:?} {durable} {}", log.files(), log.epoch()),
        };
        self.seen.push(seen);
    }

    /// Closes the log, opens it from its checkpoint, and appends what is one commit.
    fn reopen(&mut self, random: &mut Random) {
        self.opened.log.close().expect("close");
        let before = self.opened.sink.state.read().clone();
        let checkpoint = self.opened.sink.checkpoint.lock().clone();
        let opened = open_on(&self.medium, &self.disk, checkpoint);
        assert!(*opened.sink.state.read() == before, "the same state as before");
        let waiting: Vec<_> =
            (0..random.below(4)).map(|_| opened.submit(rows(self.table, random)).expect("queued")).collect();
        self.opened = opened.started();
        for receipt in waiting {
            self.seen.push(format!("{:?}", receipt.wait()));
        }
        self.seen.push(format!("{:?}", *self.opened.sink.commits.lock()));
    }
}

fn rows(table: TableId, random: &mut Random) -> Submission {
    let parts = 1 + random.below(3);
    let rows = (0..parts).map(|_| {
        // Some are large enough for the wide alignment.
        let count = if random.below(12) == 0 { 300 } else { 1 + random.below(20) };
        let values: Vec<i64> = (0..count).map(|_| random.below(1_000_000) as i64).collect();
        part(table, random.below(PARTITIONS.into()) as u32, &values, random.below(2) == 0)
    });
    Submission { rows: rows.collect(), ..Submission::default() }
}

#[test]
fn a_history_is_the_same_over_files_and_over_memory() {
    let first: u64 = rand::random();
    for seed in (0..6).map(|step| first.wrapping_add(step)) {
        eprintln!("seed {seed}");
        let mut both = [Medium::Files, Medium::Memory(MemoryExtents::new(LogId(seed)))].map(Watched::new);
        let mut most = 0;
        for step in 0..STEPS {
            for watched in &mut both {
                watched.step(&mut Random::new(seed.wrapping_add(step as u64)));
            }
            let [files, memory] = &mut both;
            most = most.max(files.opened.log.files().len());
            assert_eq!(files.seen, memory.seen, "seed {seed}, step {step}");
            files.seen.clear();
            memory.seen.clear();
        }
        assert!(most > 3, "seed {seed}: {most} extents");
    }
}

fn new_journals(disk: &SimDisk) -> [Arc<dyn Journal>; 2] {
    let (nothing, clock) = (Checkpointed { lsn: Lsn(0), epoch: 0 }, Arc::new(TestClock::default()));
    let dir = Path::new(DIR).join("log");
    let directory = LogDirectory { disk: Arc::new(disk.clone()), dir, events: Arc::new(Events::new(clock)) };
    let files = directory.replay(LogId(1), nothing, &mut |_| Ok(())).expect("a new log");
    let memory = MemoryExtents::new(LogId(1)).replay(nothing, &mut |_| Ok(())).expect("a new log");
    [files.begin(1).expect("begun"), memory.begin(1).expect("begun")]
}

/// A commit of one record.
fn laid_out(journal: &dyn Journal, at: NextCommit) -> CommitLayout {
    let record = Record::CleanShutdown;
    let (kind, payload) = encode(&record).expect("encoded");
    let planned = PlannedRecord { lsn: at.lsn, record, payload: FramePayload::Control(kind, payload) };
    CommitLayout::new(vec![planned], at, 2, Lsn(0), journal.identity()).expect("laid out")
}

#[test]
fn an_append_at_another_place_than_the_next_is_refused() {
    let disk = SimDisk::new(1);
    for journal in new_journals(&disk) {
        let commit =
            |lsn, position| laid_out(journal.as_ref(), NextCommit { lsn: Lsn(lsn), position, ..journal.next() });
        let stored = || journal.extents().iter().map(|extent| (extent.first(), extent.bytes())).collect::<Vec<_>>();
        for round in 1..4 {
            let (next, before, on_disk) = (journal.next(), stored(), read(&disk, &log_file(1)));
            assert_eq!(next.lsn, Lsn(round), "a record was taken in each round");
            let (lsn, position) = (next.lsn.0, next.position);
            for other in [commit(lsn + 1, position), commit(lsn - 1, position), commit(lsn, position + 64)] {
                let refused = journal.append(&other).expect_err("something else is next");
                assert!(matches!(refused, Error::FailedPrecondition(_)), "{refused}");
                assert_eq!((journal.next(), stored()), (next, before.clone()));
                assert_eq!(read(&disk, &log_file(1)), on_disk, "nothing was written");
            }
            journal.append(&commit(lsn, position)).expect("this one is next");
            assert_eq!(journal.sync().expect("synced"), next.lsn);
        }
    }
}

#[test]
fn no_extent_is_begun_before_all_is_synced() {
    let disk = SimDisk::new(1);
    let [files, _] = new_journals(&disk);
    files.append(&laid_out(files.as_ref(), files.next())).expect("appended");
    files.roll().expect_err("something is not synced");
    files.sync().expect("synced");
    files.roll().expect("all is synced");
}
