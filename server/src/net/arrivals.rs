//! What has come in over a connection and lies in HTTP's own buffers.
//!
//! HTTP/2 lets a client send as much as the windows say, whether somebody takes it or not; windows that do not slow clients
//! down add up to far more than a server has. So a socket is read only as far as what was read has been looked at: a little
//! beyond that always, more with room from the budget. A client that sends more waits in its own socket.
//!
//! Calls share their connection's socket: the rest of a message that has its room may lie behind bytes of calls that wait for
//! theirs. So a socket is read on while a message arrives over it, and what the other calls have sent meanwhile lies unread: no
//! more than a window of each.
//!
//! So the frames are followed as they pass: rows of calls are unread until their calls take them, and all of a frame is until the
//! rest of it has come. What was sent to calls that are over, and padding, is never taken by anybody: nothing is unread whenever
//! every call of the connection has asked for more and found nothing there.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::task::AtomicWaker;

use super::frames::{Frames, MAX_FRAME_BYTES};
use super::pool::{Part, Pool};

/// What may lie unread of every connection.
const FREE_BYTES: usize = 16 << 10;
/// What is taken of the budget at a time; a whole frame fits in.
const STEP_BYTES: usize = MAX_FRAME_BYTES as usize;

/// Of one connection.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    inner: Mutex<Inner>,
    reader: AtomicWaker,
    /// Calls that wait for room for a message: nothing more is taken in for them alone.
    waiting: AtomicUsize,
    /// Calls whose messages have their room, and have come in part.
    arriving: AtomicUsize,
}

#[derive(Debug, Default)]
struct Inner {
    frames: Frames,
    /// The socket waits to be read.
    blocked: bool,
    unread: usize,
    /// What calls that wait for room have in their hands.
    kept: usize,
    room: Part,
    /// Calls whose bodies are open, and those of them that may have something to read.
    open: usize,
    behind: usize,
    last_read: Option<Instant>,
}

/// The room that a connection has asked for and not got.
pub(super) type Asking = Option<BoxFuture<'static, Part>>;

impl Arrivals {
    /// How many bytes may be read from the socket now, with room from the pool; none, and the task is woken when that may have
    /// changed.
    pub(super) fn allowed(&self, pool: &Arc<Pool>, asking: &mut Asking, context: &mut Context<'_>) -> usize {
        self.reader.register(context.waker());
        loop {
            if let Some(allowed) = self.allowance() {
                return allowed;
            }
            // One step may not be enough: calls that begin to wait hold more than was asked for.
            let Some(part) = self.poll_step(pool, asking, context) else { return 0 };
            self.lock().room.merge(part);
        }
    }

