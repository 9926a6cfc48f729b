//! Bodies as they come in: what a message may take, and how long.

use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use millstream_protocol::framing::{Idle, PREFIX_BYTES, Reception, Room};
use tokio::time::{Instant, Sleep};
use tonic::Status;

use super::Peer;
use super::ingress::{Ingress, MessageRoom, NoRoom};
use super::leaving::Sent;
use crate::flight::DoorError;

/// How often a message that is arriving is looked at.
const TICK: Duration = Duration::from_millis(500);
/// What must come within a time-out for a message not to be late.
const STEP_BYTES: usize = 64 << 10;
/// A call may have one message of up to this without room, so that what is small (a heartbeat, a statement) gets through where
/// much waits.
const SMALL_BYTES: usize = 4 << 10;
/// How long a message may pause, and the whole of it may take, where others wait for its room.
const WANTED_PAUSE: Duration = Duration::from_secs(1);
const WANTED_WHOLE: Duration = Duration::from_secs(6);
/// A stream that sends nothing for this long gives up the buffers that it would have used again.
const BUFFERS_IDLE: Duration = Duration::from_secs(1);

/// How far a message has come.
#[derive(Debug, Clone, Copy)]
struct Progress {
    begun: Instant,
    /// When the last whole step had come, and all that had by then.
    step: (Instant, usize),
}

impl Progress {
    fn new(now: Instant) -> Progress {
        Progress { begun: now, step: (now, 0) }
    }

    /// Whether a message of which `received` bytes are here has taken too long.
    fn is_late(&mut self, now: Instant, received: usize, wanted: bool, timeout: Duration) -> bool {
        if received >= self.step.1 + STEP_BYTES {
            self.step = (now, received);
        }
        let pause = if wanted { WANTED_PAUSE.min(timeout) } else { timeout };
        now - self.step.0 > pause || (wanted && now - self.begun > WANTED_WHOLE.max(pause))
    }
}

/// A message that waits for its room.
struct Asked {
    room: BoxFuture<'static, Result<MessageRoom, NoRoom>>,
    /// What is here of it.
    kept: usize,
}

/// Bounds what one call takes in.
pub(crate) struct Receiving {
    peer: Arc<Peer>,
    /// The call's answer, whose reader is alive as long as it sends.
    sent: Arc<Sent>,
    asked: Option<Asked>,
    /// The small message without room.
    small: Weak<()>,
    progress: Option<Progress>,
    /// Counted among those of the connection that arrive.
    arriving: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Receiving {
    pub(crate) fn new(peer: Arc<Peer>, sent: Arc<Sent>) -> Receiving {
        Receiving { peer, sent, asked: None, small: Weak::new(), progress: None, arriving: false, timer: None }
    }

    fn waited(&mut self) {
        if let Some(asked) = self.asked.take() {
            self.peer.arrivals.waited(asked.kept);
        }
    }

    fn timer(&mut self, after: Duration) -> &mut Pin<Box<Sleep>> {
        self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(after)))
    }
}

impl Reception for Receiving {
    fn begins(&mut self) {
        self.progress = None;
        self.timer = None;
        self.sent.received();
    }

    fn poll_room(&mut self, bytes: usize, kept: usize, context: &mut Context<'_>) -> Poll<Result<Room, Status>> {
        if self.asked.is_none() {
            if let Some(room) = Ingress::try_take(&self.peer, bytes) {
                return Poll::Ready(Ok(Arc::new(room)));
            }
            if bytes <= SMALL_BYTES && self.small.strong_count() == 0 {
                let small = Arc::new(());
                self.small = Arc::downgrade(&small);
                return Poll::Ready(Ok(small));
            }
            self.peer.arrivals.waits(kept);
            self.asked = Some(Asked { room: Ingress::take(Arc::clone(&self.peer), bytes), kept });
        }
        let Some(asked) = &mut self.asked else { return Poll::Pending };
        let taken = ready!(asked.room.poll_unpin(context));
        self.waited();
        Poll::Ready(match taken {
            Ok(room) => Ok(Arc::new(room)),
            Err(NoRoom) => Err(DoorError::new(NoRoom::KIND, NoRoom::MESSAGE).into()),
        })
    }

