//! What others hold of the due times.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use super::claims::Claims;
use super::next::{Due, Look, Next};
use super::thread::run;
use crate::log::Ledger;
use crate::model::{Durability, Error, PendingReceipt, Result, TableId};
use crate::platform::join;
use crate::state::{DueKey, DueRecord, Record, RecordContext, Submission};

/// Makes of entries whose time has come what comes of them.
pub(crate) trait Acts: Send + Sync + fmt::Debug {
    /// What is to be submitted, all of it for one table. The record that the entries are done with is added to it.
    fn act(&self, table: TableId, due: &[Due]) -> Result<Submission>;
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
    /// Of its entries, in order.
    pub keys: Vec<DueKey>,
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
            let Record::Due(due) = record else { continue };
            let Some(at_us) = due.set.iter().map(|(at_us, _)| *at_us).min() else { continue };
            let from = DueKey { lsn: context.lsn, ..DueKey::first_at(due.table, at_us) };
            let mut notes = self.board.notes.lock();
            let before = notes.next.first();
            notes.next.lower(due.table, Look::at(from));
            told |= notes.next.first() != before;
        }
        if told {
            self.board.changed.notify_all();
        }
    }

    /// Does away with an entry before its time. `false`: it is not there any more. `Busy` while it is being done.
    pub(crate) fn remove(&self, key: DueKey, durability: Durability) -> Result<bool> {
        if !self.board.notes.lock().claims.claim(key) {
            return Err(Error::Busy("its time has come, and it is not known yet what came of it".to_owned()));
        }
        let removed = self.remove_claimed(key, durability);
        let mut notes = self.board.notes.lock();
        notes.claims.release(&key);
        notes.claims.note_removal();
        removed
    }

    fn remove_claimed(&self, key: DueKey, durability: Durability) -> Result<bool> {
        let reader = self.ledger.state.read().due();
        if !reader.contains(&key)? {
            return Ok(false);
        }
        let record = DueRecord { table: key.table, set: Vec::new(), done: vec![key] };
        let submission = Submission { durability, ..Submission::of([record]) };
        self.ledger.log.enqueue(submission)?.wait()?.wait()?;
        Ok(true)
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
