//! The one thread that writes the log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;

use super::apply::Message;
use super::lane::Queued;
use super::plan::Plan;
use super::queue::Taken;
use super::shared::{Sequencing, failed};
use super::space::Space;
use crate::log::journal::{CommitLayout, Journal};
use crate::log::rows::PublishedCommit;
use crate::model::{Lsn, Result};
use crate::platform::{Patience, Stopwatch};
use crate::state::Record;
use crate::state::State;

/// Rows that were acknowledged without a sync are synced when nothing else comes for this long,
const LINGER: Duration = Duration::from_millis(200);
/// and after this long whatever comes.
const LAZIEST: Duration = Duration::from_secs(1);
/// Rows that came beside a crowd of submissions without are followed by none for so many times as long as their commit took. Their producers
/// then take a quarter of the machine and not all of it: half the commits of idle times go through.
const REST: u32 = 3;

pub(super) struct Writer {
    sequencing: Arc<Sequencing>,
    apply: Sender<Message>,
    /// Durable state and every commit under way.
    ahead: State,
    /// A sealed extent whose record is still to be written.
    sealed: Option<Lsn>,
    /// Since when something is written but not synced.
    unsynced: Option<Duration>,
    space: Space,
    /// Taken from the queue, for the next commits.
    backlog: VecDeque<Queued>,
    /// The rows in it came beside a crowd of others.
    crowded: bool,
    /// How long other rows stay in the queue.
    rest: Patience,
}

impl Writer {
    pub(super) fn new(
        sequencing: Arc<Sequencing>,
        apply: Sender<Message>,
        ahead: State,
        sealed: Option<Lsn>,
    ) -> Writer {
        Writer {
            sequencing,
            apply,
            ahead,
            sealed,
            unsynced: None,
            space: Space::default(),
            backlog: VecDeque::new(),
            crowded: false,
            rest: Patience::of(Duration::ZERO),
        }
    }

