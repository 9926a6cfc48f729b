//! What was read for one reader, kept for others that read the same range.
//!
//! Lookups are by position: the entry that holds it answers. Who finds none reads; others that ask for the same
//! position meanwhile wait for that one read. Bounded by bytes, evicted by the clock algorithm (an entry that was
//! used since the hand last passed is spared once).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::model::{Offset, Result};

/// What one entry costs besides its rows.
const ENTRY_BYTES: usize = 512;

/// A run of one partition's rows, as it was read or as it was evaluated.
pub(crate) trait SharedRead {
    /// The first position that it answers for.
    fn base(&self) -> Offset;
    fn answers(&self, position: Offset) -> bool;
    /// Memory that it holds.
    fn bytes(&self) -> usize;
    /// False where making it anew costs next to nothing, or may end otherwise.
    fn is_kept(&self) -> bool;
}

/// Reads of partitions, each of which a key names. Its lock is held for lookups only, never while reading.
#[derive(Debug)]
pub(crate) struct SharedReads<K, R> {
    limit: usize,
    inner: Mutex<Kept<K, R>>,
}

#[derive(Debug)]
struct Kept<K, R> {
    entries: BTreeMap<(K, Offset), Entry<R>>,
    /// The clock's hand is at the front.
    order: VecDeque<(K, Offset)>,
    flights: HashMap<(K, Offset), Arc<Flight<R>>>,
    bytes: usize,
    hits: u64,
    misses: u64,
}

#[derive(Debug)]
struct Entry<R> {
    read: Arc<R>,
    used: bool,
}

/// One read under way. `None` within the mutex until it has ended.
#[derive(Debug)]
struct Flight<R> {
    answer: Mutex<Option<Answer<R>>>,
    ended: Condvar,
}

#[derive(Debug)]
enum Answer<R> {
    Done(Result<Option<Arc<R>>>),
    /// Whoever read went away without an answer.
    Abandoned,
}

enum Look<R> {
    Kept(Arc<R>),
    Wait(Arc<Flight<R>>),
    Read(Arc<Flight<R>>),
}

impl<K: Clone + Ord + Hash, R: SharedRead> SharedReads<K, R> {
    pub(crate) fn new(limit: usize) -> SharedReads<K, R> {
        let kept = Kept {
            entries: BTreeMap::new(),
            order: VecDeque::new(),
            flights: HashMap::new(),
            bytes: 0,
            hits: 0,
            misses: 0,
        };
        SharedReads { limit, inner: Mutex::new(kept) }
    }

    /// What holds `position`, read by `read` unless it is there or under way. `read` gives `None` at the end of the partition,
    /// which is not kept; nor are errors.
    pub(crate) fn get(
        &self,
        place: &K,
        position: Offset,
        read: impl Fn() -> Result<Option<R>>,
    ) -> Result<Option<Arc<R>>> {
        loop {
            match self.find(place, position) {
                Look::Kept(kept) => return Ok(Some(kept)),
                Look::Wait(flight) => match flight.wait() {
                    Answer::Done(answer) => return answer,
                    Answer::Abandoned => {}
                },
                Look::Read(flight) => {
                    let guard = FlightGuard { reads: self, key: (place.clone(), position), flight };
                    let answer = read().map(|read| read.map(Arc::new));
                    if let Ok(Some(read)) = &answer {
                        self.insert(place, read.clone());
                    }
                    guard.flight.end(Answer::Done(answer.clone()));
                    return answer;
                }
            }
        }
    }

    /// Frees what is kept of some partitions.
    pub(crate) fn forget(&self, of: impl Fn(&K) -> bool) {
        let mut inner = self.inner.lock();
        let kept = &mut *inner;
        let gone: Vec<_> = kept.entries.extract_if(.., |(place, _), _| of(place)).collect();
        kept.order.retain(|(place, _)| !of(place));
        kept.bytes -= gone.iter().map(|(_, entry)| entry.bytes()).sum::<usize>();
        // Large buffers are freed outside of the lock.
        drop(inner);
        drop(gone);
    }

    /// (hits, misses) since opening. Waiting for another's read counts as a hit.
    pub(crate) fn figures(&self) -> (u64, u64) {
        let inner = self.inner.lock();
        (inner.hits, inner.misses)
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.inner.lock().bytes
    }

    fn find(&self, place: &K, position: Offset) -> Look<R> {
        let mut inner = self.inner.lock();
        let held = inner.entries.range_mut((place.clone(), 0)..=(place.clone(), position)).next_back();
        if let Some((_, entry)) = held.filter(|(_, entry)| entry.read.answers(position)) {
            entry.used = true;
            let kept = entry.read.clone();
            inner.hits += 1;
            return Look::Kept(kept);
        }
        if let Some(flight) = inner.flights.get(&(place.clone(), position)).cloned() {
            inner.hits += 1;
            return Look::Wait(flight);
        }
        inner.misses += 1;
        let flight = Arc::new(Flight { answer: Mutex::new(None), ended: Condvar::new() });
        inner.flights.insert((place.clone(), position), flight.clone());
        Look::Read(flight)
    }

    fn insert(&self, place: &K, read: Arc<R>) {
        let entry = Entry { read, used: false };
        let bytes = entry.bytes();
        if bytes > self.limit || !entry.read.is_kept() {
            return;
        }
        let mut inner = self.inner.lock();
        let key = (place.clone(), entry.read.base());
        inner.remove(&key);
        while inner.bytes + bytes > self.limit && inner.evict_one() {}
        inner.bytes += bytes;
        inner.entries.insert(key.clone(), entry);
        inner.order.push_back(key);
    }
}

impl<R: SharedRead> Entry<R> {
    fn bytes(&self) -> usize {
        self.read.bytes() + ENTRY_BYTES
    }
}

impl<K: Ord, R: SharedRead> Kept<K, R> {
    fn remove(&mut self, key: &(K, Offset)) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= entry.bytes();
            self.order.retain(|other| other != key);
        }
    }

    fn evict_one(&mut self) -> bool {
        while let Some(key) = self.order.pop_front() {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            if std::mem::take(&mut entry.used) {
                self.order.push_back(key);
                continue;
            }
            self.bytes -= entry.bytes();
            self.entries.remove(&key);
            return true;
        }
        false
    }
}

impl<R> Clone for Answer<R> {
    fn clone(&self) -> Answer<R> {
        match self {
            Answer::Done(answer) => Answer::Done(answer.clone()),
            Answer::Abandoned => Answer::Abandoned,
        }
    }
}

impl<R> Flight<R> {
    fn wait(&self) -> Answer<R> {
        let mut answer = self.answer.lock();
        loop {
            if let Some(answer) = answer.as_ref() {
                return answer.clone();
            }
            self.ended.wait(&mut answer);
        }
    }

    fn end(&self, answer: Answer<R>) {
        self.answer.lock().get_or_insert(answer);
        self.ended.notify_all();
    }
}

/// Takes the flight off the board however the read ends, a panic included, so that nobody waits for ever.
struct FlightGuard<'a, K: Clone + Ord + Hash, R: SharedRead> {
    reads: &'a SharedReads<K, R>,
    key: (K, Offset),
    flight: Arc<Flight<R>>,
}

impl<K: Clone + Ord + Hash, R: SharedRead> Drop for FlightGuard<'_, K, R> {
    fn drop(&mut self) {
        self.reads.inner.lock().flights.remove(&self.key);
        self.flight.end(Answer::Abandoned);
    }
}
