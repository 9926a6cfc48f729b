//! Physical offsets of messages: LSNs of the rows that they come from.

use millstream_engine::{Assignment, Error};

use super::tables::Tables;

/// Of rows of a queue, whose offsets rise. They grow with the offsets, so that those between two follow from both where no other row lies between.
pub(super) fn physical_offsets(tables: &Tables, queue: Assignment, offsets: &[u64]) -> Result<Vec<u64>, Error> {
    let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else { return Ok(Vec::new()) };
    let lsn = |offset: u64| tables.engine.lsn_of(&tables.who, queue.topic, queue.partition, offset).map(|lsn| lsn.0);
    let (low, high) = (lsn(*first)?, lsn(*last)?);
    let mut lsns = Vec::with_capacity(offsets.len());
    between(offsets, low, high, &lsn, &mut lsns)?;
    Ok(lsns)
}

fn between(
    offsets: &[u64],
    low: u64,
    high: u64,
    lsn: &impl Fn(u64) -> Result<u64, Error>,
    lsns: &mut Vec<u64>,
) -> Result<(), Error> {
    let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else { return Ok(()) };
    if last - first == high - low {
        lsns.extend(offsets.iter().map(|offset| low + (offset - first)));
        return Ok(());
    }
    let (left, right) = offsets.split_at(offsets.len() / 2);
    if let Some(end) = left.last() {
        between(left, low, lsn(*end)?, lsn, lsns)?;
    }
    if let Some(begin) = right.first() {
        between(right, lsn(*begin)?, high, lsn, lsns)?;
    }
    Ok(())
}
