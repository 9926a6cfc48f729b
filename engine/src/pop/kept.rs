//! Hand-outs that clients keep for as long as they are there: push consumers, who say neither for how long nor that they still work.
//! They are invisible for a while as others are, and given back before that when their client has gone.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::messages::ClientName;
use crate::state::{HandOutKey, PopQueueId};

/// A client that is not there any more has so long to come back.
const GRACE: Duration = Duration::from_secs(30);
/// What all of it takes, about. Hand-outs above that are not given back, and wait for their time.
const MAX_BYTES: usize = 8 << 20;
const HAND_OUT_BYTES: usize = 192;
const CLIENT_BYTES: usize = 512;

/// What is known of hand-outs and their clients. Nothing of it lasts: after a restart hand-outs of before wait for their time.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<KeptHandOuts>);

#[derive(Debug, Default)]
struct KeptHandOuts {
    by_client: HashMap<Arc<ClientName>, ClientKeeps>,
    by_hand_out: HashMap<HandOutKey, KeptHandOut>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct ClientKeeps {
    hand_outs: BTreeSet<HandOutKey>,
    /// Since when the client is missed; monotonic.
    missed: Option<Duration>,
}

#[derive(Debug)]
struct KeptHandOut {
    client: Arc<ClientName>,
    /// Messages that nothing was said of yet.
    left: usize,
    visible_us: i64,
}

impl Kept {
    /// A client has so many messages that were handed out together, until then.
    pub(super) fn keep(&self, client: &ClientName, key: HandOutKey, messages: usize, visible_us: i64) {
        let mut kept = self.0.lock();
        let known = kept.by_client.get_key_value(client).map(|(client, _)| Arc::clone(client));
        let bytes = HAND_OUT_BYTES + if known.is_some() { 0 } else { client_bytes(client) };
        if messages == 0 || kept.bytes + bytes > MAX_BYTES || kept.by_hand_out.contains_key(&key) {
            return;
        }
        kept.bytes += bytes;
        let client = known.unwrap_or_else(|| Arc::new(client.clone()));
        kept.by_client.entry(Arc::clone(&client)).or_default().hand_outs.insert(key);
        kept.by_hand_out.insert(key, KeptHandOut { client, left: messages, visible_us });
    }

    /// So many of these messages are acknowledged, or in other hands.
    pub(super) fn done(&self, key: &HandOutKey, messages: usize) {
        let mut kept = self.0.lock();
        let Some(hand_out) = kept.by_hand_out.get_mut(key) else { return };
        hand_out.left = hand_out.left.saturating_sub(messages);
        if hand_out.left == 0 {
            kept.forget(key);
        }
    }

    /// What a client has that says that it goes.
    pub(super) fn left_by(&self, client: &ClientName) -> Vec<HandOutKey> {
        self.0.lock().take(client)
    }

    /// What clients have that have gone for long enough; `is_alive` is asked of each.
    pub(super) fn left_behind(
        &self,
        is_alive: impl Fn(&ClientName) -> bool,
        now: Duration,
        now_us: i64,
    ) -> Vec<HandOutKey> {
        let mut kept = self.0.lock();
        let is_over = |hand_out: &KeptHandOut| hand_out.visible_us <= now_us;
        let over: Vec<HandOutKey> =
            kept.by_hand_out.iter().filter(|(_, hand_out)| is_over(hand_out)).map(|(key, _)| *key).collect();
        over.iter().for_each(|key| kept.forget(key));
        let mut gone = Vec::new();
        for (client, keeps) in &mut kept.by_client {
            if is_alive(client) {
                keeps.missed = None;
            } else if now.saturating_sub(*keeps.missed.get_or_insert(now)) >= GRACE {
                gone.push(Arc::clone(client));
            }
        }
        gone.iter().flat_map(|client| kept.take(client)).collect()
    }

