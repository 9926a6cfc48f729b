//! Appends.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::access::Action;
use crate::front::Engine;
use crate::log::Ticket;
use crate::model::Principal;
use crate::model::{Append, Durability, Error, PendingReceipt, ProducerStamp, Receipt, Result, TableId, TableInfo};
use crate::state::{Record, SchemaVersion, StreamStamp, Submission};

/// Pieces that [`Engine::split_for_append`] cuts, as a share of what a submission may hold: small enough that the copies
/// and frame heads of a batch spread over partitions still fit.
const PIECES_PER_SUBMISSION: usize = 4;

impl Engine {
    /// Queues rows for one table. The batch is checked, encoded and split by partition on the caller's thread; blocks while
    /// the writer's queue is full. [`Self::enqueue`] does not.
    pub fn append(&self, who: &Principal, append: Append, stamp: Option<ProducerStamp>) -> Result<PendingReceipt> {
        self.append_all(who, vec![append], stamp)
    }

    /// Several appends as one submission: seen whole or not at all. All tables are of one namespace; a stamp counts in the
    /// stream of the first one.
    pub fn append_all(
        &self,
        who: &Principal,
        appends: Vec<Append>,
        stamp: Option<ProducerStamp>,
    ) -> Result<PendingReceipt> {
        self.enqueue_all(who, appends, stamp, true)?.wait()
    }

    /// As [`Self::append`], without waiting for room in the writer's queue: the ticket resolves when there is some, and is
    /// to be waited for before more is queued. Rows of one caller keep the order of these calls. Refused (`OverQuota`) while the
    /// namespace or the caller has appended too much.
    pub fn enqueue(&self, who: &Principal, append: Append, stamp: Option<ProducerStamp>) -> Result<Ticket> {
        self.enqueue_all(who, vec![append], stamp, true)
    }

    /// As [`Self::enqueue`], for those who wait as [`Engine::append_pause`] says before they take up more: too much is refused only where
    /// the namespace is full.
    pub fn enqueue_paced(&self, who: &Principal, append: Append, stamp: Option<ProducerStamp>) -> Result<Ticket> {
        self.enqueue_all(who, vec![append], stamp, false)
    }

    fn enqueue_all(
        &self,
        who: &Principal,
        appends: Vec<Append>,
        stamp: Option<ProducerStamp>,
        refuses: bool,
    ) -> Result<Ticket> {
        let mut submission = Submission { durability: Durability::Os, ..Submission::default() };
        let mut spare = self.rooms.ledger.options.max_commit_bytes;
        let mut namespace: Option<String> = None;
        let session = self.session(who)?;
        for append in &appends {
            let table = session.table_by_id(Action::Produce, append.table)?;
            if *namespace.get_or_insert_with(|| table.namespace.clone()) != table.namespace {
                return Err(Error::InvalidInput("one submission can't append to tables of two namespaces".to_owned()));
            }
            self.refuse_letters(&table)?;
            match table.options.messages {
                None => submission.rows.extend(self.rooms.appender.prepare(&table, append, &mut spare)?),
                Some(kind) => {
                    let messages = self.rooms.messages.prepare(&table, kind, append, &mut spare)?;
                    submission.rows.extend(messages.parts);
                    submission.records.extend(messages.delayed.map(Record::from));
                }
            }
            let version = table.schema_version();
            submission.preconditions.push(SchemaVersion { table: table.id, version }.into());
            if table.options.durability == Durability::Sync {
                submission.durability = Durability::Sync;
            }
        }
        submission.stamp = match (stamp, appends.first()) {
            (Some(stamp), Some(first)) => Some(StreamStamp { table: first.table, stamp }),
            (Some(_), None) => return Err(Error::InvalidInput("a producer stamp needs an append".to_owned())),
            (None, _) => None,
        };
        if submission.rows.is_empty() && submission.records.is_empty() && submission.stamp.is_none() {
            return self.nothing_appended(submission.durability).map(Ticket::admitted);
        }
        self.admit_appends(who, &namespace.unwrap_or_default(), &appends, refuses)?;
        self.rooms.ledger.stored.fetch(&submission);
        self.rooms.ledger.log.enqueue(submission)
    }

    /// Whether rows of these columns can become rows of the table, as far as that can be told without any: unknown, missing and
    /// doubled columns and types that are not cast are the errors that an append of such rows would give.
    pub fn check_columns(&self, who: &Principal, table: TableId, columns: &SchemaRef) -> Result<()> {
        let table = self.session(who)?.table_by_id(Action::Produce, table)?;
        let none = RecordBatch::new_empty(SchemaRef::clone(columns));
        crate::model::types::conform(&none, table.schema(), self.rooms.ledger.options.max_commit_bytes).map(drop)
    }

    /// Cuts a batch into pieces that can be appended one by one, in order and without copying. A single row that is too
    /// large stays a piece of its own, and its append says so.
    pub fn split_for_append(&self, batch: &RecordBatch) -> Vec<RecordBatch> {
        let bytes = self.rooms.ledger.options.max_commit_bytes / PIECES_PER_SUBMISSION;
        crate::write::pieces(batch, usize::MAX, bytes)
    }

    /// Dead letters are the engine's to write: their order and number follow from what was evaluated.
    /// So are the rows of continuous topics.
    pub(super) fn refuse_letters(&self, table: &TableInfo) -> Result<()> {
        let state = self.rooms.ledger.state.read();
        if let Some(of) = state.catalog().continuous_of_table(table.id) {
            return Err(Error::FailedPrecondition(format!(
                "table {:?} holds the rows of continuous topic {:?}; nothing else is appended to it",
                table.name, of.name
            )));
        }
        match state.catalog().owner_of_letters(table) {
            None => Ok(()),
            Some(owner) => Err(Error::FailedPrecondition(format!(
                "table {:?} holds the dead letters of {owner}; nothing else is appended to it",
                table.name
            ))),
        }
    }

    /// An append of no rows needs no record.
    pub(super) fn nothing_appended(&self, durability: Durability) -> Result<PendingReceipt> {
        self.rooms.ledger.check_open()?;
        let (sender, receiver) = futures::channel::oneshot::channel();
        let lsn = self.rooms.ledger.log.durable();
        // The receiver is right here, so this can't fail.
        let _ = sender.send(Ok(Receipt { lsn, appended: Vec::new(), duplicate: false, durability }));
        Ok(PendingReceipt { receiver })
    }
}
