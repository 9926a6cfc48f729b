//! Answers that are being sent: what was made for them, and how long ago their readers took something.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::peer::Peer;
use super::pool::{Pool, Room};
use super::watch::{WANTED_IDLE, Watching};

/// One answer that is being sent.
pub(crate) struct Sent {
    pub(crate) peer: Arc<Peer>,
    /// Whether it tells how the server is, and so has room of its own.
    probe: bool,
    begun: Instant,
    /// Bytes that were made for it and that the kernel does not have.
    held: AtomicUsize,
    /// Room of what its makers have handed over, for the pieces that come of it.
    credit: Mutex<Option<Load>>,
    /// When its reader took something last, and when it sent something last; milliseconds since `begun`.
    read: AtomicU64,
    received: AtomicU64,
    is_stalled: AtomicBool,
    stalled: Notify,
    /// Whether a statement makes rows for it.
    has_turn: AtomicBool,
}

impl Sent {
    /// For the answer of one call or request. It is watched from now on.
    pub(crate) fn new(peer: Arc<Peer>) -> Arc<Sent> {
        Sent::watched(peer, false)
    }

    /// For what tells how the server is, also where there is no room for other answers.
    pub(crate) fn for_probe(peer: Arc<Peer>) -> Arc<Sent> {
        Sent::watched(peer, true)
    }

    fn watched(peer: Arc<Peer>, probe: bool) -> Arc<Sent> {
        let sent = Arc::new(Sent {
            probe,
            begun: Instant::now(),
            held: AtomicUsize::new(0),
            credit: Mutex::default(),
            read: AtomicU64::new(0),
            received: AtomicU64::new(0),
            is_stalled: AtomicBool::new(false),
            stalled: Notify::new(),
            has_turn: AtomicBool::new(false),
            peer,
        });
        sent.peer.net.watched.add(&sent);
        sent
    }

    /// Where its room comes from.
    pub(super) fn pool(&self) -> &Pool {
        if self.probe { &self.peer.net.egress.probes } else { &self.peer.net.egress.pool }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Its reader has taken something.
    pub(super) fn progressed(&self) {
        self.read.store(self.now(), Ordering::Relaxed);
    }

    /// Its reader has sent something.
    pub(crate) fn received(&self) {
        self.received.store(self.now(), Ordering::Relaxed);
    }

    pub(super) fn has_turn(&self, has: bool) {
        self.has_turn.store(has, Ordering::Relaxed);
    }

    /// Whether others wait for what it holds.
    fn is_wanted(&self) -> bool {
        self.pool().is_wanted() || (self.has_turn.load(Ordering::Relaxed) && self.peer.net.turns.is_wanted())
    }

    /// Completes when the reader has taken nothing for too long.
    pub(crate) async fn stalled(&self) {
        let told = self.stalled.notified();
        if !self.is_stalled.load(Ordering::Acquire) {
            told.await;
        }
    }

    /// Says so.
    fn tell_stalled(&self) {
        self.is_stalled.store(true, Ordering::Release);
        self.stalled.notify_waiters();
    }

    fn was_told(&self) -> bool {
        self.is_stalled.load(Ordering::Acquire)
    }

    /// For how long something has been there that the reader did not take, if anything is; and for how long it has also
    /// sent nothing.
    fn idle(&self) -> Option<(Duration, Duration)> {
        if self.held.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let now = self.now();
        let since = |at: &AtomicU64| Duration::from_millis(now.saturating_sub(at.load(Ordering::Relaxed)));
        let read = since(&self.read);
        Some((read, read.min(since(&self.received))))
    }

    /// Room to make `bytes` for the reader, as soon as there is some.
    pub(crate) async fn take(self: &Arc<Self>, bytes: usize) -> Load {
        Load::new(self, Room::take(self.pool(), &self.peer.egress, bytes).await)
    }

    /// The same if it is there now.
    pub(crate) fn try_take(self: &Arc<Self>, bytes: usize) -> Option<Load> {
        Room::try_take(self.pool(), &self.peer.egress, bytes).map(|room| Load::new(self, room))
    }

    /// Room for up to `most` bytes, at least `least` of them.
    pub(crate) async fn take_some(self: &Arc<Self>, least: usize, most: usize) -> Load {
        match Room::try_take(self.pool(), &self.peer.egress, most) {
            Some(room) => Load::new(self, room),
            None => self.take(least.min(most)).await,
        }
    }

    /// The room of what goes to the network next.
    pub(crate) fn hand_over(&self, load: Load) {
        let mut credit = self.credit.lock().unwrap_or_else(PoisonError::into_inner);
        match credit.as_mut() {
            Some(credit) => credit.merge(load),
            None => *credit = Some(load),
        }
    }

    /// What was handed over of it is given back.
    pub(super) fn forget_credit(&self) {
        // It holds its owner.
        drop(self.credit.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    pub(super) fn credit(&self, bytes: usize) -> Option<Load> {
        let mut credit = self.credit.lock().unwrap_or_else(PoisonError::into_inner);
        let load = credit.as_mut().map(|credit| credit.split(bytes))?;
        if credit.as_ref().is_some_and(|credit| credit.bytes() == 0) {
            *credit = None;
        }
        Some(load)
    }
}

impl Watching for Sent {
    /// One whose reader takes nothing is told to end, and its connection is ended if that does not help.
    fn look(&self, _: Instant) {
        let Some((unread, idle)) = self.idle() else { return };
        let limit = self.peer.net.limits.write_idle_timeout;
        // A client that writes much before it reads is common, and is no trouble while there is room for others.
        let (idle, limit) = match self.is_wanted() {
            true => (unread, WANTED_IDLE.min(limit)),
            false => (idle, limit),
        };
        if idle > limit * 2 {
            self.peer.end("it takes nothing of what it is sent (write_idle_timeout_ms, less where others wait)");
        } else if idle > limit && !self.was_told() {
            self.tell_stalled();
        }
    }
}

/// Room for a part of an answer.
pub(crate) struct Load {
    room: Room,
    sent: Arc<Sent>,
}

impl Load {
    pub(super) fn new(sent: &Arc<Sent>, room: Room) -> Load {
        if sent.held.fetch_add(room.bytes(), Ordering::Relaxed) == 0 {
            // Before, there was nothing to take.
            sent.progressed();
        }
        Load { room, sent: Arc::clone(sent) }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.room.bytes()
    }

    /// Takes `bytes` of it out, or all.
    pub(crate) fn split(&mut self, bytes: usize) -> Load {
        Load { room: self.room.split(bytes), sent: Arc::clone(&self.sent) }
    }

    pub(super) fn merge(&mut self, mut other: Load) {
        self.room.merge(std::mem::take(&mut other.room));
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.sent.held.fetch_sub(self.room.bytes(), Ordering::Relaxed);
    }
}
