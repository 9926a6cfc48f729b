//! Messages that wait for their time.

use crate::access::Action;
use crate::front::Engine;
use crate::model::{DelayedMessage, Error, Principal, Result, TableId};
use crate::state::{DueWhat, Submission};

impl Engine {
    /// How many messages of each table wait for their time, by namespace and name of the table.
    pub fn delayed_counts(&self, who: &Principal) -> Result<Vec<(TableId, u64)>> {
        let session = self.session(who)?;
        let counts: Vec<_> = self.rooms.ledger.state.read().delayed_counts().collect();
        let readable = |(table, _): &(TableId, u64)| session.table_by_id(Action::Read, *table).is_ok();
        Ok(counts.into_iter().filter(readable).collect())
    }

    /// Messages of a table that wait for their time, in the order of it; `each` gives whether it wants more.
    pub fn delayed_messages(
        &self,
        who: &Principal,
        table: TableId,
        mut each: impl FnMut(DelayedMessage) -> bool,
    ) -> Result<()> {
        let table = self.session(who)?.table_by_id(Action::Read, table)?;
        self.rooms.messages.delayed(table.id, |message| Ok(each(message)))
    }

    /// Takes a delayed message back before its time; `deliver_us` is that time (µs since the Unix epoch), without which all that
    /// waits for the table is looked through. `NotFound` once it is delivered.
    pub fn recall_message(
        &self,
        who: &Principal,
        namespace: &str,
        table: &str,
        message_id: &str,
        deliver_us: Option<i64>,
    ) -> Result<()> {
        let table = self.session(who)?.table(Action::Produce, namespace, table)?;
        let key = self.rooms.messages.find_delayed(table.id, message_id, deliver_us)?;
        let missing = || Error::NotFound { what: "delayed message", name: message_id.to_owned() };
        let key = key.ok_or_else(missing)?;
        let recalled = self.rooms.due.settle(key, Some(DueWhat::Message), || {
            let is_there = self.rooms.ledger.state.read().due().contains(&key)?;
            let nothing = Submission { durability: table.options.durability, ..Submission::default() };
            Ok(is_there.then_some(nothing))
        })?;
        recalled.map(drop).ok_or_else(missing)
    }
}
