//! Producer streams: the answers recent stamps were given. `docs/state-store.md` says what is kept for how long.
//!
//! A stream is one producer writing to one table. A batch that a key spreads over several partitions is one submission under
//! one stamp, taken or refused whole, so one window for each (table, producer) says what one for each partition would: a repeat
//! can't have reached some partitions and not others.
//!
//! Producers choose their ids, so what is kept of them is bounded by namespace. The stream that has been silent for longest
//! loses its answers first, and is then known by its epoch only: its batches are refused, never taken twice.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
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
/// Of a time without any commit no more than this counts: a step of the clock looks like one.
const SILENCE_US: i64 = 3600 * 1_000_000;
/// A stream keeps its answers for this long, whoever else wants room: longer than producers go on repeating a batch.
pub(super) const SPARED_US: i64 = 15 * 60 * 1_000_000;
/// Streams that one record takes the answers of, at most.
const FORGOTTEN_AT_ONCE: usize = 256;

/// A producer in a table.
pub(crate) type StreamId = (TableId, u128);

/// One stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stream {
    pub epoch: u32,
    /// Append time of its newest commit.
    pub last_us: i64,
    /// The newest answers, sequences rising by one; empty once they are forgotten.
    pub window: VecDeque<(u64, Arc<[Appended]>)>,
}

/// The streams of one namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Space {
    streams: HashMap<StreamId, Stream>,
    /// Streams with answers, by last append time.
    answering: BTreeSet<(i64, StreamId)>,
    /// Those without.
    forgotten: BTreeSet<(i64, StreamId)>,
}

/// All streams.
#[derive(Debug, Clone, Default)]
pub(super) struct Producers {
    /// By namespace; none that is empty.
    spaces: BTreeMap<String, Space>,
    /// No stream's last append time is lower; `None` without streams.
    oldest_us: Option<i64>,
}

/// The bound of ages is only a short cut.
impl PartialEq for Producers {
    fn eq(&self, other: &Producers) -> bool {
        self.spaces == other.spaces
    }
}

impl Producers {
    pub(super) fn get(&self, namespace: &str, stream: StreamId) -> Option<&Stream> {
        self.spaces.get(namespace)?.streams.get(&stream)
    }

    /// Streams of all namespaces: those with answers, and those whose answers are forgotten.
    pub(super) fn count(&self) -> (usize, usize) {
        let counts = self.spaces.values().map(|space| (space.answering.len(), space.forgotten.len()));
        counts.fold((0, 0), |all, space| (all.0 + space.0, all.1 + space.1))
    }

