//! Memory of guests, over all namespaces: what the server gives to plugins, and who waits for it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// Bytes of linear memory and tables that all instances may have together.
#[derive(Debug)]
pub(crate) struct Memory {
    most: u64,
    held: AtomicU64,
    /// Those who wait for memory that instances give back.
    waiting: AtomicUsize,
    gate: Mutex<()>,
    given: Condvar,
}

/// Memory of one namespace, within that of the server.
#[derive(Debug)]
pub(crate) struct MemoryShare {
    most: AtomicU64,
    held: AtomicU64,
}

/// Whose limit is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Short {
    Namespace,
    Server,
}

impl Default for MemoryShare {
    fn default() -> MemoryShare {
        MemoryShare { most: AtomicU64::new(u64::MAX), held: AtomicU64::new(0) }
    }
}

impl MemoryShare {
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    pub(crate) fn most(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }

    /// Whether it has more than it may have, which it has if the limit was lowered.
    pub(crate) fn is_over(&self) -> bool {
        self.held() > self.most()
    }
}

impl Memory {
    pub(crate) fn new(most: u64) -> Memory {
        let (held, waiting) = (AtomicU64::new(0), AtomicUsize::new(0));
        Memory { most, held, waiting, gate: Mutex::default(), given: Condvar::new() }
    }

    pub(crate) fn most(&self) -> u64 {
        self.most
    }

    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::SeqCst)
    }

    /// What the namespace may have from now on.
    pub(crate) fn limit(&self, share: &MemoryShare, most: Option<u64>) {
        share.most.store(most.unwrap_or(u64::MAX), Ordering::SeqCst);
        self.wake();
    }

    /// Counts memory of an instance in. A namespace that has some gets no more than it leaves to others.
    pub(crate) fn take(&self, share: &MemoryShare, bytes: u64) -> Result<(), Short> {
        let most = share.most();
        let more = |held: u64| held.checked_add(bytes).filter(|held| *held <= most);
        let had = share.held.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).map_err(|_| Short::Namespace)?;
        let more = |held: u64| self.fits(held, had, bytes).then(|| held + bytes);
        match self.held.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more) {
            Ok(_) => Ok(()),
            Err(_) => {
                share.held.fetch_sub(bytes, Ordering::SeqCst);
                Err(Short::Server)
            }
        }
    }

    /// Whether a namespace that has `had` gets so much more while all together hold `held`.
    fn fits(&self, held: u64, had: u64, bytes: u64) -> bool {
        let free = self.most.saturating_sub(held);
        // What is no more is always given: an instance that shrinks nothing must go on.
        bytes == 0 || (bytes <= free && (had == 0 || had.saturating_add(bytes) <= free))
    }

    pub(crate) fn give(&self, share: &MemoryShare, bytes: u64) {
        share.held.fetch_sub(bytes, Ordering::SeqCst);
        self.held.fetch_sub(bytes, Ordering::SeqCst);
        self.wake();
    }

    /// Waits until a namespace could take so much, no longer than `until`; false if it never could. Others may be faster.
    pub(crate) fn wait(&self, share: &MemoryShare, bytes: u64, until: Instant) -> bool {
        let could = || {
            let had = share.held.load(Ordering::SeqCst);
            had.saturating_add(bytes) <= share.most() && self.fits(self.held(), had, bytes)
        };
        let mut gate = self.gate.lock();
        // Counted before it looks: whoever gives memory from now on comes by the gate.
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut late = false;
        while !could() && !late {
            late = self.given.wait_until(&mut gate, until).timed_out();
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        could()
    }

    fn wake(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            drop(self.gate.lock());
            self.given.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn memory_is_bounded_over_all_and_each_leaves_as_much_as_it_takes() {
        let memory = Memory::new(100);
        let (first, second, third) = (MemoryShare::default(), MemoryShare::default(), MemoryShare::default());
        assert_eq!(memory.take(&first, 101), Err(Short::Server));
        assert_eq!((memory.take(&first, 40), memory.take(&first, 21)), (Ok(()), Err(Short::Server)));
        assert_eq!((memory.take(&first, 10), memory.take(&second, 30)), (Ok(()), Ok(())));
        memory.limit(&third, Some(5));
        assert_eq!((memory.take(&third, 6), memory.take(&third, 5)), (Err(Short::Namespace), Ok(())));
        assert_eq!((memory.held(), first.held(), second.held(), third.held()), (85, 50, 30, 5));
        memory.give(&second, 30);
        memory.give(&first, 50);
        assert_eq!((memory.take(&second, 95), memory.held()), (Ok(()), 100));
    }

    #[test]
    fn who_waits_is_woken_by_what_is_given_back() {
        let memory = Memory::new(100);
        let (first, second) = (MemoryShare::default(), MemoryShare::default());
        memory.take(&first, 90).unwrap();
        assert!(!memory.wait(&second, 50, Instant::now()));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| memory.wait(&second, 50, soon()));
            while memory.waiting.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            memory.give(&first, 90);
            assert!(waiting.join().unwrap());
            memory.limit(&second, Some(10));
            let waiting = scope.spawn(|| memory.wait(&second, 50, soon()));
            while memory.waiting.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            memory.limit(&second, None);
            assert!(waiting.join().unwrap());
        });
    }
}
