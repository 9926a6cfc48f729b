//! The thread.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::next::{Due, Look, Next};
use crate::log::Ledger;
use crate::model::{Error, PendingReceipt, Result, TableId};
use crate::platform::join;
use crate::state::{DueKey, DueRecord, Record, RecordContext, Submission};

/// How long the thread waits before it looks at the clock again, which may have been set, and whether the engine is still there.
const LOOK_AROUND: Duration = Duration::from_millis(100);
/// Entries of one submission, and the share of a commit that their payloads may be of: what comes of them can be larger.
const TAKEN: usize = 8_192;
const TAKEN_SHARE: usize = 8;
/// What an entry counts beside its payload.
const ENTRY_BYTES: usize = 128;
/// Submissions that are under way at once.
const UNDER_WAY: usize = 4;
/// After a failure a table waits for this long.
const PAUSE_US: i64 = 1_000_000;

/// Makes of entries whose time has come what comes of them.
pub(crate) trait Acts: Send + Sync + fmt::Debug {
    /// What is to be submitted, all of it for one table. The record that the entries are done with is added to it.
    fn act(&self, table: TableId, due: &[Due]) -> Result<Submission>;
}

/// The due times of one engine.
#[derive(Debug)]
pub(crate) struct DueTimes {
    ledger: Arc<Ledger>,
    acts: Arc<dyn Acts>,
    board: Arc<Board>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Board {
    notes: Mutex<Notes>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Notes {
    next: Next,
    stopping: bool,
    /// The last failure, so that one that repeats is told once.
    failure: Option<String>,
}

/// A submission that is under way.
struct UnderWay {
    table: TableId,
    /// The first of its entries.
    from: DueKey,
    receipt: PendingReceipt,
}

impl DueTimes {
    pub(crate) fn new(ledger: &Arc<Ledger>, acts: Arc<dyn Acts>) -> DueTimes {
        DueTimes { ledger: ledger.clone(), acts, board: Arc::default(), thread: Mutex::default() }
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

    /// Finds each table's first entry.
    fn find_all(&self) -> Result<()> {
        let due = self.ledger.state.read().due();
        let mut from = Some(DueKey::first_at(TableId(0), i64::MIN));
        while let Some(key) = from.map_or(Ok(None), |from| due.next(from))? {
            self.board.notes.lock().next.lower(key.table, Look::at(key));
            from = key.table.0.checked_add(1).map(|next| DueKey::first_at(TableId(next), i64::MIN));
        }
        Ok(())
    }

    /// Takes what is due in one table, one submission of it at most, and says where the table's next entry is.
    fn take(&self, table: TableId, now_us: i64) -> Result<Vec<Due>> {
        let Some(look) = self.board.notes.lock().next.take(table) else { return Ok(Vec::new()) };
        let (mut taken, mut bytes, mut left) = (Vec::new(), 0_usize, None);
        let limit = self.ledger.options.max_commit_bytes / TAKEN_SHARE;
        let reader = self.ledger.state.read().due();
        let scanned = reader.scan(look.from, |key, entry| {
            if key.table != table {
                return Ok(false);
            }
            bytes = bytes.saturating_add(entry.payload.len()).saturating_add(ENTRY_BYTES);
            let full = taken.len() == TAKEN || (bytes > limit && !taken.is_empty());
            if key.at_us > now_us || full {
                left = Some(*key);
                return Ok(false);
            }
            taken.push(Due::new(key, entry));
            Ok(true)
        });
        let mut notes = self.board.notes.lock();
        match (scanned, left) {
            (Err(error), _) => {
                notes.next.lower(table, put_off(look.from, now_us));
                Err(error)
            }
            (Ok(()), Some(left)) => {
                notes.next.lower(table, Look::at(left));
                Ok(taken)
            }
            (Ok(()), None) => Ok(taken),
        }
    }

    fn submit(&self, table: TableId, due: &[Due]) -> Result<PendingReceipt> {
        let mut submission = self.acts.act(table, due)?;
        let done = due.iter().map(|due| due.key).collect();
        submission.records.push(Record::Due(DueRecord { table, set: Vec::new(), done }));
        self.ledger.log.enqueue(submission)?.wait()
    }

    /// Entries that nothing came of are looked for again.
    fn failed(&self, table: TableId, from: DueKey, error: &Error, now_us: i64) {
        let look = match error {
            // Somebody was faster, such as who has recalled a message: the others are taken at once.
            Error::Fenced(_) => Look { from, at_us: now_us },
            _ => put_off(from, now_us),
        };
        self.board.notes.lock().next.lower(table, look);
        if !matches!(error, Error::Fenced(_) | Error::NotFound { .. } | Error::Closed) {
            self.tell(&format!("what is due in table #{} could not be done: {error}", table.0));
        }
    }

    /// A failure that repeats is told once.
    fn tell(&self, failure: &str) {
        let mut notes = self.board.notes.lock();
        if notes.failure.as_deref() != Some(failure) {
            self.ledger.events.push("due_failed", failure.to_owned());
            notes.failure = Some(failure.to_owned());
        }
    }

    /// Does what is due now. Gives what comes next, and when, if anything waits.
    fn work(&self, under_way: &mut VecDeque<UnderWay>) -> Option<(i64, TableId)> {
        loop {
            let now_us = self.ledger.log.time().now_us();
            let (stopping, first) = {
                let notes = self.board.notes.lock();
                (notes.stopping, notes.next.first())
            };
            let is_due = first.filter(|(at_us, _)| *at_us <= now_us && !stopping);
            let Some((_, table)) = is_due else {
                let Some(oldest) = under_way.pop_front() else { return first };
                self.finish(oldest);
                continue;
            };
            let due = match self.take(table, now_us) {
                Ok(due) => due,
                Err(error) => {
                    self.tell(&format!("what is due can't be read: {error}"));
                    continue;
                }
            };
            let Some(from) = due.first().map(|due| due.key) else { continue };
            match self.submit(table, &due) {
                Ok(receipt) => under_way.push_back(UnderWay { table, from, receipt }),
                Err(error) => self.failed(table, from, &error, now_us),
            }
            if under_way.len() >= UNDER_WAY
                && let Some(oldest) = under_way.pop_front()
            {
                self.finish(oldest);
            }
        }
    }

    fn finish(&self, under_way: UnderWay) {
        let UnderWay { table, from, receipt } = under_way;
        match receipt.wait() {
            Ok(_) => self.board.notes.lock().failure = None,
            Err(error) => self.failed(table, from, &error, self.ledger.log.time().now_us()),
        }
    }
}

fn put_off(from: DueKey, now_us: i64) -> Look {
    Look { from, at_us: now_us.saturating_add(PAUSE_US) }
}

fn run(due: &Weak<DueTimes>, board: &Board) {
    // After a panic as well: what was under way may be done or not.
    let mut found = false;
    loop {
        let Some(engine) = due.upgrade() else { return };
        if !found {
            found =
                engine.find_all().map_err(|error| engine.tell(&format!("what is due can't be read: {error}"))).is_ok();
        }
        let first = engine.work(&mut VecDeque::new());
        let left_us = first.map(|(at_us, _)| at_us.saturating_sub(engine.ledger.log.time().now_us()));
        drop(engine);
        let left = left_us.map(|left| Duration::from_micros(u64::try_from(left).unwrap_or(0)));
        let patience = left.map_or(LOOK_AROUND, |left| left.min(LOOK_AROUND));
        let mut notes = board.notes.lock();
        if notes.stopping {
            return;
        }
        if notes.next.first() == first {
            board.changed.wait_for(&mut notes, patience);
        }
    }
}
