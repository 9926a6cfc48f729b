//! Messages that groups take by pop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::session::Session;
use crate::access::{Action, Object};
use crate::front::Engine;
use crate::model::{
    Error, InFlight, MessageKind, PartitionId, PopChoice, PopReceipt, PopRequest, Principal, Result, TableId,
    TableInfo, TableOptions, TableSpec,
};
use crate::pop::{PendingAck, PopOutcome};
use crate::state::PopId;

/// Where messages of a group go that it has given up.
const DEAD_LETTERS: &str = "%DLQ%";

impl Engine {
    /// A group takes the messages of a table by pop from now on, and no longer as members or by commits of its own. Refused (`InUse`) while
    /// it has members. Waits for the log, if it is not so already.
    pub fn begin_pop(&self, who: &Principal, namespace: &str, group: &str, table: TableId) -> Result<()> {
        let table = popped_table(&self.session(who)?, namespace, group, table)?;
        self.begin_popping(namespace, group, &table).map(drop)
    }

    /// It does not any more: what it was handed does not count, and others of the group go on at what is committed. Waits for the log.
    pub fn end_pop(&self, who: &Principal, namespace: &str, group: &str, table: TableId) -> Result<()> {
        let table = popped_table(&self.session(who)?, namespace, group, table)?;
        match self.rooms.pop.find(namespace, group, table.id) {
            Some(pop) => self.rooms.pop.end(pop),
            None => Ok(()),
        }
    }

    /// Whether a group takes the messages of a table by pop.
    pub fn is_popping(&self, who: &Principal, namespace: &str, group: &str, table: TableId) -> Result<bool> {
        let table = popped_table(&self.session(who)?, namespace, group, table)?;
        Ok(self.rooms.pop.find(namespace, group, table.id).is_some())
    }

    /// Takes messages for a consumer: those whose time is over first, then new ones that `choice` chooses. A group begins to pop with
    /// the first call. Those that were handed out too often are moved to the table `%DLQ%group`, which is made on first use. Waits for
    /// the disk, and for the log where something begins; not for what it hands out.
    pub fn pop(&self, who: &Principal, request: &PopRequest, choice: &mut dyn PopChoice) -> Result<PopOutcome> {
        let PopRequest { namespace, group, .. } = request;
        let table = popped_table(&self.session(who)?, namespace, group, request.table)?;
        let pop = self.begin_popping(namespace, group, &table)?;
        let letters = self.find_dead_letters(namespace, group);
        let retries = self.rooms.retries_of(namespace, group);
        let request =
            &PopRequest { max_attempts: retries.max_attempts.unwrap_or(request.max_attempts), ..request.clone() };
        match self.rooms.pop.take(pop, &table, request, letters.as_deref(), choice)? {
            PopOutcome::NeedsDeadLetters => {
                let letters = self.dead_letters(who, namespace, group)?;
                self.rooms.pop.take(pop, &table, request, Some(&letters), choice)
            }
            taken => Ok(taken),
        }
    }

    /// Changes whenever there may be messages for a group that are not new; those are told of by [`Self::watch_table`].
    pub fn watch_pop(
        &self,
        who: &Principal,
        namespace: &str,
        group: &str,
        table: TableId,
        in_order: bool,
    ) -> Result<watch::Receiver<u64>> {
        let table = popped_table(&self.session(who)?, namespace, group, table)?;
        Ok(self.rooms.pop.watch(self.begin_popping(namespace, group, &table)?, in_order))
    }

    /// Whether there may be messages for a group, in one partition or in any, and when the next of those in flight is visible again. What
    /// its consumers leave out counts, too.
    pub fn may_pop(
        &self,
        who: &Principal,
        namespace: &str,
        group: &str,
        table: TableId,
        partition: Option<PartitionId>,
    ) -> Result<(bool, Option<i64>)> {
        let table = popped_table(&self.session(who)?, namespace, group, table)?;
        self.rooms.pop.may_take(self.popping(namespace, group, &table)?, &table, partition)
    }

    /// Acknowledges messages: they are not handed out again. May wait for the disk.
    pub fn acknowledge_popped(
        &self,
        who: &Principal,
        namespace: &str,
        group: &str,
        table: TableId,
        receipts: &[PopReceipt],
    ) -> Result<PendingAck> {
        let table = popped_table(&self.session(who)?, namespace, group, table)?;
        self.rooms.pop.acknowledge(self.popping(namespace, group, &table)?, &table, receipts)
    }

