//! Messages that wait for their time: listed, recalled.

use super::Messages;
use super::stored::decode_message;
use crate::model::{DelayedMessage, Result, TableId};
use crate::state::{DueEntry, DueKey, DueWhat};

impl Messages {
    /// Delayed messages of a table, in the order of their times, until `each` gives false.
    pub(crate) fn delayed(&self, table: TableId, mut each: impl FnMut(DelayedMessage) -> Result<bool>) -> Result<()> {
        let due = self.ledger.state.read().due();
        due.scan(DueKey::first_at(table, i64::MIN), |key, entry| match entry.what {
            _ if key.table != table => Ok(false),
            DueWhat::Message => each(shown(key, entry)?),
            DueWhat::Check => Ok(true),
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
            if entry.what == DueWhat::Message && decode_message(&entry.payload)?.message_id == Some(message_id) {
                found = Some(*key);
            }
            Ok(found.is_none())
        })?;
        Ok(found)
    }
}

fn shown(key: &DueKey, entry: &DueEntry) -> Result<DelayedMessage> {
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
