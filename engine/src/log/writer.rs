//! The one thread that writes the log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::Sender;

use super::apply::Message;
use super::core::{Core, failed};
use super::create::create_file;
use super::files::LogFile;
use super::format::FILE_HEADER_LEN;
use super::lane::Queued;
use super::layout::Layout;
use super::plan::Plan;
use super::queue::Taken;
use super::space::Space;
use crate::model::{Lsn, Result};
use crate::state::Record;
use crate::state::State;

/// Rows that were acknowledged without a sync are synced when nothing else comes for this long,
const LINGER: Duration = Duration::from_millis(200);
/// and after this long whatever comes.
const LAZIEST: Duration = Duration::from_secs(1);

/// Where the log ends.
#[derive(Debug)]
pub(super) struct End {
    pub active: Arc<LogFile>,
    /// Where the next commit goes.
    pub position: u64,
    pub next_lsn: Lsn,
    /// Append time of the last commit.
    pub append_us: i64,
    /// A sealed file whose record is still to be written.
    pub sealed: Option<Lsn>,
}

pub(super) struct Writer {
    core: Arc<Core>,
    apply: Sender<Message>,
    /// Durable state and every commit under way.
    ahead: State,
    end: End,
    /// Since when something is written but not synced.
    unsynced: Option<Duration>,
    space: Space,
    /// Taken from the queue, for the next commits.
    backlog: VecDeque<Queued>,
}

impl Writer {
    pub(super) fn new(core: Arc<Core>, apply: Sender<Message>, ahead: State, end: End) -> Writer {
        Writer { core, apply, ahead, end, unsynced: None, space: Space::default(), backlog: VecDeque::new() }
    }

    /// Runs until the queue is closed and empty, or something fails.
    pub(super) fn run(mut self) {
        if let Err(error) = self.work() {
            self.core.queue.fail(&error);
            for queued in self.backlog.drain(..) {
                // Whoever has stopped waiting needs no answer.
                let _ = queued.answer.send(Err(error.clone()));
            }
        }
    }

    fn work(&mut self) -> Result<()> {
        loop {
            if self.backlog.is_empty() {
                let patience = self.unsynced.map(|_| LINGER);
                match self.core.queue.take(self.core.settings.max_commit_bytes, patience) {
                    Taken::Work(work) => self.backlog = work,
                    Taken::Idle => {
                        self.sync()?;
                        continue;
                    }
                    Taken::Closed => return self.shut_down(),
                }
            }
            if self.core.pace.is_held() {
                self.sync()?;
                self.core.pace.wait();
            }
            let coming: usize = self.backlog.iter().map(|queued| queued.bytes).sum();
            self.roll_before(coming.min(self.core.settings.max_commit_bytes))?;
            self.commit()?;
        }
    }

    /// Writes one commit from the front of the backlog.
    fn commit(&mut self) -> Result<()> {
        let mut plan = self.begin()?;
        while let Some(next) = self.backlog.front() {
            if plan.closes_before(next, self.core.settings.max_commit_bytes) {
                break;
            }
            let Some(queued) = self.backlog.pop_front() else { break };
            if !queued.submission.rows.is_empty()
                && let Err(full) = self.space.check(&self.core, self.core.clock.monotonic())
            {
                plan.refused += 1;
                let _ = queued.answer.send(Err(full));
                continue;
            }
            if let Err(error) = plan.add(queued, &mut self.ahead) {
                let error = failed("encoding", error);
                plan.refuse_all(&error);
                return Err(error);
            }
        }
        self.write(plan)
    }

    /// An empty plan, or one that starts with the record of a file just sealed.
    fn begin(&mut self) -> Result<Plan> {
        let append_us = self.end.append_us.max(self.core.time.now_us());
        let mut plan = Plan::new(self.end.next_lsn, append_us, self.core.epoch);
        plan.producer_streams = self.core.settings.producer_streams;
        if let Some(first) = self.end.sealed.take() {
            plan.add_own(Record::Sealed { first }, &mut self.ahead)?;
        }
        Ok(plan)
    }

