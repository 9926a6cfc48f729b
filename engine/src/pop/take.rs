//! Messages are taken: first those whose time is over, then new ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::order::Order;
use super::pending::{PendingPop, PopOutcome};
use super::rows::{PartitionRows, group_hashes, joined, taken};
use super::taking::{Taken, Taking};
use super::{Pop, SPAN, check_messages};
use crate::cursor::ScannedBatch;
use crate::messages::{ClientName, MessageClientRole};
use crate::model::{
    Chosen, Error, MAX_INVISIBLE, MAX_POPPED, MIN_INVISIBLE, Offset, PartitionId, PopChoice, PopRequest, Result,
    TableInfo,
};
use crate::state::{HandOut, HandOutKey, PopId, PopMoved, PopQueueId, PopRecord, Record, Submission};

/// Hand-outs whose time is over that one pop looks at in one partition.
const EXPIRED: usize = 1_024;

/// Messages whose time is over, as they were handed out.
struct Expired {
    key: HandOutKey,
    hand_out: HandOut,
}

impl Pop {
    /// Takes messages for one consumer of a group that pops. `letters` is the table for those that were handed out too often; where that
    /// is needed and missing, the outcome says so.
    pub(crate) fn take(
        self: &Arc<Self>,
        pop: PopId,
        table: &TableInfo,
        request: &PopRequest,
        letters: Option<&TableInfo>,
        choice: &mut dyn PopChoice,
    ) -> Result<PopOutcome> {
        check_messages(table)?;
        check(table, request)?;
        let partitions = table.options.partitions;
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let mut taking = Taking::new(request, self.ledger().log.time().now_us());
        for step in 0..partitions {
            let partition = request.partition.unwrap_or_else(|| turn.wrapping_add(step) % partitions);
            let queue = self.queue(pop, partition, request.start)?;
            if let Some(turn) = self.turn(pop, queue) {
                taking.turns.push(turn);
                if self.take_from(&mut taking, table, queue, partition, letters, choice)? {
                    return Ok(PopOutcome::NeedsDeadLetters);
                }
            }
            if taking.is_full() || request.partition.is_some() {
                break;
            }
        }
        self.submit(taking, table, letters)
    }

    fn submit(
        self: &Arc<Self>,
        taking: Taking<'_>,
        table: &TableInfo,
        letters: Option<&TableInfo>,
    ) -> Result<PopOutcome> {
        let kept_by = taking.request.kept_by.as_deref().map(|client_id| ClientName {
            namespace: Arc::from(taking.request.namespace.as_str()),
            group: Arc::from(taking.request.group.as_str()),
            role: MessageClientRole::Consumer,
            client_id: Arc::from(client_id),
        });
        let Taking { turns, moved, popped, dead, too_long, next_us, .. } = taking;
        let queues: Vec<PopQueueId> = moved.iter().map(|moved| moved.queue).collect();
        let hand_outs = moved.iter().flat_map(hand_outs).collect();
        if moved.is_empty() {
            drop(turns);
            return Ok(too_long.map_or(PopOutcome::Nothing { next_us }, PopOutcome::TooLong));
        }
        let mut submission = Submission { durability: table.options.durability, ..Submission::default() };
        submission.records = moved.into_iter().map(|moved| Record::Pop(PopRecord::Moved(moved))).collect();
        self.bury(&mut submission, table, letters, dead)?;
        self.ledger().stored.fetch(&submission);
        let ticket = self.ledger().log.enqueue(submission)?;
        Ok(PopOutcome::Taken(PendingPop::new(self, ticket, popped, turns, (queues, hand_outs), kept_by)))
    }

    /// Takes from one partition. `true`: dead letters have no table yet, and nothing was taken.
    fn take_from(
        &self,
        taking: &mut Taking<'_>,
        table: &TableInfo,
        queue: PopQueueId,
        partition: PartitionId,
        letters: Option<&TableInfo>,
        choice: &mut dyn PopChoice,
    ) -> Result<bool> {
        self.settle_floor(queue, true)?;
        let (position, start, end) = {
            let state = self.ledger().state.read();
            let found = state.partition(table.id, partition).map(|found| (found.start, found.end));
            let (start, end) = found.ok_or_else(|| Error::gone("table"))?;
            // The offset was set meanwhile: the next look finds the new queue.
            let Some(place) = state.pop_queue_by_id(queue) else { return Ok(false) };
            (place.position, start, end)
        };
        let mut mine = Taken::new(queue, partition, position);
        let mut order = match taking.request.in_order {
            true => Some(self.order(queue)?),
            false => None,
        };
        let expired = self.expired(taking, queue)?;
        let (again, spent): (Vec<Expired>, Vec<Expired>) =
            expired.into_iter().partition(|expired| expired.hand_out.attempts < taking.request.max_attempts);
        if !spent.is_empty() && letters.is_none() {
            return Ok(true);
        }
        for spent in spent {
            self.give_up(taking, &mut mine, table, start, spent, choice)?;
        }
        match &mut order {
            None => {
                for expired in again {
                    let all = expired.hand_out.offsets(expired.key.first).collect();
                    self.take_again(taking, &mut mine, table, start, &expired, all, choice)?;
                }
            }
            Some(order) => {
                let mut allowed = next_in_order(order, &again);
                for expired in again {
                    let all = allowed.remove(&expired.key).unwrap_or_default();
                    self.take_again(taking, &mut mine, table, start, &expired, all, choice)?;
                }
            }
        }
        if !taking.is_full() {
            self.take_new(taking, &mut mine, table, position.max(start)..end, order.as_ref(), choice)?;
        }
        if !mine.is_nothing() {
            taking.moved.push(mine.moved);
        }
        Ok(false)
    }