    /// Runs until the queue is closed and empty, or something fails.
    pub(super) fn run(mut self) {
        if let Err(error) = self.work() {
            self.sequencing.queue.fail(&error);
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
                match self.sequencing.queue.take(self.sequencing.settings.max_commit_bytes, patience, self.rest) {
                    Taken::Work { submissions, crowded } => (self.backlog, self.crowded) = (submissions, crowded),
                    Taken::Idle => {
                        self.sync()?;
                        continue;
                    }
                    Taken::Closed => return self.shut_down(),
                }
            }
            if self.sequencing.pace.is_held() {
                self.sync()?;
                self.sequencing.pace.wait();
            }
            let coming: usize = self.backlog.iter().map(|queued| queued.bytes).sum();
            self.roll_before(coming.min(self.sequencing.settings.max_commit_bytes))?;
            let begun = Stopwatch::start();
            self.commit()?;
            if self.crowded {
                self.rest = Patience::of(begun.elapsed() * REST);
            }
        }
    }

    /// Writes one commit from the front of the backlog.
    fn commit(&mut self) -> Result<()> {
        let mut plan = self.begin()?;
        while let Some(next) = self.backlog.front() {
            if plan.closes_before(next, self.sequencing.settings.max_commit_bytes) {
                break;
            }
            let Some(queued) = self.backlog.pop_front() else { break };
            if queued.submission.has_appends()
                && let Err(full) = self.space.check(&self.sequencing, self.sequencing.clock.monotonic())
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

    /// An empty plan, or one that starts with the record of an extent just sealed.
    fn begin(&mut self) -> Result<Plan> {
        let (next, epoch) = (self.journal().next(), self.journal().identity().epoch);
        // Each commit has an append time of its own: it is an instant.
        let append_us = next.append_us.saturating_add(1).max(self.sequencing.time.now_us());
        let mut plan = Plan::new(next.lsn, append_us, epoch);
        plan.producer_streams = self.sequencing.settings.producer_streams;
        if let Some(first) = self.sealed.take() {
            plan.add_own(Record::Sealed { first }, &mut self.ahead)?;
        }
        Ok(plan)
    }

    /// Writes a plan, syncs it if it must be, and hands it on.
    fn write(&mut self, mut plan: Plan) -> Result<()> {
        self.sequencing.figures.submissions_refused.add(plan.refused);
        if plan.writes_nothing() {
            let answers = plan.finish()?;
            if answers.is_empty() {
                return Ok(());
            }
            return self.hand_on(Message::Commit { published: PublishedCommit::default(), answers });
        }
        let answers = match plan.finish() {
            Ok(answers) => answers,
            Err(error) => {
                let error = failed("encoding", error);
                plan.refuse_all(&error);
                return Err(error);
            }
        };
        let next_lsn = plan.next_lsn();
        match self.persist(plan) {
            Ok(commit) => {
                debug_assert_eq!(self.journal().next().lsn, next_lsn, "the journal goes on where the plan ends");
                self.ahead.end_commit(Lsn(next_lsn.0.saturating_sub(1)));
                self.hand_on(Message::Commit { published: PublishedCommit::new(commit), answers })
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

    fn persist(&mut self, plan: Plan) -> Result<CommitLayout> {
        let (sync, append_us) = (plan.sync, plan.append_us);
        let (next, identity) = (self.journal().next(), self.journal().identity());
        let commit = CommitLayout::new(plan.records, next, append_us, self.sequencing.durable(), identity)
            .map_err(|error| failed("encoding", error))?;
        self.journal().append(&commit).map_err(|error| failed("write", error))?;
        let now = self.sequencing.clock.monotonic();
        let since = *self.unsynced.get_or_insert(now);
        self.space.wrote(commit.length());
        self.sequencing.figures.commits.add(1);
        self.sequencing.figures.log_bytes_written.add(commit.length());
        self.sequencing.figures.bytes_appended.add(commit.row_bytes());
        let each = self.sequencing.pace.syncs_each();
        if sync || each || now.saturating_sub(since) >= LAZIEST {
            self.sync()?;
        }
        Ok(commit)
    }

    fn sync(&mut self) -> Result<()> {
        if self.unsynced.is_none() {
            return Ok(());
        }
        let begun = self.sequencing.clock.monotonic();
        let durable = self.journal().sync().map_err(|error| failed("sync", error))?;
        let took = self.sequencing.clock.monotonic().saturating_sub(begun);
        self.unsynced = None;
        self.sequencing.set_durable(durable);
        self.sequencing.figures.syncs.add(1);
        self.sequencing.figures.sync_micros.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Begins a new extent if the one being written holds something and would grow past its limit.
    fn roll_before(&mut self, coming: usize) -> Result<()> {
        let next = self.journal().next();
        let full = next.position.saturating_add(coming as u64) > self.sequencing.settings.extent_bytes;
        if !full || next.lsn == next.extent {
            return Ok(());
        }
        self.sync()?;
        let (passed, wait) = crossbeam_channel::bounded(1);
        self.hand_on(Message::Barrier(passed))?;
        wait.recv().map_err(|_| failed("apply", "the thread that applies commits has ended"))?;
        let rows = &self.sequencing.rows;
        let rolled = rows.seal(next.lsn).and_then(|()| self.journal().roll());
        rows.begin(rolled.map_err(|error| failed("roll", error))?);
        self.sealed = Some(next.extent);
        self.hand_on(Message::Rolled)
    }

    /// Everything is synced before the record that says so is written.
    fn shut_down(&mut self) -> Result<()> {
        self.sync()?;
        let mut plan = self.begin()?;
        plan.add_own(Record::CleanShutdown, &mut self.ahead)?;
        self.write(plan)
    }

    fn journal(&self) -> &dyn Journal {
        self.sequencing.journal.as_ref()
    }

    fn hand_on(&self, message: Message) -> Result<()> {
        self.apply.send(message).map_err(|_| failed("apply", "the thread that applies commits has ended"))
    }
}