    /// `Ok(Some)` is the first answer to a repeat, `Ok(None)` says that the stamp is the stream's next.
    pub(super) fn check(&self, namespace: &str, table: TableId, stamp: ProducerStamp) -> Result<Option<Vec<Appended>>> {
        let ProducerStamp { id, epoch, sequence } = stamp;
        let Some(stream) = self.get(namespace, (table, id)).filter(|stream| stream.epoch >= epoch) else {
            return first_of_epoch(sequence);
        };
        if stream.epoch > epoch {
            return Err(Error::Fenced(format!(
                "producer {id:032x} has epoch {}, this batch has {epoch}",
                stream.epoch
            )));
        }
        let Some((last, _)) = stream.window.back() else {
            return Err(Error::FailedPrecondition(format!(
                "producer {id:032x} was silent while namespace {namespace:?} needed the room (producer_streams), and which of \
                 its batches were written is no longer known; look, then begin a higher epoch at sequence 0"
            )));
        };
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

    /// Refuses a stream that begins now while its namespace keeps `limit` of them and spares them all.
    pub(super) fn room(&self, namespace: &str, stream: StreamId, limit: u64, now_us: i64) -> Result<()> {
        let Some(space) = self.spaces.get(namespace) else { return Ok(()) };
        let begins = space.streams.get(&stream).is_none_or(|stream| stream.window.is_empty());
        let full = space.answering.len() as u64 >= limit;
        let spared = || space.answering.first().is_some_and(|(last_us, _)| !is_silent(*last_us, now_us));
        if !(begins && full && spared()) {
            return Ok(());
        }
        Err(Error::Busy(format!(
            "namespace {namespace:?} has {} producer streams, none of them silent for {} minutes, and producer_streams is \
             {limit}; use producers for longer, or raise it with ALTER NAMESPACE",
            space.answering.len(),
            SPARED_US / 60_000_000
        )))
    }

    /// What a namespace that is over its limit is to forget: streams that lose their answers, and streams that are then not
    /// known at all any more, because as many without answers are. A little more than must be, so that not every new stream
    /// takes a record.
    pub(super) fn excess(&self, namespace: &str, limit: u64, now_us: i64) -> (Vec<StreamId>, Vec<StreamId>) {
        let Some(space) = self.spaces.get(namespace) else { return Default::default() };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let Some(over) = space.answering.len().checked_sub(limit).filter(|over| *over > 0) else {
            return Default::default();
        };
        let silent = space.answering.iter().take_while(|(last_us, _)| is_silent(*last_us, now_us));
        let answers: Vec<StreamId> =
            silent.take((over + limit / 64).min(FORGOTTEN_AT_ONCE)).map(|(_, stream)| *stream).collect();
        let beyond = (space.forgotten.len() + answers.len()).saturating_sub(limit).min(2 * FORGOTTEN_AT_ONCE);
        let forgotten = space.forgotten.iter().map(|(_, stream)| *stream);
        let whole = forgotten.chain(answers.iter().copied()).take(beyond).collect();
        (answers, whole)
    }

    pub(super) fn record(&mut self, namespace: &str, record: &ProducerRecord, append_us: i64) {
        let key = (record.table, record.stamp.id);
        let space = self.space(namespace);
        let fresh = || Stream { epoch: record.stamp.epoch, last_us: append_us, window: VecDeque::with_capacity(1) };
        let stream = space.streams.entry(key).or_insert_with(fresh);
        space.answering.remove(&(stream.last_us, key));
        space.forgotten.remove(&(stream.last_us, key));
        if stream.epoch != record.stamp.epoch {
            *stream = fresh();
        }
        stream.last_us = append_us;
        stream.window.push_back((record.stamp.sequence, record.appended.clone()));
        let mut runs: usize = stream.window.iter().map(|(_, answer)| answer.len()).sum();
        while stream.window.len() > WINDOW || (runs > WINDOW_RUNS && stream.window.len() > 1) {
            runs -= stream.window.pop_front().map_or(0, |(_, answer)| answer.len());
        }
        space.answering.insert((append_us, key));
        self.note_age(append_us);
    }

    /// Takes a stream's answers; false if there is no such stream with any.
    pub(super) fn forget_answers(&mut self, namespace: &str, stream: StreamId) -> bool {
        let Some(space) = self.spaces.get_mut(namespace) else { return false };
        let Some(found) = space.streams.get_mut(&stream).filter(|found| !found.window.is_empty()) else { return false };
        found.window = VecDeque::new();
        space.answering.remove(&(found.last_us, stream));
        space.forgotten.insert((found.last_us, stream));
        true
    }

    /// Takes a stream away; false if there is no such stream.
    pub(super) fn remove(&mut self, namespace: &str, stream: StreamId) -> bool {
        let Some(space) = self.spaces.get_mut(namespace) else { return false };
        let removed = space.remove(stream);
        if space.streams.is_empty() {
            self.spaces.remove(namespace);
        }
        removed
    }

    /// Takes the streams of a table away, and gives them.
    pub(super) fn remove_table(&mut self, namespace: &str, table: TableId) -> Vec<StreamId> {
        let Some(space) = self.spaces.get(namespace) else { return Vec::new() };
        let gone: Vec<StreamId> = space.streams.keys().filter(|(of, _)| *of == table).copied().collect();
        for stream in &gone {
            self.remove(namespace, *stream);
        }
        gone
    }

    /// Between two commits: no stream is older for a long silence of the log. Gives all streams, where there was one.
    pub(super) fn pass_over_silence(&mut self, before_us: i64, append_us: i64) -> Vec<StreamId> {
        let passed_over = append_us.saturating_sub(before_us).saturating_sub(SILENCE_US);
        let mut moved = Vec::new();
        if passed_over <= 0 {
            return moved;
        }
        let later = |ages: &mut BTreeSet<(i64, StreamId)>| {
            let all = std::mem::take(ages).into_iter();
            *ages = all.map(|(last_us, stream)| (last_us.saturating_add(passed_over), stream)).collect();
        };
        for space in self.spaces.values_mut() {
            for (id, stream) in &mut space.streams {
                stream.last_us = stream.last_us.saturating_add(passed_over);
                moved.push(*id);
            }
            later(&mut space.answering);
            later(&mut space.forgotten);
        }
        self.oldest_us = self.oldest_us.map(|oldest_us| oldest_us.saturating_add(passed_over));
        moved
    }

    /// Forgets streams that have been silent for [`KEPT_US`], and gives them.
    pub(super) fn forget_silent(&mut self, append_us: i64) -> Vec<StreamId> {
        let is_old = |last_us: i64| append_us.saturating_sub(last_us) > KEPT_US;
        if !self.oldest_us.is_some_and(is_old) {
            return Vec::new();
        }
        let mut gone = Vec::new();
        for space in self.spaces.values_mut() {
            while let Some((_, stream)) = space.oldest().filter(|(last_us, _)| is_old(*last_us)) {
                space.remove(stream);
                gone.push(stream);
            }
        }
        self.spaces.retain(|_, space| !space.streams.is_empty());
        self.oldest_us = self.spaces.values().filter_map(Space::oldest).map(|(last_us, _)| last_us).min();
        gone
    }

    /// Puts back a stream that was stored.
    pub(super) fn restore(&mut self, namespace: &str, key: StreamId, stream: Stream) {
        let space = self.space(namespace);
        let ages = if stream.window.is_empty() { &mut space.forgotten } else { &mut space.answering };
        ages.insert((stream.last_us, key));
        let last_us = stream.last_us;
        space.streams.insert(key, stream);
        self.note_age(last_us);
    }

    fn space(&mut self, namespace: &str) -> &mut Space {
        self.spaces.entry(namespace.to_owned()).or_default()
    }

    fn note_age(&mut self, last_us: i64) {
        self.oldest_us = Some(self.oldest_us.map_or(last_us, |oldest| oldest.min(last_us)));
    }
}

impl Space {
    fn remove(&mut self, stream: StreamId) -> bool {
        let Some(found) = self.streams.remove(&stream) else { return false };
        self.answering.remove(&(found.last_us, stream));
        self.forgotten.remove(&(found.last_us, stream));
        true
    }

    /// The stream that has been silent for longest, with or without answers.
    fn oldest(&self) -> Option<(i64, StreamId)> {
        [self.answering.first(), self.forgotten.first()].into_iter().flatten().min().copied()
    }
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
