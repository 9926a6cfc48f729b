//! Messages that wait for their time: delivered, listed, recalled.

use std::collections::BTreeMap;

use super::Messages;
use super::stored::{StoredMessage, decode_message, rows};
use crate::due::{Acts, Due};
use crate::model::{DelayedMessage, PartitionId, Result, TableId};
use crate::state::{DueEntry, DueKey, DueWhat, Submission};

impl Acts for Messages {
    fn act(&self, table: TableId, due: &[Due]) -> Result<Submission> {
        let table = self.ledger.table(table)?;
        let mut by_partition: BTreeMap<PartitionId, Vec<StoredMessage<'_>>> = BTreeMap::new();
        for due in due {
            let message = decode_message(&due.payload)?;
            by_partition.entry(message.partition).or_default().push(message);
        }
        let placed = by_partition.into_iter().map(|(partition, messages)| Ok((partition, rows(&messages)?)));
        let mut spare = self.ledger.options.max_commit_bytes;
        let rows = self.appender.encode(&table, placed.collect::<Result<Vec<_>>>()?, &mut spare)?;
        Ok(Submission { rows, durability: table.options.durability, ..Submission::default() })
    }
}

impl Messages {
    /// Delayed messages of a table, in the order of their times, until `each` gives false.
    pub(crate) fn delayed(&self, table: TableId, mut each: impl FnMut(DelayedMessage) -> Result<bool>) -> Result<()> {
        let due = self.ledger.state.read().due();
        due.scan(DueKey::first_at(table, i64::MIN), |key, entry| match key.table == table {
            true => each(shown(key, entry)?),
            false => Ok(false),
        })
    }

    /// The entry of a message that is not delivered yet; `deliver_us` is when it would be, if that is known: without it all delayed
    /// messages of the table are looked through.
    pub(crate) fn find_delayed(
        &self,
        table: TableId,
        message_id: &str,
        deliver_us: Option<i64>,
    ) -> Result<Option<DueKey>> {
        let due = self.ledger.state.read().due();
        let mut found = None;
        due.scan(DueKey::first_at(table, deliver_us.unwrap_or(i64::MIN)), |key, entry| {
            if key.table != table || deliver_us.is_some_and(|at| key.at_us != at) {
                return Ok(false);
            }
            if decode_message(&entry.payload)?.message_id == Some(message_id) {
                found = Some(*key);
            }
            Ok(found.is_none())
        })?;
        Ok(found)
    }
}

fn shown(key: &DueKey, entry: &DueEntry) -> Result<DelayedMessage> {
    let DueWhat::Message = entry.what;
    let message = decode_message(&entry.payload)?;
    Ok(DelayedMessage {
        table: key.table,
        partition: message.partition,
        message_id: message.message_id.unwrap_or_default().to_owned(),
        tag: message.tag.map(str::to_owned),
        deliver_us: key.at_us,
        born_us: message.born_us.unwrap_or_default(),
        body_bytes: message.body.len(),
    })
}
