//! The thread.

use std::sync::Weak;
use std::time::Duration;

use super::next::{Due, Look};
use super::times::{Board, DueTimes, UnderWay};
use crate::model::{Error, PendingReceipt, Result, TableId};
use crate::state::{DueKey, DueReader, DueRecord, DueWhat, Record};

/// How long the thread waits before it looks at the clock again, which may have been set, and whether the engine is still there.
const LOOK_AROUND: Duration = Duration::from_millis(100);
/// Entries of one submission, and the share of a commit that their payloads may be of: what comes of them can be larger.
const TAKEN: usize = 2_048;
const TAKEN_SHARE: usize = 8;
/// Entries that are left to somebody else and passed by in one go.
const PASSED: usize = 65_536;
/// What an entry counts beside its payload.
const ENTRY_BYTES: usize = 128;
/// Submissions that are under way at once.
const UNDER_WAY: usize = 4;
/// After a failure a table waits for this long.
const PAUSE_US: i64 = 1_000_000;

impl DueTimes {
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

    /// Claims what is due in one table, for one submission at most, and says where the table's next entry is.
    fn take(&self, table: TableId, now_us: i64) -> Result<Vec<Due>> {
        let (look, removed) = {
            let mut notes = self.board.notes.lock();
            (notes.next.take(table), notes.claims.removed())
        };
        let Some(look) = look else { return Ok(Vec::new()) };
        let (mut taken, mut bytes, mut left) = (Vec::new(), 0_usize, None);
        // Asked after the table was taken out: once that changes, the table is put in again.
        let kinds = [DueWhat::Message, DueWhat::Check].into_iter();
        let left_out: Vec<DueWhat> = kinds.filter(|what| self.acts.leaves(table, *what)).collect();
        let (mut first_passed, mut passed) = (None, 0_usize);
        let limit = self.ledger.options.max_commit_bytes / TAKEN_SHARE;
        let reader = self.ledger.state.read().due();
        let scanned = reader.scan(look.from, |key, entry| {
            if key.table != table {
                return Ok(false);
            }
            let leaves = left_out.contains(&entry.what);
            if !leaves {
                bytes = bytes.saturating_add(entry.payload.len()).saturating_add(ENTRY_BYTES);
            }
            let full = taken.len() == TAKEN || (bytes > limit && !taken.is_empty()) || passed == PASSED;
            if key.at_us > now_us || full {
                left = Some(*key);
                return Ok(false);
            }
            if leaves {
                first_passed.get_or_insert(*key);
                passed += 1;
                return Ok(true);
            }
            if self.board.notes.lock().claims.claim(*key) {
                taken.push(Due::new(key, entry));
            }
            Ok(true)
        });
        let checked = scanned.and_then(|()| self.still_there(&reader, &mut taken, removed));
        let mut notes = self.board.notes.lock();
        if let Err(error) = checked {
            taken.iter().for_each(|due| notes.claims.release(&due.key));
            notes.next.lower(table, put_off(look.from, now_us));
            return Err(error);
        }
        if let Some(left) = left {
            notes.next.lower(table, Look::at(left));
        }
        drop(notes);
        if let Some(passed) = first_passed {
            self.acts.left(passed);
        }
        Ok(taken)
    }

    /// Lets go of what somebody removed between its being read and claimed.
    fn still_there(&self, reader: &DueReader, taken: &mut Vec<Due>, removed: u64) -> Result<()> {
        if self.board.notes.lock().claims.removed() == removed {
            return Ok(());
        }
        let mut kept = Vec::with_capacity(taken.len());
        for due in taken.drain(..) {
            match reader.contains(&due.key)? {
                true => kept.push(due),
                false => self.board.notes.lock().claims.release(&due.key),
            }
        }
        *taken = kept;
        Ok(())
    }

    fn submit(&self, table: TableId, due: &[Due]) -> Result<PendingReceipt> {
        let mut submission = self.acts.act(table, due)?;
        let done = due.iter().map(|due| (due.what, due.key)).collect();
        submission.records.push(Record::Due(DueRecord { table, set: Vec::new(), done }));
        self.ledger.log.enqueue(submission)?.wait()
    }

    /// Entries that nothing came of are looked for again.
    fn failed(&self, table: TableId, due: &[Due], error: &Error) {
        let now_us = self.ledger.log.time().now_us();
        self.release(due);
        if let Some(first) = due.first() {
            self.board.notes.lock().next.lower(table, put_off(first.key, now_us));
        }
        if !matches!(error, Error::NotFound { .. } | Error::Closed) {
            self.tell(&format!("what is due in table #{} could not be done: {error}", table.0));
        }
    }

    /// Does what is due now. Gives what comes next, and when, if anything waits.
    fn work(&self) -> Option<(i64, TableId)> {
        loop {
            let now_us = self.ledger.log.time().now_us();
            let (stopping, first) = {
                let notes = self.board.notes.lock();
                (notes.stopping, notes.next.first())
            };
            let is_due = first.filter(|(at_us, _)| *at_us <= now_us && !stopping);
            let Some((_, table)) = is_due else {
                if !self.finish_oldest() {
                    return first;
                }
                continue;
            };
            let due = match self.take(table, now_us) {
                Ok(due) => due,
                Err(error) => {
                    self.tell(&format!("what is due can't be read: {error}"));
                    continue;
                }
            };
            if due.is_empty() {
                continue;
            }
            match self.submit(table, &due) {
                Ok(receipt) => self.under_way.lock().push_back(UnderWay { table, due, receipt }),
                Err(error) => self.failed(table, &due, &error),
            }
            if self.under_way.lock().len() >= UNDER_WAY {
                self.finish_oldest();
            }
        }
    }

    /// Waits for the submission that has been under way for longest. `false`: there is none.
    fn finish_oldest(&self) -> bool {
        let oldest = self.under_way.lock().pop_front();
        let Some(UnderWay { table, due, receipt }) = oldest else { return false };
        match receipt.wait() {
            Ok(_) => {
                self.release(&due);
                self.board.notes.lock().failure = None;
                self.acts.acted(table, &due);
            }
            Err(error) => self.failed(table, &due, &error),
        }
        true
    }

    fn release(&self, due: &[Due]) {
        let mut notes = self.board.notes.lock();
        due.iter().for_each(|due| notes.claims.release(&due.key));
        self.board.released.notify_all();
    }
}

fn put_off(from: DueKey, now_us: i64) -> Look {
    Look { from, at_us: now_us.saturating_add(PAUSE_US) }
}

pub(super) fn run(due: &Weak<DueTimes>, board: &Board) {
    // Also after a panic. What the thread had in hand then stays claimed until the store is opened again: whether it was
    // submitted is not known.
    let mut found = false;
    loop {
        let Some(engine) = due.upgrade() else { return };
        if !found {
            found =
                engine.find_all().map_err(|error| engine.tell(&format!("what is due can't be read: {error}"))).is_ok();
        }
        let first = engine.work();
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
