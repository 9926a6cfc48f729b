//! The threads of maintenance.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::rounds;
use super::upkeep::Upkeep;
use crate::log::Log;
use crate::maintenance::retention;
use crate::model::TableId;
use crate::model::{Error, Result};
use crate::platform::join;
use crate::platform::{Patience, Stopwatch};
use crate::plugins::Plugins;
use crate::plugins::suspensions;
use crate::segments::Job;

/// How long threads wait before they look whether the engine is still there.
const LOOK_AROUND: Duration = Duration::from_millis(200);

/// How long a checkpoint waits for what has been applied to be durable, before it looks again.
const UNTIL_DURABLE: Duration = Duration::from_millis(10);

/// How long segments wait after one could not be written; doubled for each that follows.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The threads of one open engine.
#[derive(Debug)]
pub(crate) struct Maintenance {
    upkeep: Arc<Upkeep>,
    board: Arc<Board>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What the threads tell one another.
#[derive(Debug, Default)]
struct Board {
    notes: Mutex<Notes>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Notes {
    stopping: bool,
    /// What is due is to be done before its time.
    hurry: bool,
    /// A checkpoint is to be taken before the log rolls.
    checkpoint: bool,
    jobs: VecDeque<Job>,
    /// Jobs that a thread is at.
    running: Vec<Job>,
    /// The last failure, so that one that repeats is told once.
    failure: Option<String>,
    /// Jobs that failed, one after the other, and when the next may be tried: a store that refuses segments is not asked for
    /// each anew at every look.
    failed_jobs: u32,
    job_pause: Option<Patience>,
}

impl Maintenance {
    pub(crate) fn new(plugins: &Arc<Plugins>) -> Maintenance {
        let upkeep = Arc::new(Upkeep {
            ledger: plugins.ledger.clone(),
            segments: plugins.tables.segments.clone(),
            tables: plugins.tables.clone(),
            plugins: plugins.clone(),
            files: RwLock::new(()),
        });
        Maintenance { upkeep, board: Arc::default(), threads: Mutex::default() }
    }

    /// Does everything that is due on this thread.
    pub(crate) fn run_now(&self) -> Result<()> {
        rounds::run_now(&self.upkeep)
    }

    /// Cuts every durable row of a table into segments, and trims the log behind them.
    pub(crate) fn cut_table(&self, table: TableId) -> Result<()> {
        rounds::cut_table(&self.upkeep, table)
    }

    /// As long as the answer is held no file of the log or of a segment is deleted. What is being deleted is waited for.
    pub(crate) fn hold_files(&self) -> RwLockWriteGuard<'_, ()> {
        self.upkeep.files.write()
    }

    /// To be held by whoever deletes files, or is about to; `None` while they are held.
    pub(crate) fn deleting(&self) -> Option<RwLockReadGuard<'_, ()>> {
        self.upkeep.deleting()
    }

    /// Starts the threads of an engine that is open.
    pub(crate) fn start(&self) -> Result<()> {
        let mut threads = self.threads.lock();
        let upkeep = &self.upkeep;
        let supervisor = upkeep.ledger.threads.clone();
        let mut spawn = |name: &str, run: fn(&Weak<Upkeep>, &Board)| -> Result<()> {
            let (upkeep, board) = (Arc::downgrade(upkeep), self.board.clone());
            threads.push(supervisor.start_again(name, move || run(&upkeep, &board))?);
            Ok(())
        };
        spawn("maintenance", maintain)?;
        spawn("checkpoints", checkpoint)?;
        for number in 1..=upkeep.ledger.options.segment_threads {
            spawn(&format!("segments-{number}"), work)?;
        }
        Ok(())
    }

    /// Has everything that is due done now, by its own thread. Does not wait.
    pub(crate) fn hurry(&self) {
        self.board.notes.lock().hurry = true;
        self.board.changed.notify_all();
    }

    /// Has a checkpoint taken before its time, by a thread of its own. Does not wait.
    pub(crate) fn checkpoint_early(&self) {
        let mut notes = self.board.notes.lock();
        if !notes.checkpoint {
            notes.checkpoint = true;
            drop(notes);
            self.board.changed.notify_all();
        }
    }

