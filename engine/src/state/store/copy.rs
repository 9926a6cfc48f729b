//! A copy of the last checkpoint, taken while others are written.

use std::path::Path;

use fjall::{PersistMode, Readable as _};

use super::errors::{contained, store_error};
use super::{Opened, StateStore};
use crate::model::{Error, Result};

/// So much is handed to the copy at once.
const BATCH_BYTES: usize = 1 << 20;

impl StateStore {
    /// Makes a state store under `<dir>/state` that holds the last checkpoint, durably. Checkpoints go on meanwhile.
    pub(crate) fn copy_to(&self, dir: &Path) -> Result<()> {
        let (snapshot, entries) = {
            let opened = self.opened.lock();
            let opened = opened.as_ref().ok_or(Error::Closed)?;
            (opened.database.snapshot(), opened.entries.clone())
        };
        let path = dir.join("state");
        contained(&path, || {
            let copy = Opened::open(&path)?;
            let failed = |error: fjall::Error| store_error(&path, &error);
            let (mut batch, mut bytes) = (copy.database.batch(), 0);
            for entry in snapshot.iter(&entries) {
                let (key, value) = entry.into_inner().map_err(|error| store_error(&self.path, &error))?;
                bytes += key.len() + value.len();
                batch.insert(&copy.entries, key, value);
                if bytes >= BATCH_BYTES {
                    copy.wait_for_room();
                    std::mem::replace(&mut batch, copy.database.batch()).commit().map_err(failed)?;
                    bytes = 0;
                }
            }
            batch.commit().map_err(failed)?;
            copy.database.persist(PersistMode::SyncAll).map_err(failed)
        })
    }
}
