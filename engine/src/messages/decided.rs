//! Half messages that somebody is asked about, many at once: read, and what comes of the answers.

use super::Messages;
use super::stored::decode_message;
use crate::model::{Result, TableInfo, TransactionCheck, TransactionId};
use crate::state::{DueKey, HalfEntry, HalfRecord, Record, Submission};

/// Memory of a half message beside its payload.
const HALF_BYTES: usize = 256;

/// What becomes of a half message now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HalfOutcome {
    Committed,
    RolledBack,
    /// It is asked about again, at this time.
    AskedAgain(i64),
    /// Nobody is asked any more.
    Parked,
}

impl Messages {
    /// The half messages that these due times belong to, in their order, until their payloads are `max_bytes`; the first one
    /// whatever its size. Also how many of the due times that were.
    pub(crate) fn halves_of(&self, keys: &[DueKey], max_bytes: usize) -> Result<(Vec<(DueKey, HalfEntry)>, usize)> {
        let reader = self.ledger.state.read().halves();
        let (mut found, mut bytes) = (Vec::new(), 0_usize);
        for (seen, key) in keys.iter().enumerate() {
            let Some(entry) = reader.get(key.table, id_of(key))? else { continue };
            bytes = bytes.saturating_add(entry.payload.len()).saturating_add(HALF_BYTES);
            if bytes > max_bytes && !found.is_empty() {
                return Ok((found, seen));
            }
            found.push((*key, entry));
        }
        Ok((found, keys.len()))
    }

    /// What makes these outcomes true, of half messages whose due times are claimed, with the due times that are done. What has
    /// ended or was asked about meanwhile is left out; `None` if all has.
    pub(crate) fn deciding(
        &self,
        table: &TableInfo,
        outcomes: &[(DueKey, HalfOutcome)],
    ) -> Result<Option<(Submission, Vec<DueKey>)>> {
        let reader = self.ledger.state.read().halves();
        let mut record = HalfRecord { table: table.id, begun: Vec::new(), asked: Vec::new(), ended: Vec::new() };
        let (mut committed, mut done) = (Vec::new(), Vec::with_capacity(outcomes.len()));
        for (key, outcome) in outcomes {
            let id = id_of(key);
            let entry = reader.get(table.id, id)?.filter(|entry| entry.due_key(table.id, id) == Some(*key));
            let Some(entry) = entry else { continue };
            match outcome {
                HalfOutcome::Committed => {
                    committed.push(entry.payload);
                    record.ended.push(id);
                }
                HalfOutcome::RolledBack => record.ended.push(id),
                HalfOutcome::AskedAgain(at_us) => record.asked.push((id, Some(*at_us))),
                HalfOutcome::Parked => record.asked.push((id, None)),
            }
            done.push(*key);
        }
        if done.is_empty() {
            return Ok(None);
        }
        let messages = committed.iter().map(|payload| decode_message(payload)).collect::<Result<Vec<_>>>()?;
        let (rows, durability) = (self.appended(table, messages)?, table.options.durability);
        let records = vec![Record::from(record)];
        Ok(Some((Submission { rows, records, durability, ..Submission::default() }, done)))
    }

    /// Has those who ask producers ask about this one.
    pub(crate) fn ask_producers(&self, key: &DueKey) {
        // Nobody who asks may be there.
        drop(self.checks.send(TransactionCheck { table: key.table, id: id_of(key) }));
    }
}

fn id_of(key: &DueKey) -> TransactionId {
    TransactionId { lsn: key.lsn, index: key.index }
}
