//! Readers of row groups between two calls, and the memory of what all readers have fetched.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::run::{Position, RunReader};

/// Readers that wait.
const IDLE_READERS: usize = 16;
/// What all readers have fetched, those at work and those that wait; a single one may have more.
const FETCHED_BYTES: usize = 32 << 20;

/// A reader waits here for a cursor that goes on where it was, so that nothing is fetched or decoded twice. Whoever is to fetch more than
/// there is room for has the ones that wait dropped, and waits for those at work, which wait for nothing but the store.
#[derive(Debug, Default)]
pub(super) struct Pool(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    held: Mutex<Held>,
    freed: Condvar,
}

#[derive(Default)]
struct Held {
    /// The least recently used first.
    idle: Vec<RunReader>,
    bytes: usize,
    /// Who waits for room, in the order in which they came.
    waiting: VecDeque<u64>,
    next: u64,
}

/// Room for what one reader has fetched; dropping it gives it back.
pub(super) struct Room {
    shared: Arc<Shared>,
    bytes: usize,
}

impl Pool {
    /// Takes the reader that stands at a position.
    pub(super) fn take(&self, position: &Position) -> Option<RunReader> {
        let mut held = self.0.held.lock();
        let index = held.idle.iter().position(|reader| reader.position() == position)?;
        Some(held.idle.remove(index))
    }

    /// Has a reader wait, unless it is done or others need its room.
    pub(super) fn put(&self, reader: RunReader) {
        let mut held = self.0.held.lock();
        let dropped = if reader.is_done() || !held.waiting.is_empty() {
            Some(reader)
        } else {
            held.idle.push(reader);
            (held.idle.len() > IDLE_READERS).then(|| held.idle.remove(0))
        };
        // Their room goes back under the lock.
        drop(held);
        drop(dropped);
    }

    /// Lets go of every reader of a segment.
    pub(super) fn forget(&self, segment: u64) {
        let gone = |reader: &mut RunReader| reader.position().segment == segment;
        let gone: Vec<RunReader> = self.0.held.lock().idle.extract_if(.., gone).collect();
        drop(gone);
    }

    /// Room for so many bytes, once it is there. Blocks.
    pub(super) fn room(&self, bytes: usize) -> Room {
        let mut held = self.0.held.lock();
        let number = held.next;
        held.next += 1;
        held.waiting.push_back(number);
        loop {
            let fits = held.bytes == 0 || held.bytes + bytes <= FETCHED_BYTES;
            if fits && held.waiting.front() == Some(&number) {
                held.waiting.pop_front();
                held.bytes += bytes;
                // The next one may fit too.
                self.0.freed.notify_all();
                return Room { shared: Arc::clone(&self.0), bytes };
            }
            if !fits && !held.idle.is_empty() {
                let oldest = held.idle.remove(0);
                MutexGuard::unlocked(&mut held, || drop(oldest));
                continue;
            }
            self.0.freed.wait(&mut held);
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.shared.held.lock().bytes -= self.bytes;
        self.shared.freed.notify_all();
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Held { idle, bytes, waiting, .. } = self;
        f.debug_struct("Held").field("idle", &idle.len()).field("bytes", bytes).field("waiting", waiting).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn readers_together_have_no_more_than_there_is() {
        let pool = Pool::default();
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for reader in 0..16 {
                let (pool, now, most) = (&pool, &now, &most);
                scope.spawn(move || {
                    for turn in 0..50 {
                        let bytes = (1 + (reader * 7 + turn) % 12) << 20;
                        let room = pool.room(bytes);
                        most.fetch_max(now.fetch_add(bytes, Ordering::SeqCst) + bytes, Ordering::SeqCst);
                        std::thread::yield_now();
                        now.fetch_sub(bytes, Ordering::SeqCst);
                        drop(room);
                    }
                });
            }
        });
        let most = most.into_inner();
        assert!(most > FETCHED_BYTES / 2 && most <= FETCHED_BYTES, "{most}");
        assert_eq!(pool.0.held.lock().bytes, 0);
        drop(pool.room(FETCHED_BYTES + 1));
    }
}