    /// Stops the threads and waits for them; a segment half written is given up.
    pub(crate) fn stop(&self) {
        self.board.notes.lock().stopping = true;
        self.board.changed.notify_all();
        let threads = std::mem::take(&mut *self.threads.lock());
        threads.into_iter().for_each(join);
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Board {
    fn is_stopping(&self) -> bool {
        self.notes.lock().stopping
    }

    /// Waits for a while, or until something changes; true if the engine is to end.
    fn wait(&self, notes: &mut parking_lot::MutexGuard<'_, Notes>, time: Duration) -> bool {
        if !notes.stopping {
            self.changed.wait_for(notes, time.min(LOOK_AROUND));
        }
        notes.stopping
    }

    /// Tells a failure, once while it stays the same. With a log that takes no records there is nothing left to do.
    fn report(&self, upkeep: &Upkeep, what: &str, outcome: Result<()>) {
        match outcome {
            Ok(()) => {}
            Err(Error::Closed) => self.notes.lock().stopping = true,
            Err(error) => {
                if let Error::LogFailed { .. } = error {
                    self.notes.lock().stopping = true;
                }
                let message = format!("{what}: {error}");
                let mut notes = self.notes.lock();
                if notes.failure.as_ref() != Some(&message) {
                    notes.failure = Some(message.clone());
                    drop(notes);
                    upkeep.ledger.events.push("maintenance_failed", message);
                }
            }
        }
    }

    /// Jobs that nobody is at take the place of those left from before.
    fn post(&self, jobs: Vec<Job>) {
        let mut notes = self.notes.lock();
        if notes.job_pause.is_some_and(|pause| !pause.is_over()) {
            return;
        }
        let fresh = jobs.into_iter().filter(|job| !notes.running.contains(job)).collect();
        notes.jobs = fresh;
        self.changed.notify_all();
    }

    /// Takes note of how a job ended.
    fn finish(&self, job: &Job, succeeded: bool) {
        let mut notes = self.notes.lock();
        notes.running.retain(|running| running != job);
        if succeeded {
            notes.failed_jobs = 0;
            notes.job_pause = None;
        } else {
            let pause = FIRST_PAUSE.saturating_mul(1 << notes.failed_jobs.min(10)).min(LONGEST_PAUSE);
            notes.failed_jobs = notes.failed_jobs.saturating_add(1);
            notes.job_pause = Some(Patience::of(pause));
            notes.jobs.clear();
        }
    }

    /// The next job; `None` when the engine ends.
    fn take(&self, upkeep: &Weak<Upkeep>) -> Option<Job> {
        let mut notes = self.notes.lock();
        loop {
            if notes.stopping || upkeep.strong_count() == 0 {
                return None;
            }
            if let Some(job) = notes.jobs.pop_front() {
                notes.running.push(job);
                return Some(job);
            }
            self.wait(&mut notes, LOOK_AROUND);
        }
    }
}

/// A job that a thread is at. However it ends, by a panic too, others may be given it again.
struct RunningJob<'a> {
    board: &'a Board,
    job: &'a Job,
    succeeded: bool,
}

impl Drop for RunningJob<'_> {
    fn drop(&mut self) {
        self.board.finish(self.job, self.succeeded);
    }
}

fn maintain(upkeep: &Weak<Upkeep>, board: &Board) {
    let mut last = Stopwatch::start();
    loop {
        let Some(interval) =
            upkeep.upgrade().map(|upkeep| Duration::from_millis(upkeep.ledger.options.maintenance_interval_ms.max(1)))
        else {
            return;
        };
        while last.elapsed() < interval {
            let mut notes = board.notes.lock();
            if std::mem::take(&mut notes.hurry) {
                break;
            }
            if board.wait(&mut notes, interval.saturating_sub(last.elapsed())) || upkeep.strong_count() == 0 {
                return;
            }
        }
        last = Stopwatch::start();
        let Some(upkeep) = upkeep.upgrade() else { return };
        board.report(&upkeep, "retention", retention::apply(&upkeep));
        board.report(&upkeep, "recording suspended plugins", suspensions::record(&upkeep.plugins));
        if upkeep.ledger.options.segment_threads > 0 {
            board.post(rounds::due_jobs(&upkeep));
        }
        board.report(&upkeep, "indexing messages by key", crate::cursor::index_messages(&upkeep.ledger));
        board.report(&upkeep, "trimming the log", rounds::trim(&upkeep));
        board.report(&upkeep, "recording the clock", upkeep.ledger.log.time().record(false));
        board.report(&upkeep, "deleting segments", rounds::sweep(&upkeep));
    }
}

/// Takes the checkpoints that do not wait for the log to roll, as long as there is more to write than is to be kept in memory.
fn checkpoint(upkeep: &Weak<Upkeep>, board: &Board) {
    loop {
        let mut notes = board.notes.lock();
        while !std::mem::take(&mut notes.checkpoint) {
            if board.wait(&mut notes, LOOK_AROUND) || upkeep.strong_count() == 0 {
                return;
            }
        }
        drop(notes);
        let Some(upkeep) = upkeep.upgrade() else { return };
        let _synced = SyncedEach::begin(&upkeep.ledger.log);
        let mut taken = upkeep.ledger.checkpoint();
        while taken.is_ok() && upkeep.ledger.is_checkpoint_due() {
            let mut notes = board.notes.lock();
            if board.wait(&mut notes, UNTIL_DURABLE) {
                return;
            }
            drop(notes);
            taken = upkeep.ledger.checkpoint();
        }
        board.report(&upkeep, "an early checkpoint", taken);
    }
}

/// Commits are durable one by one as long as it is there.
struct SyncedEach<'a>(&'a Log);

impl SyncedEach<'_> {
    fn begin(log: &Log) -> SyncedEach<'_> {
        log.sync_each(true);
        SyncedEach(log)
    }
}

impl Drop for SyncedEach<'_> {
    fn drop(&mut self) {
        self.0.sync_each(false);
    }
}

fn work(upkeep: &Weak<Upkeep>, board: &Board) {
    while let Some(job) = board.take(upkeep) {
        let Some(upkeep) = upkeep.upgrade() else { return };
        let mut running = RunningJob { board, job: &job, succeeded: false };
        let outcome = job.run_in_background(&upkeep.segments, &|| board.is_stopping());
        running.succeeded = outcome.is_ok();
        drop(running);
        board.report(&upkeep, "writing segments", outcome);
        board.report(&upkeep, "indexing messages by key", crate::cursor::index_messages(&upkeep.ledger));
        board.report(&upkeep, "trimming the log", rounds::trim(&upkeep));
    }
}
