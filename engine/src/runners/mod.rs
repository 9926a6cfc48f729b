//! Running consumers that are plugins: each partition of a topic is read from the committed offset of the consumer's
//! group, given to the plugin, and what comes of it is committed with the next offset in one submission.
//!
//! One thread sees to it that what the catalog says is what runs. Each consumer has threads of its own, as many as its
//! plugin may have instances; a partition belongs to one of them, so that its rows stay in order. Nothing that lasts is
//! kept here: a runner that ends anywhere leaves the log as of its last commit, and a second one is refused by the offset
//! that it expects.

mod commit;
mod input;
mod judge;
mod lane;
mod manager;
mod read;
mod signal;
mod standing;
mod step;
mod trial;
mod worker;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLock};

use crate::model::{ConsumerId, TableId};
use crate::platform::join;
use crate::state::{Change, Record, RecordContext};

pub(crate) use input::bind;
use signal::Signal;
pub(crate) use standing::Standing;
pub use trial::{ConsumerTrial, TrialFault, TrialOutcome};

/// The runners of one engine.
#[derive(Debug, Default)]
pub(crate) struct Runners {
    manager: Mutex<Option<JoinHandle<()>>>,
    /// Told when consumers, or what they need, have changed.
    changed: Arc<Signal>,
    running: Mutex<BTreeMap<ConsumerId, Running>>,
    /// Threads that were told to stop and may be in a call of a plugin. Their consumer does not begin before they have ended.
    ending: Mutex<BTreeMap<ConsumerId, Vec<JoinHandle<()>>>>,
    /// Who is told of new rows.
    readers: RwLock<HashMap<TableId, Vec<Arc<Signal>>>>,
}

/// The threads of one consumer.
#[derive(Debug)]
struct Running {
    version: u32,
    table: TableId,
    signal: Arc<Signal>,
    standing: Arc<Standing>,
    threads: Vec<JoinHandle<()>>,
}

impl Runners {
    /// Wakes the consumers that read these tables.
    pub(crate) fn wake(&self, tables: &BTreeSet<TableId>) {
        let readers = self.readers.read();
        for table in tables {
            readers.get(table).into_iter().flatten().for_each(|signal| signal.notify());
        }
    }

    /// Called with every durable commit, after the state has it. Never waits.
    pub(crate) fn applied(&self, records: &[(RecordContext, Record)]) {
        let touches = |record: &Record| {
            matches!(record, Record::Change(change) if matches!(change.as_ref(),
                Change::PluginConsumerCreated(_)
                    | Change::PluginConsumerReplaced(_)
                    | Change::PluginConsumerDropped { .. }))
        };
        if records.iter().any(|(_, record)| touches(record)) {
            self.changed.notify();
        }
    }

    /// What consumers need has come.
    pub(crate) fn look_again(&self) {
        self.changed.notify();
    }

    /// How a consumer fares, while it runs.
    pub(crate) fn standing(&self, consumer: ConsumerId) -> Option<Arc<Standing>> {
        self.running.lock().get(&consumer).map(|running| running.standing.clone())
    }

    /// Stops everything and waits for it; a call of a plugin that is under way may take its time limit.
    pub(crate) fn stop(&self) {
        self.changed.stop();
        if let Some(manager) = self.manager.lock().take() {
            join(manager);
        }
        let running = std::mem::take(&mut *self.running.lock());
        self.readers.write().clear();
        running.values().for_each(|running| running.signal.stop());
        let ending = std::mem::take(&mut *self.ending.lock());
        let threads = running.into_values().flat_map(|running| running.threads);
        threads.chain(ending.into_values().flatten()).for_each(join);
    }
}
