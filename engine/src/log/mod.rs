//! The commit log: the one write-ahead log, and what readers take from it. Byte layouts are drawn in `docs/log-format.md`.
//!
//! Three rooms, each knowing only those below it: the sequencer makes commits of submissions, [`rows`] finds rows for readers,
//! and the [`journal`] keeps the bytes. Here they are opened, and joined to one handle for the rest of the engine.

mod journal;
mod ledger;
mod rows;
mod sequencer;
mod state_lock;
#[cfg(test)]
mod tests;
pub(crate) mod time;

use std::path::Path;
use std::sync::Arc;

use self::journal::file::LogDirectory;
use self::journal::{Checkpointed, Journal, LogId, Replay, ReplayedCommit, ReplayedJournal};
use self::rows::{LogRows, Reach, ReplayedEntries};
use self::sequencer::Sequencer;
use crate::log::time::LogTime;
use crate::model::{EngineStats, Error, Lsn, Offset, PartitionId, PendingReceipt, Result, TableId};
use crate::platform::EngineOptions;
use crate::platform::Events;
use crate::platform::Threads;
use crate::platform::disk::RealDisk;
use crate::state::State;
use crate::state::Submission;

pub(crate) use ledger::Ledger;
pub(crate) use rows::ipc::{encode, sliced_bytes};
pub(crate) use rows::{Frame, IndexEntry, LsnPlace, RowKeys};
pub(crate) use sequencer::CommitSink;
pub use sequencer::{Ticket, Tickets};
#[cfg(test)]
pub(crate) use state_lock::STATE_READS;

/// The open log.
#[derive(Debug)]
pub(crate) struct Log {
    sequencer: Sequencer,
    rows: Arc<LogRows>,
    journal: Arc<dyn Journal>,
    time: Arc<LogTime>,
    events: Arc<Events>,
}

impl Log {
    /// Opens the log under `<dir>/log`, creating it if it is not there, and applies to `state`, which is that of the last
    /// checkpoint, every record after it. `Corrupt` where durable records are damaged. The caller holds the lock of the data directory.
    pub(crate) fn open(options: &EngineOptions, events: Arc<Events>, state: &mut State) -> Result<Log> {
        let new_log_id = LogId(random(options.seed)?);
        let (disk, dir) = (options.disk.clone(), options.dir.join("log"));
        let directory = LogDirectory { disk, dir, events: events.clone() };
        Log::replay(options, events, state, |checkpoint, each| directory.replay(new_log_id, checkpoint, each))
    }

    /// Opens the log over any journal: `replay` gives the commits after the checkpoint.
    fn replay<J: ReplayedJournal>(
        options: &EngineOptions,
        events: Arc<Events>,
        state: &mut State,
        replay: impl FnOnce(Checkpointed, &mut Replay<'_>) -> Result<J>,
    ) -> Result<Log> {
        let mut entries = ReplayedEntries::default();
        let checkpoint = Checkpointed { lsn: state.applied(), epoch: state.epoch() };
        let replayed = replay(checkpoint, &mut |replayed| {
            fold(state, replayed)?;
            entries.take_up(replayed);
            Ok(())
        })?;
        let time = Arc::new(LogTime::open(options, events.clone(), replayed.newest_us())?);
        let journal = replayed.begin(time.now_us())?;
        let (disk, dir) = (options.disk.clone(), options.dir.join("log"));
        let rows = LogRows::open(journal.clone(), disk, dir, entries, options.tail_bytes, events.clone())?;
        let rows = Arc::new(rows);
        let sealed = unrecorded_seal(journal.as_ref());
        if let Some(extent) = sealed {
            rows.ensure_index(extent)?;
        }
        let sequencer = Sequencer::new(options, journal.clone(), rows.clone(), time.clone(), sealed, events.clone());
        Ok(Log { sequencer, rows, journal, time, events })
    }

    /// Copies the log into `<dir>/log`, durably, as far as it has been written. Nothing may be trimmed meanwhile.
    pub(crate) fn copy_to(&self, dir: &Path) -> Result<()> {
        copied(dir, &self.events).copy_of(self.journal.as_ref()).map(drop)
    }

    /// Applies to `state`, which is that of a copy's checkpoint, what the copy's log says after it, as an opening would. The log takes
    /// nothing: it is as good as when it was copied.
    pub(crate) fn replay_copy(dir: &Path, events: &Arc<Events>, state: &mut State) -> Result<()> {
        let checkpoint = Checkpointed { lsn: state.applied(), epoch: state.epoch() };
        copied(dir, events).replay(LogId(0), checkpoint, &mut |replayed| fold(state, replayed)).map(drop)
    }

    /// Starts the threads. `ahead` is the writer's copy of the state that [`Log::open`] has brought up to date. After a panic of
    /// one of them the log refuses writes, as after a failed one.
    pub(crate) fn start(&self, ahead: State, sink: Arc<dyn CommitSink>, threads: &Arc<Threads>) -> Result<()> {
        self.sequencer.start(ahead, sink, threads)
    }

    /// Queues a submission for the writer; blocks while the queue is full. One that no commit can hold is refused here. Not
    /// to be called with a lock held, nor in async code.
    pub(crate) fn submit(&self, submission: Submission) -> Result<PendingReceipt> {
        self.enqueue(submission)?.wait()
    }

    /// As [`Self::submit`], without waiting for room: the ticket does.
    pub(crate) fn enqueue(&self, submission: Submission) -> Result<Ticket> {
        self.sequencer.enqueue(submission)
    }

    /// The frame that holds an offset: from the memory tail, else from the log's files. `None` when the log does not hold it
    /// (trimmed, or never written). Only what has been applied is found.
    pub(crate) fn frame_at(
        &self,
        table: TableId,
        partition: PartitionId,
        offset: Offset,
    ) -> Result<Option<Arc<Frame>>> {
        self.rows.frame_at((table, partition), offset)
    }

    /// What the log's index knows of the frame that holds an offset: enough to skip it without reading it.
    pub(crate) fn entry_at(
        &self,
        table: TableId,
        partition: PartitionId,
        offset: Offset,
    ) -> Result<Option<IndexEntry>> {
        self.rows.entry_at((table, partition), offset)
    }

    /// Rows that were read from the log's files since opening.
    pub(crate) fn rows_read(&self) -> u64 {
        self.rows.rows_read()
    }

    /// Which row has an LSN, as far as the log reaches. To be asked only for what has been applied.
    pub(crate) fn row_at(&self, lsn: Lsn) -> Result<LsnPlace> {
        self.rows.row_at(lsn)
    }

    /// Gathers the keys of rows that have been appended since the last time, as far as `applied`.
    pub(crate) fn index_keys(&self, keys: &dyn RowKeys, applied: Lsn) -> Result<()> {
        self.rows.index_keys(keys, Reach { applied, durable: self.durable() })
    }

    /// The rows with a key of a hash, as far as the log has them, newest first, until `each` gives false. Rows of other keys, and of
    /// other tables, are among them; so are rows that are not retained any more.
    pub(crate) fn with_key(
        &self,
        keys: &dyn RowKeys,
        applied: Lsn,
        hash: u32,
        each: &mut dyn FnMut(PartitionId, Offset) -> Result<bool>,
    ) -> Result<()> {
        self.rows.with_key(keys, Reach { applied, durable: self.durable() }, hash, each)
    }

    /// As [`Self::frame_at`], of the memory tail alone.
    pub(crate) fn tail_frame_at(&self, table: TableId, partition: PartitionId, offset: Offset) -> Option<Arc<Frame>> {
        self.rows.tail_frame_at((table, partition), offset)
    }

    /// Whether [`Self::trim`] would delete a file.
    pub(crate) fn can_trim(&self, keep_from: Lsn) -> bool {
        self.files().get(1).is_some_and(|(first, _)| *first <= keep_from)
    }

    /// Bytes of the log's files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files().iter().map(|(_, bytes)| bytes).sum()
    }

