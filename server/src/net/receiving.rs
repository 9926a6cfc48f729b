//! Messages as they come in over gRPC: what one may take, and how long.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use millstream_engine::ErrorKind;
use millstream_protocol::framing::{Idle, Reception, Room};
use tokio::time::{Instant, Sleep};
use tonic::Status;

use super::ingress::NoRoom;
use super::message_room::MessageRoom;
use super::peer::Peer;
use super::progress::{Progress, TICK};
use super::sent::Sent;

/// A call may have one message of up to this without room, so that what is small (a heartbeat, a statement) gets through where
/// much waits.
const SMALL_BYTES: usize = 4 << 10;
/// A stream that sends nothing for this long gives up the buffers that it would have used again.
const BUFFERS_IDLE: Duration = Duration::from_secs(1);

/// How a door says that it does not take a message.
pub(crate) type Refuse = fn(ErrorKind, String) -> Status;

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
    refuse: Refuse,
    asked: Option<Asked>,
    /// The small message without room.
    small: Weak<()>,
    progress: Option<Progress>,
    /// Counted among those of the connection that arrive.
    arriving: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Receiving {
    pub(crate) fn new(peer: Arc<Peer>, sent: Arc<Sent>, refuse: Refuse) -> Receiving {
        Receiving { peer, sent, refuse, asked: None, small: Weak::new(), progress: None, arriving: false, timer: None }
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
            if let Some(room) = MessageRoom::try_take(&self.peer, bytes) {
                return Poll::Ready(Ok(Arc::new(room)));
            }
            if bytes <= SMALL_BYTES && self.small.strong_count() == 0 {
                let small = Arc::new(());
                self.small = Arc::downgrade(&small);
                return Poll::Ready(Ok(small));
            }
            self.peer.arrivals.waits(kept);
            self.asked = Some(Asked { room: MessageRoom::take(Arc::clone(&self.peer), bytes), kept });
        }
        let Some(asked) = &mut self.asked else { return Poll::Pending };
        let taken = ready!(asked.room.poll_unpin(context));
        self.waited();
        Poll::Ready(match taken {
            Ok(room) => Ok(Arc::new(room)),
            Err(NoRoom) => Err((self.refuse)(NoRoom::KIND, NoRoom::MESSAGE.to_owned())),
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
                return Poll::Ready(Idle::End((self.refuse)(NoRoom::KIND, message)));
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
