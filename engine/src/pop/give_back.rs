//! The thread that gives back: what nobody has received, and what clients have kept that have gone.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::executor::block_on;

use super::Pop;
use super::returns::{Returned, Returns};
use crate::log::Ticket;
use crate::messages::ClientName;
use crate::model::{Error, Result};
use crate::state::{HandOut, HandOutDone, HandOutKey, HandedOut, PopMoved, PopRecord, Submission};

/// How often clients are looked for that have gone.
const EVERY: Duration = Duration::from_millis(250);
/// How often it is tried while others have their say about the same messages.
const ATTEMPTS: usize = 16;

impl Pop {
    /// Starts the thread. It holds no reference to the engine while it sleeps.
    pub(crate) fn start(self: &Arc<Self>) -> Result<()> {
        let (returns, weak) = (Arc::clone(&self.returns), Arc::downgrade(self));
        let thread = self.ledger().threads.start_again("pop", move || run(&returns, &weak))?;
        *self.returns.thread.lock() = Some(thread);
        Ok(())
    }

    /// Ends it. What is not given back by then waits for its time.
    pub(crate) fn stop(&self) {
        self.returns.stop();
    }

    /// A client says that it goes: others are handed what it has kept.
    pub(crate) fn client_left(&self, client: &ClientName) {
        let hand_outs = self.kept.left_by(client);
        if !hand_outs.is_empty() {
            self.returns.add(Returned::left_behind(hand_outs));
        }
    }

    /// Gives back what clients have kept that have gone. The thread does this, and whoever has the store looked after.
    pub(crate) fn look_after_clients(&self) {
        self.give_back(vec![self.gone_clients()]);
    }

    fn gone_clients(&self) -> Returned {
        let now = self.ledger().options.clock.awake();
        let is_alive = |client: &ClientName| self.clients.is_alive(client, now);
        Returned::left_behind(self.kept.left_behind(is_alive, now, self.ledger().log.time().now_us()))
    }

    /// Gives all of it back. Submissions are queued before the first one is waited for.
    fn give_back(&self, returned: Vec<Returned>) {
        let mut left = Vec::new();
        for Returned { deciding, hand_outs, turns, counts } in returned {
            let decided = deciding.map_or(Ok(()), |deciding| block_on(deciding).map(drop));
            drop(turns);
            match decided {
                Ok(()) => left.extend(hand_outs.into_iter().map(|key| (key, counts))),
                // It was refused, so that nothing was handed out; or the log says no more.
                Err(error) => tracing::debug!(%error, "messages that nobody waits for any more are not handed out"),
            }
        }
        for _ in 0..ATTEMPTS {
            if left.is_empty() {
                return;
            }
            let queued: Vec<_> =
                left.drain(..).map(|(key, counts)| (key, counts, self.visible_now(&key, counts))).collect();
            for (key, counts, queued) in queued {
                let given = queued.and_then(|ticket| ticket.map_or(Ok(()), |ticket| ticket.wait()?.wait().map(drop)));
                match given {
                    Ok(()) => {}
                    // Some were acknowledged meanwhile: the rest is looked at again.
                    Err(Error::Fenced(_)) => left.push((key, counts)),
                    Err(error) => {
                        tracing::warn!(%error, "messages that nobody has are not given back, and wait for their time");
                    }
                }
            }
        }
    }

    /// Has what is left of a hand-out be visible at once, if somebody could still have it.
    fn visible_now(&self, key: &HandOutKey, counts: bool) -> Result<Option<Ticket>> {
        let (position, durability, reader) = {
            let state = self.ledger().state.read();
            let Some(queue) = state.pop_queue_by_id(key.queue) else { return Ok(None) };
            let table = state.pop_name(queue.pop).and_then(|name| state.table(name.table));
            let Some(table) = table else { return Ok(None) };
            (queue.position, table.options.durability, state.hand_outs())
        };
        let now_us = self.ledger().log.time().now_us();
        let Some(held) = reader.get(key)?.filter(|held| held.visible_us > now_us) else { return Ok(None) };
        let offsets: Vec<_> = held.offsets(key.first).collect();
        let Some(first) = offsets.first().copied() else { return Ok(None) };
        let distance = first.saturating_sub(key.first);
        let left = held.left.iter().map(|at| at.saturating_sub(u32::try_from(distance).unwrap_or(u32::MAX))).collect();
        let attempts = if counts { held.attempts } else { held.attempts.saturating_sub(1) };
        let hand_out = HandOut { left, attempts, handed_us: now_us, visible_us: now_us, ..held };
        let moved = PopMoved {
            queue: key.queue,
            from: position,
            to: position,
            done: vec![HandOutDone { first: key.first, number: key.number, offsets }],
            handed: vec![HandedOut { first, number: key.number.saturating_add(1), hand_out }],
        };
        let submission = Submission { durability, ..Submission::of([PopRecord::Moved(moved)]) };
        self.ledger().stored.fetch(&submission);
        self.ledger().log.enqueue(submission).map(Some)
    }
}

fn run(returns: &Returns, pop: &Weak<Pop>) {
    while let Some(mut returned) = returns.next(EVERY) {
        let Some(pop) = pop.upgrade() else { return };
        returned.push(pop.gone_clients());
        pop.give_back(returned);
    }
}
