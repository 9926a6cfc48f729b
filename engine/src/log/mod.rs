//! The commit log: the one write-ahead log, its files, and what readers take from it. Byte layouts are drawn in
//! `docs/log-format.md`.
//!
//! Submitters queue; one writer thread admits, numbers, writes and syncs; one apply thread makes commits visible and answers,
//! while the writer is at the next commit.

mod anew;
mod apply;
mod by_lsn;
mod bytes;
mod cache;
mod core;
mod create;
mod figures;
mod files;
mod format;
mod frame;
mod group;
mod index;
mod ipc;
mod lane;
mod layout;
mod ledger;
mod pace;
mod payload;
mod plan;
mod queue;
mod read;
mod rebuild;
mod recover;
mod space;
mod tail;
#[cfg(test)]
mod tests;
mod ticket;
pub(crate) mod time;
mod walk;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;

use self::core::{Core, failed};
use self::files::{Files, index_path};
use self::format::LogId;
use self::recover::Recovery;
use self::writer::{End, Writer};
use crate::log::time::LogTime;
use crate::model::{EngineStats, Error, Lsn, Offset, PartitionId, PendingReceipt, Result, TableId};
use crate::platform::EngineOptions;
use crate::platform::Events;
use crate::platform::{Threads, join};
use crate::state::State;
use crate::state::Submission;
use crate::state::{Record, RecordContext};

pub(crate) use by_lsn::LsnPlace;
pub(crate) use frame::Frame;
pub(crate) use index::IndexEntry;
pub(crate) use ipc::{encode, sliced_bytes};
pub(crate) use ledger::Ledger;
pub use ticket::{Ticket, Tickets};

/// Commits that may wait for the apply thread before the writer does.
const COMMITS_UNAPPLIED: usize = 4;

/// What the log tells the rest of the engine, and asks of it. Called from the log's threads.
pub(crate) trait CommitSink: Send + Sync {
    /// Takes a durable commit up (a written one, where all its submissions ask for no more). Its submitters are answered
    /// after this. An error is one of the state store: nothing more can be taken up.
    fn apply_commit(&self, records: &[(RecordContext, Record)]) -> Result<()>;
    /// Wakes whoever waits for what the commit brought.
    fn wake(&self, records: &[(RecordContext, Record)]);
    /// Writes a checkpoint of all that has been applied; all of it lies in sealed, synced files.
    fn checkpoint(&self) -> Result<()>;
}

/// The open log.
#[derive(Debug)]
pub(crate) struct Log {
    core: Arc<Core>,
    events: Arc<Events>,
    /// Where the writer starts; taken by [`Log::start`].
    end: Mutex<Option<End>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Log {
    /// Opens the log under `<dir>/log`, creating it if it is not there, and applies to `state`, which is that of the last
    /// checkpoint, every record after it. `Corrupt` where durable records are damaged. The caller holds the lock of the data directory.
    pub(crate) fn open(options: &EngineOptions, events: Arc<Events>, state: &mut State) -> Result<Log> {
        let dir = options.dir.join("log");
        let recovery = Recovery {
            disk: &options.disk,
            dir: &dir,
            events: &events,
            new_log_id: LogId(random(options.seed)?),
            time: &|newest_us| LogTime::open(options, events.clone(), newest_us),
        };
        let recovered = recovery.run(state)?;
        let durable = Lsn(recovered.end.next_lsn.0.saturating_sub(1));
        let unsealed = recovered.end.sealed.and_then(|first| recovered.files.iter().find(|file| file.first == first));
        let unsealed = unsealed.cloned();
        let files = Files::new(options.disk.clone(), dir, recovered.log_id, recovered.files, events.clone());
        if let Some(file) = unsealed {
            files.ensure_index(&file)?;
        }
        let core = Arc::new(Core::new(options, files, recovered.time, recovered.epoch, durable));
        Ok(Log { core, events, end: Mutex::new(Some(recovered.end)), threads: Mutex::default() })
    }

    /// Starts the threads. `ahead` is the writer's copy of the state that [`Log::open`] has brought up to date. Neither is begun
    /// again after a panic: what the writer has in hand may lie in the file, and what the applier has in hand may be half
    /// applied. The log then refuses writes, as after a failed one.
    pub(crate) fn start(&self, ahead: State, sink: Arc<dyn CommitSink>, threads: &Arc<Threads>) -> Result<()> {
        let Some(end) = self.end.lock().take() else { return Ok(()) };
        let (sender, messages) = crossbeam_channel::bounded(COMMITS_UNAPPLIED);
        let writer = Writer::new(self.core.clone(), sender, ahead, end);
        let (core, events) = (self.core.clone(), self.events.clone());
        let refuse = |operation: &'static str| {
            let core = self.core.clone();
            move |reason: &str| core.queue.fail(&failed(operation, format!("its thread has panicked: {reason}")))
        };
        // Held until the log refuses, so that the writer does not find the channel closed before and say so instead.
        let (received, refuse_applied) = (messages.clone(), refuse("apply"));
        let applier = threads.start_once(
            "log-apply",
            move || apply::run(&core, &events, sink.as_ref(), &messages),
            move |reason| {
                refuse_applied(reason);
                drop(received);
            },
        );
        self.threads.lock().push(applier?);
        self.threads.lock().push(threads.start_once("log-writer", move || writer.run(), refuse("write"))?);
        Ok(())
    }

    /// Queues a submission for the writer; blocks while the queue is full. One that no commit can hold is refused here. Not
    /// to be called with a lock held, nor in async code.
    pub(crate) fn submit(&self, submission: Submission) -> Result<PendingReceipt> {
        self.enqueue(submission)?.wait()
    }