    /// Has a message that was handed out be visible again after this time, 12 h at most; its receipt is another one from then on. May wait
    /// for the disk.
    pub fn change_invisible(
        &self,
        who: &Principal,
        namespace: &str,
        group: &str,
        table: TableId,
        (receipt, after): (&PopReceipt, Duration),
    ) -> Result<PendingAck> {
        let table = popped_table(&self.session(who)?, namespace, group, table)?;
        self.rooms.pop.make_visible(self.popping(namespace, group, &table)?, &table, receipt, after)
    }

    /// Moves a message that was handed out to the table `%DLQ%group`. Waits for the disk.
    pub fn give_up_popped(
        &self,
        who: &Principal,
        namespace: &str,
        group: &str,
        table: TableId,
        receipt: &PopReceipt,
    ) -> Result<PendingAck> {
        let table = popped_table(&self.session(who)?, namespace, group, table)?;
        let pop = self.popping(namespace, group, &table)?;
        let letters = self.dead_letters(who, namespace, group)?;
        self.rooms.pop.give_up_one(pop, &table, &letters, receipt)
    }

    /// Messages of a table in flight, by group, partition and offset; `each` gives whether it wants more.
    pub fn in_flight(&self, who: &Principal, table: TableId, mut each: impl FnMut(InFlight) -> bool) -> Result<()> {
        let session = self.session(who)?;
        let table = session.table_by_id(Action::See, table)?;
        self.rooms.pop.in_flight(table.id, |one| {
            let is_shown = session.allow(Action::See, Object::group(&one.namespace, &one.group)).is_ok();
            !is_shown || each(one)
        })
    }

    fn begin_popping(&self, namespace: &str, group: &str, table: &TableInfo) -> Result<PopId> {
        if let Some(pop) = self.rooms.pop.find(namespace, group, table.id) {
            return Ok(pop);
        }
        let topic = self.rooms.ledger.topic(crate::model::TopicId(table.id.0))?;
        self.with_room_for_group(namespace, group, || self.rooms.delivery.begin_popped(namespace, group, &topic))?;
        self.rooms.pop.begin(namespace, group, table)
    }

    fn popping(&self, namespace: &str, group: &str, table: &TableInfo) -> Result<PopId> {
        self.rooms.pop.find(namespace, group, table.id).ok_or_else(|| {
            Error::FailedPrecondition(format!("consumer group {group:?} takes no messages of {:?} by pop", table.name))
        })
    }

    fn find_dead_letters(&self, namespace: &str, group: &str) -> Option<Arc<TableInfo>> {
        let name = format!("{DEAD_LETTERS}{group}");
        let found = self.rooms.ledger.state.read().catalog().table_named(namespace, &name).cloned();
        found.filter(|table| table.options.messages.is_some())
    }

    fn dead_letters(&self, who: &Principal, namespace: &str, group: &str) -> Result<Arc<TableInfo>> {
        if let Some(found) = self.find_dead_letters(namespace, group) {
            return Ok(found);
        }
        let options = TableOptions { partitions: 1, ..TableOptions::default() };
        let name = format!("{DEAD_LETTERS}{group}");
        match self.create_table(who, TableSpec::of_messages(namespace, &name, MessageKind::Any, options)) {
            Err(Error::AlreadyExists { what, name }) => {
                // Somebody was faster; or it is a table of another kind.
                let found = self.find_dead_letters(namespace, group);
                found.ok_or(Error::AlreadyExists { what, name })
            }
            made => made,
        }
    }
}

/// The table whose messages a group takes, which is in the group's namespace.
fn popped_table(session: &Session<'_>, namespace: &str, group: &str, table: TableId) -> Result<Arc<TableInfo>> {
    session.group(Action::Consume, namespace, group)?;
    let table = session.table_by_id(Action::Consume, table)?;
    match table.namespace == namespace {
        true => Ok(table),
        false => Err(Error::InvalidInput(format!(
            "group {group:?} and table {:?} are in different namespaces: {namespace:?} and {:?}",
            table.name, table.namespace
        ))),
    }
}