    fn arrives(&mut self, arriving: bool) {
        if self.arriving != arriving {
            self.arriving = arriving;
            self.peer.arrivals.arrives(arriving);
        }
    }

    fn poll_idle(&mut self, arriving: Option<(usize, usize)>, context: &mut Context<'_>) -> Poll<Idle> {
        let Some((received, len)) = arriving else {
            ready!(self.timer(BUFFERS_IDLE).as_mut().poll(context));
            self.timer = None;
            return Poll::Ready(Idle::Forget);
        };
        loop {
            ready!(self.timer(TICK).as_mut().poll(context));
            self.timer = None;
            let (now, net) = (Instant::now(), &self.peer.net);
            // What waits in the socket for the room of others is as slow as they are.
            let wanted = net.ingress.is_wanted(len) && !self.peer.arrivals.is_blocked();
            let timeout = net.limits.receive_timeout;
            if self.progress.get_or_insert_with(|| Progress::new(now)).is_late(now, received, wanted, timeout) {
                net.count_late();
                let message = format!(
                    "of a message of {len} bytes only {received} came in time (receive_timeout_ms, less where others wait for \
                     its room); send it again"
                );
                return Poll::Ready(Idle::End(DoorError::new(NoRoom::KIND, message).into()));
            }
        }
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.waited();
        self.arrives(false);
    }
}

/// A request's body, which tells its connection what was read of it.
pub(crate) struct Arriving<B> {
    body: B,
    peer: Arc<Peer>,
    /// It has asked for more and found nothing.
    even: bool,
    over: bool,
}

impl<B> Arriving<B> {
    pub(crate) fn new(body: B, peer: Arc<Peer>) -> Arriving<B> {
        peer.arrivals.opened();
        Arriving { body, peer, even: false, over: false }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Arriving<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        let frame = Pin::new(&mut this.body).poll_frame(context);
        if this.over {
            return frame;
        }
        let arrivals = &this.peer.arrivals;
        match &frame {
            Poll::Pending if !this.even => {
                this.even = true;
                arrivals.is_even();
            }
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                arrivals.taken(bytes, std::mem::replace(&mut this.even, false));
            }
            Poll::Ready(_) => {
                this.over = true;
                arrivals.closed(!this.even);
            }
            Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Arriving<B> {
    fn drop(&mut self) {
        if !self.over {
            self.peer.arrivals.closed(!self.even);
        }
    }
}

/// The body of a request that is one message, for whoever collects it.
pub(crate) struct Whole<B> {
    body: Arriving<B>,
    receiving: Receiving,
    limit: usize,
    prefix: Vec<u8>,
    /// All of the message, once that is known, and what is here of it.
    len: Option<usize>,
    received: usize,
    frame: Bytes,
    room: Kept,
}

/// The room of a message, held as long as the request is served.
pub(crate) type Kept = Arc<OnceLock<Room>>;

impl<B> Whole<B> {
    /// Messages above `limit` are refused by who collects them.
    pub(crate) fn new(body: Arriving<B>, receiving: Receiving, limit: usize) -> (Whole<B>, Kept) {
        let room = Kept::default();
        let (prefix, frame) = (Vec::with_capacity(PREFIX_BYTES), Bytes::new());
        let whole = Whole { body, receiving, limit, prefix, len: None, received: 0, frame, room: Arc::clone(&room) };
        (whole, room)
    }

    /// What has come may be collected once all of the message has room.
    fn poll_collect(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let missing = PREFIX_BYTES - self.prefix.len();
        self.prefix.extend(self.frame.iter().take(missing));
        let Ok([_, len @ ..]) = <[u8; PREFIX_BYTES]>::try_from(self.prefix.as_slice()) else {
            return Poll::Ready(Ok(()));
        };
        let len = u32::from_be_bytes(len) as usize;
        if len <= self.limit && self.room.get().is_none() {
            if self.len.is_none() {
                self.receiving.begins();
            }
            self.len = Some(PREFIX_BYTES + len);
            let kept = self.frame.len();
            let room = ready!(self.receiving.poll_room(PREFIX_BYTES + len, kept, context))?;
            // It is set here only.
            let _ = self.room.set(room);
        }
        if self.len.is_some_and(|len| self.received + self.frame.len() > len) {
            return Poll::Ready(Err(Status::invalid_argument("the call takes one message, and more were sent")));
        }
        Poll::Ready(Ok(()))
    }
}

impl<B: Body<Data = Bytes, Error = Status> + Unpin> Body for Whole<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        while this.frame.is_empty() {
            match Pin::new(&mut this.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => this.frame = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                Poll::Pending => {
                    let arriving = this.len.filter(|len| this.received < *len).map(|len| (this.received, len));
                    if arriving.is_none() {
                        return Poll::Pending;
                    }
                    return match ready!(this.receiving.poll_idle(arriving, context)) {
                        Idle::End(status) => Poll::Ready(Some(Err(status))),
                        Idle::Forget => Poll::Pending,
                    };
                }
                last => return last,
            }
        }
        if let Err(status) = ready!(this.poll_collect(context)) {
            return Poll::Ready(Some(Err(status)));
        }
        this.received += this.frame.len();
        this.receiving.arrives(this.len.is_some_and(|len| this.received < len));
        Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut this.frame)))))
    }

    fn is_end_stream(&self) -> bool {
        self.frame.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// A request's body, and its room.
pub(crate) struct Collected {
    pub(crate) bytes: Vec<u8>,
    _room: MessageRoom,
}

/// Why a body was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotCollected {
    TooLarge,
    Late,
    NoRoom,
    Broken(String),
}