    /// What is visible again by now, and notes when the next one is.
    fn expired(&self, taking: &mut Taking<'_>, queue: PopQueueId) -> Result<Vec<Expired>> {
        let reader = self.ledger().state.read().hand_outs();
        let (mut expired, mut first_us, mut next_us) = (Vec::new(), None, None);
        let now_us = taking.now_us;
        let Some(turn) = taking.turns.last_mut() else { return Ok(expired) };
        reader.times(queue, turn.times_from_us, |time| {
            first_us.get_or_insert(time.visible_us);
            if time.visible_us > now_us || expired.len() == EXPIRED {
                next_us = Some(time.visible_us);
                return Ok(false);
            }
            let key = time.key();
            if let Some(hand_out) = reader.get(&key)? {
                expired.push(Expired { key, hand_out });
            }
            Ok(true)
        })?;
        // Without any, none is visible before the next ones, which are handed out from now on.
        turn.raise_times(first_us.unwrap_or(now_us));
        if let Some(next_us) = next_us {
            taking.wait_until(next_us);
        }
        expired.sort_by_key(|expired| (expired.hand_out.visible_us, expired.key));
        Ok(expired)
    }

    /// Hands some of them out again, as many as fit.
    #[expect(clippy::too_many_arguments, reason = "what is taken, of what, and for whom")]
    fn take_again(
        &self,
        taking: &mut Taking<'_>,
        mine: &mut Taken,
        table: &TableInfo,
        start: Offset,
        expired: &Expired,
        offsets: Vec<Offset>,
        choice: &dyn PopChoice,
    ) -> Result<()> {
        let Expired { key, hand_out } = expired;
        if taking.is_full() {
            // Whoever comes next finds it at once.
            return Ok(());
        }
        let (mut leaving, mut offsets): (Vec<Offset>, Vec<Offset>) =
            offsets.into_iter().partition(|offset| *offset < start);
        taking.forgets(leaving.len());
        offsets.truncate(taking.left());
        if offsets.is_empty() {
            mine.done(key.first, key.number, leaving);
            return Ok(());
        }
        let rows = PartitionRows::of(self, table, mine.partition)?.at(&offsets)?;
        let mut fitting = 0;
        while fitting < offsets.len() && taking.fits(choice.bytes(&rows, fitting)?) {
            fitting += 1;
        }
        offsets.truncate(fitting);
        leaving.extend(&offsets);
        mine.done(key.first, key.number, leaving);
        if fitting > 0 {
            let rows = rows.slice(0, fitting);
            let groups = if taking.request.in_order { group_hashes(&rows)? } else { Vec::new() };
            let times = (key.number.saturating_add(1), hand_out.attempts.saturating_add(1), hand_out.begun_us);
            taking.hand_out(mine, times, offsets, groups, rows);
        }
        Ok(())
    }

    /// Makes dead letters of what was handed out too often, as many as fit.
    fn give_up(
        &self,
        taking: &mut Taking<'_>,
        mine: &mut Taken,
        table: &TableInfo,
        start: Offset,
        spent: Expired,
        choice: &dyn PopChoice,
    ) -> Result<()> {
        let Expired { key, hand_out } = spent;
        if taking.is_full() {
            return Ok(());
        }
        let all = hand_out.offsets(key.first);
        let (mut gone, offsets): (Vec<Offset>, Vec<Offset>) = all.partition(|offset| *offset < start);
        taking.forgets(gone.len());
        if !offsets.is_empty() {
            let rows = PartitionRows::of(self, table, mine.partition)?.at(&offsets)?;
            let mut fitting = 0;
            while fitting < offsets.len() && taking.buries(choice.bytes(&rows, fitting)?) {
                fitting += 1;
            }
            if fitting > 0 {
                taking.dead.push((rows.slice(0, fitting), hand_out.attempts));
                gone.extend(offsets.iter().take(fitting));
            }
        }
        mine.done(key.first, key.number, gone);
        Ok(())
    }

