//! What others hold of the due times.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::claims::Claims;
use super::next::{Due, Look, Next};
use super::thread::run;
use crate::log::Ledger;
use crate::model::{Error, PendingReceipt, Receipt, Result, TableId};
use crate::platform::{Patience, join};
use crate::state::{DueKey, DueRecord, DueWhat, Record, RecordContext, Submission};

/// How long one waits for what comes of an entry.
const UNTIL_RELEASED: Duration = Duration::from_secs(5);

/// Makes of entries whose time has come what comes of them.
pub(crate) trait Acts: Send + Sync + fmt::Debug {
    /// What is to be submitted, all of it for one table. The record that the entries are done with is added to it.
    fn act(&self, table: TableId, due: &[Due]) -> Result<Submission>;

    /// Told once that is durable and applied.
    fn acted(&self, table: TableId, due: &[Due]);

    /// Whether somebody else does what is due of this kind in the table, who is told with [`Self::left`].
    fn leaves(&self, _table: TableId, _what: DueWhat) -> bool {
        false
    }

    /// There is something due that was left to somebody else, from this entry on.
    fn left(&self, _from: DueKey) {}
}

/// The due times of one engine.
#[derive(Debug)]
pub(crate) struct DueTimes {
    pub(super) ledger: Arc<Ledger>,
    pub(super) acts: Arc<dyn Acts>,
    pub(super) board: Arc<Board>,
    /// The thread's, which may be begun again.
    pub(super) under_way: Mutex<VecDeque<UnderWay>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
pub(super) struct Board {
    pub notes: Mutex<Notes>,
    pub changed: Condvar,
    /// Somebody is no longer at an entry.
    pub released: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct Notes {
    pub next: Next,
    pub claims: Claims,
    pub stopping: bool,
    /// The last failure, so that one that repeats is told once.
    pub failure: Option<String>,
}

/// A submission that is under way.
#[derive(Debug)]
pub(super) struct UnderWay {
    pub table: TableId,
    /// Its entries, in order.
    pub due: Vec<Due>,
    pub receipt: PendingReceipt,
}

impl DueTimes {
    pub(crate) fn new(ledger: &Arc<Ledger>, acts: Arc<dyn Acts>) -> DueTimes {
        DueTimes {
            ledger: ledger.clone(),
            acts,
            board: Arc::default(),
            under_way: Mutex::default(),
            thread: Mutex::default(),
        }
    }

    /// Starts the thread. It holds no reference to the engine while it sleeps.
    pub(crate) fn start(self: &Arc<Self>) -> Result<()> {
        let (weak, board) = (Arc::downgrade(self), self.board.clone());
        let thread = self.ledger.threads.start_again("due", move || run(&weak, &board))?;
        *self.thread.lock() = Some(thread);
        Ok(())
    }

    /// Stops the thread and waits for it. What it has submitted is still carried out.
    pub(crate) fn stop(&self) {
        self.board.notes.lock().stopping = true;
        self.board.changed.notify_all();
        if let Some(thread) = self.thread.lock().take() {
            join(thread);
        }
    }

    /// Called with every durable commit, after the state has it. Never waits.
    pub(crate) fn applied(&self, records: &[(RecordContext, Record)]) {
        let mut told = false;
        for (context, record) in records {
            let Some(from) = record.first_due(context.lsn) else { continue };
            let mut notes = self.board.notes.lock();
            let before = notes.next.first();
            notes.next.lower(from.table, Look::at(from));
            told |= notes.next.first() != before;
        }
        if told {
            self.board.changed.notify_all();
        }
    }

    /// Does something about an entry before its time: what `with` gives is submitted, with the record that the entry is done with if it
    /// is one of the state's. While somebody else is at the entry, this waits for what comes of that; `with` is called when nobody is.
    pub(crate) fn settle(
        &self,
        key: DueKey,
        what: Option<DueWhat>,
        with: impl FnOnce() -> Result<Option<Submission>>,
    ) -> Result<Option<Receipt>> {
        self.claim(key)?;
        let settled = self.settle_claimed(key, what, with);
        let mut notes = self.board.notes.lock();
        notes.claims.release(&key);
        notes.claims.note_removal();
        self.board.released.notify_all();
        if settled.is_err() && what.is_some() {
            // The thread may have passed it by meanwhile.
            notes.next.lower(key.table, Look::at(key));
            self.board.changed.notify_all();
        }
        settled
    }

