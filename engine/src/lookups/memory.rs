//! Tables that are given as rows, for tools that try a plugin without an engine.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;

use super::budget::Budget;
use super::index::{Added, KeyIndex};
use super::{FoundRows, LookupUnavailable, TableLookup, TableUse};
use crate::model::{Error, Result};

/// Rows of tables, each as if it had one partition.
#[derive(Debug, Default)]
pub struct MemoryTables {
    tables: Vec<KeyIndex>,
}

impl MemoryTables {
    /// A table for each that a plugin declares, in that order. The batches have the key columns and then the others, by
    /// place and in the declared types; later rows are newer.
    pub fn new(uses: &[TableUse], rows: Vec<Vec<RecordBatch>>) -> Result<MemoryTables> {
        let tables = uses.iter().zip(rows).map(|(used, batches)| {
            let broken = |error: arrow_schema::ArrowError| {
                Error::InvalidInput(format!("the rows of table {:?} can't be looked up: {error}", used.name))
            };
            let mut index = KeyIndex::new(used, Arc::new(Budget::new(u64::MAX))).map_err(broken)?;
            let mut first = 0;
            for batch in batches {
                let Some((keys, columns)) = batch.columns().split_at_checked(used.key.fields().len()) else {
                    return Err(Error::InvalidInput(format!("the rows of table {:?} lack columns", used.name)));
                };
                let append_us = vec![0; batch.num_rows()];
                index.add(&Added { partition: 0, first, keys, columns, append_us: &append_us }).map_err(broken)?;
                first += batch.num_rows() as u64;
            }
            Ok(index)
        });
        Ok(MemoryTables { tables: tables.collect::<Result<_>>()? })
    }
}

impl TableLookup for MemoryTables {
    fn lookup(
        &self,
        table: usize,
        keys: &RecordBatch,
        _patience: Duration,
        max_bytes: usize,
    ) -> std::result::Result<FoundRows, LookupUnavailable> {
        let index = self.tables.get(table);
        let index = index.ok_or_else(|| LookupUnavailable("the table's rows were not given".to_owned()))?;
        index.newest(keys, max_bytes)
    }
}
