//! Reading messages of one queue.

use std::ops::Range;
use std::time::Duration;

use bytes::BytesMut;

use super::answer::Refusal;
use super::filter::Filter;
use super::physical::physical_offsets;
use super::readable::Readable;
use super::stored::{MessageRows, Place};
use super::stretches::{Step, Stretch, Stretches};
use super::tables::Tables;
use super::take::Passing;
use super::trace::add_to_runs;
use super::wire::codes;
use super::wire::command::MAX_MESSAGE_BYTES;

/// Rows that one read looks at, at most, for those that pass.
const ROWS_PER_READ: u64 = 16_384;
/// The longest message that an answer has room for beside its header.
const LONGEST: usize = MAX_MESSAGE_BYTES - (64 << 10);

/// A read of one queue.
#[derive(Debug, Clone)]
pub(super) struct MessageScan<'a> {
    pub(super) tables: &'a Tables,
    pub(super) of: &'a Readable,
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
    /// Where they lie.
    pub(super) runs: Vec<Range<u64>>,
    /// Where the next read goes on.
    pub(super) next: u64,
    /// The first message is longer than what was wanted: its bytes.
    pub(super) too_long: Option<usize>,
    /// The first message on which the filter fails, which therefore does not pass: its offset, and why.
    pub(super) failed: Option<(u64, String)>,
    /// Where a plugin has failed, so that nothing further was looked at, and why.
    pub(super) stopped: Option<(u64, String)>,
    /// Plugins of the topic itself are over their share of the machine, for so long: nothing further was read.
    pub(super) throttled: Option<Duration>,
}

/// What [`MessageScan::passing`] has passed over.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// Where the next read goes on.
    pub(super) next: u64,
    /// As those of [`Found`].
    pub(super) failed: Option<(u64, String)>,
    pub(super) stopped: Option<(u64, String)>,
    pub(super) throttled: Option<Duration>,
}

