//! Segment files that no manifest names: those that are being written, and those that were dropped and are still there.
//! What may be deleted is known by these names alone, never by what a listing of the store shows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::changed::Changed;
use super::codec::{self, KeyBytes, KeyParts};
use super::family::{Family, Fold};
use super::stored::{Entries, Stored};
use crate::model::Result;
use crate::state::{Change, Record};

/// One such file. Stored as JSON: fields may be added with a default, never renamed or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnlistedSegment {
    /// Below the segment store.
    pub path: String,
    /// Append time of the record that began or dropped it, µs.
    pub since_us: i64,
}

/// All of them, by the segment's id.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Unlisted {
    segments: BTreeMap<u64, UnlistedSegment>,
    unwritten: Changed<u64>,
}

impl Unlisted {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &UnlistedSegment)> {
        self.segments.iter().map(|(id, segment)| (*id, segment))
    }

    pub(super) fn get(&self, id: u64) -> Option<&UnlistedSegment> {
        self.segments.get(&id)
    }

    fn add(&mut self, id: u64, path: &str, since_us: i64) {
        self.segments.insert(id, UnlistedSegment { path: path.to_owned(), since_us });
        self.unwritten.mark(id);
    }

    fn forget(&mut self, id: u64) {
        if self.segments.remove(&id).is_some() {
            self.unwritten.mark(id);
        }
    }
}

impl Family for Unlisted {
    fn apply(&mut self, fold: &Fold<'_>, record: &Record) -> Result<()> {
        let Record::Change(change) = record else { return Ok(()) };
        match change.as_ref() {
            Change::SegmentBegun { id, path } => self.add(*id, path, fold.append_us()),
            Change::SegmentsDeleted { ids } => ids.iter().for_each(|id| self.forget(*id)),
            Change::SegmentsChanged { table, partition, added, removed } => {
                if let Some(partition) = fold.catalog.partition(*table, *partition) {
                    let gone = partition.listed(removed);
                    gone.iter().for_each(|segment| self.add(segment.id, &segment.path, fold.append_us()));
                    added.iter().for_each(|segment| self.forget(segment.id));
                }
            }
            Change::TableDropped { table } => {
                let partitions = fold.catalog.partitions(*table).unwrap_or_default();
                let gone = partitions.iter().flat_map(|partition| partition.segments.values());
                gone.for_each(|segment| self.add(segment.id, &segment.path, fold.append_us()));
            }
            _ => {}
        }
        Ok(())
    }

    fn ahead(&self) -> Self {
        Unlisted { unwritten: Changed::untracked(), ..self.clone() }
    }
}

impl Stored for Unlisted {
    fn tags(&self) -> &'static [&'static [u8]] {
        &[b"u"]
    }

    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let mut parts = KeyParts::of(key);
        let id = parts.u64()?;
        parts.end()?;
        self.segments.insert(id, codec::from_json(value)?);
        Ok(())
    }

    fn begin_checkpoint(&mut self) {
        self.unwritten.begin();
    }

    fn write(&self, entries: &mut Entries<'_>) -> Result<()> {
        self.unwritten.writing().try_for_each(|id| {
            entries(KeyBytes::new(b'u').u64(*id).done(), self.get(*id).map(codec::json).transpose()?);
            Ok(())
        })
    }

    fn end_checkpoint(&mut self, written: bool) {
        self.unwritten.end(written);
    }
}
