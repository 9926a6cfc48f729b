//! The runners of one engine, and who wakes and stops them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLock};

use crate::model::{ConsumerId, TableId};
use crate::platform::join;
use crate::state::{Change, Record, RecordContext};

use super::signal::Signal;
use super::standing::ConsumerStanding;
use crate::cursor::Tables;
use crate::evaluation::Evaluations;
use crate::log::Ledger;
use crate::plugins::Plugins;
use crate::write::Appender;

/// The runners of one engine.
#[derive(Debug)]
pub(crate) struct Runners {
    pub(super) ledger: Arc<Ledger>,
    pub(super) tables: Arc<Tables>,
    pub(super) appender: Arc<Appender>,
    pub(super) plugins: Arc<Plugins>,
    pub(super) evaluations: Arc<Evaluations>,
    pub(super) manager: Mutex<Option<JoinHandle<()>>>,
    /// Told when consumers, or what they need, have changed.
    pub(super) changed: Arc<Signal>,
    pub(super) running: Mutex<BTreeMap<ConsumerId, RunningConsumer>>,
    /// Threads that were told to stop and may be in a call of a plugin. Their consumer does not begin before they have ended.
    pub(super) ending: Mutex<BTreeMap<ConsumerId, Vec<JoinHandle<()>>>>,
    /// Who is told of new rows.
    pub(super) readers: RwLock<HashMap<TableId, Vec<Arc<Signal>>>>,
}

/// The threads of one consumer.
#[derive(Debug)]
pub(super) struct RunningConsumer {
    pub(super) version: u32,
    pub(super) table: TableId,
    pub(super) signal: Arc<Signal>,
    pub(super) standing: Arc<ConsumerStanding>,
    pub(super) threads: Vec<JoinHandle<()>>,
}

impl Runners {
    pub(crate) fn new(appender: &Arc<Appender>, plugins: &Arc<Plugins>, evaluations: &Arc<Evaluations>) -> Runners {
        Runners {
            ledger: plugins.ledger.clone(),
            tables: plugins.tables.clone(),
            appender: appender.clone(),
            plugins: plugins.clone(),
            evaluations: evaluations.clone(),
            manager: Mutex::default(),
            changed: Arc::default(),
            running: Mutex::default(),
            ending: Mutex::default(),
            readers: RwLock::default(),
        }
    }

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
    pub(crate) fn standing(&self, consumer: ConsumerId) -> Option<Arc<ConsumerStanding>> {
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
