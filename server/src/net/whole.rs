//! Requests of gRPC messages, for whoever collects them: of one, or of small ones that follow each other.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use millstream_protocol::framing::{Idle, PREFIX_BYTES, Reception, Room};
use tonic::Status;

use super::arriving::Arriving;
use super::receiving::Receiving;

/// The body of a request, for whoever collects its messages one by one.
pub(crate) struct Whole<B> {
    body: Arriving<B>,
    receiving: Receiving,
    limit: usize,
    /// The room of its one message is held by whoever serves it. `None`: messages follow each other, and each one's room is held until
    /// the next one comes.
    kept: Option<Kept>,
    prefix: Vec<u8>,
    /// All of the message, once that is known, and what is here of it.
    len: Option<usize>,
    received: usize,
    frame: Bytes,
    room: Option<Room>,
}

/// The room of a message, held as long as the request is served.
pub(crate) type Kept = Arc<OnceLock<Room>>;

impl<B> Whole<B> {
    /// Of one message. Messages above `limit` are refused by who collects them.
    pub(crate) fn new(body: Arriving<B>, receiving: Receiving, limit: usize) -> (Whole<B>, Kept) {
        let kept = Kept::default();
        (Whole::with(body, receiving, limit, Some(Arc::clone(&kept))), kept)
    }

    /// Of messages that follow each other.
    pub(crate) fn many(body: Arriving<B>, receiving: Receiving, limit: usize) -> Whole<B> {
        Whole::with(body, receiving, limit, None)
    }

    fn with(body: Arriving<B>, receiving: Receiving, limit: usize, kept: Option<Kept>) -> Whole<B> {
        let (prefix, frame) = (Vec::with_capacity(PREFIX_BYTES), Bytes::new());
        Whole { body, receiving, limit, kept, prefix, len: None, received: 0, frame, room: None }
    }

    /// What has come may be collected once all of the message has room.
    fn poll_collect(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        if self.kept.is_none() && self.len.is_some_and(|len| self.received == len) {
            self.prefix.clear();
            (self.len, self.received, self.room) = (None, 0, None);
        }
        let missing = PREFIX_BYTES - self.prefix.len();
        self.prefix.extend(self.frame.iter().take(missing));
        let Ok([_, len @ ..]) = <[u8; PREFIX_BYTES]>::try_from(self.prefix.as_slice()) else {
            return Poll::Ready(Ok(()));
        };
        let len = u32::from_be_bytes(len) as usize;
        if len <= self.limit && self.room.is_none() {
            if self.len.is_none() {
                self.receiving.begins();
            }
            self.len = Some(PREFIX_BYTES + len);
            let kept = self.frame.len();
            let room = ready!(self.receiving.poll_room(PREFIX_BYTES + len, kept, context))?;
            if let Some(kept) = &self.kept {
                // It is set here only.
                let _ = kept.set(Arc::clone(&room));
            }
            self.room = Some(room);
        }
        if self.kept.is_some() && self.len.is_some_and(|len| self.received + self.frame.len() > len) {
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
        // What is too long is refused by who collects it, and goes through as it is.
        let here = this.len.map_or(this.frame.len(), |len| (len - this.received).min(this.frame.len()));
        let frame = this.frame.split_to(here);
        this.received += frame.len();
        this.receiving.arrives(this.len.is_some_and(|len| this.received < len));
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.frame.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body_util::{BodyExt, StreamBody};
    use millstream_engine::ErrorKind;

    use super::super::budgets::Net;
    use super::super::limits::NetLimits;
    use super::super::peer::Peer;
    use super::super::sent::Sent;
    use super::*;

    #[tokio::test]
    async fn messages_follow_each_other_however_they_are_cut() {
        let peer = Peer::new(&Net::new(NetLimits::default()), None);
        let framed = |message: &[u8]| [&[0, 0, 0, 0, u8::try_from(message.len()).unwrap()], message].concat();
        let bytes = [framed(b"abc"), framed(b""), framed(&[7; 100])].concat();
        for cut in 1..=bytes.len() {
            let refuse: fn(ErrorKind, String) -> Status = |_, message| Status::unavailable(message);
            let sent = Sent::new(Arc::clone(&peer));
            let parts = |limit| {
                let frame = |part: &[u8]| Ok::<_, Status>(Frame::data(Bytes::copy_from_slice(part)));
                let frames: Vec<_> = bytes.chunks(cut).map(frame).collect();
                let body = Arriving::new(StreamBody::new(stream::iter(frames)), Arc::clone(&peer));
                let receiving = Receiving::new(Arc::clone(&peer), Arc::clone(&sent), refuse);
                (body, receiving, limit)
            };
            for limit in [1_000, 50] {
                let (body, receiving, limit) = parts(limit);
                let collected = Whole::many(body, receiving, limit).collect().await.unwrap();
                assert_eq!(collected.to_bytes(), bytes, "what is too long goes through, to be refused; cut at {cut}");
            }
            let (body, receiving, limit) = parts(1_000);
            let (whole, _room) = Whole::new(body, receiving, limit);
            assert_eq!(whole.collect().await.unwrap_err().code(), tonic::Code::InvalidArgument);
        }
    }
}
