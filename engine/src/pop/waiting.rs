//! Who waits for messages: told when there may be some that are not new.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::state::PopId;

/// One channel for each group and table that somebody waits for, and one for those who take messages in order: an
/// acknowledgement lets these have the next one.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<HashMap<(PopId, bool), watch::Sender<u64>>>);

impl Waiting {
    pub(super) fn subscribe(&self, pop: PopId, in_order: bool) -> watch::Receiver<u64> {
        self.0.lock().entry((pop, in_order)).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    /// Those who wait in order, or `all`. Channels that nobody listens to any more are let go.
    pub(super) fn wake(&self, pop: PopId, all: bool) {
        let mut channels = self.0.lock();
        for key in [(pop, true), (pop, false)].into_iter().take(if all { 2 } else { 1 }) {
            if let Some(sender) = channels.get(&key) {
                if sender.receiver_count() == 0 {
                    channels.remove(&key);
                } else {
                    sender.send_modify(|changes| *changes += 1);
                }
            }
        }
    }

    pub(super) fn retain(&self, keep: impl Fn(PopId) -> bool) {
        self.0.lock().retain(|(pop, _), sender| keep(*pop) || sender.receiver_count() > 0);
    }
}
