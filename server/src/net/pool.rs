//! A number of bytes that is shared out: in order, without a thread, and given back by dropping.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that all connections share, or those that one of them may have at once.
#[derive(Debug)]
pub(crate) struct Pool {
    free: Arc<Semaphore>,
    bytes: usize,
    waiting: AtomicUsize,
}

impl Pool {
    pub(crate) fn new(bytes: usize) -> Pool {
        // Whoever takes says how much in 32 bits.
        let bytes = bytes.min(u32::MAX as usize);
        Pool { free: Arc::new(Semaphore::new(bytes)), bytes, waiting: AtomicUsize::new(0) }
    }

    /// All that there is to share.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What is taken now.
    pub(crate) fn used(&self) -> usize {
        self.bytes.saturating_sub(self.free.available_permits())
    }

    /// Whether somebody waits.
    pub(crate) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Room for `bytes`, or for all that the pool has if that is less. Those who asked before are served before.
    pub(crate) async fn take(&self, bytes: usize) -> Part {
        if let Some(part) = self.try_take(bytes) {
            return part;
        }
        let _waiting = Waiting::new(&self.waiting);
        let taken = Arc::clone(&self.free).acquire_many_owned(self.number(bytes)).await;
        // The semaphore is never closed.
        Part(taken.ok())
    }

    /// The same if it is there now and nobody waits for it.
    pub(crate) fn try_take(&self, bytes: usize) -> Option<Part> {
        Arc::clone(&self.free).try_acquire_many_owned(self.number(bytes)).ok().map(|taken| Part(Some(taken)))
    }

    fn number(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.bytes)).unwrap_or(u32::MAX)
    }
}

/// Counts one who waits, however the wait ends.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Waiting<'a> {
        count.fetch_add(1, Ordering::Relaxed);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes taken from one pool.
#[derive(Debug, Default)]
pub(crate) struct Part(Option<OwnedSemaphorePermit>);

impl Part {
    pub(crate) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }

    /// Takes `bytes` of them out, or all.
    pub(crate) fn split(&mut self, bytes: usize) -> Part {
        let bytes = bytes.min(self.bytes());
        Part(self.0.as_mut().and_then(|permit| permit.split(bytes)))
    }

    pub(crate) fn merge(&mut self, other: Part) {
        match (&mut self.0, other.0) {
            (Some(permit), Some(other)) => permit.merge(other),
            (mine @ None, other) => *mine = other,
            (_, None) => {}
        }
    }
}

/// Bytes taken from what all share and from the share of one connection; dropping it gives them back.
#[derive(Debug, Default)]
pub(crate) struct Room {
    of_all: Part,
    of_share: Part,
}

impl Room {
    /// The share is asked first: who waits for his own share must not be in front of the others.
    pub(crate) async fn take(all: &Pool, share: &Pool, bytes: usize) -> Room {
        let bytes = bytes.min(all.bytes()).min(share.bytes());
        let of_share = share.take(bytes).await;
        Room { of_all: all.take(bytes).await, of_share }
    }

    pub(crate) fn try_take(all: &Pool, share: &Pool, bytes: usize) -> Option<Room> {
        let bytes = bytes.min(all.bytes()).min(share.bytes());
        Some(Room { of_share: share.try_take(bytes)?, of_all: all.try_take(bytes)? })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.of_all.bytes()
    }

    /// Takes `bytes` of them out, or all.
    pub(crate) fn split(&mut self, bytes: usize) -> Room {
        Room { of_all: self.of_all.split(bytes), of_share: self.of_share.split(bytes) }
    }

    /// Puts both together. They must come from the same pools.
    pub(crate) fn merge(&mut self, other: Room) {
        self.of_all.merge(other.of_all);
        self.of_share.merge(other.of_share);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::executor::block_on;

    use super::*;

    #[test]
    fn room_is_served_in_order_and_given_back() {
        let (all, share) = (Pool::new(100), Pool::new(100));
        let first = Room::try_take(&all, &share, 80).unwrap();
        let mut large = Box::pin(Room::take(&all, &share, 60));
        assert!(large.as_mut().now_or_never().is_none() && share.is_wanted());
        assert!(Room::try_take(&all, &share, 10).is_none(), "others wait already");
        drop(first);
        assert_eq!(block_on(large).bytes(), 60);
        assert_eq!((all.used(), all.is_wanted(), share.is_wanted()), (0, false, false));
    }

    #[test]
    fn who_gives_up_waiting_holds_nothing() {
        let (all, share) = (Pool::new(100), Pool::new(1000));
        let held = Room::try_take(&all, &share, 90).unwrap();
        let mut waiting = Box::pin(Room::take(&all, &share, 50));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(all.is_wanted());
        drop(waiting);
        assert_eq!((all.used(), share.used(), all.is_wanted()), (90, 90, false));
        drop(held);
        assert_eq!((all.used(), share.used()), (0, 0));
    }

    #[test]
    fn a_share_keeps_one_from_taking_all() {
        let (all, mine, other) = (Pool::new(100), Pool::new(40), Pool::new(40));
        let _held = Room::try_take(&all, &mine, 40).unwrap();
        assert!(Room::try_take(&all, &mine, 1).is_none());
        let mut waiting = Box::pin(Room::take(&all, &mine, 1));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(!all.is_wanted(), "that one waits is nobody else's matter");
        assert!(Room::try_take(&all, &other, 40).is_some());
    }

    #[test]
    fn rooms_are_divided_and_joined() {
        let (all, share) = (Pool::new(100), Pool::new(100));
        let mut room = Room::try_take(&all, &share, 50).unwrap();
        let part = room.split(20);
        assert_eq!((room.bytes(), part.bytes(), all.used()), (30, 20, 50));
        room.merge(part);
        drop(room.split(40));
        assert_eq!((room.bytes(), all.used(), share.used()), (10, 10, 10));
        assert_eq!(room.split(1000).bytes(), 10);
        assert_eq!(Room::default().split(5).bytes(), 0);
        assert_eq!(block_on(Room::take(&all, &share, 1 << 40)).bytes(), 100, "no more than there is");
    }
}