/// All of a body of at most `limit` bytes. It has its room before it is kept: what it says that it has, or as much as it may
/// have.
pub(crate) async fn collect<B>(mut body: B, peer: &Arc<Peer>, limit: usize) -> Result<Collected, NotCollected>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let len = body.size_hint().exact().map_or(limit, |len| usize::try_from(len).unwrap_or(usize::MAX));
    if len > limit {
        return Err(NotCollected::TooLarge);
    }
    let room = match Ingress::try_take(peer, len) {
        Some(room) => room,
        None => Ingress::take(Arc::clone(peer), len).await.map_err(|NoRoom| NotCollected::NoRoom)?,
    };
    let (mut bytes, mut progress) = (Vec::new(), Progress::new(Instant::now()));
    loop {
        let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context));
        let frame = match tokio::time::timeout(TICK, frame).await {
            Ok(None) => return Ok(Collected { bytes, _room: room }),
            Ok(Some(frame)) => frame.map_err(|error| NotCollected::Broken(error.to_string()))?,
            Err(_) => {
                let (wanted, timeout) = (peer.net.ingress.is_wanted(len), peer.net.limits.receive_timeout);
                if progress.is_late(Instant::now(), bytes.len(), wanted, timeout) {
                    peer.net.count_late();
                    return Err(NotCollected::Late);
                }
                continue;
            }
        };
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(NotCollected::TooLarge);
        }
        if bytes.is_empty() {
            bytes.reserve_exact(len);
        }
        bytes.extend_from_slice(&data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_late_when_it_pauses_or_others_wait() {
        let (start, timeout) = (Instant::now(), Duration::from_secs(10));
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let late = |wanted, steps: &[(u64, usize)]| {
            let mut progress = Progress::new(start);
            steps.iter().any(|(seconds, received)| progress.is_late(at(*seconds), *received, wanted, timeout))
        };
        assert!(!late(false, &[(9, 0), (10, 0)]));
        assert!(late(false, &[(11, 0)]));
        assert!(late(false, &[(9, 60_000), (11, 65_000)]), "a few bytes are no progress");
        let steady: Vec<_> = (1..100).map(|second| (second * 9, second as usize * STEP_BYTES)).collect();
        assert!(!late(false, &steady), "slow is not late");
        assert!(late(true, &steady));
        assert!(late(true, &[(2, 1000)]));
        assert!(!late(true, &[(1, 100_000), (2, 300_000), (3, 500_000)]));
        assert!(late(true, &(1..8).map(|second| (second, second as usize * STEP_BYTES)).collect::<Vec<_>>()));
    }
}
