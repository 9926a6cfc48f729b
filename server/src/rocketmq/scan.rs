//! Reading messages of one queue.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use bytes::BytesMut;
use millstream_engine::{InputColumn, PlainColumns, ScanRequest, ScannedBatch, TableInfo, message_schema};

use super::answer::Refusal;
use super::filter::Filter;
use super::stored::{MessageRows, Place};
use super::tables::{Tables, topic_of};
use super::take::Passing;

/// Rows that one read looks at, at most, for those that pass.
const ROWS_PER_READ: u64 = 16_384;

/// A read of one queue.
#[derive(Debug, Clone)]
pub(super) struct MessageScan<'a> {
    pub(super) tables: &'a Tables,
    pub(super) table: &'a TableInfo,
    pub(super) queue: u32,
}

/// How much a read gives, and of what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) filter: &'a Filter,
    pub(super) messages: usize,
    pub(super) bytes: usize,
    /// As the client names the topic.
    pub(super) topic: &'a str,
    pub(super) store_host: std::net::SocketAddr,
}

/// What a read has found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Messages one after the other.
    pub(super) body: BytesMut,
    pub(super) messages: usize,
    /// Where the next read goes on.
    pub(super) next: u64,
    /// The first message is longer than what was wanted: its bytes.
    pub(super) too_long: Option<usize>,
    /// The first message on which the filter fails, which therefore does not pass: its offset, and why.
    pub(super) failed: Option<(u64, String)>,
    /// Where a plugin has failed, so that nothing further was looked at, and why.
    pub(super) stopped: Option<(u64, String)>,
}

/// What [`MessageScan::passing`] has passed over.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// Where the next read goes on.
    pub(super) next: u64,
    /// As those of [`Found`].
    pub(super) failed: Option<(u64, String)>,
    pub(super) stopped: Option<(u64, String)>,
}

