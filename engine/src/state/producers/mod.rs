//! Producer streams: the answers recent stamps were given. `docs/state-store.md` says what is kept for how long.
//!
//! A stream is one producer writing to one table. A batch that a key spreads over several partitions is one submission under
//! one stamp, taken or refused whole, so one window for each (table, producer) says what one for each partition would: a repeat
//! can't have reached some partitions and not others.
//!
//! Producers choose their ids, so what is kept of them is bounded by namespace. The stream that has been silent for longest
//! loses its answers first, and is then known by its epoch only: its batches are refused, never taken twice.
//!
//! Streams are paged, and so is their order by age (`ages.rs`); what is in memory of each table is how many it has.

mod ages;
mod fold;
mod limits;
mod stored;
mod tables;
mod window;

#[cfg(test)]
pub(super) use self::ages::AGE_STEP_US;
use self::ages::Ages;
use self::stored::Streams;
use self::tables::Tables;
use self::window::Window;
use super::family::Changed;
use super::paged::Paged;
use crate::model::{Appended, Error, ProducerStamp, Result, TableId};

/// Answers kept for each stream.
const WINDOW: usize = 128;
/// Runs of rows kept over a window, so that batches spread over very many partitions do not hold much memory.
const WINDOW_RUNS: usize = 4_096;
/// A stream is forgotten when the log has gone on for this long without it.
const KEPT_US: i64 = 7 * 24 * 3600 * 1_000_000;
/// Of a time without any commit no more than this counts: a step of the clock looks like one.
const SILENCE_US: i64 = 3600 * 1_000_000;
/// A stream keeps its answers for this long, whoever else wants room: longer than producers go on repeating a batch.
pub(super) const SPARED_US: i64 = 15 * 60 * 1_000_000;
/// Streams that one record takes the answers of, or that one clears away, at most.
const FORGOTTEN_AT_ONCE: usize = 256;

/// A producer in a table.
pub(crate) type StreamId = (TableId, u128);

/// One stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stream {
    pub epoch: u32,
    /// Append time of its newest commit, less what the log had passed over in silence until then.
    pub last_us: i64,
    /// Empty once its answers are forgotten.
    pub window: Window,
}

/// All streams. Times are append times less the silence passed over, so that no stream is older for a silence of the log.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, PartialEq))]
pub(super) struct Producers {
    streams: Paged<Streams>,
    ages: Paged<Ages>,
    tables: Tables,
    /// Silence of the log that does not count, µs.
    passed_us: i64,
    passed_unwritten: Changed<()>,
    /// The time of the last record.
    now_us: i64,
}

impl Producers {
    /// The stream, unless it is forgotten or as good as that: those that are too old are cleared away later.
    pub(super) fn get(&self, stream: StreamId) -> Result<Option<Stream>> {
        let found = self.streams.get(&stream)?;
        Ok(found.filter(|found| !is_old(found.last_us, self.now_us)))
    }

    /// Streams of all namespaces: those with answers, and those whose answers are forgotten.
    pub(super) fn count(&self) -> (u64, u64) {
        self.tables.count()
    }

    /// `Ok(Some)` is the first answer to a repeat, `Ok(None)` says that the stamp is the stream's next.
    pub(super) fn check(&self, namespace: &str, table: TableId, stamp: ProducerStamp) -> Result<Option<Vec<Appended>>> {
        let ProducerStamp { id, epoch, sequence } = stamp;
        let Some(stream) = self.get((table, id))?.filter(|stream| stream.epoch >= epoch) else {
            return first_of_epoch(sequence);
        };
        if stream.epoch > epoch {
            return Err(Error::Fenced(format!(
                "producer {id:032x} has epoch {}, this batch has {epoch}",
                stream.epoch
            )));
        }
        let Some(last) = stream.window.last() else {
            return Err(Error::FailedPrecondition(format!(
                "producer {id:032x} was silent while namespace {namespace:?} needed the room (producer_streams), and which of \
                 its batches were written is no longer known; look, then begin a higher epoch at sequence 0"
            )));
        };
        if sequence > last {
            return if sequence - last == 1 { Ok(None) } else { Err(Error::SequenceGap { last, got: sequence }) };
        }
        match stream.window.before_last(last - sequence) {
            Some(answer) => Ok(Some(answer)),
            None => Err(Error::FailedPrecondition(format!(
                "producer {id:032x}: sequence {sequence} was taken, but its answer is no longer kept ({} to {last} are)",
                stream.window.first().unwrap_or(last)
            ))),
        }
    }
}

fn is_old(last_us: i64, now_us: i64) -> bool {
    now_us.saturating_sub(last_us) > KEPT_US
}

fn is_silent(last_us: i64, now_us: i64) -> bool {
    now_us.saturating_sub(last_us) >= SPARED_US
}

fn first_of_epoch<T>(sequence: u64) -> Result<Option<T>> {
    if sequence == 0 {
        return Ok(None);
    }
    Err(Error::FailedPrecondition(format!(
        "producer sequence {sequence} begins a stream or epoch that the log does not know (or has forgotten after 7 \
         days); begin a higher epoch at sequence 0"
    )))
}
