//! Wakes whoever waits for rows of a table.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::model::TableId;

/// One channel for each table that somebody watches.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    channels: Mutex<HashMap<TableId, watch::Sender<u64>>>,
}

impl Watchers {
    /// A receiver whose value changes with every [`Self::wake`] of the table.
    pub(crate) fn subscribe(&self, table: TableId) -> watch::Receiver<u64> {
        let mut channels = self.channels.lock();
        channels.entry(table).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    /// Rows of these tables became readable, or the table changed. Channels that nobody watches any more are let go.
    pub(crate) fn wake(&self, tables: impl IntoIterator<Item = TableId>) {
        let mut channels = self.channels.lock();
        for table in tables {
            if let Some(sender) = channels.get(&table) {
                if sender.receiver_count() == 0 {
                    channels.remove(&table);
                } else {
                    sender.send_modify(|changes| *changes += 1);
                }
            }
        }
    }

    /// Wakes everybody: the engine is closing.
    pub(crate) fn wake_all(&self) {
        for sender in self.channels.lock().values() {
            sender.send_modify(|changes| *changes += 1);
        }
    }
}
