//! What comes of due times: delayed messages are appended, half messages asked about.

use std::collections::BTreeMap;

use super::Messages;
use super::stored::{StoredMessage, decode_message, rows};
use crate::due::{Acts, Due};
use crate::model::{PartitionId, Result, TableId, TableInfo};
use crate::state::{DueWhat, Record, RowsPart, Submission};

impl Acts for Messages {
    fn act(&self, table: TableId, due: &[Due]) -> Result<Submission> {
        let table = self.ledger.table(table)?;
        let of = |what| due.iter().filter(move |due| due.what == what);
        let messages = of(DueWhat::Message).map(|due| decode_message(&due.payload)).collect::<Result<Vec<_>>>()?;
        let rows = self.appended(&table, messages)?;
        let asked = self.asked(table.id, of(DueWhat::Check).map(|due| due.key))?;
        let records = asked.map(Record::from).into_iter().collect();
        Ok(Submission { rows, records, durability: table.options.durability, ..Submission::default() })
    }

    fn acted(&self, table: TableId, due: &[Due]) {
        due.iter().filter(|due| due.what == DueWhat::Check).for_each(|due| self.ask(table, &due.key));
    }
}

impl Messages {
    /// Messages as rows that become visible.
    pub(super) fn appended(&self, table: &TableInfo, messages: Vec<StoredMessage<'_>>) -> Result<Vec<RowsPart>> {
        let mut by_partition: BTreeMap<PartitionId, Vec<StoredMessage<'_>>> = BTreeMap::new();
        for message in messages {
            by_partition.entry(message.partition).or_default().push(message);
        }
        let placed = by_partition.into_iter().map(|(partition, messages)| Ok((partition, rows(&messages)?)));
        let mut spare = self.ledger.options.max_commit_bytes;
        self.appender.encode(table, placed.collect::<Result<Vec<_>>>()?, &mut spare)
    }
}
