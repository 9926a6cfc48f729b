//! What is known of the clock, in the file `clock` of the data directory, drawn in `docs/log-format.md`.
//!
//! The mark is written in place and not synced: after a power loss the machine has started anew, and it says nothing. Knots are
//! written to another file that takes the place of this one, synced.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ages::{Ages, Knot};
use crate::model::{Error, Result};
use crate::platform::BootTime;
use crate::platform::disk::Disk;

const MAGIC: [u8; 4] = *b"MSLT";
const VERSION: u32 = 1;
const MARK_LEN: usize = 80;
const KNOTS_AT: usize = MARK_LEN + 8;
const KNOT_LEN: usize = 16;
const MAX_BYTES: u64 = 64 << 10;

/// A time that was believed, and how long the machine had been on then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub boot: Option<BootTime>,
    pub axis_us: i64,
    /// What only the wall clock tells of, from and to.
    pub gap: Option<(i64, i64)>,
    /// A step that is not believed yet: by how much, and for how long it had lasted, µs.
    pub doubt: Option<(i64, i64)>,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    pub mark: Option<Mark>,
    pub ages: Ages,
    /// There were knots that can't be read.
    pub damaged: bool,
}

impl Mark {
    /// The time now, if the machine has been on since.
    pub(super) fn now_us(&self, boot: &BootTime) -> Option<i64> {
        let then = self.boot.filter(|then| then.id == boot.id)?;
        let passed = boot.up.checked_sub(then.up)?;
        Some(self.axis_us.saturating_add(micros(passed)))
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(MARK_LEN);
        let boot = self.boot.unwrap_or(BootTime { id: 0, up: Duration::ZERO });
        let ((from, to), (by, lasts)) = (self.gap.unwrap_or_default(), self.doubt.unwrap_or_default());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&boot.id.to_le_bytes());
        for number in [micros(boot.up), self.axis_us, from, to, by, lasts] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&[0; 4]);
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// `Ok(None)` where it does not check; an error is a version that is not known.
    fn decode(bytes: &[u8; MARK_LEN]) -> Result<Option<Mark>, u32> {
        let Some((covered, checksum)) = bytes.split_last_chunk::<4>() else { return Ok(None) };
        if crc32c::crc32c(covered) != u32::from_le_bytes(*checksum) || !covered.starts_with(&MAGIC) {
            return Ok(None);
        }
        let number = |at: usize| covered.get(at..).and_then(|rest| rest.first_chunk()).map(|b| i64::from_le_bytes(*b));
        let version = covered.get(4..).and_then(|rest| rest.first_chunk()).map(|b| u32::from_le_bytes(*b));
        if let Some(version) = version.filter(|version| *version != VERSION) {
            return Err(version);
        }
        let decode = || {
            let id = u128::from_le_bytes(*covered.get(8..)?.first_chunk()?);
            let up = Duration::from_micros(u64::try_from(number(24)?).ok()?);
            let (from, to, by, lasts) = (number(40)?, number(48)?, number(56)?, number(64)?);
            let boot = (id != 0).then_some(BootTime { id, up });
            let (gap, doubt) = ((from < to).then_some((from, to)), (by != 0).then_some((by, lasts)));
            Some(Mark { boot, axis_us: number(32)?, gap, doubt })
        };
        Ok(decode())
    }
}

pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("clock")
}

/// Reads what there is; nothing where there is no file, or one that was never finished.
pub(super) fn read(disk: &dyn Disk, path: &Path) -> Result<Recorded> {
    let failed = |error: io::Error| Error::Io { path: path.to_owned(), message: error.to_string() };
    let file = match disk.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Recorded::default()),
        Err(error) => return Err(failed(error)),
    };
    let len = file.len().map_err(failed)?.min(MAX_BYTES);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    file.read_at(&mut bytes, 0).map_err(failed)?;
    let Some(mark) = bytes.first_chunk::<MARK_LEN>() else { return Ok(Recorded::default()) };
    let mark = Mark::decode(mark).map_err(|version| Error::Corrupt {
        path: path.to_owned(),
        position: 4,
        message: format!("version {version} of the clock's record is not known"),
    })?;
    match decode_knots(&bytes) {
        Some(knots) => Ok(Recorded { mark, ages: Ages::new(knots), damaged: false }),
        // Neither part checks: the file was made and never synced, and nothing was to be kept in it.
        None if mark.is_none() => Ok(Recorded::default()),
        None => Ok(Recorded { mark: None, ages: Ages::default(), damaged: true }),
    }
}

/// Replaces the file.
pub(super) fn write(disk: &dyn Disk, path: &Path, mark: &Mark, ages: &Ages) -> Result<()> {
    let unfinished = path.with_extension("tmp");
    let mut bytes = mark.encode();
    encode_knots(ages.knots(), &mut bytes);
    let write = || {
        match disk.remove(&unfinished) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = disk.create(&unfinished)?;
        file.write_at(&[&bytes], 0)?;
        file.sync()?;
        disk.rename(&unfinished, path)?;
        disk.sync_dir(path.parent().unwrap_or(Path::new(".")))
    };
    write().map_err(|error| Error::Io { path: path.to_owned(), message: error.to_string() })
}

/// Writes the mark alone.
pub(super) fn refresh(disk: &dyn Disk, path: &Path, mark: &Mark, ages: &Ages) -> Result<()> {
    let mut bytes = mark.encode();
    if ages.knots().is_empty() {
        encode_knots(&[], &mut bytes);
    }
    let write = || {
        let file = match disk.open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => disk.create(path)?,
            file => file?,
        };
        file.write_at(&[&bytes], 0)
    };
    write().map_err(|error| Error::Io { path: path.to_owned(), message: error.to_string() })
}

fn encode_knots(knots: &[Knot], out: &mut Vec<u8>) {
    let mut bytes = Vec::with_capacity(knots.len() * KNOT_LEN);
    for knot in knots {
        bytes.extend_from_slice(&knot.axis_us.to_le_bytes());
        bytes.extend_from_slice(&knot.counted_us.to_le_bytes());
    }
    out.extend_from_slice(&u32::try_from(knots.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    out.extend_from_slice(&bytes);
}

fn decode_knots(bytes: &[u8]) -> Option<Vec<Knot>> {
    let count = u32::from_le_bytes(*bytes.get(MARK_LEN..)?.first_chunk()?);
    let checksum = u32::from_le_bytes(*bytes.get(MARK_LEN + 4..)?.first_chunk()?);
    let knots = bytes.get(KNOTS_AT..)?.get(..usize::try_from(count).ok()?.checked_mul(KNOT_LEN)?)?;
    if crc32c::crc32c(knots) != checksum {
        return None;
    }
    let knot = |bytes: &[u8]| {
        let (axis, counted) = bytes.split_first_chunk()?;
        Some(Knot { axis_us: i64::from_le_bytes(*axis), counted_us: i64::from_le_bytes(*counted.first_chunk()?) })
    };
    let knots: Vec<Knot> = knots.chunks_exact(KNOT_LEN).map(knot).collect::<Option<_>>()?;
    let rise = |pair: &[Knot]| matches!(pair, [a, b] if a.axis_us <= b.axis_us && a.counted_us <= b.counted_us);
    knots.windows(2).all(rise).then_some(knots)
}

pub(super) fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
