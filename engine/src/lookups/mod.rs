//! Rows of tables by key, for plugins: the newest row of each key is found without reading the table again.

pub(crate) mod budget;
pub(crate) mod index;
mod memory;

use std::fmt;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use serde::{Deserialize, Serialize};

use crate::model::Error;
pub use memory::MemoryTables;

/// Keys that one look-up may ask for.
pub const MAX_LOOKUP_KEYS: usize = 65_536;

/// Rows that a plugin looks up, as it declares them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableUse {
    /// What the plugin calls the table; the operator says which table that is.
    pub name: String,
    /// The columns that a look-up gives values for; at least one.
    pub key: SchemaRef,
    /// The columns that it gets; at least one.
    pub columns: SchemaRef,
}

impl TableUse {
    /// The refusal of a plugin that reads a table which the operator has not named.
    pub fn not_granted(&self) -> Error {
        let name = &self.name;
        Error::PermissionDenied(format!(
            "the module reads table {name:?}, which is not granted; WITH (table.{name} = 'TABLE') grants it, and says which \
             table that is"
        ))
    }
}

/// The tables of one plugin version.
pub trait TableLookup: Send + Sync + fmt::Debug {
    /// The newest row of each key, of the table of that place among [`crate::contract::PluginDescription::tables`]. `keys` has the
    /// declared key columns. A key that holds a null, and one that the table does not have, gives no row.
    ///
    /// A row is newer than another of its partition at a higher offset, and than one of another partition if it was
    /// appended later; of rows that were appended at the same time in several partitions, that of the highest partition is.
    /// Rows below a partition's start offset are not there.
    ///
    /// Reading the table ends after `patience`; what was read is kept for the next look-up.
    fn lookup(
        &self,
        table: usize,
        keys: &RecordBatch,
        patience: Duration,
        max_bytes: usize,
    ) -> Result<FoundRows, LookupUnavailable>;
}

/// What [`TableLookup::lookup`] gives.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundRows {
    /// The declared columns.
    pub batch: RecordBatch,
    /// For each row the row of the keys that it answers; rising.
    pub rows: Vec<u32>,
}

/// Why a table can't be read now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LookupUnavailable(pub String);
