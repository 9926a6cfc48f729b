//! Messages that are looked up, and those that wait for their time.

use std::ops::Range;

use crate::access::Action;
use crate::front::Engine;
use crate::model::{DelayedMessage, Error, FoundMessage, MessageKey, Principal, Result, TableId};
use crate::state::{DueWhat, Submission};

impl Engine {
    /// Messages of a table by their id, or by one of their keys, that were appended within a time (µs since the Unix epoch, end
    /// exclusive): at most `most`, newest first, where those that the log has come before those of segments. Waits until the keys of
    /// what was appended last are gathered. `FailedPrecondition` of a table that holds no messages.
    pub fn find_messages(
        &self,
        who: &Principal,
        table: TableId,
        key: MessageKey<'_>,
        appended_us: Range<i64>,
        most: usize,
    ) -> Result<Vec<FoundMessage>> {
        let table = self.session(who)?.table_by_id(Action::Follow, table)?;
        if table.options.messages.is_none() {
            return Err(Error::FailedPrecondition(format!("table {:?} holds no messages", table.name)));
        }
        crate::cursor::find_messages(&self.rooms.tables, &table, key, &appended_us, most)
    }

    /// How many messages of each table wait for their time, by namespace and name of the table.
    pub fn delayed_counts(&self, who: &Principal) -> Result<Vec<(TableId, u64)>> {
        let session = self.session(who)?;
        let counts: Vec<_> = self.rooms.ledger.state.read().delayed_counts().collect();
        let readable = |(table, _): &(TableId, u64)| session.table_by_id(Action::See, *table).is_ok();
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