    /// Writes a plan, syncs it if it must be, and hands it on.
    fn write(&mut self, mut plan: Plan) -> Result<()> {
        self.core.figures.submissions_refused.add(plan.refused);
        if plan.writes_nothing() {
            let answers = plan.finish()?;
            if answers.is_empty() {
                return Ok(());
            }
            let file = self.end.active.clone();
            return self.hand_on(Message::Commit { published: Default::default(), file, answers });
        }
        let first_lsn = self.end.next_lsn;
        let answers = match plan.finish() {
            Ok(answers) => answers,
            Err(error) => {
                let error = failed("encoding", error);
                plan.refuse_all(&error);
                return Err(error);
            }
        };
        let (append_us, next_lsn) = (plan.append_us, plan.next_lsn());
        match self.persist(plan, first_lsn, next_lsn) {
            Ok(layout) => {
                let published = layout.publish(append_us, self.core.epoch);
                self.ahead.end_commit(Lsn(next_lsn.0.saturating_sub(1)));
                self.hand_on(Message::Commit { published, file: self.end.active.clone(), answers })
            }
            Err(error) => {
                for answer in answers {
                    // Whoever has stopped waiting needs no answer.
                    let _ = answer.sender.send(Err(error.clone()));
                }
                Err(error)
            }
        }
    }

    fn persist(&mut self, plan: Plan, first_lsn: Lsn, next_lsn: Lsn) -> Result<Layout> {
        let (sync, append_us) = (plan.sync, plan.append_us);
        let log_id = self.core.files.log_id();
        let layout = Layout::new(plan, first_lsn, self.end.position, self.core.durable(), log_id)
            .map_err(|error| failed("encoding", error))?;
        let file = &self.end.active;
        file.file.write_at(&layout.slices(), self.end.position).map_err(|error| failed("write", error))?;
        self.end.position += layout.length;
        self.end.next_lsn = next_lsn;
        self.end.append_us = append_us;
        file.len.store(self.end.position, Ordering::Relaxed);
        let now = self.core.clock.monotonic();
        let since = *self.unsynced.get_or_insert(now);
        self.space.wrote(layout.length);
        self.core.figures.commits.add(1);
        self.core.figures.log_bytes_written.add(layout.length);
        self.core.figures.bytes_appended.add(layout.row_bytes());
        let each = self.core.pace.syncs_each();
        if sync || each || now.saturating_sub(since) >= LAZIEST {
            self.sync()?;
        }
        Ok(layout)
    }

    fn sync(&mut self) -> Result<()> {
        if self.unsynced.is_none() {
            return Ok(());
        }
        let begun = self.core.clock.monotonic();
        self.end.active.file.sync().map_err(|error| failed("sync", error))?;
        let took = self.core.clock.monotonic().saturating_sub(begun);
        self.unsynced = None;
        self.core.set_durable(Lsn(self.end.next_lsn.0.saturating_sub(1)));
        self.core.figures.syncs.add(1);
        self.core.figures.sync_micros.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Begins a new file if the active one holds something and would grow past its limit.
    fn roll_before(&mut self, coming: usize) -> Result<()> {
        let full = self.end.position.saturating_add(coming as u64) > self.core.settings.log_file_bytes;
        if !full || self.end.next_lsn == self.end.active.first {
            return Ok(());
        }
        self.sync()?;
        let (passed, wait) = crossbeam_channel::bounded(1);
        self.hand_on(Message::Barrier(passed))?;
        wait.recv().map_err(|_| failed("apply", "the thread that applies commits has ended"))?;
        let (files, sealed) = (&self.core.files, self.end.active.clone());
        let rolled = sealed.seal(files.disk().as_ref(), files.log_id(), self.end.next_lsn).and_then(|()| {
            create_file(
                files.disk().as_ref(),
                files.dir(),
                files.log_id(),
                self.end.next_lsn,
                self.core.epoch,
                self.end.append_us,
            )
        });
        let active = Arc::new(rolled.map_err(|error| failed("roll", error))?);
        files.push(active.clone());
        self.end.active = active;
        self.end.position = FILE_HEADER_LEN as u64;
        self.end.sealed = Some(sealed.first);
        self.hand_on(Message::Rolled)
    }

    /// Everything is synced before the record that says so is written.
    fn shut_down(&mut self) -> Result<()> {
        self.sync()?;
        let mut plan = self.begin()?;
        plan.add_own(Record::CleanShutdown, &mut self.ahead)?;
        self.write(plan)
    }

    fn hand_on(&self, message: Message) -> Result<()> {
        self.apply.send(message).map_err(|_| failed("apply", "the thread that applies commits has ended"))
    }
}
