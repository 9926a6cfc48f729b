//! What comes of due times where half messages of some tables are asked about elsewhere.

use std::sync::Arc;

use super::Board;
use crate::due::{Acts, Due};
use crate::log::Ledger;
use crate::model::{Result, TableId};
use crate::state::{DueKey, DueWhat, Submission};

/// Leaves half messages of tables that have a checkback to it.
#[derive(Debug)]
pub(crate) struct LeavingChecks {
    pub ledger: Arc<Ledger>,
    pub others: Arc<dyn Acts>,
    pub board: Arc<Board>,
}

impl Acts for LeavingChecks {
    fn act(&self, table: TableId, due: &[Due]) -> Result<Submission> {
        self.others.act(table, due)
    }

    fn acted(&self, table: TableId, due: &[Due]) {
        self.others.acted(table, due);
    }

    fn leaves(&self, table: TableId, what: DueWhat) -> bool {
        what == DueWhat::Check && self.ledger.state.read().catalog().checkback_of_table(table).is_some()
    }

    fn left(&self, from: DueKey) {
        let namespace = self.ledger.state.read().table(from.table).map(|table| Arc::from(table.namespace.as_str()));
        if let Some(namespace) = namespace {
            self.board.note(namespace, from);
        }
    }
}
