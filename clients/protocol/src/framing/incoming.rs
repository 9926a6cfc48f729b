//! Messages as they arrive.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::Stream;
use http_body::{Body as _, Frame};
use prost::Message;
use tonic::body::Body;
use tonic::{Code, Status};

use super::buffers::{Buffers, Empty};
use super::prefix::PREFIX_BYTES;
use super::reception::{Idle, Reception, Room};

/// Buffers that are used again hold no more, however much may wait.
const MAX_REUSED_BYTES: usize = 64 << 20;

/// The messages of one direction of a call, out of its HTTP body. After an error there are no more.
pub struct Incoming<M> {
    body: Body,
    is_request: bool,
    max_message_bytes: usize,
    buffers: Buffers,
    reception: Option<Box<dyn Reception>>,
    /// What has arrived and was not looked at.
    arrived: Bytes,
    /// The prefix of the next message, as far as it is here.
    prefix: BytesMut,
    /// The length of the message whose prefix is here, until there is room for it.
    begun: Option<usize>,
    message: Option<Arriving>,
    over: bool,
    kind: PhantomData<fn() -> M>,
}

/// A message of which a part is here, and the length of all of it. The prefix stays in front: rows are padded to be aligned when
/// counted from there.
struct Arriving {
    buffer: BytesMut,
    len: usize,
    room: Option<Room>,
}

impl<M: Message + Default> Incoming<M> {
    /// What a client sends. That it has gone is the end, as it is where it has sent everything.
    pub fn request(body: Body, max_message_bytes: usize) -> Incoming<M> {
        Incoming::new(body, true, max_message_bytes)
    }

    /// What it sends is bounded by `reception`.
    pub fn bounded(mut self, reception: impl Reception + 'static) -> Incoming<M> {
        self.reception = Some(Box::new(reception));
        self
    }

    /// What a server answers, to the status behind it.
    pub fn answer(body: Body, max_message_bytes: usize) -> Incoming<M> {
        Incoming::new(body, false, max_message_bytes)
    }

    /// An answer that was over before it began.
    pub fn empty(max_message_bytes: usize) -> Incoming<M> {
        Incoming { over: true, ..Incoming::new(Body::empty(), false, max_message_bytes) }
    }

    /// So many bytes of messages may wait, and their buffers are used again.
    pub fn reusing(mut self, waiting_bytes: usize) -> Incoming<M> {
        self.buffers = Buffers::new(waiting_bytes.min(MAX_REUSED_BYTES));
        self
    }

    fn new(body: Body, is_request: bool, max_message_bytes: usize) -> Incoming<M> {
        Incoming {
            body,
            is_request,
            max_message_bytes,
            buffers: Buffers::default(),
            reception: None,
            begun: None,
            arrived: Bytes::new(),
            prefix: BytesMut::with_capacity(PREFIX_BYTES),
            message: None,
            over: false,
            kind: PhantomData,
        }
    }