impl MessageScan<'_> {
    /// Messages from an offset on that pass, within what is wanted.
    pub(super) fn read(&self, from: u64, wanted: Wanted<'_>) -> Result<Found, Refusal> {
        let mut found = Found { next: from, ..Found::default() };
        let mut stretches = self.stretches(from, (wanted.messages, wanted.bytes))?;
        loop {
            match stretches.next()? {
                Step::End => return Ok(found),
                Step::Throttled(left) => return Ok(Found { throttled: Some(left), ..found }),
                Step::Rows(stretch) => {
                    if self.take(&mut found, &stretch, wanted)? {
                        return Ok(found);
                    }
                    found.next = stretch.next;
                }
            }
        }
    }

    /// Shows messages from an offset on that pass, so many at most, until `each` has enough: false if it does not take the one that it is
    /// shown. About so many bytes are read at once.
    pub(super) fn passing(
        &self,
        from: u64,
        (filter, most, bytes): (&Filter, usize, usize),
        mut each: impl FnMut(&MessageRows<'_>, usize, u64) -> bool,
    ) -> Result<Passed, Refusal> {
        let mut passed = Passed { next: from, ..Passed::default() };
        let mut left = most;
        let mut stretches = self.stretches(from, (most, bytes))?;
        loop {
            let stretch = match stretches.next()? {
                Step::End => return Ok(passed),
                Step::Throttled(left) => return Ok(Passed { throttled: Some(left), ..passed }),
                Step::Rows(stretch) => stretch,
            };
            let rows = MessageRows::of(&stretch.batch)?;
            let mut passing = Passing::of(filter, &stretch.batch, &rows, left);
            loop {
                let piece = match passing.next() {
                    Ok(Some(piece)) => piece,
                    Ok(None) => break,
                    Err(stopped) => {
                        passed.stopped = Some((stretch.offset(stopped.row), stopped.why));
                        return Ok(passed);
                    }
                };
                if let Some((row, why)) = piece.failed
                    && passed.failed.is_none()
                {
                    passed.failed = Some((stretch.offset(row), why));
                }
                for row in piece.passing {
                    let offset = stretch.offset(row);
                    passed.next = offset;
                    if left == 0 || !each(&rows, row, offset) {
                        return Ok(passed);
                    }
                    left -= 1;
                    passed.next = offset + 1;
                }
                passed.next = stretch.offset(piece.end);
            }
            passed.next = stretch.next;
        }
    }

    /// What `each` makes of one message.
    pub(super) fn one<T>(
        &self,
        offset: u64,
        each: impl FnOnce(&MessageRows<'_>) -> Result<T, Refusal>,
    ) -> Result<Option<T>, Refusal> {
        let Some(stretch) = self.at(offset)? else { return Ok(None) };
        each(&MessageRows::of(&stretch.batch)?).map(Some)
    }

    fn stretches(&self, from: u64, limits: (usize, usize)) -> Result<Stretches<'_>, Refusal> {
        Stretches::of(self, from..from.saturating_add(ROWS_PER_READ), limits)
    }

    /// Takes what passes of a stretch; true once that is enough.
    fn take(&self, found: &mut Found, stretch: &Stretch, wanted: Wanted<'_>) -> Result<bool, Refusal> {
        let rows = MessageRows::of(&stretch.batch)?;
        let mut passing = Passing::of(wanted.filter, &stretch.batch, &rows, wanted.messages);
        loop {
            let piece = match passing.next() {
                Ok(Some(piece)) => piece,
                Ok(None) => return Ok(false),
                // With what was found before it goes to the client first.
                Err(stopped) => {
                    found.stopped = Some((stretch.offset(stopped.row), stopped.why));
                    return Ok(true);
                }
            };
            if let Some((row, why)) = piece.failed
                && found.failed.is_none()
            {
                found.failed = Some((stretch.offset(row), why));
            }
            if self.take_rows(found, (stretch, &piece.passing), &rows, wanted)? {
                return Ok(true);
            }
            found.next = stretch.offset(piece.end);
        }
    }

    /// The same of rows that pass.
    fn take_rows(
        &self,
        found: &mut Found,
        (stretch, passing): (&Stretch, &[usize]),
        rows: &MessageRows<'_>,
        wanted: Wanted<'_>,
    ) -> Result<bool, Refusal> {
        let (mut taken, mut bytes, mut enough) = (Vec::new(), found.body.len(), false);
        for row in passing.iter().copied() {
            let offset = stretch.offset(row);
            let properties = rows.properties(row);
            let place = self.place(offset, 0, wanted);
            let size = rows.message(row, place, &properties).bytes();
            if bytes + size > wanted.bytes {
                if found.messages == 0 && taken.is_empty() {
                    found.too_long = Some(self.check_size(offset, size, LONGEST)?);
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
        let physical = physical_offsets(self.tables, self.of.queue(self.queue), &offsets)?;
        found.body.reserve(bytes - found.body.len());
        add_to_runs(&mut found.runs, offsets);
        for ((row, offset, properties), physical) in taken.iter().zip(physical) {
            rows.message(*row, self.place(*offset, physical, wanted), properties).write(&mut found.body)?;
            found.messages += 1;
        }
        Ok(enough)
    }

    /// A message that no answer has room for is told of, rather than tried again and again: rows as JSON may take many times what
    /// they take in the log.
    pub(super) fn check_size(&self, offset: u64, size: usize, most: usize) -> Result<usize, Refusal> {
        if size <= most {
            return Ok(size);
        }
        let (name, queue) = (&self.of.topic.name, self.queue);
        Err(Refusal::new(
            codes::SYSTEM_ERROR,
            format!(
                "the message at offset {offset} of queue {queue} of {name:?} has {size} bytes, and clients take {most} at most; \
                 set the group's offset behind it"
            ),
        ))
    }

    fn place<'p>(&self, offset: u64, physical: u64, wanted: Wanted<'p>) -> Place<'p> {
        Place { topic: wanted.topic, queue: self.queue, offset, physical, store_host: wanted.store_host }
    }
}