    /// More room, if it is for anybody and there.
    fn poll_step(&self, pool: &Arc<Pool>, asking: &mut Asking, context: &mut Context<'_>) -> Option<Part> {
        if self.waiting.load(Ordering::Acquire) > 0 && self.arriving.load(Ordering::Acquire) == 0 {
            *asking = None;
            return None;
        }
        let future = asking.get_or_insert_with(|| {
            let pool = Arc::clone(pool);
            Box::pin(async move { pool.take(STEP_BYTES).await })
        });
        let Poll::Ready(part) = future.poll_unpin(context) else { return None };
        *asking = None;
        Some(part)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn allowance(&self) -> Option<usize> {
        let mut inner = self.lock();
        if inner.open == 0 {
            // There is no call that it could be for.
            inner.unread = 0;
        }
        let allowed = (FREE_BYTES + inner.room.bytes()).checked_sub(inner.held()).filter(|allowed| *allowed > 0);
        inner.blocked = allowed.is_none();
        allowed
    }

    /// Bytes have come from the socket.
    pub(super) fn came(&self, bytes: &[u8]) {
        let mut inner = self.lock();
        inner.unread += inner.frames.follow(bytes);
        inner.last_read = Some(Instant::now());
    }

    /// The body of a call is there.
    pub(super) fn opened(&self) {
        let mut inner = self.lock();
        inner.open += 1;
        inner.behind += 1;
    }

    /// It is gone, with what nobody has read of it.
    pub(super) fn closed(&self, behind: bool) {
        let mut inner = self.lock();
        inner.open -= 1;
        inner.behind -= usize::from(behind);
        if inner.behind == 0 {
            inner.unread = 0;
        }
        self.settle(inner);
    }

    /// A call was handed bytes; `behind` says that it had nothing to read before.
    pub(super) fn taken(&self, bytes: usize, was_even: bool) {
        let mut inner = self.lock();
        inner.behind += usize::from(was_even);
        inner.unread = inner.unread.saturating_sub(bytes);
        self.settle(inner);
    }

    /// A call has asked for more, and nothing is there.
    pub(super) fn is_even(&self) {
        let mut inner = self.lock();
        inner.behind -= 1;
        if inner.behind == 0 {
            inner.unread = 0;
        }
        self.settle(inner);
    }

    /// A call begins to wait for room for a message, of which it was handed `bytes`.
    pub(super) fn waits(&self, bytes: usize) {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        self.lock().kept += bytes;
    }

    /// It has its room, or is gone.
    pub(super) fn waited(&self, bytes: usize) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        let mut inner = self.lock();
        inner.kept -= bytes;
        self.settle(inner);
        self.reader.wake();
    }

    /// A message of which a part is here has its room and waits for the rest, or does not any more.
    pub(super) fn arrives(&self, begins: bool) {
        if begins {
            self.arriving.fetch_add(1, Ordering::AcqRel);
            self.reader.wake();
        } else {
            self.arriving.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Whether the socket waits for room: that nothing comes is not the client's fault.
    pub(super) fn is_blocked(&self) -> bool {
        self.lock().blocked
    }

    /// Room that is not needed any more goes back, and the socket is read again.
    fn settle(&self, mut inner: MutexGuard<'_, Inner>) {
        let needed = inner.held().saturating_sub(FREE_BYTES);
        let room = inner.room.bytes();
        if room > 0 && room >= needed + STEP_BYTES {
            drop(inner.room.split(room - needed.next_multiple_of(STEP_BYTES)));
        }
        let may_read = inner.blocked && inner.held() < FREE_BYTES + inner.room.bytes();
        if may_read {
            inner.blocked = false;
        }
        drop(inner);
        if may_read {
            self.reader.wake();
        }
    }

    /// Half of a frame came, is held with room of the budget, and nothing has come since `then`.
    pub(super) fn is_stalled(&self, then: Instant) -> bool {
        let inner = self.lock();
        inner.behind == 0 && inner.room.bytes() > 0 && inner.last_read.is_some_and(|last| last < then)
    }
}

impl Inner {
    fn held(&self) -> usize {
        self.unread + self.kept + self.frames.partial
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::frames::{PREFACE_BYTES, frame};

    #[test]
    fn what_calls_have_taken_is_not_held() {
        let arrivals = Arrivals::default();
        arrivals.came(&[vec![b'P'; PREFACE_BYTES], frame(1, 100)].concat());
        arrivals.opened();
        arrivals.came(&frame(0, 10_000));
        assert_eq!(arrivals.allowance(), Some(FREE_BYTES - 10_000));
        arrivals.taken(4000, false);
        assert_eq!(arrivals.allowance(), Some(FREE_BYTES - 6000));
        arrivals.came(&frame(0, FREE_BYTES));
        assert_eq!(arrivals.allowance(), None, "no more is read");
        // Half of it was padding, say: the call finds nothing more.
        arrivals.taken(9000, false);
        arrivals.is_even();
        assert_eq!(arrivals.allowance(), Some(FREE_BYTES));
        arrivals.came(&frame(0, 500));
        arrivals.closed(false);
        assert_eq!(arrivals.allowance(), Some(FREE_BYTES), "what nobody will take is not waited for");
    }
}