    /// Entries of one kind in a table that are due, from one on, `most` of them at most. `true`: there may be more.
    pub(crate) fn due_of(&self, what: DueWhat, from: DueKey, most: usize) -> Result<(Vec<DueKey>, bool)> {
        let now_us = self.ledger.log.time().now_us();
        let reader = self.ledger.state.read().due();
        let (mut keys, mut more) = (Vec::new(), false);
        reader.scan(from, |key, entry| {
            if key.table != from.table || key.at_us > now_us {
                return Ok(false);
            }
            more = keys.len() == most;
            if entry.what == what && !more {
                keys.push(*key);
            }
            Ok(!more)
        })?;
        Ok((keys, more))
    }

    /// As [`Self::settle`], for those of many entries of one kind and table that nobody is at: `with` is called with these. Waits
    /// for nobody.
    pub(crate) fn settle_free(
        &self,
        what: DueWhat,
        keys: impl IntoIterator<Item = DueKey>,
        with: impl FnOnce(&[DueKey]) -> Result<Option<(Submission, Vec<DueKey>)>>,
    ) -> Result<Option<Receipt>> {
        let claimed: Vec<DueKey> = {
            let mut notes = self.board.notes.lock();
            keys.into_iter().filter(|key| notes.claims.claim(*key)).collect()
        };
        let settled = self.settle_all(what, &claimed, with);
        let mut notes = self.board.notes.lock();
        claimed.iter().for_each(|key| notes.claims.release(key));
        notes.claims.note_removal();
        self.board.released.notify_all();
        if let (Err(_), Some(first)) = (&settled, claimed.iter().min()) {
            notes.next.lower(first.table, Look::at(*first));
            self.board.changed.notify_all();
        }
        settled
    }

    fn settle_all(
        &self,
        what: DueWhat,
        claimed: &[DueKey],
        with: impl FnOnce(&[DueKey]) -> Result<Option<(Submission, Vec<DueKey>)>>,
    ) -> Result<Option<Receipt>> {
        let Some((mut submission, done)) = with(claimed)? else { return Ok(None) };
        let Some(table) = done.first().map(|key| key.table) else { return Ok(None) };
        let done = done.into_iter().map(|key| (what, key)).collect();
        submission.records.push(Record::from(DueRecord { table, set: Vec::new(), done }));
        self.ledger.log.enqueue(submission)?.wait()?.wait().map(Some)
    }

    fn claim(&self, key: DueKey) -> Result<()> {
        let patience = Patience::of(UNTIL_RELEASED);
        let mut notes = self.board.notes.lock();
        while !notes.claims.claim(key) {
            if patience.is_over() {
                return Err(Error::Busy("its time has come, and it is not known yet what came of it".to_owned()));
            }
            self.board.released.wait_for(&mut notes, patience.left());
        }
        Ok(())
    }

    fn settle_claimed(
        &self,
        key: DueKey,
        what: Option<DueWhat>,
        with: impl FnOnce() -> Result<Option<Submission>>,
    ) -> Result<Option<Receipt>> {
        let Some(mut submission) = with()? else { return Ok(None) };
        let done = what.map(|what| DueRecord { table: key.table, set: Vec::new(), done: vec![(what, key)] });
        submission.records.extend(done.map(Record::from));
        self.ledger.log.enqueue(submission)?.wait()?.wait().map(Some)
    }

    /// A failure that repeats is told once.
    pub(super) fn tell(&self, failure: &str) {
        let mut notes = self.board.notes.lock();
        if notes.failure.as_deref() != Some(failure) {
            self.ledger.events.push("due_failed", failure.to_owned());
            notes.failure = Some(failure.to_owned());
        }
    }
}
