//! What others hold of the checkbacks.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;

use super::Board;
use super::standing::Standings;
use super::worker::work;
use crate::contract::{CheckbackFigures, CheckbackHandler, LoadedPlugin, PluginInfo};
use crate::due::DueTimes;
use crate::log::Ledger;
use crate::messages::{Messages, Presence};
use crate::model::{CheckbackId, Error, PluginId, Result};
use crate::platform::join;
use crate::plugins::Plugins;
use crate::state::{Change, Record, RecordContext};

/// Turns that are under way at once, of all namespaces.
const THREADS: usize = 4;

/// A plugin's version, callable.
type Held = (PluginId, Arc<dyn CheckbackHandler>);

/// The checkbacks of one engine.
#[derive(Debug)]
pub(crate) struct Checkbacks {
    pub(super) ledger: Arc<Ledger>,
    pub(super) messages: Arc<Messages>,
    pub(super) due: Arc<DueTimes>,
    pub(super) plugins: Arc<Plugins>,
    pub(super) producers: Arc<Presence>,
    pub(super) board: Arc<Board>,
    pub(super) standings: Standings,
    /// Of those that were asked: what is not held here is loaded anew each time.
    handlers: Mutex<HashMap<CheckbackId, Held>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Checkbacks {
    pub(crate) fn new(
        messages: &Arc<Messages>,
        due: &Arc<DueTimes>,
        plugins: &Arc<Plugins>,
        producers: &Arc<Presence>,
        board: Arc<Board>,
    ) -> Checkbacks {
        Checkbacks {
            ledger: plugins.ledger.clone(),
            messages: messages.clone(),
            due: due.clone(),
            plugins: plugins.clone(),
            producers: producers.clone(),
            board,
            standings: Standings::default(),
            handlers: Mutex::default(),
            threads: Mutex::default(),
        }
    }

    /// Begins, if there are any.
    pub(crate) fn start(self: &Arc<Self>) -> Result<()> {
        match self.ledger.state.read().catalog().checkbacks().next().is_some() {
            true => self.start_threads(),
            false => Ok(()),
        }
    }

    /// They hold no reference to the engine while they sleep. A store without checkbacks has none.
    fn start_threads(self: &Arc<Self>) -> Result<()> {
        let mut threads = self.threads.lock();
        while threads.len() < THREADS && !self.board.is_stopping() {
            let (weak, board) = (Arc::downgrade(self), self.board.clone());
            let name = format!("checkbacks {}", threads.len());
            threads.push(self.ledger.threads.start_again(&name, move || work(&weak, &board))?);
        }
        Ok(())
    }

    /// Stops the threads and waits for them: for a call of a plugin, at most.
    pub(crate) fn stop(&self) {
        self.board.stop();
        let threads = std::mem::take(&mut *self.threads.lock());
        threads.into_iter().for_each(join);
    }

    /// Called with every durable commit, after the state has it.
    pub(crate) fn applied(self: &Arc<Self>, records: &[(RecordContext, Record)]) {
        for (_, record) in records {
            let Record::Change(change) = record else { continue };
            match change.as_ref() {
                Change::CheckbackCreated(_) => {
                    if let Err(error) = self.start_threads() {
                        self.ledger.events.push("checkback_failed", error.to_string());
                    }
                }
                Change::CheckbackDropped { checkback, .. } => {
                    self.handlers.lock().remove(checkback);
                    self.standings.forget(*checkback);
                }
                _ => {}
            }
        }
    }

    pub(crate) fn figures(&self, id: CheckbackId) -> CheckbackFigures {
        self.standings.figures(id)
    }

    /// The plugin's version, callable.
    pub(super) fn handler(&self, id: CheckbackId, plugin: &PluginInfo) -> Result<Arc<dyn CheckbackHandler>> {
        if let Some((version, handler)) = self.handlers.lock().get(&id)
            && *version == plugin.id
        {
            return Ok(handler.clone());
        }
        let LoadedPlugin::Checkback(handler) = self.plugins.loaded_plugin(plugin)? else {
            return Err(Error::Internal(format!("plugin {:?} was loaded as another kind", plugin.name)));
        };
        let is_there = self.ledger.state.read().catalog().checkback(id).is_some();
        if is_there {
            self.handlers.lock().insert(id, (plugin.id, handler.clone()));
        }
        Ok(handler)
    }
}
