//! What lies in the store: hand-outs by their first message, and their names by the time at which they are visible again.

use super::super::codec::{self, KeyBytes, KeyParts};
use super::super::paged::PagedEntries;
use crate::model::Result;
use crate::state::{HandOut, HandOutKey, PopQueueId};

/// Memory that an entry takes beside its lists.
const OVERHEAD: usize = 160;
const TIME_BYTES: usize = 96;

#[derive(Debug)]
pub(crate) struct HandOuts;

impl PagedEntries for HandOuts {
    type Key = HandOutKey;
    type Value = HandOut;
    const TAG: u8 = b'H';

    fn key(key: &HandOutKey) -> Vec<u8> {
        KeyBytes::new(Self::TAG).u64(key.queue.0).u64(key.first).u32(key.number).done()
    }

    fn parse_key(bytes: &[u8]) -> Result<HandOutKey, String> {
        let mut parts = KeyParts::of(bytes);
        let key = HandOutKey { queue: PopQueueId(parts.u64()?), first: parts.u64()?, number: parts.u32()? };
        parts.end()?;
        Ok(key)
    }

    fn value(value: &HandOut) -> Result<Vec<u8>> {
        codec::postcard(value)
    }

    fn parse_value(bytes: &[u8]) -> Result<HandOut, String> {
        codec::from_postcard(bytes)
    }

    fn owner(key: &HandOutKey) -> u64 {
        key.queue.0
    }

    fn first_of(owner: u64) -> HandOutKey {
        HandOutKey::first_at(PopQueueId(owner), 0)
    }

    fn bytes(_key: &HandOutKey, value: Option<&HandOut>) -> usize {
        OVERHEAD + value.map_or(0, |value| value.left.len() * 4 + value.groups.len() * 8)
    }
}

/// When a hand-out is visible again, and its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HandOutTime {
    pub queue: PopQueueId,
    pub visible_us: i64,
    pub first: u64,
    pub number: u32,
}

impl HandOutTime {
    pub(crate) fn of(key: &HandOutKey, visible_us: i64) -> HandOutTime {
        HandOutTime { queue: key.queue, visible_us, first: key.first, number: key.number }
    }

    /// Below all of a queue from this time on.
    pub(crate) fn first_at(queue: PopQueueId, visible_us: i64) -> HandOutTime {
        HandOutTime { queue, visible_us, first: 0, number: 0 }
    }

    pub(crate) fn key(&self) -> HandOutKey {
        HandOutKey { queue: self.queue, first: self.first, number: self.number }
    }
}

#[derive(Debug)]
pub(crate) struct HandOutTimes;

impl PagedEntries for HandOutTimes {
    type Key = HandOutTime;
    type Value = ();
    const TAG: u8 = b'I';

    fn key(key: &HandOutTime) -> Vec<u8> {
        let at = key.visible_us.cast_unsigned() ^ (1 << 63);
        KeyBytes::new(Self::TAG).u64(key.queue.0).u64(at).u64(key.first).u32(key.number).done()
    }

    fn parse_key(bytes: &[u8]) -> Result<HandOutTime, String> {
        let mut parts = KeyParts::of(bytes);
        let (queue, at) = (PopQueueId(parts.u64()?), parts.u64()?);
        let visible_us = (at ^ (1 << 63)).cast_signed();
        let key = HandOutTime { queue, visible_us, first: parts.u64()?, number: parts.u32()? };
        parts.end()?;
        Ok(key)
    }

    fn value((): &()) -> Result<Vec<u8>> {
        Ok(codec::bytes(&[]))
    }

    fn parse_value(bytes: &[u8]) -> Result<(), String> {
        match codec::from_bytes(bytes)? {
            [] => Ok(()),
            rest => Err(format!("{} bytes too many", rest.len())),
        }
    }

    fn owner(key: &HandOutTime) -> u64 {
        key.queue.0
    }

    fn first_of(owner: u64) -> HandOutTime {
        HandOutTime::first_at(PopQueueId(owner), i64::MIN)
    }

    fn bytes(_key: &HandOutTime, _value: Option<&()>) -> usize {
        TIME_BYTES
    }
}
