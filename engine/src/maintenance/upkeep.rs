//! What is kept up.

use std::sync::Arc;

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
}