impl MessageScan<'_> {
    /// Messages from an offset on that pass, within what is wanted.
    pub(super) fn read(&self, from: u64, wanted: Wanted<'_>) -> Result<Found, Refusal> {
        let mut found = Found { next: from, ..Found::default() };
        for scanned in self.scan(from..from.saturating_add(ROWS_PER_READ))? {
            let ScannedBatch { range, batch, .. } = scanned?;
            if self.take(&mut found, range.start, &batch, wanted)? {
                return Ok(found);
            }
            found.next = range.end;
        }
        Ok(found)
    }

    /// Shows messages from an offset on that pass, so many at most, until `each` has enough: false if it does not take the one that it is
    /// shown.
    pub(super) fn passing(
        &self,
        from: u64,
        (filter, most): (&Filter, usize),
        mut each: impl FnMut(&MessageRows<'_>, usize, u64) -> bool,
    ) -> Result<Passed, Refusal> {
        let mut passed = Passed { next: from, ..Passed::default() };
        let mut left = most;
        for scanned in self.scan(from..from.saturating_add(ROWS_PER_READ))? {
            let ScannedBatch { range, batch, .. } = scanned?;
            let rows = MessageRows::of(&batch)?;
            let mut passing = Passing::of(filter, &batch, &rows, left);
            loop {
                let piece = match passing.next() {
                    Ok(Some(piece)) => piece,
                    Ok(None) => break,
                    Err(stopped) => {
                        passed.stopped = Some((range.start + stopped.row as u64, stopped.why));
                        return Ok(passed);
                    }
                };
                if let Some((row, why)) = piece.failed
                    && passed.failed.is_none()
                {
                    passed.failed = Some((range.start + row as u64, why));
                }
                for row in piece.passing {
                    let offset = range.start + row as u64;
                    passed.next = offset;
                    if left == 0 || !each(&rows, row, offset) {
                        return Ok(passed);
                    }
                    left -= 1;
                    passed.next = offset + 1;
                }
                passed.next = range.start + piece.end as u64;
            }
            passed.next = range.end;
        }
        Ok(passed)
    }

    /// What `each` makes of one message.
    pub(super) fn one<T>(
        &self,
        offset: u64,
        each: impl FnOnce(&MessageRows<'_>) -> Result<T, Refusal>,
    ) -> Result<Option<T>, Refusal> {
        let Some(scanned) = self.scan(offset..offset.saturating_add(1))?.next() else { return Ok(None) };
        let ScannedBatch { batch, .. } = scanned?;
        if batch.num_rows() == 0 {
            return Ok(None);
        }
        each(&MessageRows::of(&batch)?).map(Some)
    }

    /// When the message at an offset was stored, ms.
    pub(super) fn stored_ms(&self, offset: u64) -> Result<Option<i64>, Refusal> {
        let range = offset..offset.saturating_add(1);
        let Some(scanned) = self.scan_columns(range, vec![InputColumn::AppendTs])?.next() else { return Ok(None) };
        let ScannedBatch { batch, .. } = scanned?;
        let times = batch.columns().first().and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>());
        Ok(times.filter(|times| !times.is_empty()).map(|times| times.value(0).div_euclid(1_000)))
    }

    fn scan(
        &self,
        range: std::ops::Range<u64>,
    ) -> Result<impl Iterator<Item = Result<ScannedBatch, millstream_engine::Error>>, Refusal> {
        // The columns of messages, and when they were appended.
        let mut inputs: Vec<InputColumn> = (0..message_schema().fields().len()).map(InputColumn::Field).collect();
        inputs.push(InputColumn::AppendTs);
        self.scan_columns(range, inputs)
    }

    fn scan_columns(
        &self,
        range: std::ops::Range<u64>,
        inputs: Vec<InputColumn>,
    ) -> Result<impl Iterator<Item = Result<ScannedBatch, millstream_engine::Error>>, Refusal> {
        let request = ScanRequest {
            topic: topic_of(self.table),
            ranges: Some(vec![(self.queue, range)]),
            event_time_us: None,
            operator: Arc::new(PlainColumns::of(self.table, inputs)?),
        };
        Ok(self.tables.engine.scan(&self.tables.who, request)?)
    }

    /// Takes what passes of a batch whose first row has an offset; true once that is enough.
    fn take(&self, found: &mut Found, first: u64, batch: &RecordBatch, wanted: Wanted<'_>) -> Result<bool, Refusal> {
        let rows = MessageRows::of(batch)?;
        let mut passing = Passing::of(wanted.filter, batch, &rows, wanted.messages);
        loop {
            let piece = match passing.next() {
                Ok(Some(piece)) => piece,
                Ok(None) => return Ok(false),
                // With what was found before it goes to the client first.
                Err(stopped) => {
                    found.stopped = Some((first + stopped.row as u64, stopped.why));
                    return Ok(true);
                }
            };
            if let Some((row, why)) = piece.failed
                && found.failed.is_none()
            {
                found.failed = Some((first + row as u64, why));
            }
            if self.take_rows(found, (first, &piece.passing), &rows, wanted)? {
                return Ok(true);
            }
            found.next = first + piece.end as u64;
        }
    }

    /// The same of rows that pass.
    fn take_rows(
        &self,
        found: &mut Found,
        (first, passing): (u64, &[usize]),
        rows: &MessageRows<'_>,
        wanted: Wanted<'_>,
    ) -> Result<bool, Refusal> {
        let (mut taken, mut bytes, mut enough) = (Vec::new(), found.body.len(), false);
        for row in passing.iter().copied() {
            let offset = first + row as u64;
            let properties = rows.properties(row);
            let place = self.place(offset, 0, wanted);
            let size = rows.message(row, place, &properties).bytes();
            if bytes + size > wanted.bytes {
                if found.messages == 0 && taken.is_empty() {
                    found.too_long = Some(size);
                }
                found.next = offset;
                enough = true;
                break;
            }
            bytes += size;
            taken.push((row, offset, properties));
            found.next = offset + 1;
            if found.messages + taken.len() >= wanted.messages {
                enough = true;
                break;
            }
        }
        let offsets: Vec<u64> = taken.iter().map(|(_, offset, _)| *offset).collect();
        let physical = self.physical_offsets(&offsets)?;
        found.body.reserve(bytes - found.body.len());
        for ((row, offset, properties), physical) in taken.iter().zip(physical) {
            rows.message(*row, self.place(*offset, physical, wanted), properties).write(&mut found.body)?;
            found.messages += 1;
        }
        Ok(enough)
    }

    fn place<'p>(&self, offset: u64, physical: u64, wanted: Wanted<'p>) -> Place<'p> {
        Place { topic: wanted.topic, queue: self.queue, offset, physical, store_host: wanted.store_host }
    }

    /// LSNs of rows, whose offsets rise. They grow with the offsets, so that those between two follow from both where no other row lies between.
    pub(super) fn physical_offsets(&self, offsets: &[u64]) -> Result<Vec<u64>, Refusal> {
        let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else { return Ok(Vec::new()) };
        let lsn = |offset: u64| {
            self.tables.engine.lsn_of(&self.tables.who, self.table.id, self.queue, offset).map(|lsn| lsn.0)
        };
        let (low, high) = (lsn(*first)?, lsn(*last)?);
        let mut lsns = Vec::with_capacity(offsets.len());
        self.between(offsets, low, high, &lsn, &mut lsns)?;
        Ok(lsns)
    }

    fn between(
        &self,
        offsets: &[u64],
        low: u64,
        high: u64,
        lsn: &impl Fn(u64) -> Result<u64, millstream_engine::Error>,
        lsns: &mut Vec<u64>,
    ) -> Result<(), Refusal> {
        let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else { return Ok(()) };
        if last - first == high - low {
            lsns.extend(offsets.iter().map(|offset| low + (offset - first)));
            return Ok(());
        }
        let (left, right) = offsets.split_at(offsets.len() / 2);
        if let Some(end) = left.last() {
            self.between(left, low, lsn(*end)?, lsn, lsns)?;
        }
        if let Some(begin) = right.first() {
            self.between(right, lsn(*begin)?, high, lsn, lsns)?;
        }
        Ok(())
    }
}
