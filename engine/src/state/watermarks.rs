//! How far event time has come in tables, as far as the log says so: by hand, or by the continuous topic whose output a table is.
//! In memory; of each table the last ones.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::changed::Changed;
use super::codec::{self, KeyBytes, KeyParts};
use super::family::{Family, Fold};
use super::stored::{Entries, Stored};
use crate::model::{Result, TableId};
use crate::state::{Change, Record};

const TAG: u8 = b'E';
/// Kept of a table. Whoever reads rows from before the oldest one takes fewer of them for late than whoever has read them then.
const KEPT: usize = 1_024;

/// Holds for rows that were appended after `instant_us`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordedWatermark {
    pub instant_us: i64,
    pub watermark_us: i64,
}

/// All tables'. Both times rise.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, PartialEq))]
pub(super) struct Watermarks {
    tables: BTreeMap<TableId, VecDeque<RecordedWatermark>>,
    unwritten: Changed<TableId>,
}

impl Watermarks {
    pub(super) fn of_table(&self, table: TableId) -> Arc<[RecordedWatermark]> {
        self.tables.get(&table).map(|recorded| recorded.iter().copied().collect()).unwrap_or_default()
    }

    /// A watermark never goes back: what does not lead on says nothing.
    fn record(&mut self, table: TableId, recorded: RecordedWatermark) {
        let of = self.tables.entry(table).or_default();
        match of.back_mut() {
            Some(last) if recorded.watermark_us <= last.watermark_us => return,
            Some(last) if recorded.instant_us <= last.instant_us => last.watermark_us = recorded.watermark_us,
            _ => of.push_back(recorded),
        }
        if of.len() > KEPT {
            of.pop_front();
        }
        self.unwritten.mark(table);
    }
}

impl Family for Watermarks {
    fn apply(&mut self, fold: &Fold<'_>, record: &Record) -> Result<()> {
        match record {
            Record::Continuous(record) => {
                let known = record.watermark().filter(|(table, _)| fold.catalog.table(*table).is_some());
                if let Some((table, watermark_us)) = known {
                    self.record(table, RecordedWatermark { instant_us: fold.append_us(), watermark_us });
                }
            }
            Record::Change(change) => {
                if let Change::TableDropped { table } = change.as_ref()
                    && self.tables.remove(table).is_some()
                {
                    self.unwritten.mark(*table);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn ahead(&self) -> Self {
        Watermarks { tables: self.tables.clone(), unwritten: Changed::untracked() }
    }
}

impl Stored for Watermarks {
    fn tags(&self) -> &'static [&'static [u8]] {
        &[&[TAG]]
    }

    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let mut parts = KeyParts::of(key);
        let table = TableId(parts.u64()?);
        parts.end()?;
        self.tables.insert(table, codec::from_postcard(value)?);
        Ok(())
    }

    fn begin_checkpoint(&mut self) {
        self.unwritten.begin();
    }

    fn write(&self, entries: &mut Entries<'_>) -> Result<()> {
        self.unwritten.writing().try_for_each(|table| {
            let value = self.tables.get(table).map(codec::postcard).transpose()?;
            entries(KeyBytes::new(TAG).u64(table.0).done(), value);
            Ok(())
        })
    }

    fn end_checkpoint(&mut self, written: bool) {
        self.unwritten.end(written);
    }
}
