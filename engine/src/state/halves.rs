//! Half messages: sent, and visible to nobody until their transaction is committed. Paged; how many there are is kept in memory by
//! table.
//!
//! When one is asked about is a due time ([`super::due`]), set by the same records. Whoever asks or ends has claimed that due time first
//! ([`crate::due`]), so that nobody else does so meanwhile.

use std::ops::Bound;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::codec::{self, KeyBytes, KeyParts};
use super::earlier::Earlier;
use super::family::{Ahead, Family, Fold, RecordKind};
use super::paged::{Paged, PagedEntries};
use super::summed::{OfSummed, Sum, Summed};
use crate::model::{Lsn, Result, TableId, TransactionId};
use crate::state::{Change, DueKey, HalfRecord, Record};

/// Memory that an entry takes beside its message and group.
const OVERHEAD: usize = 128;

/// A half message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HalfEntry {
    pub group: Arc<str>,
    pub payload: Arc<[u8]>,
    pub begun_us: i64,
    /// How often it was asked about.
    pub checks: u32,
    /// When it is asked about next; `None`: never.
    pub check_us: Option<i64>,
}

impl HalfEntry {
    /// Its due time, if it has one.
    pub(crate) fn due_key(&self, table: TableId, id: TransactionId) -> Option<DueKey> {
        self.check_us.map(|at_us| DueKey { table, at_us, lsn: id.lsn, index: id.index })
    }
}

#[derive(Debug)]
pub(super) struct HalfEntries;

impl PagedEntries for HalfEntries {
    type Key = (TableId, TransactionId);
    type Value = HalfEntry;
    const TAG: u8 = b'h';

    fn key((table, id): &Self::Key) -> Vec<u8> {
        KeyBytes::new(Self::TAG).u64(table.0).u64(id.lsn.0).u32(id.index).done()
    }

    fn parse_key(bytes: &[u8]) -> Result<Self::Key, String> {
        let mut parts = KeyParts::of(bytes);
        let key = (TableId(parts.u64()?), TransactionId { lsn: Lsn(parts.u64()?), index: parts.u32()? });
        parts.end()?;
        Ok(key)
    }

    fn value(value: &HalfEntry) -> Result<Vec<u8>> {
        codec::postcard(value)
    }

    fn parse_value(bytes: &[u8]) -> Result<HalfEntry, String> {
        codec::from_postcard(bytes)
    }

    fn owner((table, _): &Self::Key) -> u64 {
        table.0
    }

    fn first_of(owner: u64) -> Self::Key {
        (TableId(owner), TransactionId { lsn: Lsn(0), index: 0 })
    }

    fn bytes(_key: &Self::Key, value: Option<&HalfEntry>) -> usize {
        OVERHEAD + value.map_or(0, |value| value.payload.len() + value.group.len())
    }
}

/// How many a table has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct HalfCount(u64);

impl Sum for HalfCount {
    const TAG: u8 = b'i';
}

/// All tables'.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, PartialEq))]
pub(super) struct Halves(Summed<HalfEntries, HalfCount>);

/// Half messages as readers see them. Reading them needs no lock of the whole state.
#[derive(Debug)]
pub(crate) struct HalfReader {
    entries: Paged<HalfEntries>,
}

impl HalfReader {
    pub(crate) fn get(&self, table: TableId, id: TransactionId) -> Result<Option<HalfEntry>> {
        self.entries.get(&(table, id))
    }

    /// Those of a table, in the order in which they began, until `each` gives false.
    pub(crate) fn scan(
        &self,
        table: TableId,
        mut each: impl FnMut(TransactionId, &HalfEntry) -> Result<bool>,
    ) -> Result<()> {
        let first = HalfEntries::first_of(table.0);
        self.entries.scan(Bound::Included(first), |(of, id), entry| match *of == table {
            true => each(*id, entry),
            false => Ok(false),
        })
    }
}

impl Halves {
    pub(super) fn reader(&self) -> HalfReader {
        HalfReader { entries: self.0.reader() }
    }

    pub(super) fn counts(&self) -> impl Iterator<Item = (TableId, u64)> {
        self.0.sums().map(|(table, count)| (TableId(table), count.0))
    }

    fn fold(&mut self, fold: &Fold<'_>, record: &HalfRecord) -> Result<()> {
        let table = record.table;
        for (index, begun) in (0_u32..).zip(&record.begun) {
            let id = TransactionId { lsn: fold.context.lsn, index };
            let entry = HalfEntry {
                group: begun.group.clone(),
                payload: begun.payload.clone(),
                begun_us: fold.append_us(),
                checks: 0,
                check_us: Some(begun.check_us),
            };
            self.0.put(&(table, id), Some(entry));
        }
        for (id, check_us) in &record.asked {
            self.0.edit(&(table, *id), |entry| {
                if let Some(entry) = entry {
                    entry.checks = entry.checks.saturating_add(u32::from(check_us.is_some()));
                    entry.check_us = *check_us;
                }
            })?;
        }
        record.ended.iter().for_each(|id| self.0.put(&(table, *id), None));
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let (begun, ended) = (count(record.begun.len()), count(record.ended.len()));
        self.0.add_up(table.0, |sum| sum.0 = sum.0.saturating_add(begun).saturating_sub(ended));
        Ok(())
    }
}

impl Family for Halves {
    fn apply(&mut self, fold: &Fold<'_>, record: &Record) -> Result<()> {
        match record {
            // A table that is gone has no messages.
            Record::Half(half) if fold.catalog.table(half.table).is_some() => return self.fold(fold, half),
            Record::Change(change) => {
                if let Change::TableDropped { table } = change.as_ref() {
                    self.0.forget(table.0);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn ahead(&self) -> Self {
        Halves(self.0.view_ahead())
    }

    fn end_commit(&mut self, last: Lsn, applied: Lsn) {
        self.0.end_commit(last, applied);
    }
}

impl OfSummed for Halves {
    type Entries = HalfEntries;
    type Sum = HalfCount;

    fn summed(&self) -> &Summed<HalfEntries, HalfCount> {
        &self.0
    }

    fn summed_mut(&mut self) -> &mut Summed<HalfEntries, HalfCount> {
        &mut self.0
    }
}

impl RecordKind for HalfRecord {
    fn encode(&self) -> Result<Vec<u8>> {
        codec::record_postcard(self)
    }

    fn decode(payload: &[u8]) -> Result<Self, String> {
        codec::record_from_postcard(payload)
    }

    fn payload_bytes(&self) -> Result<usize> {
        let begun = self.begun.iter().map(|begun| begun.group.len() + begun.payload.len() + 40);
        Ok(begun.sum::<usize>() + (self.asked.len() + self.ended.len()) * 40 + 40)
    }

    fn admit<'a>(&'a self, ahead: &dyn Ahead, _earlier: &mut Earlier<'a>) -> Result<()> {
        ahead.catalog().known_table(self.table).map(drop)
    }

    fn is_bulk(&self) -> bool {
        !self.begun.is_empty()
    }
}
