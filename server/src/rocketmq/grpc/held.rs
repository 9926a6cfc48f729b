//! Messages that clients keep for as long as they are there: push consumers, who say neither for how long nor that they still work.
//! They are invisible for a while, and visible at once when their client has gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millstream_engine::{PopReceipt, Popped, Principal, TableId};
use tokio::time::{Instant, MissedTickBehavior};

use super::door::MessagingDoor;
use crate::rocketmq::names::ScopedName;
use crate::work::Waits;

/// For how long messages are invisible to others then.
pub(super) const KEPT: Duration = Duration::from_secs(15 * 60);
/// A client whose stream has ended has so long to come back.
const GRACE: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_secs(2);
/// Of all clients. More are not given back, and wait for their time.
const MAX_HELD: usize = 100_000;

/// One message.
type Held = (ScopedName, TableId, PopReceipt);

/// All that clients keep.
#[derive(Debug, Default)]
pub(super) struct HeldMessages(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    by_client: HashMap<String, Client>,
    count: usize,
}

#[derive(Debug, Default)]
struct Client {
    /// With when they were handed out.
    messages: HashMap<Held, Instant>,
    /// Since when it is missed.
    missed: Option<Instant>,
    /// It has said that it goes.
    has_left: bool,
}

impl HeldMessages {
    pub(super) fn keep(&self, client_id: &str, group: &ScopedName, table: TableId, popped: &[Popped]) {
        let now = Instant::now();
        let mut all = self.all();
        let All { by_client, count } = &mut *all;
        let client = by_client.entry(client_id.to_owned()).or_default();
        client.has_left = false;
        for part in popped {
            for offset in &part.offsets {
                if *count >= MAX_HELD {
                    return;
                }
                let message = (group.clone(), table, part.receipt(*offset));
                *count += usize::from(client.messages.insert(message, now).is_none());
            }
        }
    }

    /// A client has said what becomes of a message.
    pub(super) fn release(&self, client_id: &str, group: &ScopedName, table: TableId, receipt: PopReceipt) {
        let mut all = self.all();
        let All { by_client, count } = &mut *all;
        let Some(client) = by_client.get_mut(client_id) else { return };
        *count -= usize::from(client.messages.remove(&(group.clone(), table, receipt)).is_some());
        if client.messages.is_empty() {
            by_client.remove(client_id);
        }
    }

    /// A client says that it goes.
    pub(super) fn leave(&self, client_id: &str) {
        if let Some(client) = self.all().by_client.get_mut(client_id) {
            client.has_left = true;
        }
    }

    /// What clients have kept that have gone.
    fn left_behind(&self, is_there: impl Fn(&str) -> bool, now: Instant) -> Vec<Held> {
        let mut all = self.all();
        let All { by_client, count } = &mut *all;
        let mut left = Vec::new();
        by_client.retain(|client_id, client| {
            let before = client.messages.len();
            // Others are handed those by now.
            client.messages.retain(|_, handed| now.duration_since(*handed) < KEPT);
            *count -= before - client.messages.len();
            if !client.has_left && is_there(client_id) {
                client.missed = None;
                return true;
            }
            let missed = *client.missed.get_or_insert(now);
            let is_gone = client.has_left || now.duration_since(missed) >= GRACE;
            if is_gone {
                *count -= client.messages.len();
                left.extend(client.messages.drain().map(|(message, _)| message));
            }
            !is_gone
        });
        left
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives back what clients have kept that have gone, until the server stops.
pub(super) async fn give_back(messaging: Arc<MessagingDoor>) {
    let door = &messaging.door;
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = door.stopped() => return,
            _ = ticks.tick() => {}
        }
        let is_there = |client_id: &str| messaging.sessions.of(client_id).is_some();
        for (group, table, receipt) in messaging.held.left_behind(is_there, Instant::now()) {
            let engine = door.engine.clone();
            let give = move || {
                let (who, ScopedName { namespace, name }) = (Principal::anonymous(), group);
                engine.change_invisible(&who, &namespace, &name, table, (&receipt, Duration::ZERO))
            };
            let given = match door.work.run(Waits::ForRows, give).await {
                Ok(Ok(pending)) => pending.finish().await.map(drop),
                Ok(Err(error)) => Err(error),
                // The server stops.
                Err(_) => return,
            };
            if let Err(error) = given {
                tracing::debug!(%error, "a message that a client has left behind is not given back, and waits for its time");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_leave_behind_is_given_back_after_a_while() {
        let held = HeldMessages::default();
        let group = ScopedName::parse("g");
        let receipt = |offset| PopReceipt { partition: 0, offset, first: 0, number: 0, handed_ms: 0 };
        let now = Instant::now();
        let put = |client: &str, offset| {
            let mut all = held.all();
            all.count += 1;
            let message = (group.clone(), TableId(1), receipt(offset));
            all.by_client.entry(client.to_owned()).or_default().messages.insert(message, now);
        };
        (0..3).for_each(|offset| put("a", offset));
        put("b", 3);
        held.release("a", &group, TableId(1), receipt(0));
        held.release("a", &group, TableId(1), receipt(9));
        assert!(held.left_behind(|_| true, now).is_empty());
        assert!(held.left_behind(|client| client == "b", now).is_empty(), "it may come back");
        assert!(held.left_behind(|_| true, now + GRACE).is_empty(), "it has come back");
        assert!(held.left_behind(|client| client == "b", now + GRACE).is_empty());
        assert_eq!(held.left_behind(|client| client == "b", now + GRACE * 2).len(), 2);
        held.leave("b");
        assert_eq!(held.left_behind(|_| true, now).len(), 1);
        put("c", 4);
        assert!(held.left_behind(|_| false, now + KEPT).is_empty(), "its time is over");
        assert!(held.left_behind(|_| false, now + KEPT + GRACE).is_empty());
        let all = held.all();
        assert_eq!((all.count, all.by_client.len()), (0, 0));
    }
}
