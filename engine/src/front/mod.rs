//! The engine's front: every call that a front door, the SQL room or an embedding program makes. This file opens and
//! closes; the calls stand by subject in the files beside it.

mod audit;
mod backup;
mod checkback;
mod checkbacks;
mod continuous;
mod define;
mod deliver;
mod drops;
mod functions;
mod identities;
mod inspect;
mod logins;
mod maintain;
mod message_clients;
mod message_members;
mod message_trace;
mod messages;
mod names;
mod namespaces;
mod open;
mod plugin_calls;
mod plugin_consumers;
mod plugin_reloads;
mod plugin_settings;
mod plugins;
mod pop;
mod quotas;
mod read;
mod rooms;
mod secrets;
mod session;
mod shadows;
mod standing;
#[cfg(test)]
mod tests;
mod topic_reloads;
mod topics;
mod transactions;
mod watchers;
mod write;

use std::path::Path;
use std::sync::Arc;

pub use self::identities::{GrantAnswer, UserChanges, UserSpec};
use self::rooms::Rooms;
use crate::contract::{PluginHost, TopicCompiler};
use crate::model::{Error, Lsn, Principal, Result};
use crate::platform::EngineOptions;
use crate::state::Change;
use crate::state::Submission;

/// How often a definition is tried again when another one came between its check and its record.
const DEFINE_ATTEMPTS: usize = 16;

/// One open store. Cheap to clone; the last clone closes it.
#[derive(Debug, Clone)]
pub struct Engine {
    rooms: Arc<Rooms>,
    /// The engine's own threads have none: they keep no store open.
    _closer: Option<Arc<Closer>>,
}

/// Closes the store when no [`Engine`] is left; the engine's own threads do not count.
#[derive(Debug)]
struct Closer(Arc<Rooms>);

impl Drop for Closer {
    fn drop(&mut self) {
        if let Err(error) = self.0.close() {
            tracing::error!(%error, "the store could not be closed in order");
        }
    }
}

impl Engine {
    /// Opens the store in `dir` with default settings, creating it if it is not there.
    pub fn open(dir: impl AsRef<Path>) -> Result<Engine> {
        Engine::open_with(EngineOptions::new(dir.as_ref()))
    }

    /// Opens with settings of your own.
    pub fn open_with(options: EngineOptions) -> Result<Engine> {
        let rooms = open::open(options)?;
        let engine = Engine { _closer: Some(Arc::new(Closer(rooms.clone()))), rooms };
        open::start(&engine.rooms)?;
        engine.start_audit()?;
        Ok(engine)
    }

    /// For a thread of the engine's own.
    fn within(rooms: &Arc<Rooms>) -> Engine {
        Engine { rooms: Arc::clone(rooms), _closer: None }
    }

    /// Hands the engine what compiles topics. Topics can't be read before. The compiler must not keep a clone of this
    /// engine: it would never close by itself.
    pub fn set_topic_compiler(&self, compiler: Arc<dyn TopicCompiler>) {
        *self.rooms.plugins.compiler.write() = Some(compiler);
        self.rooms.runners.look_again();
        self.rooms.continuous.look_again();
    }

    /// Hands the engine what runs plugins. Consumers that are plugins begin now.
    pub fn set_plugin_host(&self, host: Arc<dyn PluginHost>) {
        let me = self.rooms.me.clone();
        host.on_suspension(Arc::new(move || {
            if let Some(rooms) = me.upgrade() {
                rooms.maintenance.hurry();
            }
        }));
        let threads = self.rooms.ledger.threads.clone();
        host.on_thread_panic(Arc::new(move |panic| threads.hear(panic)));
        *self.rooms.plugins.host.write() = Some(host);
        let names: Vec<Arc<str>> = self.rooms.ledger.state.read().catalog().namespaces().cloned().collect();
        self.rooms.plugins.tell_limits(names.iter().map(AsRef::as_ref));
        self.rooms.runners.look_again();
        self.rooms.continuous.look_again();
    }

    /// Writes the clean-shutdown record and stops every thread. Later calls answer `Closed`; closing again does nothing.
    pub fn close(&self) -> Result<()> {
        self.rooms.close()
    }

    /// Records definitions and waits until they stand. The LSN is that of the last record, so that it is the id of what a
    /// single change creates.
    fn record(&self, who: &Principal, changes: Vec<Change>) -> Result<Lsn> {
        self.submit_for(who, Submission::of(changes))
    }

    /// Makes changes from what stands now and records them, again if something else was defined meanwhile.
    fn define<T>(&self, mut attempt: impl FnMut(&Engine) -> Result<T>) -> Result<T> {
        for _ in 1..DEFINE_ATTEMPTS {
            match attempt(self) {
                Err(Error::Busy(_)) => {}
                done => return done,
            }
        }
        attempt(self)
    }
}
