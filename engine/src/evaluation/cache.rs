//! Evaluated chunks, kept for the groups that read the same range.
//!
//! Lookups are by position: the entry that holds it answers. Who finds none evaluates; others that ask for the same
//! position meanwhile wait for that one evaluation. Bounded by bytes, evicted by the clock algorithm (an entry that was
//! used since the hand last passed is spared once).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::EvaluatedChunk;
use crate::model::{Offset, PartitionId, Result, TopicId};

/// What one entry costs besides its rows.
const ENTRY_BYTES: usize = 512;

/// One partition of one version of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct CacheKey {
    pub topic: TopicId,
    pub version: u32,
    pub partition: PartitionId,
}

/// The cache. Its lock is held for lookups only, never while evaluating.
#[derive(Debug)]
pub(super) struct Cache {
    limit: usize,
    inner: Mutex<Cached>,
}

#[derive(Debug, Default)]
struct Cached {
    entries: BTreeMap<(CacheKey, Offset), Entry>,
    /// The clock's hand is at the front.
    order: VecDeque<(CacheKey, Offset)>,
    flights: HashMap<(CacheKey, Offset), Arc<Flight>>,
    bytes: usize,
    hits: u64,
    misses: u64,
}

#[derive(Debug)]
struct Entry {
    chunk: Arc<EvaluatedChunk>,
    used: bool,
}

/// One evaluation under way. `None` within the mutex until it has ended.
#[derive(Debug, Default)]
struct Flight {
    answer: Mutex<Option<Answer>>,
    ended: Condvar,
}

#[derive(Debug, Clone)]
enum Answer {
    Done(Result<Option<Arc<EvaluatedChunk>>>),
    /// Whoever evaluated went away without an answer.
    Abandoned,
}

enum CacheLook {
    Chunk(Arc<EvaluatedChunk>),
    Wait(Arc<Flight>),
    Evaluate(Arc<Flight>),
}

impl Cache {
    pub(super) fn new(limit: usize) -> Cache {
        Cache { limit, inner: Mutex::default() }
    }

    /// The chunk that holds `position`, evaluated by `evaluate` unless it is there or under way. `evaluate` gives `None` at
    /// the end of the partition, which is not kept; nor are errors.
    pub(super) fn get(
        &self,
        place: CacheKey,
        position: Offset,
        evaluate: impl Fn() -> Result<Option<EvaluatedChunk>>,
    ) -> Result<Option<Arc<EvaluatedChunk>>> {
        loop {
            match self.find(place, position) {
                CacheLook::Chunk(chunk) => return Ok(Some(chunk)),
                CacheLook::Wait(flight) => match flight.wait() {
                    Answer::Done(answer) => return answer,
                    Answer::Abandoned => {}
                },
                CacheLook::Evaluate(flight) => {
                    let guard = FlightGuard { cache: self, key: (place, position), flight };
                    let answer = evaluate().map(|chunk| chunk.map(Arc::new));
                    if let Ok(Some(chunk)) = &answer {
                        self.insert(place, chunk.clone());
                    }
                    guard.flight.end(Answer::Done(answer.clone()));
                    return answer;
                }
            }
        }
    }

    /// Frees what is kept of a topic.
    pub(super) fn forget(&self, topic: TopicId) {
        let mut inner = self.inner.lock();
        let first = (CacheKey { topic, version: 0, partition: 0 }, 0);
        let last = (CacheKey { topic, version: u32::MAX, partition: PartitionId::MAX }, Offset::MAX);
        let keys: Vec<_> = inner.entries.range(first..=last).map(|(key, _)| *key).collect();
        for key in keys {
            inner.remove(key);
        }
        inner.order.retain(|(place, _)| place.topic != topic);
    }

    /// (hits, misses) since opening. Waiting for another's evaluation counts as a hit.
    pub(super) fn figures(&self) -> (u64, u64) {
        let inner = self.inner.lock();
        (inner.hits, inner.misses)
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.inner.lock().bytes
    }

    fn find(&self, place: CacheKey, position: Offset) -> CacheLook {
        let mut inner = self.inner.lock();
        let held = inner.entries.range_mut((place, 0)..=(place, position)).next_back();
        if let Some((_, entry)) = held.filter(|(_, entry)| entry.chunk.answers(position)) {
            entry.used = true;
            let chunk = entry.chunk.clone();
            inner.hits += 1;
            return CacheLook::Chunk(chunk);
        }
        if let Some(flight) = inner.flights.get(&(place, position)).cloned() {
            inner.hits += 1;
            return CacheLook::Wait(flight);
        }
        inner.misses += 1;
        let flight = Arc::new(Flight::default());
        inner.flights.insert((place, position), flight.clone());
        CacheLook::Evaluate(flight)
    }

    fn insert(&self, place: CacheKey, chunk: Arc<EvaluatedChunk>) {
        let bytes = chunk.bytes + ENTRY_BYTES;
        if bytes > self.limit || !chunk.keep {
            return;
        }
        let mut inner = self.inner.lock();
        let key = (place, chunk.base);
        inner.remove(key);
        while inner.bytes + bytes > self.limit && inner.evict_one() {}
        inner.bytes += bytes;
        inner.entries.insert(key, Entry { chunk, used: false });
        inner.order.push_back(key);
    }
}

impl Cached {
    fn remove(&mut self, key: (CacheKey, Offset)) {
        if let Some(entry) = self.entries.remove(&key) {
            self.bytes -= entry.chunk.bytes + ENTRY_BYTES;
            self.order.retain(|other| *other != key);
        }
    }

    fn evict_one(&mut self) -> bool {
        while let Some(key) = self.order.pop_front() {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            if std::mem::take(&mut entry.used) {
                self.order.push_back(key);
                continue;
            }
            self.bytes -= entry.chunk.bytes + ENTRY_BYTES;
            self.entries.remove(&key);
            return true;
        }
        false
    }
}

impl Flight {
    fn wait(&self) -> Answer {
        let mut answer = self.answer.lock();
        loop {
            if let Some(answer) = answer.as_ref() {
                return answer.clone();
            }
            self.ended.wait(&mut answer);
        }
    }

    fn end(&self, answer: Answer) {
        self.answer.lock().get_or_insert(answer);
        self.ended.notify_all();
    }
}

/// Takes the flight off the board however the evaluation ends, a panic included, so that nobody waits for ever.
struct FlightGuard<'a> {
    cache: &'a Cache,
    key: (CacheKey, Offset),
    flight: Arc<Flight>,
}

impl Drop for FlightGuard<'_> {
    fn drop(&mut self) {
        self.cache.inner.lock().flights.remove(&self.key);
        self.flight.end(Answer::Abandoned);
    }
}
