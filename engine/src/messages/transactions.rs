//! Half messages: sent, asked about, and ended.

use std::sync::Arc;

use arrow_array::RecordBatch;

use super::Messages;
use super::stored::{decode_message, rows};
use crate::model::{
    Append, Error, HalfMessage, MessageKind, Result, TableId, TableInfo, TransactionCheck, TransactionId,
};
use crate::state::{DueKey, HalfBegun, HalfEntry, HalfRecord, Submission};

/// Bytes of a group's name.
const MAX_GROUP_BYTES: usize = 255;

impl Messages {
    /// What begins transactions of these messages, one each. `after_us` is when they are asked about for the first time, from now.
    pub(crate) fn prepare_halves(
        &self,
        table: &TableInfo,
        append: &Append,
        group: &str,
        after_us: i64,
        spare: &mut usize,
    ) -> Result<HalfRecord> {
        let name = &table.name;
        match table.options.messages {
            Some(MessageKind::Any | MessageKind::Transactional) => {}
            Some(kind) => {
                let kind = kind.name();
                return Err(Error::InvalidInput(format!(
                    "table {name:?} is of kind '{kind}' and takes no transactions"
                )));
            }
            None => return Err(Error::InvalidInput(format!("table {name:?} is no message table"))),
        }
        if group.is_empty() || group.len() > MAX_GROUP_BYTES {
            let message = format!("a producer group's name has 1 to {MAX_GROUP_BYTES} bytes, not {}", group.len());
            return Err(Error::InvalidInput(message));
        }
        let now_us = self.ledger.log.time().now_us();
        let (group, check_us) = (Arc::<str>::from(group), now_us.saturating_add(after_us));
        let payloads = self.encoded_halves(table, append, now_us, spare)?;
        let begun = payloads.into_iter().map(|payload| HalfBegun { group: group.clone(), payload, check_us });
        Ok(HalfRecord { table: table.id, begun: begun.collect(), asked: Vec::new(), ended: Vec::new() })
    }

    /// Half messages of a table, in the order in which they began, until `each` gives false.
    pub(crate) fn halves(&self, table: TableId, mut each: impl FnMut(HalfMessage) -> bool) -> Result<()> {
        let halves = self.ledger.state.read().halves();
        halves.scan(table, |id, entry| Ok(each(shown(table, id, entry)?)))
    }

    pub(crate) fn half(&self, table: TableId, id: TransactionId) -> Result<Option<HalfMessage>> {
        let entry = self.ledger.state.read().halves().get(table, id)?;
        entry.map(|entry| shown(table, id, &entry)).transpose()
    }

    /// The due time that whoever ends the transaction has to claim. Those that nobody is asked about any more have none of the
    /// state's, and are claimed by a key that no due time has. `NotFound` if it has ended, or never was.
    pub(crate) fn claim_of(&self, table: TableId, id: TransactionId) -> Result<(DueKey, bool)> {
        let entry = self.ledger.state.read().halves().get(table, id)?.ok_or_else(|| missing(id))?;
        let never = DueKey { table, at_us: i64::MAX, lsn: id.lsn, index: id.index };
        Ok(entry.due_key(table, id).map_or((never, false), |key| (key, true)))
    }

    /// What ends a transaction, once its due time is claimed. `None`: it is not the one that was claimed any more.
    pub(crate) fn ending(
        &self,
        table: &TableInfo,
        id: TransactionId,
        claimed: (DueKey, bool),
        commit: bool,
    ) -> Result<Option<Submission>> {
        let entry = self.ledger.state.read().halves().get(table.id, id)?.ok_or_else(|| missing(id))?;
        if entry.due_key(table.id, id) != claimed.1.then_some(claimed.0) {
            return Ok(None);
        }
        let rows = match commit {
            true => self.appended(table, vec![decode_message(&entry.payload)?])?,
            false => Vec::new(),
        };
        let record = HalfRecord { table: table.id, begun: Vec::new(), asked: Vec::new(), ended: vec![id] };
        Ok(Some(Submission { rows, durability: table.options.durability, ..Submission::of([record]) }))
    }

    /// That these are asked about now, with when they will be again.
    pub(super) fn asked(&self, table: TableId, keys: impl Iterator<Item = DueKey>) -> Result<Option<HalfRecord>> {
        let (halves, checks) = (self.ledger.state.read().halves(), self.ledger.options.transaction_checks);
        let next_us = self.ledger.log.time().now_us().saturating_add(micros(checks.every_ms).max(1));
        let mut record = HalfRecord { table, begun: Vec::new(), asked: Vec::new(), ended: Vec::new() };
        for key in keys {
            let id = TransactionId { lsn: key.lsn, index: key.index };
            let Some(entry) = halves.get(table, id)? else { continue };
            record.asked.push((id, (entry.checks < checks.limit).then_some(next_us)));
        }
        Ok((!record.asked.is_empty()).then_some(record))
    }

    /// Tells those who ask producers of one that is asked about; whoever is not there or slow is told the next time.
    pub(super) fn ask(&self, table: TableId, key: &DueKey) {
        let id = TransactionId { lsn: key.lsn, index: key.index };
        match self.half(table, id) {
            // Nobody who asks is there.
            Ok(Some(half)) if half.check_us.is_some() => drop(self.checks.send(TransactionCheck { table, id })),
            Ok(Some(half)) => self.ledger.events.push("transaction_parked", parked(&half)),
            Ok(None) => {}
            Err(error) => tracing::warn!("a half message can't be read: {error}"),
        }
    }

    /// As it would be appended: one row.
    pub(crate) fn half_row(&self, table: TableId, id: TransactionId) -> Result<Option<RecordBatch>> {
        let entry = self.ledger.state.read().halves().get(table, id)?;
        entry.map(|entry| rows(&[decode_message(&entry.payload)?])).transpose()
    }
}

pub(crate) fn micros(ms: u64) -> i64 {
    i64::try_from(ms.saturating_mul(1_000)).unwrap_or(i64::MAX)
}

fn missing(id: TransactionId) -> Error {
    Error::NotFound { what: "transaction", name: id.to_string() }
}

fn parked(half: &HalfMessage) -> String {
    format!(
        "transaction {} of table #{} was asked about {} times, and nobody of producer group {:?} has said what became of it; it          waits for COMMIT TRANSACTION or ROLLBACK TRANSACTION",
        half.id, half.table, half.checks, half.group
    )
}

fn shown(table: TableId, id: TransactionId, entry: &HalfEntry) -> Result<HalfMessage> {
    let message = decode_message(&entry.payload)?;
    Ok(HalfMessage {
        table,
        id,
        partition: message.partition,
        message_id: message.message_id.unwrap_or_default().to_owned(),
        tag: message.tag.map(str::to_owned),
        group: entry.group.to_string(),
        begun_us: entry.begun_us,
        checks: entry.checks,
        check_us: entry.check_us,
    })
}
