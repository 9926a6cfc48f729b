//! The engine's front: every call that a front door, the SQL room or an embedding program makes. This file opens and
//! closes; the calls stand by subject in the files beside it.

mod define;
mod deliver;
mod inspect;
mod maintain;
mod read;
mod write;

use std::path::Path;
use std::sync::Arc;

use crate::*;

/// One open store. Cheap to clone; the last clone closes it.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) shared: Arc<crate::shared::Shared>,
}

#[allow(unused_variables, clippy::unimplemented, reason = "signatures first: bodies land with their modules")]
impl Engine {
    /// Opens the store in `dir` with default settings, creating it if it is not there.
    pub fn open(dir: impl AsRef<Path>) -> Result<Engine> {
        Engine::open_with(EngineOptions::new(dir.as_ref()))
    }

    /// Opens with settings of your own.
    pub fn open_with(options: EngineOptions) -> Result<Engine> {
        unimplemented!()
    }

    /// Hands the engine what compiles topics. Topics can't be read before.
    pub fn set_topic_compiler(&self, compiler: Arc<dyn TopicCompiler>) {
        unimplemented!()
    }

    /// Hands the engine what runs plugins.
    pub fn set_plugin_host(&self, host: Arc<dyn PluginHost>) {
        unimplemented!()
    }

    /// Writes the clean-shutdown record and stops every thread. Later calls answer `Closed`.
    pub fn close(&self) -> Result<()> {
        unimplemented!()
    }
}
