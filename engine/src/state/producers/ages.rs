//! Streams of a table by age, those with answers and those without apart. It follows from the streams, and is paged as they are.

use super::stream::Stream;
use crate::model::{Result, TableId};
use crate::state::codec;
use crate::state::codec::{KeyBytes, KeyParts};
use crate::state::paged::PagedEntries;

/// The order of i64 as that of u64.
const SIGN: u64 = 1 << 63;
/// Ages go by so many µs, rounded up: a producer at work changes its own now and then, not with each batch.
pub(in crate::state) const AGE_STEP_US: i64 = 10_000_000;
/// Memory that an entry takes, about.
const ENTRY_BYTES: usize = 96;

/// Whether a stream has answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Answering,
    Forgotten,
}

/// Table, class, last append time by [`AGE_STEP_US`], producer.
pub(super) type Age = (TableId, Class, i64, u128);

#[derive(Debug)]
pub(super) struct Ages;

impl PagedEntries for Ages {
    type Key = Age;
    type Value = ();
    const TAG: u8 = b'x';

    fn key((table, class, last_us, id): &Age) -> Vec<u8> {
        let key = KeyBytes::new(Self::TAG).u64(table.0).rest(&[u8::from(*class == Class::Forgotten)]);
        key.u64(last_us.cast_unsigned() ^ SIGN).u128(*id).done()
    }

    fn parse_key(bytes: &[u8]) -> Result<Age, String> {
        let mut parts = KeyParts::of(bytes);
        let table = TableId(parts.u64()?);
        let class = match parts.u8()? {
            0 => Class::Answering,
            1 => Class::Forgotten,
            other => return Err(format!("class {other} of producer streams is not known to this release")),
        };
        let (last_us, id) = ((parts.u64()? ^ SIGN).cast_signed(), parts.u128()?);
        parts.end()?;
        Ok((table, class, last_us, id))
    }

    fn value((): &()) -> Result<Vec<u8>> {
        Ok(codec::bytes(&[]))
    }

    fn parse_value(bytes: &[u8]) -> Result<(), String> {
        codec::from_bytes(bytes).map(drop)
    }

    fn owner((table, ..): &Age) -> u64 {
        table.0
    }

    fn first_of(owner: u64) -> Age {
        (TableId(owner), Class::Answering, i64::MIN, 0)
    }

    fn bytes(_key: &Age, _value: Option<&()>) -> usize {
        ENTRY_BYTES
    }
}

impl Stream {
    fn class(&self) -> Class {
        if self.window.is_empty() { Class::Forgotten } else { Class::Answering }
    }

    /// Its last append time, as ages go.
    pub(super) fn age_us(&self) -> i64 {
        self.last_us.saturating_add(AGE_STEP_US - 1).div_euclid(AGE_STEP_US).saturating_mul(AGE_STEP_US)
    }

    pub(super) fn age(&self) -> (Class, i64) {
        (self.class(), self.age_us())
    }
}
