//! The sequencer: takes submissions, admits them one after the other, gives them offsets and LSNs, and makes commits of them.
//!
//! Submitters queue; one writer thread admits, numbers, appends to the journal and syncs it; one apply thread makes commits
//! visible and answers, while the writer is at the next commit. What is admitted is the business of the state's families, and
//! where bytes lie that of the journal.

mod apply;
mod estimate;
mod figures;
mod joining;
mod lane;
mod pace;
mod plan;
mod queue;
mod shared;
mod sink;
mod space;
mod ticket;
mod writer;

use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;

use self::shared::{Sequencing, failed};
use self::writer::Writer;
use super::journal::Journal;
use super::rows::LogRows;
use super::time::LogTime;
use crate::model::{EngineStats, Error, Lsn, Result};
use crate::platform::{EngineOptions, Events, Threads, join};
use crate::state::{State, Submission};

#[cfg(test)]
pub(super) use estimate::estimated_bytes;
#[cfg(test)]
pub(super) use lane::Queued;
#[cfg(test)]
pub(super) use plan::Plan;
pub(crate) use sink::CommitSink;
pub use ticket::{Ticket, Tickets};

/// Commits that may wait for the apply thread before the writer does.
const COMMITS_UNAPPLIED: usize = 4;

#[derive(Debug)]
pub(super) struct Sequencer {
    sequencing: Arc<Sequencing>,
    events: Arc<Events>,
    /// What the writer starts with; taken by [`Sequencer::start`].
    start: Mutex<Option<WriterStart>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug)]
struct WriterStart {
    /// A sealed extent whose record is still to be written.
    sealed: Option<Lsn>,
}

impl Sequencer {
    pub(super) fn new(
        options: &EngineOptions,
        journal: Arc<dyn Journal>,
        rows: Arc<LogRows>,
        time: Arc<LogTime>,
        sealed: Option<Lsn>,
        events: Arc<Events>,
    ) -> Sequencer {
        let sequencing = Arc::new(Sequencing::new(options, journal, rows, time));
        Sequencer { sequencing, events, start: Mutex::new(Some(WriterStart { sealed })), threads: Mutex::default() }
    }

    /// Starts the threads. `ahead` is the writer's copy of the state that the log was replayed into. Neither is begun
    /// again after a panic: what the writer has in hand may lie in the journal, and what the applier has in hand may be half
    /// applied. The log then refuses writes, as after a failed one.
    pub(super) fn start(&self, ahead: State, sink: Arc<dyn CommitSink>, threads: &Arc<Threads>) -> Result<()> {
        let Some(WriterStart { sealed }) = self.start.lock().take() else { return Ok(()) };
        let (sender, messages) = crossbeam_channel::bounded(COMMITS_UNAPPLIED);
        let writer = Writer::new(self.sequencing.clone(), sender, ahead, sealed);
        let (sequencing, events) = (self.sequencing.clone(), self.events.clone());
        let refuse = |operation: &'static str| {
            let sequencing = self.sequencing.clone();
            move |reason: &str| {
                sequencing.queue.fail(&failed(operation, format!("its thread has panicked: {reason}")));
            }
        };
        // Held until the log refuses, so that the writer does not find the channel closed before and say so instead.
        let (received, refuse_applied) = (messages.clone(), refuse("apply"));
        let applier = threads.start_once(
            "log-apply",
            move || apply::run(&sequencing, &events, sink.as_ref(), &messages),
            move |reason| {
                refuse_applied(reason);
                drop(received);
            },
        );
        self.threads.lock().push(applier?);
        self.threads.lock().push(threads.start_once("log-writer", move || writer.run(), refuse("write"))?);
        Ok(())
    }

    /// Queues a submission for the writer. Waits for nothing: the ticket does. One that no commit can hold is refused here.
    pub(super) fn enqueue(&self, submission: Submission) -> Result<Ticket> {
        let size = estimate::estimated_bytes(&submission)?;
        let limit = self.sequencing.settings.max_commit_bytes;
        if size > limit {
            return Err(Error::TooLarge {
                what: "the submission",
                size: size as u64,
                limit: limit as u64,
                hint: "send it as several",
            });
        }
        self.sequencing.queue.push(submission, size)
    }

    /// The highest durable LSN.
    pub(super) fn durable(&self) -> Lsn {
        self.sequencing.durable()
    }

    /// Has every commit synced, or those only that ask for it.
    pub(super) fn sync_each(&self, each: bool) {
        self.sequencing.pace.sync_each(each);
    }

    /// Holds commits back, or lets them go on.
    pub(super) fn hold(&self, held: bool) {
        self.sequencing.pace.hold(held);
    }

    /// Waits until the writer waits; false if it does not.
    #[cfg(test)]
    pub(super) fn until_waits(&self) -> bool {
        self.sequencing.pace.until_waits()
    }

    /// The error that submissions now get, if the log has failed or is closed.
    pub(super) fn refusal(&self) -> Option<Error> {
        self.sequencing.queue.refusal()
    }

    /// Fills in the figures of writing.
    pub(super) fn stats(&self, stats: &mut EngineStats) {
        let figures = &self.sequencing.figures;
        stats.durable_lsn = self.durable();
        stats.rows_appended = figures.rows_appended.get();
        stats.bytes_appended = figures.bytes_appended.get();
        stats.commits = figures.commits.get();
        stats.syncs = figures.syncs.get();
        stats.sync_micros = figures.sync_micros.get();
        stats.submissions = figures.submissions.get();
        stats.submissions_refused = figures.submissions_refused.get();
        stats.log_bytes_written = figures.log_bytes_written.get();
        (stats.queue_bytes, stats.queue_waiting) = self.sequencing.queue.figures();
        stats.free_disk_bytes = figures.free_disk_bytes.get();
    }

    /// Writes what is queued and the clean-shutdown record, and stops the threads. Later submissions get `Closed`. An error
    /// if the log had failed: then there is no such record.
    pub(super) fn close(&self) -> Result<()> {
        self.sequencing.queue.close();
        self.sequencing.pace.end();
        let threads = std::mem::take(&mut *self.threads.lock());
        threads.into_iter().rev().for_each(join);
        match self.sequencing.queue.refusal() {
            Some(error @ Error::LogFailed { .. }) => Err(error),
            _ => Ok(()),
        }
    }
}
