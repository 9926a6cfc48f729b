//! A request of one message.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Body, Frame};
use prost::Message;

use super::PREFIX_BYTES;

/// An HTTP body that is one gRPC message.
#[derive(Debug)]
pub(super) struct Whole(Option<Bytes>);

impl Whole {
    /// Of a small message.
    pub(super) fn message(message: &impl Message) -> Whole {
        let encoded = message.encode_to_vec();
        let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + encoded.len());
        bytes.put_u8(0); // not compressed
        // Tickets and the like, which the server refuses long before this many bytes.
        bytes.put_u32(u32::try_from(encoded.len()).unwrap_or(u32::MAX));
        bytes.put(encoded.as_slice());
        Whole(Some(bytes.freeze()))
    }
}

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}