    /// Hands out what was never handed out.
    fn take_new(
        &self,
        taking: &mut Taking<'_>,
        mine: &mut Taken,
        table: &TableInfo,
        range: std::ops::Range<Offset>,
        order: Option<&Order>,
        choice: &mut dyn PopChoice,
    ) -> Result<()> {
        let range = range.start..range.end.min(range.start.saturating_add(SPAN));
        mine.moved.to = range.start.max(mine.moved.from);
        if range.is_empty() {
            return Ok(());
        }
        let rows_here = PartitionRows::of(self, table, mine.partition)?;
        let (mut offsets, mut groups, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        let mut left = range;
        while let Some(ScannedBatch { range, batch, .. }) = rows_here.stretch(&left)? {
            left.start = range.end;
            let Chosen { rows, looked_at, ends } = choice.choose(mine.partition, range.start, &batch, taking.left())?;
            let hashes = if order.is_some() { group_hashes(&batch)? } else { Vec::new() };
            let (mut here, mut stop) = (Vec::new(), None);
            for row in rows {
                let group = hashes.get(row).copied();
                let is_blocked = order.zip(group).is_some_and(|(order, group)| !order.is_free(group));
                if is_blocked || !taking.fits(choice.bytes(&batch, row)?) {
                    stop = Some(row);
                    break;
                }
                here.push(row);
                groups.extend(group);
                if taking.left() == 0 {
                    stop = Some(row + 1);
                    break;
                }
            }
            offsets.extend(here.iter().map(|row| range.start + *row as u64));
            if !here.is_empty() {
                parts.push(taken(&batch, &here)?);
            }
            let next = stop.unwrap_or(looked_at).min(batch.num_rows());
            mine.moved.to = range.start + next as u64;
            if stop.is_some() || ends || next < batch.num_rows() {
                break;
            }
        }
        if !offsets.is_empty() {
            let rows = joined(rows_here.schema(), &parts)?;
            let now_us = taking.now_us;
            taking.hand_out(mine, (1, 1, now_us), offsets, groups, rows);
        }
        Ok(())
    }
}

/// What is handed out, in the order in which it was taken.
fn hand_outs(moved: &PopMoved) -> impl Iterator<Item = HandOutKey> + '_ {
    moved.handed.iter().map(|one| HandOutKey { queue: moved.queue, first: one.first, number: one.number })
}

/// Of messages whose time is over those that nothing before them keeps back. What goes out of one message group was handed out together
/// before: so it stays in order, whatever of it fits.
fn next_in_order(order: &mut Order, expired: &[Expired]) -> BTreeMap<HandOutKey, Vec<Offset>> {
    let mut all: Vec<(Offset, u64, HandOutKey)> = Vec::new();
    for Expired { key, hand_out } in expired {
        all.extend(hand_out.offsets(key.first).zip(&hand_out.groups).map(|(offset, group)| (offset, *group, *key)));
    }
    all.sort_unstable_by_key(|(offset, ..)| *offset);
    let mut goes_with: BTreeMap<u64, HandOutKey> = BTreeMap::new();
    let mut allowed: BTreeMap<HandOutKey, Vec<Offset>> = BTreeMap::new();
    for (offset, group, key) in all {
        if order.is_next(group, offset) && *goes_with.entry(group).or_insert(key) == key {
            order.goes(group, offset);
            allowed.entry(key).or_default().push(offset);
        }
    }
    // What was handed out without an order has none to keep.
    for Expired { key, hand_out } in expired.iter().filter(|expired| expired.hand_out.groups.is_empty()) {
        allowed.insert(*key, hand_out.offsets(key.first).collect());
    }
    allowed
}

fn check(table: &TableInfo, request: &PopRequest) -> Result<()> {
    if request.messages == 0 || request.messages > MAX_POPPED {
        let asked = request.messages;
        return Err(Error::InvalidInput(format!("a pop is of 1 to {MAX_POPPED} messages, not {asked}")));
    }
    check_invisible(request.invisible)?;
    if request.invisible < MIN_INVISIBLE {
        let asked = request.invisible;
        return Err(Error::InvalidInput(format!(
            "messages that are handed out are invisible for 1 s at least, not {asked:?}"
        )));
    }
    if request.max_attempts == 0 {
        return Err(Error::InvalidInput("messages are handed out once at least".to_owned()));
    }
    match request.partition {
        Some(partition) if partition >= table.options.partitions => {
            Err(Error::NotFound { what: "partition", name: format!("{}/{partition}", table.name) })
        }
        _ => Ok(()),
    }
}

pub(super) fn check_invisible(invisible: std::time::Duration) -> Result<()> {
    match invisible <= MAX_INVISIBLE {
        true => Ok(()),
        false => Err(Error::InvalidInput(format!("messages are invisible for 12 h at most, not for {invisible:?}"))),
    }
}
