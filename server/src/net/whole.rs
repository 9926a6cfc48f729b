//! Requests of one gRPC message, for whoever collects them.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use millstream_protocol::framing::{Idle, PREFIX_BYTES, Reception, Room};
use tonic::Status;

use super::arriving::Arriving;
use super::receiving::Receiving;

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
