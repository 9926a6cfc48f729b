//! Messages as they leave.

use std::pin::Pin;
use std::task::{Context, Poll};

use arrow_flight::FlightData;
use bytes::{BufMut, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use http_body::{Body, Frame};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use tonic::Status;

use super::prefix::PREFIX_BYTES;

/// Rows below this are copied: a piece of its own costs more.
const OWN_PIECE_BYTES: usize = 8 << 10;
/// Small messages that are ready together make one piece of up to about this.
const PIECE_BYTES: usize = 32 << 10;
/// The number of `FlightData.data_body`, which is the last of its fields.
const ROWS_FIELD: u32 = 1000;

/// The HTTP body of one direction of a call.
#[derive(Debug)]
pub struct Outgoing<S> {
    messages: S,
    is_request: bool,
    /// Small messages, and what comes before `rows`.
    ready: BytesMut,
    /// Of the last message in `ready`, which ends where they begin.
    rows: Bytes,
    /// How the messages ended.
    end: Option<Status>,
    /// The end was told too.
    over: bool,
}

impl<S: Stream<Item = Result<FlightData, Status>> + Unpin> Outgoing<S> {
    /// What a client sends.
    pub fn request(messages: S) -> Outgoing<S> {
        Outgoing::new(messages, true)
    }

    /// What a server answers, the status behind it.
    pub fn answer(messages: S) -> Outgoing<S> {
        Outgoing::new(messages, false)
    }

    fn new(messages: S, is_request: bool) -> Outgoing<S> {
        Outgoing { messages, is_request, ready: BytesMut::new(), rows: Bytes::new(), end: None, over: false }
    }

    fn put(&mut self, mut message: FlightData) -> Result<(), Status> {
        let rows = match message.data_body.len() >= OWN_PIECE_BYTES {
            true => std::mem::take(&mut message.data_body),
            false => Bytes::new(),
        };
        let (before, rows_len) = (message.encoded_len(), rows.len() as u64);
        let framed = if rows.is_empty() { 0 } else { key_len(ROWS_FIELD) + encoded_len_varint(rows_len) };
        let len = before + framed + rows.len();
        let len = u32::try_from(len)
            .map_err(|_| Status::out_of_range(format!("a message of {len} bytes is larger than gRPC can send")))?;
        self.ready.reserve(PREFIX_BYTES + before + framed);
        self.ready.put_u8(0); // not compressed
        self.ready.put_u32(len);
        message.encode_raw(&mut self.ready);
        if !rows.is_empty() {
            encode_key(ROWS_FIELD, WireType::LengthDelimited, &mut self.ready);
            encode_varint(rows_len, &mut self.ready);
        }
        self.rows = rows;
        Ok(())
    }

    /// Takes up messages until they make a piece, or no more are ready.
    fn gather(&mut self, context: &mut Context<'_>) {
        while self.end.is_none() && self.rows.is_empty() && self.ready.len() < PIECE_BYTES {
            match self.messages.poll_next_unpin(context) {
                Poll::Ready(Some(message)) => self.end = message.and_then(|message| self.put(message)).err(),
                Poll::Ready(None) => self.end = Some(Status::ok("")),
                Poll::Pending => return,
            }
        }
    }

    fn tell_end(&self, status: &Status) -> Option<Result<Frame<Bytes>, Status>> {
        if self.is_request {
            return (status.code() != tonic::Code::Ok).then(|| Err(status.clone()));
        }
        let mut trailers = http::HeaderMap::new();
        Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers)))
    }
}

impl<S: Stream<Item = Result<FlightData, Status>> + Unpin> Body for Outgoing<S> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ready.is_empty() && !self.rows.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.rows)))));
        }
        self.gather(context);
        if !self.ready.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(self.ready.split().freeze()))));
        }
        if self.over {
            return Poll::Ready(None);
        }
        let Some(status) = self.end.as_ref() else { return Poll::Pending };
        let told = self.tell_end(status);
        self.over = true;
        Poll::Ready(told)
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::stream;
    use tonic::Code;

    use super::*;

    fn message(header: usize, rows: usize) -> FlightData {
        FlightData::new().with_data_header(vec![1; header]).with_app_metadata(vec![2; 7]).with_data_body(vec![3; rows])
    }

    /// The pieces, and what the trailers say.
    fn sent(messages: Vec<Result<FlightData, Status>>) -> (Vec<Bytes>, Status) {
        let mut body = Outgoing::answer(stream::iter(messages));
        let (mut pieces, mut status) = (Vec::new(), None);
        while let Some(frame) = block_on(std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context))) {
            match frame.unwrap().into_data() {
                Ok(piece) => pieces.push(piece),
                Err(frame) => status = Status::from_header_map(frame.trailers_ref().unwrap()),
            }
        }
        (pieces, status.unwrap())
    }

    #[test]
    fn pieces_join_to_the_messages() {
        let sizes = [(40, 0), (40, 10), (0, 0), (300, 100_000), (300, 8 << 10), (5, 1), (70_000, 3), (1, 20_000)];
        let messages: Vec<FlightData> = sizes.map(|(header, rows)| message(header, rows)).into();
        let (pieces, status) = sent(messages.iter().cloned().map(Ok).collect());
        assert_eq!(status.code(), Code::Ok);
        let mut joined = Bytes::from(pieces.concat());
        for message in messages {
            assert_eq!(joined.split_to(1)[..], [0]);
            let len = u32::from_be_bytes(joined.split_to(4)[..].try_into().unwrap());
            assert_eq!(FlightData::decode(joined.split_to(len as usize)).unwrap(), message);
        }
        assert!(joined.is_empty());
    }

    #[test]
    fn rows_are_not_copied_and_small_messages_go_together() {
        let large = message(300, 100_000);
        let rows = large.data_body.clone();
        let (pieces, _) = sent(vec![Ok(message(9, 9)), Ok(message(9, 9)), Ok(large), Ok(message(9, 9))]);
        assert_eq!(pieces.len(), 3);
        assert_eq!(pieces[1].as_ptr(), rows.as_ptr());
    }

    #[test]
    fn an_error_comes_after_what_went_before() {
        let (pieces, status) = sent(vec![Ok(message(9, 100_000)), Err(Status::not_found("gone"))]);
        assert_eq!((pieces.len(), status.code(), status.message()), (2, Code::NotFound, "gone"));
    }
}
