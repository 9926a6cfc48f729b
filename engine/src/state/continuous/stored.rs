//! Continuous topics in the state store.

use super::super::codec::{self, KeyBytes, KeyParts};
use super::super::paged::{PageSource, PagedEntries, VOID_TAG};
use super::super::stored::{Entries, Stored};
use super::pieces::Pieces;
use super::{Continuous, Entry};
use crate::model::{ContinuousId, Result};

const HEADER_TAG: u8 = b'C';
const WINDOW_TAG: u8 = b'D';
const OWNERS_TAG: u8 = b'F';

impl Entry {
    fn key(self) -> Vec<u8> {
        let key = match self {
            Entry::Header(topic) => KeyBytes::new(HEADER_TAG).u64(topic.0),
            Entry::Window((topic, operator, window_us)) => {
                KeyBytes::new(WINDOW_TAG).u64(topic.0).u32(u32::from(operator)).u64(in_order(window_us))
            }
            Entry::Owners => KeyBytes::new(OWNERS_TAG),
        };
        key.done()
    }
}

/// So that keys are in the order of times.
fn in_order(us: i64) -> u64 {
    us.cast_unsigned() ^ (1 << 63)
}

impl Stored for Continuous {
    fn tags(&self) -> &'static [&'static [u8]] {
        &[&[HEADER_TAG], &[WINDOW_TAG], &[OWNERS_TAG], &[VOID_TAG, Pieces::TAG]]
    }

    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let mut parts = KeyParts::of(key);
        match key.first() {
            Some(&VOID_TAG) => return self.pieces.restore_void(key),
            Some(&HEADER_TAG) => {
                let topic = ContinuousId(parts.u64()?);
                self.headers.insert(topic, codec::from_postcard(value)?);
            }
            Some(&WINDOW_TAG) => {
                let topic = ContinuousId(parts.u64()?);
                let operator = u16::try_from(parts.u32()?).map_err(|_| "its operator's number is too high")?;
                let window_us = (parts.u64()? ^ (1 << 63)).cast_signed();
                self.windows.insert((topic, operator, window_us), codec::from_postcard(value)?);
            }
            _ => self.owners = codec::from_postcard(value)?,
        }
        parts.end()
    }

    fn begin_checkpoint(&mut self) {
        self.pieces.begin_checkpoint();
        self.unwritten.begin();
    }

    fn write(&self, entries: &mut Entries<'_>) -> Result<()> {
        for entry in self.unwritten.writing() {
            let value = match entry {
                Entry::Header(topic) => self.headers.get(topic).map(codec::postcard).transpose()?,
                Entry::Window(place) => self.windows.get(place).map(codec::postcard).transpose()?,
                Entry::Owners => Some(codec::postcard(&self.owners)?),
            };
            entries(entry.key(), value);
        }
        self.pieces.write(entries)
    }

    fn end_checkpoint(&mut self, written: bool) {
        self.pieces.end_checkpoint(written);
        self.unwritten.end(written);
    }

    fn attach(&mut self, pages: &PageSource) {
        self.pieces.attach(pages);
    }

    fn unwritten_bytes(&self) -> usize {
        self.pieces.unwritten_bytes()
    }
}