    /// As [`Self::submit`], without waiting for room: the ticket does.
    pub(crate) fn enqueue(&self, submission: Submission) -> Result<Ticket> {
        let size = queue::estimate(&submission)?;
        let limit = self.core.settings.max_commit_bytes;
        if size > limit {
            return Err(Error::TooLarge {
                what: "the submission",
                size: size as u64,
                limit: limit as u64,
                hint: "send it as several",
            });
        }
        self.core.queue.push(submission, size)
    }

    /// The frame that holds an offset: from the memory tail, else from the log's files. `None` when the log does not hold it
    /// (trimmed, or never written). Only what has been applied is found.
    pub(crate) fn frame_at(
        &self,
        table: TableId,
        partition: PartitionId,
        offset: Offset,
    ) -> Result<Option<Arc<Frame>>> {
        let key = (table, partition);
        if let Some(frame) = self.core.tail.find(key, offset) {
            return Ok(Some(frame));
        }
        self.core.files.frame(key, offset).map(|frame| frame.map(Arc::new))
    }

    /// What the log's index knows of the frame that holds an offset: enough to skip it without reading it.
    pub(crate) fn entry_at(
        &self,
        table: TableId,
        partition: PartitionId,
        offset: Offset,
    ) -> Result<Option<IndexEntry>> {
        Ok(self.core.files.locate((table, partition), offset)?.map(|(_, entry)| entry))
    }

    /// Which row has an LSN, as far as the log reaches. To be asked only for what has been applied.
    pub(crate) fn row_at(&self, lsn: Lsn) -> Result<LsnPlace> {
        self.core.files.row_at(lsn)
    }

    /// As [`Self::frame_at`], of the memory tail alone.
    pub(crate) fn tail_frame_at(&self, table: TableId, partition: PartitionId, offset: Offset) -> Option<Arc<Frame>> {
        self.core.tail.find((table, partition), offset)
    }

    /// Whether [`Self::trim`] would delete a file.
    pub(crate) fn can_trim(&self, keep_from: Lsn) -> bool {
        self.files().get(1).is_some_and(|(first, _)| *first <= keep_from)
    }

    /// Bytes of the log's files.
    pub(crate) fn bytes(&self) -> u64 {
        self.core.files.size().1
    }

    /// What append times are taken from.
    pub(crate) fn time(&self) -> &LogTime {
        &self.core.time
    }

    /// The highest durable LSN.
    pub(crate) fn durable(&self) -> Lsn {
        self.core.durable()
    }

    /// Has every commit synced while a checkpoint is wanted: none is taken of what is not durable.
    pub(crate) fn sync_each(&self, each: bool) {
        self.core.pace.sync_each(each);
    }

    /// Holds commits back, or lets them go on. What was written before is synced. Never for long, nor while the log closes.
    pub(crate) fn hold(&self, held: bool) {
        self.core.pace.hold(held);
    }

    /// The epoch of this opening.
    pub(crate) fn epoch(&self) -> u64 {
        self.core.epoch
    }

    /// The first LSN of every file, oldest first, and its bytes. The last one is being written.
    pub(crate) fn files(&self) -> Vec<(Lsn, u64)> {
        self.core.files.sizes()
    }

    /// Deletes the files that hold nothing at or above `keep_from`. Only after a checkpoint that covers them.
    pub(crate) fn trim(&self, keep_from: Lsn) -> Result<()> {
        self.core.files.trim(keep_from)
    }

    /// Fills in the log's figures.
    pub(crate) fn stats(&self, stats: &mut EngineStats) {
        let figures = &self.core.figures;
        (stats.log_files, stats.log_bytes) = self.core.files.size();
        stats.durable_lsn = self.durable();
        stats.epoch = self.epoch();
        stats.rows_appended = figures.rows_appended.get();
        stats.bytes_appended = figures.bytes_appended.get();
        stats.commits = figures.commits.get();
        stats.syncs = figures.syncs.get();
        stats.sync_micros = figures.sync_micros.get();
        stats.submissions = figures.submissions.get();
        stats.submissions_refused = figures.submissions_refused.get();
        stats.log_bytes_written = figures.log_bytes_written.get();
        stats.tail_bytes = self.core.tail.bytes();
        (stats.queue_bytes, stats.queue_waiting) = self.core.queue.figures();
        stats.free_disk_bytes = figures.free_disk_bytes.get();
        self.core.time.stats(stats);
    }

    /// The error that submissions now get, if the log has failed or is closed.
    pub(crate) fn refusal(&self) -> Option<Error> {
        self.core.queue.refusal()
    }

    /// Writes what is queued and the clean-shutdown record, and stops the threads. Later submissions get `Closed`. An error
    /// if the log had failed: then there is no such record.
    pub(crate) fn close(&self) -> Result<()> {
        self.core.queue.close();
        self.core.pace.end();
        let threads = std::mem::take(&mut *self.threads.lock());
        threads.into_iter().rev().for_each(join);
        match self.core.queue.refusal() {
            Some(error @ Error::LogFailed { .. }) => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the log was not closed cleanly");
        }
    }
}

/// An index file that can't be made right.
fn corrupt_index(log_path: &Path) -> Error {
    Error::Corrupt { path: index_path(log_path), position: 0, message: "the rebuilt index does not check".to_owned() }
}

fn random(seed: Option<u64>) -> Result<u64> {
    if let Some(seed) = seed {
        return Ok(xxhash_rust::xxh3::xxh3_64(&seed.to_le_bytes()));
    }
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| Error::Internal(format!("no random numbers: {error}")))?;
    Ok(u64::from_le_bytes(bytes))
}