    /// What append times are taken from.
    pub(crate) fn time(&self) -> &LogTime {
        &self.time
    }

    /// The highest durable LSN.
    pub(crate) fn durable(&self) -> Lsn {
        self.sequencer.durable()
    }

    /// Has every commit synced while a checkpoint is wanted: none is taken of what is not durable.
    pub(crate) fn sync_each(&self, each: bool) {
        self.sequencer.sync_each(each);
    }

    /// Holds commits back, or lets them go on. What was written before is synced. Never for long, nor while the log closes.
    pub(crate) fn hold(&self, held: bool) {
        self.sequencer.hold(held);
    }

    /// The epoch of this opening.
    pub(crate) fn epoch(&self) -> u64 {
        self.journal.identity().epoch
    }

    /// The first LSN of every file, oldest first, and its bytes. The last one is being written.
    pub(crate) fn files(&self) -> Vec<(Lsn, u64)> {
        self.journal.extents().iter().map(|extent| (extent.first(), extent.bytes())).collect()
    }

    /// Deletes the files that hold nothing at or above `keep_from`. Only after a checkpoint that covers them.
    pub(crate) fn trim(&self, keep_from: Lsn) -> Result<()> {
        self.rows.trim(keep_from)
    }

    /// Fills in the log's figures.
    pub(crate) fn stats(&self, stats: &mut EngineStats) {
        self.sequencer.stats(stats);
        let files = self.files();
        (stats.log_files, stats.log_bytes) = (files.len() as u64, files.iter().map(|(_, bytes)| bytes).sum());
        stats.epoch = self.epoch();
        stats.tail_bytes = self.rows.tail_bytes();
        self.time.stats(stats);
    }

    /// The error that submissions now get, if the log has failed or is closed.
    pub(crate) fn refusal(&self) -> Option<Error> {
        self.sequencer.refusal()
    }

    /// Writes what is queued and the clean-shutdown record, and stops the threads. Later submissions get `Closed`. An error
    /// if the log had failed: then there is no such record.
    pub(crate) fn close(&self) -> Result<()> {
        self.sequencer.close()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the log was not closed cleanly");
        }
    }
}

/// Applies a commit that is read at opening.
fn fold(state: &mut State, replayed: &ReplayedCommit<'_>) -> Result<()> {
    for (context, record) in replayed.commit.records() {
        if let Some(what) = state.contradiction(context, record) {
            return Err(replayed.extent.corrupt(replayed.position, &what));
        }
        state.apply(context, record)?;
    }
    Ok(())
}

/// The log files of a copy, which lie on the machine's disk as the state store does.
fn copied(dir: &Path, events: &Arc<Events>) -> LogDirectory {
    LogDirectory { disk: Arc::new(RealDisk), dir: dir.join("log"), events: events.clone() }
}

/// The extent before the last one, if nothing has been written to that: whoever sealed it could not record it any more.
fn unrecorded_seal(journal: &dyn Journal) -> Option<Lsn> {
    let next = journal.next();
    let sealed = journal.extents().into_iter().rev().nth(1)?;
    (next.lsn == next.extent).then(|| sealed.first())
}

pub(crate) fn random(seed: Option<u64>) -> Result<u64> {
    if let Some(seed) = seed {
        return Ok(xxhash_rust::xxh3::xxh3_64(&seed.to_le_bytes()));
    }
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| Error::Internal(format!("no random numbers: {error}")))?;
    Ok(u64::from_le_bytes(bytes))
}
