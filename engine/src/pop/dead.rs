//! Messages that are given up become rows of a dead-letter table.

use arrow_array::RecordBatch;

use super::Pop;
use crate::messages::dead_letters;
use crate::model::{Error, Result, TableInfo};
use crate::state::{SchemaVersion, Submission};

impl Pop {
    /// Adds rows of a table, with how often they were handed out, as dead letters.
    pub(super) fn bury(
        &self,
        submission: &mut Submission,
        table: &TableInfo,
        letters: Option<&TableInfo>,
        dead: Vec<(RecordBatch, u32)>,
    ) -> Result<()> {
        if dead.is_empty() {
            return Ok(());
        }
        let letters = letters.ok_or_else(|| Error::Internal("dead letters have no table".to_owned()))?;
        let mut spare = self.ledger().options.max_commit_bytes;
        let mut placed = Vec::with_capacity(dead.len());
        for (rows, attempts) in dead {
            placed.push((0, dead_letters(&rows, &table.name, attempts)?));
        }
        submission.rows.extend(self.appender.encode(letters, placed, &mut spare)?);
        let version = letters.schema_version();
        submission.preconditions.push(SchemaVersion { table: letters.id, version }.into());
        Ok(())
    }
}
