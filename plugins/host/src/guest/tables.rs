//! Rows of tables by key, as guests ask for them.

use std::sync::Arc;
use std::time::Instant;

use millstream_engine::{MAX_LOOKUP_KEYS, PluginInfo, TableLookup, TableUse};

use crate::contract::{WireFound, WireTableError};
use crate::failure::clip;
use crate::messages::{self, Encoder};

/// The tables of a plugin version.
#[derive(Debug)]
pub(crate) struct Tables {
    uses: Vec<TableUse>,
    source: Arc<dyn TableLookup>,
    /// Of the rows that one look-up gives.
    max_bytes: usize,
}

impl Tables {
    pub(crate) fn new(plugin: &PluginInfo, source: Arc<dyn TableLookup>) -> Tables {
        let max_bytes = usize::try_from(plugin.limits.output_bytes).unwrap_or(usize::MAX);
        Tables { uses: plugin.description.tables.clone(), source, max_bytes }
    }

    /// Reading the table may take half of the time that is left: a guest that is told that it took too long can still
    /// answer.
    pub(crate) fn lookup(&self, name: &str, keys: Vec<u8>, deadline: Instant) -> Result<WireFound, WireTableError> {
        let declared = self.uses.iter().enumerate().find(|(_, used)| used.name == name);
        let Some((table, used)) = declared else {
            return Err(WireTableError::Denied(format!("table {:?} is not declared", clip(name))));
        };
        let keys = messages::read_batch(&used.key, keys).map_err(WireTableError::Invalid)?;
        if keys.num_rows() > MAX_LOOKUP_KEYS {
            let why = format!("{} keys, where {MAX_LOOKUP_KEYS} are allowed", keys.num_rows());
            return Err(WireTableError::Invalid(why));
        }
        let patience = deadline.saturating_duration_since(Instant::now()) / 2;
        let found = self.source.lookup(table, &keys, patience, self.max_bytes);
        let found = found.map_err(|unavailable| WireTableError::Unavailable(unavailable.0))?;
        let encoded =
            Encoder::new(&used.columns).and_then(|mut encoder| encoder.encode(&found.batch).map(<[u8]>::to_vec));
        let batch = encoded.map_err(|error| WireTableError::Unavailable(error.message))?;
        Ok(WireFound { batch, rows: found.rows })
    }
}
