//! What others hold of the continuous topics.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLock};

use super::needs::Needs;
use super::standing::Standings;
use super::turn::Work;
use super::worker::work;
use crate::contract::ContinuousPlan;
use crate::model::{ContinuousId, ContinuousInfo, Result, TableId};
use crate::platform::join;
use crate::plugins::Plugins;
use crate::state::{Change, Record, RecordContext};
use crate::write::Appender;

/// Turns that are under way at once.
const THREADS: usize = 4;

/// The continuous topics of one engine.
#[derive(Debug)]
pub(crate) struct ContinuousTopics {
    pub(super) needs: Needs,
    pub(super) standings: Standings,
    /// Each is locked by the thread whose turn it is.
    pub(super) works: Mutex<HashMap<ContinuousId, Arc<Mutex<Work>>>>,
    /// Who is told of new rows.
    readers: RwLock<HashMap<TableId, BTreeSet<ContinuousId>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl ContinuousTopics {
    pub(crate) fn new(appender: &Arc<Appender>, plugins: &Arc<Plugins>) -> ContinuousTopics {
        ContinuousTopics {
            needs: Needs::new(appender, plugins),
            standings: Standings::default(),
            works: Mutex::default(),
            readers: RwLock::default(),
            threads: Mutex::default(),
        }
    }

    /// Begins, if there are any.
    pub(crate) fn start(self: &Arc<Self>) -> Result<()> {
        let all: Vec<Arc<ContinuousInfo>> =
            self.needs.ledger.state.read().catalog().continuous_topics().cloned().collect();
        if all.is_empty() {
            return Ok(());
        }
        all.iter().for_each(|info| self.listen(info));
        self.start_threads()
    }

    /// They hold no reference to the engine while they sleep. A store without continuous topics has none.
    fn start_threads(self: &Arc<Self>) -> Result<()> {
        let mut threads = self.threads.lock();
        while threads.len() < THREADS && !self.needs.board.is_stopping() {
            let (weak, board, ledger) = (Arc::downgrade(self), self.needs.board.clone(), self.needs.ledger.clone());
            let name = format!("continuous {}", threads.len());
            threads.push(self.needs.ledger.threads.start_again(&name, move || work(&weak, &board, &ledger))?);
        }
        Ok(())
    }

    /// Stops the threads and waits for them: for a step, at most.
    pub(crate) fn stop(&self) {
        self.needs.board.stop();
        let threads = std::mem::take(&mut *self.threads.lock());
        threads.into_iter().for_each(join);
        self.works.lock().clear();
    }

    /// What topics need has come.
    pub(crate) fn look_again(&self) {
        let all: BTreeSet<ContinuousId> = self.readers.read().values().flatten().copied().collect();
        all.into_iter().for_each(|topic| self.needs.board.altered(topic));
    }

    /// Tells the topics that read these tables.
    pub(crate) fn wake(&self, tables: &BTreeSet<TableId>) {
        let readers = self.readers.read();
        if readers.is_empty() {
            return;
        }
        for topic in tables.iter().filter_map(|table| readers.get(table)).flatten() {
            self.needs.board.note(*topic);
        }
    }

    /// Called with every durable commit, after the state has it.
    pub(crate) fn applied(self: &Arc<Self>, records: &[(RecordContext, Record)]) {
        for (_, record) in records {
            let Record::Change(change) = record else { continue };
            match change.as_ref() {
                Change::ContinuousCreated(info) => {
                    self.listen(info);
                    if let Err(error) = self.start_threads() {
                        self.needs.ledger.events.push("continuous_topic_stopped", error.to_string());
                    }
                }
                Change::ContinuousReplaced(info) => self.needs.board.altered(info.id),
                Change::ContinuousDropped { topic } => {
                    self.readers.write().values_mut().for_each(|readers| {
                        readers.remove(topic);
                    });
                    self.needs.board.altered(*topic);
                }
                _ => {}
            }
        }
    }

    fn listen(&self, info: &ContinuousInfo) {
        let mut readers = self.readers.write();
        for source in &info.sources {
            readers.entry(*source).or_default().insert(info.id);
        }
        drop(readers);
        self.needs.board.note(info.id);
    }

    /// Why a topic does not go on.
    pub(crate) fn stopped(&self, info: &ContinuousInfo) -> Option<String> {
        self.standings.stopped(info)
    }

    /// A topic that is gone.
    pub(super) fn forget(&self, topic: ContinuousId) {
        self.works.lock().remove(&topic);
        self.standings.go_on(topic);
        self.needs.forget(topic);
    }

    pub(super) fn work_of(&self, topic: ContinuousId) -> Arc<Mutex<Work>> {
        self.works.lock().entry(topic).or_default().clone()
    }

    /// What a definition computes now.
    pub(crate) fn compile(&self, info: &ContinuousInfo) -> Result<Arc<dyn ContinuousPlan>> {
        let tables = info.sources.iter().map(|id| self.needs.ledger.table(*id)).collect::<Result<Vec<_>>>()?;
        self.needs.compile(info, &tables)
    }
}
