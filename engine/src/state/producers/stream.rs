//! One stream.

use super::window::Window;
use crate::model::{Error, Result, TableId};

/// A stream is forgotten when the log has gone on for this long without it.
pub(super) const KEPT_US: i64 = 7 * 24 * 3600 * 1_000_000;
/// Of a time without any commit no more than this counts: a step of the clock looks like one.
pub(super) const SILENCE_US: i64 = 3600 * 1_000_000;
/// A stream keeps its answers for this long, whoever else wants room: longer than producers go on repeating a batch.
pub(in crate::state) const SPARED_US: i64 = 15 * 60 * 1_000_000;
/// Streams that one record takes the answers of, or that one clears away, at most.
pub(super) const FORGOTTEN_AT_ONCE: usize = 256;

/// A producer in a table.
pub(crate) type StreamId = (TableId, u128);

/// One stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::state) struct Stream {
    pub epoch: u32,
    /// Append time of its newest commit, less what the log had passed over in silence until then.
    pub last_us: i64,
    /// Empty once its answers are forgotten.
    pub window: Window,
}

pub(super) fn is_old(last_us: i64, now_us: i64) -> bool {
    now_us.saturating_sub(last_us) > KEPT_US
}

pub(super) fn is_silent(last_us: i64, now_us: i64) -> bool {
    now_us.saturating_sub(last_us) >= SPARED_US
}

pub(super) fn first_of_epoch<T>(sequence: u64) -> Result<Option<T>> {
    if sequence == 0 {
        return Ok(None);
    }
    Err(Error::FailedPrecondition(format!(
        "producer sequence {sequence} begins a stream or epoch that the log does not know (or has forgotten after 7 \
         days); begin a higher epoch at sequence 0"
    )))
}