    /// Lets go of queues that are no more.
    pub(super) fn retain(&self, keep: impl Fn(PopQueueId) -> bool) {
        let mut kept = self.0.lock();
        let void: Vec<HandOutKey> = kept.by_hand_out.keys().filter(|key| !keep(key.queue)).copied().collect();
        void.iter().for_each(|key| kept.forget(key));
    }
}

impl KeptHandOuts {
    fn forget(&mut self, key: &HandOutKey) {
        let Some(KeptHandOut { client, .. }) = self.by_hand_out.remove(key) else { return };
        self.bytes -= HAND_OUT_BYTES;
        let Some(keeps) = self.by_client.get_mut(&client) else { return };
        keeps.hand_outs.remove(key);
        if keeps.hand_outs.is_empty() {
            self.by_client.remove(&client);
            self.bytes -= client_bytes(&client);
        }
    }

    fn take(&mut self, client: &ClientName) -> Vec<HandOutKey> {
        let keys: Vec<HandOutKey> =
            self.by_client.get(client).map(|keeps| keeps.hand_outs.iter().copied().collect()).unwrap_or_default();
        keys.iter().for_each(|key| self.forget(key));
        keys
    }
}

fn client_bytes(client: &ClientName) -> usize {
    CLIENT_BYTES + client.namespace.len() + client.group.len() + client.client_id.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::MessageClientRole;

    fn client(name: &str) -> ClientName {
        let role = MessageClientRole::Consumer;
        ClientName { namespace: "public".into(), group: "g".into(), role, client_id: name.into() }
    }

    fn key(queue: u64, first: u64) -> HandOutKey {
        HandOutKey { queue: PopQueueId(queue), first, number: 1 }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_clients_leave_behind_is_given_back_after_a_while() {
        let kept = Kept::default();
        let (a, b) = (client("a"), client("b"));
        (0..3).for_each(|first| kept.keep(&a, key(1, first), 2, 100));
        kept.keep(&b, key(2, 0), 1, 100);
        kept.done(&key(1, 0), 1);
        kept.done(&key(1, 1), 2);
        kept.done(&key(9, 0), 1);
        let others = |one: &ClientName| *one == b;
        assert!(kept.left_behind(others, SECOND, 0).is_empty(), "it may come back");
        assert!(kept.left_behind(|_| true, SECOND + GRACE, 0).is_empty(), "it has come back");
        assert!(kept.left_behind(others, SECOND + GRACE, 0).is_empty());
        assert_eq!(kept.left_behind(others, SECOND + 2 * GRACE, 0), [key(1, 0), key(1, 2)]);
        assert_eq!(kept.left_by(&b), [key(2, 0)]);
        kept.keep(&a, key(1, 5), 1, 100);
        kept.keep(&a, key(2, 5), 1, 200);
        kept.keep(&a, key(3, 5), 1, 200);
        kept.retain(|queue| queue != PopQueueId(3));
        assert!(kept.left_behind(|_| true, SECOND, 100).is_empty());
        assert_eq!(kept.left_by(&a), [key(2, 5)], "the time of the first is over, and the third's queue");
        assert_eq!(kept.0.lock().bytes, 0);
    }

    #[test]
    fn what_all_clients_keep_is_bounded() {
        let kept = Kept::default();
        for number in 0..200_000 {
            kept.keep(&client(&format!("{number:0200}")), key(1, number), 1, i64::MAX);
            kept.keep(&client("one"), key(2, number), 1, i64::MAX);
        }
        let (bytes, clients) = {
            let all = kept.0.lock();
            (all.bytes, all.by_client.len())
        };
        assert!((MAX_BYTES - 1_000..=MAX_BYTES).contains(&bytes), "{bytes}");
        kept.retain(|queue| queue != PopQueueId(1));
        assert_eq!(kept.0.lock().by_client.len(), 1, "of {clients}");
        kept.retain(|_| false);
        assert_eq!(kept.0.lock().bytes, 0);
    }
}
