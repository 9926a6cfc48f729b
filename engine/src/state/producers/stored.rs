//! Producers in the state store, and their record.

use std::collections::BTreeSet;
use std::ops::Bound;

use super::Producers;
use super::ages::Ages;
use crate::model::{Error, Result, TableId};
use crate::state::codec;
use crate::state::codec::{KeyBytes, KeyParts};
use crate::state::earlier::Earlier;
use crate::state::family::{Ahead, RecordKind};
use crate::state::paged::{PageSource, PagedEntries};
use crate::state::record::ProducerRecord;
use crate::state::stored::{Entries, Restored, Stored};

impl Stored for Producers {
    fn tags(&self) -> &'static [&'static [u8]] {
        &[b"vr", b"vx", b"m", b"y"]
    }

    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        match (key.first(), key.get(1)) {
            (Some(b'v'), Some(&Ages::TAG)) => return self.ages.restore_void(key),
            (Some(b'v'), _) => return self.streams.restore_void(key),
            (Some(b'y'), _) => self.passed_us = codec::from_postcard(value)?,
            _ => {
                let mut parts = KeyParts::of(key);
                let table = TableId(parts.u64()?);
                parts.end()?;
                self.tables.restore(table, codec::from_postcard(value)?);
            }
        }
        Ok(())
    }

    fn begin_checkpoint(&mut self) {
        self.streams.begin_checkpoint();
        self.ages.begin_checkpoint();
        self.tables.unwritten.begin();
        self.passed_unwritten.begin();
    }

    fn write(&self, entries: &mut Entries<'_>) -> Result<()> {
        if self.passed_unwritten.writing().next().is_some() {
            entries(KeyBytes::new(b'y').done(), Some(codec::postcard(&self.passed_us)?));
        }
        for table in self.tables.unwritten.writing() {
            let streams = self.tables.get(*table).map(codec::postcard).transpose()?;
            entries(KeyBytes::new(b'm').u64(table.0).done(), streams);
        }
        self.streams.write(entries)?;
        self.ages.write(entries)
    }

    fn end_checkpoint(&mut self, written: bool) {
        self.streams.end_checkpoint(written);
        self.ages.end_checkpoint(written);
        self.tables.unwritten.end(written);
        self.passed_unwritten.end(written);
    }

    fn attach(&mut self, pages: &PageSource) {
        self.streams.attach(pages);
        self.ages.attach(pages);
    }

    fn restored(&mut self, restored: &mut Restored<'_>) -> Result<()> {
        self.now_us = restored.append_us.saturating_sub(self.passed_us);
        let catalog = restored.catalog;
        let namespace_of = |table| catalog.table(table).map(|info| info.namespace.as_str());
        if restored.complete {
            self.tables.restored(namespace_of);
            return Ok(());
        }
        let mut gone = BTreeSet::new();
        let tables = &mut self.tables;
        self.streams.scan(Bound::Unbounded, |(table, id), stream| {
            match namespace_of(*table) {
                Some(namespace) => {
                    let (class, age_us) = stream.age();
                    tables.add(namespace, *table, class, age_us);
                    let age = (*table, class, age_us, *id);
                    (restored.entries)(Ages::key(&age), Ages::value(&())?)?;
                }
                None => {
                    gone.insert(*table);
                }
            }
            Ok(true)
        })?;
        gone.into_iter().for_each(|table| self.streams.make_void(table.0));
        Ok(())
    }

    fn unwritten_bytes(&self) -> usize {
        self.streams.unwritten_bytes() + self.ages.unwritten_bytes()
    }
}

/// The writer's own: it is made with the answer that it holds, and submitted by nobody.
impl RecordKind for ProducerRecord {
    fn encode(&self) -> Result<Vec<u8>> {
        codec::record_postcard(self)
    }

    fn decode(payload: &[u8]) -> Result<Self, String> {
        codec::record_from_postcard(payload)
    }

    fn payload_bytes(&self) -> Result<usize> {
        Ok(40 + self.appended.len() * 40)
    }

    fn admit<'a>(&'a self, _ahead: &dyn Ahead, _earlier: &mut Earlier<'a>) -> Result<()> {
        Err(Error::Internal("the answer to a producer was submitted".to_owned()))
    }
}
