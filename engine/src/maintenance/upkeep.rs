//! What is kept up.

use std::sync::Arc;

use parking_lot::{RwLock, RwLockReadGuard};

use crate::cursor::Tables;
use crate::log::Ledger;
use crate::plugins::Plugins;
use crate::segments::Segments;

#[derive(Debug)]
pub(super) struct Upkeep {
    pub ledger: Arc<Ledger>,
    pub segments: Arc<Segments>,
    pub tables: Arc<Tables>,
    pub plugins: Arc<Plugins>,
    /// Held alone by who needs the files that are there, one at a time; shared by who deletes some, who does so later if that can't be had.
    pub files: RwLock<()>,
}

impl Upkeep {
    pub(super) fn deleting(&self) -> Option<RwLockReadGuard<'_, ()>> {
        self.files.try_read()
    }
}
