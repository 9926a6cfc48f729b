//! Bodies as they come in.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::peer::Peer;

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
