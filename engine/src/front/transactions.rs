//! Transactions: half messages that are sent, decided and asked about.

use arrow_array::RecordBatch;
use tokio::sync::broadcast;

use crate::access::Action;
use crate::contract::CheckVerdict;
use crate::front::Engine;
use crate::log::Ticket;
use crate::messages::micros;
use crate::model::{
    Append, Appended, Durability, Error, HalfMessage, Principal, Result, TableId, TransactionCheck, TransactionId,
};
use crate::state::Submission;

impl Engine {
    /// Sends half messages, each the only one of its transaction. What is answered has the LSN that their ids begin with; the `n`th row
    /// of the batch is `(lsn, n)` where all go to one partition, as those of a single row do. Nobody sees them before
    /// [`Self::end_transaction`]. Producers of `group`, or the table's checkback, are asked about those that do not end, for the first
    /// time after `after_ms`, or what the checkback says, or else [`crate::EngineOptions::transaction_checks`].
    pub fn begin_transactions(
        &self,
        who: &Principal,
        append: &Append,
        group: &str,
        after_ms: Option<u64>,
    ) -> Result<Ticket> {
        let table = self.session(who)?.table_by_id(Action::Produce, append.table)?;
        self.refuse_letters(&table)?;
        let options = &self.rooms.ledger.options;
        let own =
            self.rooms.ledger.state.read().catalog().checkback_of_table(table.id).map(|own| own.settings.after_ms);
        let after_us = micros(after_ms.or(own).unwrap_or(options.transaction_checks.after_ms));
        let mut spare = options.max_commit_bytes;
        let record = self.rooms.messages.prepare_halves(&table, append, group, after_us, &mut spare)?;
        if record.begun.is_empty() {
            return self.nothing_appended(Durability::Sync).map(Ticket::admitted);
        }
        self.admit_appends(who, &table.namespace, std::slice::from_ref(append), true)?;
        self.rooms.ledger.log.enqueue(Submission { durability: table.options.durability, ..Submission::of([record]) })
    }

    /// Ends a transaction: a committed message becomes visible, where the answer says; of one that is rolled back nothing stays.
    /// `Unknown` leaves it as it is. `NotFound` if it has ended, or never was.
    pub fn end_transaction(
        &self,
        who: &Principal,
        table: TableId,
        id: TransactionId,
        verdict: CheckVerdict,
    ) -> Result<Option<Appended>> {
        let table = self.session(who)?.table_by_id(Action::Produce, table)?;
        let messages = &self.rooms.messages;
        loop {
            let claimed = messages.claim_of(table.id, id)?;
            let commit = match verdict {
                CheckVerdict::Unknown => return Ok(None),
                verdict => verdict == CheckVerdict::Commit,
            };
            let what = claimed.1.then_some(crate::state::DueWhat::Check);
            let ended = self.rooms.due.settle(claimed.0, what, || messages.ending(&table, id, claimed, commit))?;
            // It was asked about meanwhile, and has another due time now.
            if let Some(receipt) = ended {
                return Ok(receipt.appended.first().copied());
            }
        }
    }

    /// How many half messages each table has.
    pub fn half_counts(&self, who: &Principal) -> Result<Vec<(TableId, u64)>> {
        let session = self.session(who)?;
        let counts: Vec<_> = self.rooms.ledger.state.read().half_counts().collect();
        let readable = |(table, _): &(TableId, u64)| session.table_by_id(Action::See, *table).is_ok();
        Ok(counts.into_iter().filter(readable).collect())
    }

    /// Half messages of a table, in the order in which they began; `each` gives whether it wants more.
    pub fn half_messages(&self, who: &Principal, table: TableId, each: impl FnMut(HalfMessage) -> bool) -> Result<()> {
        let table = self.session(who)?.table_by_id(Action::Read, table)?;
        self.rooms.messages.halves(table.id, each)
    }

    /// A half message as it would be appended, one row. `NotFound` once its transaction has ended.
    pub fn half_message_row(&self, who: &Principal, table: TableId, id: TransactionId) -> Result<RecordBatch> {
        let table = self.session(who)?.table_by_id(Action::Read, table)?;
        let missing = || Error::NotFound { what: "transaction", name: id.to_string() };
        self.rooms.messages.half_row(table.id, id)?.ok_or_else(missing)
    }

    /// Told of each half message that is asked about from now on, for those who ask producers and answer with
    /// [`Self::end_transaction`]. Who lags behind misses the oldest, which are asked about again.
    pub fn transaction_checks(&self, who: &Principal) -> Result<broadcast::Receiver<TransactionCheck>> {
        self.session(who)?.server(Action::Operate)?;
        Ok(self.rooms.messages.checks())
    }

    /// The half message of an id, of whatever table; `NotFound` without one.
    pub fn half_message(&self, who: &Principal, id: TransactionId) -> Result<HalfMessage> {
        let session = self.session(who)?;
        let missing = || Error::NotFound { what: "transaction", name: id.to_string() };
        let tables: Vec<TableId> = self.rooms.ledger.state.read().half_counts().map(|(table, _)| table).collect();
        for table in tables {
            if let Some(half) = self.rooms.messages.half(table, id)? {
                return match session.table_by_id(Action::Produce, table) {
                    // As if it were not there, for who may not see its table.
                    Err(Error::NotFound { .. }) => Err(missing()),
                    checked => checked.map(|_| half),
                };
            }
        }
        Err(missing())
    }
}