    /// Goes on with what has arrived, until a message is whole or nothing is left.
    fn poll_take_in(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<M>, Status>> {
        let mut message = match self.message.take() {
            Some(message) => message,
            None => match ready!(self.poll_begin(context))? {
                Some(message) => message,
                None => return Poll::Ready(Ok(None)),
            },
        };
        let missing = (message.len - message.buffer.len()).min(self.arrived.len());
        message.buffer.put(self.arrived.split_to(missing));
        let is_part = message.buffer.len() < message.len;
        if let Some(reception) = &mut self.reception {
            reception.arrives(is_part);
        }
        if is_part {
            self.message = Some(message);
            return Poll::Ready(Ok(None));
        }
        let mut message = self.buffers.filled(message.buffer, message.room);
        message.advance(PREFIX_BYTES);
        let message = M::decode(message);
        Poll::Ready(
            message.map(Some).map_err(|error| Status::internal(format!("a gRPC message is malformed: {error}"))),
        )
    }

    /// A buffer for the message whose prefix has arrived, once there is room for it.
    fn poll_begin(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Arriving>, Status>> {
        let len = match self.begun {
            Some(len) => len,
            None => match self.prefix()? {
                Some(len) => len,
                None => return Poll::Ready(Ok(None)),
            },
        };
        self.begun = Some(len);
        let Empty { mut buffer, room } = match (self.buffers.free(len), &mut self.reception) {
            (Some(free), _) => free,
            (None, None) => Buffers::new_for(len, None),
            (None, Some(reception)) => {
                let polled = reception.poll_room(Buffers::size(len), self.arrived.len(), context);
                if polled.is_pending() {
                    // Who waits for room holds none.
                    self.buffers.forget();
                }
                Buffers::new_for(len, Some(ready!(polled)?))
            }
        };
        self.begun = None;
        buffer.put(self.prefix.as_ref());
        self.prefix.clear();
        Poll::Ready(Ok(Some(Arriving { buffer, len, room })))
    }

    /// The length of the message that begins, prefix and all, if its prefix is here.
    fn prefix(&mut self) -> Result<Option<usize>, Status> {
        let missing = (PREFIX_BYTES - self.prefix.len()).min(self.arrived.len());
        self.prefix.put(self.arrived.split_to(missing));
        let Ok([flag, len @ ..]) = <[u8; PREFIX_BYTES]>::try_from(self.prefix.as_ref()) else { return Ok(None) };
        if flag != 0 {
            return Err(Status::unimplemented("compressed gRPC messages are not taken"));
        }
        let (len, limit) = (u32::from_be_bytes(len) as usize, self.max_message_bytes);
        if len > limit {
            return Err(Status::out_of_range(format!(
                "a gRPC message of {len} bytes is larger than the limit of {limit}"
            )));
        }
        if let Some(reception) = &mut self.reception {
            reception.begins();
        }
        Ok(Some(PREFIX_BYTES + len))
    }

    /// Nothing has come. Ready if that ends the call.
    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        let Some(reception) = &mut self.reception else { return Poll::Pending };
        let arriving = self.message.as_ref().map(|message| (message.buffer.len(), message.len));
        if arriving.is_none() && self.buffers.is_empty() {
            return Poll::Pending;
        }
        match ready!(reception.poll_idle(arriving, context)) {
            Idle::End(status) => Poll::Ready(status),
            Idle::Forget => {
                self.buffers.forget();
                Poll::Pending
            }
        }
    }

    /// What the end of the body, its trailers or its failure mean.
    fn ended(&self, last: Option<Result<Frame<Bytes>, Status>>) -> Result<(), Status> {
        let within_a_message = self.message.is_some() || self.begun.is_some() || !self.prefix.is_empty();
        let status = match last {
            Some(Ok(trailers)) => trailers.trailers_ref().and_then(Status::from_header_map),
            Some(Err(status)) if self.is_request && status.code() == Code::Cancelled => return Ok(()),
            Some(Err(status)) => return Err(status),
            None => None,
        };
        match status {
            Some(status) if status.code() != Code::Ok => Err(status),
            _ if within_a_message => Err(Status::unavailable("the call broke off within a message")),
            // A call that was cut off, by a proxy say, can look as if its body had ended.
            None if !self.is_request => Err(Status::unavailable("the call broke off: it ended without a status")),
            _ => Ok(()),
        }
    }
}

impl<M: Message + Default> Stream for Incoming<M> {
    type Item = Result<M, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let error = loop {
            match ready!(self.poll_take_in(context)) {
                Ok(Some(message)) => return Poll::Ready(Some(Ok(message))),
                Ok(None) => {}
                Err(status) => break Err(status),
            }
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                    self.arrived = frame.into_data().unwrap_or_default();
                }
                Poll::Ready(last) => break self.ended(last),
                Poll::Pending => break Err(ready!(self.poll_idle(context))),
            }
        };
        self.over = true;
        // What was kept of a half message goes now, not with the call.
        (self.message, self.arrived) = (None, Bytes::new());
        if let Some(reception) = &mut self.reception {
            reception.arrives(false);
        }
        self.buffers.forget();
        Poll::Ready(error.err().map(Err))
    }
}

#[cfg(test)]
mod tests {
    use arrow_flight::FlightData;
    use futures::StreamExt;
    use futures::executor::block_on;

    use super::*;

