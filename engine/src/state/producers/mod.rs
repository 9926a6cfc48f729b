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
mod oldest;
mod stamp;
mod stored;
mod stream;
mod streams;
mod tables;
mod window;

#[cfg(test)]
pub(super) use self::ages::AGE_STEP_US;
use self::ages::Ages;
pub(crate) use self::stamp::{StreamLimits, StreamStamp};
#[cfg(test)]
pub(super) use self::stream::SPARED_US;
pub(crate) use self::stream::StreamId;
use self::stream::{Stream, first_of_epoch, is_old};
pub(super) use self::streams::Streams;
use self::tables::TableCounts;
use super::changed::Changed;
use super::paged::Paged;
use crate::model::{Appended, Error, ProducerStamp, Result, TableId};

/// All streams. Times are append times less the silence passed over, so that no stream is older for a silence of the log.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, PartialEq))]
pub(super) struct Producers {
    streams: Paged<Streams>,
    ages: Paged<Ages>,
    tables: TableCounts,
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

    /// All streams as readers see them.
    pub(super) fn stored(&self) -> Paged<Streams> {
        self.streams.reader()
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
