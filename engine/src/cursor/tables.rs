//! What rows are read from.

use std::sync::Arc;

use crate::log::Ledger;
use crate::segments::Segments;

/// Rows wherever they lie: in memory and the files of the log, and in segments.
#[derive(Debug)]
pub(crate) struct Tables {
    pub ledger: Arc<Ledger>,
    pub segments: Arc<Segments>,
}
