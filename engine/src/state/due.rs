//! What is to happen at a time on the wall clock, by table and time. Paged; how much there is of it is kept in memory by table.
//!
//! An entry is set by the record that asks for it and is gone with the record that says what came of it, which is in one
//! submission with that. It holds all that is needed then: entries come in the order of their times, so that what is due at once
//! lies together, however long ago and in whatever order it was set.

use std::ops::Bound;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::codec::{self, KeyBytes, KeyParts};
use super::earlier::Earlier;
use super::family::{Ahead, Family, Fold, RecordKind};
use super::paged::{Paged, PagedEntries};
use super::summed::{OfSummed, Sum, Summed};
use crate::model::{Error, Lsn, Result, TableId, TransactionId};
use crate::state::{Change, DueEntry, DueKey, DueRecord, DueWhat, HalfRecord, Record};

/// Memory that an entry takes beside its payload.
const OVERHEAD: usize = 128;

impl Record {
    /// The first of the due times that it sets, as the record of this LSN, or that others are to look at from then on.
    pub(crate) fn first_due(&self, lsn: Lsn) -> Option<DueKey> {
        match self {
            Record::Due(due) => {
                let at_us = due.set.iter().map(|(at_us, _)| *at_us).min()?;
                Some(DueKey { lsn, ..DueKey::first_at(due.table, at_us) })
            }
            Record::Half(half) => {
                let begun = half.begun.iter().map(|begun| begun.check_us);
                let again = half.asked.iter().filter_map(|(_, check_us)| *check_us);
                Some(DueKey::first_at(half.table, begun.chain(again).min()?))
            }
            Record::Change(change) => match change.as_ref() {
                Change::CheckbackDropped { table, .. } => Some(DueKey::first_at(*table, i64::MIN)),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Entries of one table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DueCount {
    messages: u64,
    checks: u64,
}

impl Sum for DueCount {
    const TAG: u8 = b'e';
}

impl DueCount {
    fn of(&mut self, what: DueWhat) -> &mut u64 {
        match what {
            DueWhat::Message => &mut self.messages,
            DueWhat::Check => &mut self.checks,
        }
    }
}

#[derive(Debug)]
pub(super) struct DueEntries;

impl PagedEntries for DueEntries {
    type Key = DueKey;
    type Value = DueEntry;
    const TAG: u8 = b'd';

    fn key(key: &DueKey) -> Vec<u8> {
        let at = key.at_us.cast_unsigned() ^ (1 << 63);
        KeyBytes::new(Self::TAG).u64(key.table.0).u64(at).u64(key.lsn.0).u32(key.index).done()
    }

    fn parse_key(bytes: &[u8]) -> Result<DueKey, String> {
        let mut parts = KeyParts::of(bytes);
        let (table, at) = (TableId(parts.u64()?), parts.u64()?);
        let key = DueKey { table, at_us: (at ^ (1 << 63)).cast_signed(), lsn: Lsn(parts.u64()?), index: parts.u32()? };
        parts.end()?;
        Ok(key)
    }

    fn value(value: &DueEntry) -> Result<Vec<u8>> {
        codec::postcard(value)
    }

    fn parse_value(bytes: &[u8]) -> Result<DueEntry, String> {
        codec::from_postcard(bytes)
    }

    fn owner(key: &DueKey) -> u64 {
        key.table.0
    }

    fn first_of(owner: u64) -> DueKey {
        DueKey::first_at(TableId(owner), i64::MIN)
    }

    fn bytes(_key: &DueKey, value: Option<&DueEntry>) -> usize {
        OVERHEAD + value.map_or(0, |value| value.payload.len())
    }
}

/// All tables'.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, PartialEq))]
pub(super) struct DueFamily(Summed<DueEntries, DueCount>);

/// Entries as readers see them. Reading them needs no lock of the whole state.
#[derive(Debug)]
pub(crate) struct DueReader {
    entries: Paged<DueEntries>,
}

impl DueReader {
    /// Entries from a key on, in order, of one table after the other, until `each` gives false.
    pub(crate) fn scan(&self, from: DueKey, each: impl FnMut(&DueKey, &DueEntry) -> Result<bool>) -> Result<()> {
        self.entries.scan(Bound::Included(from), each)
    }

    pub(crate) fn contains(&self, key: &DueKey) -> Result<bool> {
        Ok(self.entries.get(key)?.is_some())
    }

    /// The first entry from a key on, of whatever table.
    pub(crate) fn next(&self, from: DueKey) -> Result<Option<DueKey>> {
        let mut next = None;
        self.scan(from, |key, _| {
            next = Some(*key);
            Ok(false)
        })?;
        Ok(next)
    }
}

impl DueFamily {
    pub(super) fn reader(&self) -> DueReader {
        DueReader { entries: self.0.reader() }
    }

    pub(super) fn delayed_counts(&self) -> impl Iterator<Item = (TableId, u64)> {
        let counts = self.0.sums().map(|(table, count)| (TableId(table), count.messages));
        counts.filter(|(_, messages)| *messages > 0)
    }

    fn set(&mut self, key: DueKey, entry: DueEntry) {
        self.0.add_up(key.table.0, |counts| *counts.of(entry.what) += 1);
        self.0.put(&key, Some(entry));
    }

    fn done(&mut self, what: DueWhat, key: &DueKey) {
        self.0.add_up(key.table.0, |counts| *counts.of(what) = counts.of(what).saturating_sub(1));
        self.0.put(key, None);
    }

    /// When half messages are asked about follows from their records.
    fn set_checks(&mut self, fold: &Fold<'_>, half: &HalfRecord) {
        let begun = (0_u32..).zip(&half.begun).map(|(index, begun)| {
            let id = TransactionId { lsn: fold.context.lsn, index };
            (id, begun.check_us)
        });
        let again = half.asked.iter().filter_map(|(id, check_us)| Some((*id, (*check_us)?)));
        for (id, at_us) in begun.chain(again) {
            let key = DueKey { table: half.table, at_us, lsn: id.lsn, index: id.index };
            self.set(key, DueEntry { what: DueWhat::Check, payload: Arc::from([]) });
        }
    }
}

impl Family for DueFamily {
    fn apply(&mut self, fold: &Fold<'_>, record: &Record) -> Result<()> {
        match record {
            // A table that is gone has nothing that is due.
            Record::Due(due) if fold.catalog.table(due.table).is_some() => {
                for (index, (at_us, entry)) in (0_u32..).zip(&due.set) {
                    let key = DueKey { table: due.table, at_us: *at_us, lsn: fold.context.lsn, index };
                    self.set(key, entry.clone());
                }
                due.done.iter().for_each(|(what, key)| self.done(*what, key));
            }
            Record::Half(half) if fold.catalog.table(half.table).is_some() => self.set_checks(fold, half),
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
        DueFamily(self.0.view_ahead())
    }

    fn end_commit(&mut self, last: Lsn, applied: Lsn) {
        self.0.end_commit(last, applied);
    }
}

impl OfSummed for DueFamily {
    type Entries = DueEntries;
    type Sum = DueCount;

    fn summed(&self) -> &Summed<DueEntries, DueCount> {
        &self.0
    }

    fn summed_mut(&mut self) -> &mut Summed<DueEntries, DueCount> {
        &mut self.0
    }
}

impl RecordKind for DueRecord {
    fn encode(&self) -> Result<Vec<u8>> {
        codec::record_postcard(self)
    }

    fn decode(payload: &[u8]) -> Result<Self, String> {
        codec::record_from_postcard(payload)
    }

    fn payload_bytes(&self) -> Result<usize> {
        let set = self.set.iter().map(|(_, entry)| entry.payload.len() + 24);
        // Ids and times take at most ten bytes each.
        Ok(set.sum::<usize>() + self.done.len() * 40 + 40)
    }

    fn admit<'a>(&'a self, ahead: &dyn Ahead, _earlier: &mut Earlier<'a>) -> Result<()> {
        let table = ahead.catalog().known_table(self.table)?;
        match self.done.iter().find(|(_, key)| key.table != self.table) {
            None => Ok(()),
            Some((_, key)) => Err(Error::Internal(format!("{key:?} is not of table {:?}", table.name))),
        }
    }

    fn is_bulk(&self) -> bool {
        !self.set.is_empty()
    }
}