    /// A body of these pieces, and what comes behind them.
    struct Pieces(std::vec::IntoIter<Bytes>, Option<Result<Frame<Bytes>, Status>>);

    impl http_body::Body for Pieces {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            let data = self.0.next().map(|data| Ok(Frame::data(data)));
            Poll::Ready(data.or_else(|| self.1.take()))
        }
    }

    fn body(bytes: &[u8], piece: usize, last: Option<Result<Frame<Bytes>, Status>>) -> Body {
        let pieces: Vec<Bytes> = bytes.chunks(piece).map(Bytes::copy_from_slice).collect();
        Body::new(Pieces(pieces.into_iter(), last))
    }

    fn trailers(status: Status) -> Option<Result<Frame<Bytes>, Status>> {
        let mut trailers = http::HeaderMap::new();
        status.add_header(&mut trailers).unwrap();
        Some(Ok(Frame::trailers(trailers)))
    }

    fn encoded(messages: &[FlightData]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for message in messages {
            bytes.put_u8(0);
            bytes.put_u32(message.encoded_len() as u32);
            message.encode(&mut bytes).unwrap();
        }
        bytes
    }

    #[test]
    fn messages_are_whole_however_they_arrive() {
        let sizes = [0, 1, 40_000, 7, 0, 300_000, 40_000, 40_000, 2];
        let sent = sizes.map(|size| FlightData::new().with_data_header(vec![1; 9]).with_data_body(vec![2; size]));
        let bytes = encoded(&sent);
        for piece in [1, 4, 5, 6, 1000, 65_536, bytes.len()] {
            let incoming = Incoming::answer(body(&bytes, piece, trailers(Status::ok(""))), 1 << 20);
            let read: Vec<FlightData> = block_on(incoming.map(Result::unwrap).collect());
            assert_eq!(read, sent, "{piece}");
        }
    }

    fn codes(incoming: Incoming<FlightData>) -> Vec<Code> {
        let code = |message: Result<FlightData, Status>| message.map_or_else(|status| status.code(), |_| Code::Ok);
        block_on(incoming.map(code).collect())
    }

    #[test]
    fn ends_are_told_apart() {
        let bytes = encoded(&[FlightData::new().with_data_body(vec![2; 100])]);
        let answer = |bytes: &[u8], last| codes(Incoming::answer(body(bytes, 64, last), 1 << 20));
        assert_eq!(answer(&bytes, trailers(Status::ok(""))), [Code::Ok]);
        assert_eq!(answer(&bytes, trailers(Status::not_found("gone"))), [Code::Ok, Code::NotFound]);
        assert_eq!(answer(&bytes, Some(Err(Status::cancelled("")))), [Code::Ok, Code::Cancelled]);
        assert_eq!(answer(&bytes, None), [Code::Ok, Code::Unavailable]);
        assert_eq!(answer(&bytes, Some(Ok(Frame::trailers(http::HeaderMap::new())))), [Code::Ok, Code::Unavailable]);
        assert_eq!(answer(&bytes[..50], trailers(Status::ok(""))), [Code::Unavailable]);
        assert_eq!(answer(&bytes[..50], None), [Code::Unavailable]);
        assert_eq!(answer(&bytes[..3], None), [Code::Unavailable]);
        let request = |bytes: &[u8], last| codes(Incoming::request(body(bytes, 64, last), 1 << 20));
        assert_eq!(request(&bytes, None), [Code::Ok]);
        assert_eq!(request(&bytes, Some(Err(Status::cancelled("")))), [Code::Ok]);
        assert_eq!(request(&bytes, Some(Err(Status::internal("")))), [Code::Ok, Code::Internal]);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let codes = |bytes: &[u8]| codes(Incoming::request(body(bytes, 64, None), 1000));
        assert_eq!(codes(&[1, 0, 0, 0, 0]), [Code::Unimplemented]);
        assert_eq!(codes(&[0, 0, 0, 4, 0]), [Code::OutOfRange]);
        assert_eq!(codes(&[0, 255, 255, 255, 255]), [Code::OutOfRange]);
        assert_eq!(codes(&[0, 0, 0, 0, 1, 0]), [Code::Internal]);
    }
}
