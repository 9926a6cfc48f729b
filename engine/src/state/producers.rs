//! Producer streams: the answers recent stamps were given.
//!
//! A stream is one producer writing to one table. DESIGN.md keeps the last sequence per partition; a batch that a key
//! spreads over several partitions is one submission under one stamp, taken or refused whole, so one window for each
//! (table, producer) says the same with less: a repeat can't have reached some partitions and not others.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::record::ProducerRecord;
use crate::{Appended, Error, ProducerStamp, Result, TableId};

/// Answers kept for each stream.
const WINDOW: usize = 128;
/// Runs of rows kept over a window, so that batches spread over very many partitions do not hold much memory.
const WINDOW_RUNS: usize = 4_096;
/// A stream is forgotten when the log has gone on for this long without it.
const KEPT_US: i64 = 7 * 24 * 3600 * 1_000_000;

/// One stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stream {
    pub epoch: u32,
    /// Append time of its newest commit.
    pub last_us: i64,
    /// The newest answers, sequences rising by one.
    pub window: VecDeque<(u64, Arc<[Appended]>)>,
}

/// All streams.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Producers {
    streams: HashMap<(TableId, u128), Stream>,
    /// (last append time, stream), to find the ones to forget.
    by_age: BTreeSet<(i64, TableId, u128)>,
}

impl Producers {
    pub(super) fn get(&self, table: TableId, id: u128) -> Option<&Stream> {
        self.streams.get(&(table, id))
    }

    /// `Ok(Some)` is the first answer to a repeat, `Ok(None)` says that the stamp is the stream's next.
    pub(super) fn check(&self, table: TableId, stamp: ProducerStamp) -> Result<Option<Vec<Appended>>> {
        let ProducerStamp { id, epoch, sequence } = stamp;
        let Some(stream) = self.get(table, id).filter(|stream| stream.epoch >= epoch) else {
            return first_of_epoch(sequence);
        };
        if stream.epoch > epoch {
            return Err(Error::Fenced(format!(
                "producer {id:032x} has epoch {}, this batch has {epoch}",
                stream.epoch
            )));
        }
        let Some((last, _)) = stream.window.back() else { return first_of_epoch(sequence) };
        if sequence > *last {
            return if sequence - last == 1 {
                Ok(None)
            } else {
                Err(Error::SequenceGap { last: *last, got: sequence })
            };
        }
        let known = usize::try_from(last - sequence).ok().and_then(|back| stream.window.iter().nth_back(back));
        match known {
            Some((_, answer)) => Ok(Some(answer.to_vec())),
            None => Err(Error::FailedPrecondition(format!(
                "producer {id:032x}: sequence {sequence} was taken, but its answer is no longer kept ({} to {last} are)",
                stream.window.front().map_or(*last, |(first, _)| *first)
            ))),
        }
    }

    pub(super) fn record(&mut self, record: &ProducerRecord, append_us: i64) {
        let key = (record.table, record.stamp.id);
        let fresh = || Stream { epoch: record.stamp.epoch, last_us: append_us, window: VecDeque::new() };
        let stream = self.streams.entry(key).or_insert_with(fresh);
        self.by_age.remove(&(stream.last_us, key.0, key.1));
        if stream.epoch != record.stamp.epoch {
            *stream = fresh();
        }
        stream.last_us = append_us;
        stream.window.push_back((record.stamp.sequence, Arc::from(record.appended.as_slice())));
        let mut runs: usize = stream.window.iter().map(|(_, answer)| answer.len()).sum();
        while stream.window.len() > WINDOW || (runs > WINDOW_RUNS && stream.window.len() > 1) {
            runs -= stream.window.pop_front().map_or(0, |(_, answer)| answer.len());
        }
        self.by_age.insert((append_us, key.0, key.1));
    }

    /// Forgets streams that have been silent for [`KEPT_US`], and gives their keys.
    pub(super) fn forget(&mut self, append_us: i64) -> Vec<(TableId, u128)> {
        let mut gone = Vec::new();
        while let Some((last_us, table, id)) = self.by_age.first().copied() {
            if append_us.saturating_sub(last_us) <= KEPT_US {
                break;
            }
            self.by_age.pop_first();
            self.streams.remove(&(table, id));
            gone.push((table, id));
        }
        gone
    }

    /// Puts back a stream that was stored.
    pub(super) fn restore(&mut self, table: TableId, id: u128, stream: Stream) {
        self.by_age.insert((stream.last_us, table, id));
        self.streams.insert((table, id), stream);
    }
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
