//! Reads an extent commit by commit, believing nothing that does not check.

use super::extent::Extent;
use super::format::{
    COMMIT_ALIGNMENT, COMMIT_HEADER_LEN, CommitHeader, FRAME_HEADER_LEN, FrameHeader, LogId, Malformed,
};
use super::payload;
use super::read_commit::{Expected, ReadCommit, ReadRecord};
use crate::model::{Lsn, Result};

/// Bytes asked of the disk at once; a commit may be longer.
const WINDOW_BYTES: usize = 4 << 20;

/// What is wrong where an extent gives other bytes than before.
pub(super) const CHANGES: &str = "the file changes while it is read";

/// The outcome of reading at a position.
#[derive(Debug)]
pub(super) enum Step {
    Commit(ReadCommit),
    /// The extent ends here.
    End,
    /// Something else than the expected commit stands here.
    Damaged(&'static str),
}

/// An extent being read from front to back.
pub(super) struct Walker<'a> {
    extent: &'a dyn Extent,
    len: u64,
    window: Vec<u8>,
    window_at: u64,
    log_id: LogId,
}

impl<'a> Walker<'a> {
    /// Reads what the extent holds now.
    pub(super) fn new(extent: &'a dyn Extent, log_id: LogId) -> Walker<'a> {
        Walker { extent, len: extent.bytes(), window: Vec::new(), window_at: 0, log_id }
    }

    /// Reads all commits from `position` on. Damage is an error. Gives the LSN after the last.
    pub(super) fn scan(
        mut self,
        mut position: u64,
        mut expected: Expected,
        each: &mut dyn FnMut(&ReadCommit),
    ) -> Result<Lsn> {
        loop {
            match self.step(position, expected)? {
                Step::End => return Ok(expected.lsn),
                Step::Damaged(what) => return Err(self.extent.corrupt(position, what)),
                Step::Commit(commit) => {
                    each(&commit);
                    position = position.saturating_add(u64::from(commit.header.length));
                    expected = commit.expected_next();
                }
            }
        }
    }

    /// Reads the commit at `position`.
    pub(super) fn step(&mut self, position: u64, expected: Expected) -> Result<Step> {
        if position == self.len {
            return Ok(Step::End);
        }
        match self.header(position)? {
            Err(Malformed::Damaged(what)) => Ok(Step::Damaged(what)),
            Err(Malformed::Unknown(what)) => Err(self.extent.corrupt(position, &format!("unknown {what}"))),
            Ok(header) if header.epoch < expected.epoch => Ok(Step::Damaged("a commit of an earlier epoch")),
            Ok(header) if header.first_lsn != expected.lsn => Ok(Step::Damaged("a commit out of order")),
            Ok(header) if header.append_us < expected.append_us => Ok(Step::Damaged("a commit with an earlier time")),
            Ok(header) => self.commit(position, header),
        }
    }

    /// The bytes of a commit that [`Self::step`] has just given.
    pub(super) fn commit_bytes(&mut self, position: u64, header: &CommitHeader) -> Result<Option<&[u8]>> {
        self.bytes(position, usize::try_from(header.length).unwrap_or(usize::MAX))
    }

    /// The highest durable LSN, and the highest epoch, that headers of commits after `position` state. Only headers that can
    /// follow what is expected at `position` count.
    pub(super) fn statements_after(&mut self, position: u64, expected: Expected) -> Result<Option<(Lsn, u64)>> {
        let mut found: Option<(Lsn, u64)> = None;
        let mut at = position.saturating_add(COMMIT_ALIGNMENT as u64);
        while at < self.len {
            if let Ok(header) = self.header(at)?
                && header.first_lsn >= expected.lsn
                && header.epoch >= expected.epoch
            {
                let (lsn, epoch) = found.unwrap_or_default();
                found = Some((lsn.max(header.durable_lsn), epoch.max(header.epoch)));
            }
            at = at.saturating_add(COMMIT_ALIGNMENT as u64);
        }
        Ok(found)
    }

    fn header(&mut self, position: u64) -> Result<Result<CommitHeader, Malformed>> {
        let log_id = self.log_id;
        let bytes = self.bytes(position, COMMIT_HEADER_LEN)?.and_then(|bytes| bytes.first_chunk());
        Ok(bytes.map_or(Err(Malformed::Damaged("the commit header is cut short")), |bytes| {
            CommitHeader::decode(bytes, log_id)
        }))
    }

    fn commit(&mut self, position: u64, header: CommitHeader) -> Result<Step> {
        let (log_id, extent) = (self.log_id, self.extent);
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        if length < COMMIT_HEADER_LEN || !length.is_multiple_of(COMMIT_ALIGNMENT) {
            return Ok(Step::Damaged("the commit has an impossible length"));
        }
        let Some(bytes) = self.bytes(position, length)? else {
            return Ok(Step::Damaged("the commit is cut short"));
        };
        let corrupt = |at: usize, message: String| extent.corrupt(position.saturating_add(at as u64), &message);
        let (mut at, mut lsn) = (COMMIT_HEADER_LEN, header.first_lsn);
        let mut records = Vec::new();
        let mut headers = Vec::new();
        for _ in 0..header.records {
            let Some(frame_bytes) = bytes.get(at..).and_then(|rest| rest.first_chunk::<FRAME_HEADER_LEN>()) else {
                return Ok(Step::Damaged("the commit holds fewer records than it says"));
            };
            let frame = match FrameHeader::decode(frame_bytes, log_id) {
                Ok(frame) if frame.lsn == lsn => frame,
                Ok(_) => return Ok(Step::Damaged("a record out of order")),
                Err(Malformed::Damaged(what)) => return Ok(Step::Damaged(what)),
                Err(Malformed::Unknown(what)) => return Err(corrupt(at, format!("unknown {what}"))),
            };
            let Some(payload) = payload_of(bytes, at, &frame) else {
                return Ok(Step::Damaged("a record is cut short"));
            };
            if crc32c::crc32c(payload) != frame.payload_crc32c {
                return Ok(Step::Damaged("a record does not match its checksum"));
            }
            let record = payload::decode(&frame, payload).map_err(|reason| corrupt(at, reason))?;
            records.push(ReadRecord { position: position.saturating_add(at as u64), header: frame, record });
            headers.push(frame_bytes.as_slice());
            at = at.saturating_add(usize::try_from(frame.frame_bytes()).unwrap_or(usize::MAX));
            lsn = Lsn(lsn.0.saturating_add(frame.lsns()));
        }
        if header.checksum(log_id, headers) != header.crc32c {
            return Ok(Step::Damaged("a commit does not match its checksum"));
        }
        Ok(Step::Commit(ReadCommit { header, records }))
    }

    /// Bytes of the extent, `None` where it ends before.
    fn bytes(&mut self, position: u64, length: usize) -> Result<Option<&[u8]>> {
        if position.checked_add(length as u64).is_none_or(|end| end > self.len) {
            return Ok(None);
        }
        let start = position.checked_sub(self.window_at).and_then(|start| usize::try_from(start).ok());
        let held = start.is_some_and(|start| start.saturating_add(length) <= self.window.len());
        if !held {
            let rest = usize::try_from(self.len - position).unwrap_or(usize::MAX);
            self.window.resize(length.max(WINDOW_BYTES).min(rest), 0);
            self.window_at = position;
            if !self.extent.read(position, &mut self.window)? {
                return Err(self.extent.corrupt(position, CHANGES));
            }
        }
        let start = if held { start.unwrap_or(0) } else { 0 };
        Ok(self.window.get(start..start + length))
    }
}

fn payload_of<'a>(bytes: &'a [u8], at: usize, frame: &FrameHeader) -> Option<&'a [u8]> {
    let start = at.checked_add(usize::try_from(frame.payload_at).ok()?)?;
    bytes.get(start..start.checked_add(usize::try_from(frame.length).ok()?)?)
}
