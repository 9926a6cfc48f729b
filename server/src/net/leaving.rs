//! Bodies as they go out: each byte of an answer has room until the kernel has it.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::Peer;
use super::pool::{Pool, Room};

/// What is handed to the network at a time: a reader that takes this much is not stalled.
const PIECE_BYTES: usize = 128 << 10;

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
        sent.peer.net.watched.answer(&sent);
        sent
    }

    /// Where its room comes from.
    fn pool(&self) -> &Pool {
        if self.probe { &self.peer.net.egress.probes } else { &self.peer.net.egress.pool }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Its reader has taken something.
    fn progressed(&self) {
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
    pub(super) fn is_wanted(&self) -> bool {
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
    pub(super) fn tell_stalled(&self) {
        self.is_stalled.store(true, Ordering::Release);
        self.stalled.notify_waiters();
    }

    pub(super) fn was_told(&self) -> bool {
        self.is_stalled.load(Ordering::Acquire)
    }

    /// For how long something has been there that the reader did not take, if anything is; and for how long it has also
    /// sent nothing.
    pub(super) fn idle(&self) -> Option<(Duration, Duration)> {
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

    fn credit(&self, bytes: usize) -> Option<Load> {
        let mut credit = self.credit.lock().unwrap_or_else(PoisonError::into_inner);
        let load = credit.as_mut().map(|credit| credit.split(bytes))?;
        if credit.as_ref().is_some_and(|credit| credit.bytes() == 0) {
            *credit = None;
        }
        Some(load)
    }
}

/// Room for a part of an answer.
pub(crate) struct Load {
    room: Room,
    sent: Arc<Sent>,
}

impl Load {
    fn new(sent: &Arc<Sent>, room: Room) -> Load {
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

    fn merge(&mut self, mut other: Load) {
        self.room.merge(std::mem::take(&mut other.room));
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.sent.held.fetch_sub(self.room.bytes(), Ordering::Relaxed);
    }
}

/// Bytes and their room.
struct Held {
    bytes: Bytes,
    _load: Load,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// An answer's body. What was handed over for it and not sent goes back with it.
pub(crate) struct Leaving<B> {
    body: B,
    sent: Arc<Sent>,
    /// Of the frame that is being sent.
    rest: Bytes,
    /// Its room, as far as it is there, and what was asked for beyond.
    load: Option<Load>,
    asked: Option<BoxFuture<'static, Load>>,
    /// The call's place among those under way.
    _call: Option<OwnedSemaphorePermit>,
}

impl<B> Leaving<B> {
    pub(crate) fn new(body: B, sent: Arc<Sent>, call: Option<OwnedSemaphorePermit>) -> Leaving<B> {
        Leaving { body, sent, rest: Bytes::new(), load: None, asked: None, _call: call }
    }

    /// Room for the next `bytes`: what was handed over for them, and what is missing.
    fn poll_load(&mut self, bytes: usize, context: &mut Context<'_>) -> Poll<Load> {
        let mut load = match self.load.take() {
            Some(load) => load,
            None => match self.sent.credit(bytes) {
                Some(credit) => credit,
                None => Load::new(&self.sent, Room::default()),
            },
        };
        let missing = bytes - load.bytes();
        if missing > 0 {
            match (&mut self.asked, Room::try_take(self.sent.pool(), &self.sent.peer.egress, missing)) {
                (None, Some(room)) => load.merge(Load::new(&self.sent, room)),
                (asked, _) => {
                    let asked = asked.get_or_insert_with(|| {
                        let sent = Arc::clone(&self.sent);
                        Box::pin(async move { sent.take(missing).await })
                    });
                    match asked.poll_unpin(context) {
                        Poll::Ready(taken) => load.merge(taken),
                        Poll::Pending => {
                            self.load = Some(load);
                            return Poll::Pending;
                        }
                    }
                    self.asked = None;
                }
            }
        }
        Poll::Ready(load)
    }
}

impl<B> Drop for Leaving<B> {
    fn drop(&mut self) {
        // It holds its owner.
        drop(self.sent.credit.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Leaving<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        while this.rest.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                last => return Poll::Ready(last),
            }
        }
        let bytes = this.rest.len().min(PIECE_BYTES);
        let load = ready!(this.poll_load(bytes, context));
        this.sent.progressed();
        let bytes = this.rest.split_to(bytes);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(Held { bytes, _load: load })))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut all = SizeHint::new();
        if let Some(upper) = hint.upper() {
            all.set_upper(upper.saturating_add(rest));
        }
        all.set_lower(hint.lower().saturating_add(rest));
        all
    }
}
