//! Bodies as they go out: each byte of an answer has room until the kernel has it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use super::pool::Room;
use super::sent::{Load, Sent};

/// What is handed to the network at a time: a reader that takes this much is not stalled.
const PIECE_BYTES: usize = 128 << 10;

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
        self.sent.forget_credit();
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
