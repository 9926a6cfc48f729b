//! What one stream has yet to send.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_flight::{FlightData, FlightDescriptor};
use futures::Stream;
use millstream_protocol::{self as protocol, consumer_request::Request};
use prost::Message;
use tokio::sync::Notify;

use crate::error::{Error, Result};

/// The descriptor's command; the first message's Hello says the rest.
const COMMAND: &[u8] = b"millstream.v1.consume";
/// Requests that wait for a server which does not read them.
const MAX_REQUESTS: usize = 1024;

/// Requests in order, and credit, which is summed up and so neither lost nor without bound.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    more: Notify,
}

#[derive(Debug, Default)]
struct State {
    requests: VecDeque<Request>,
    credit: u64,
    closed: bool,
}

impl Outbox {
    pub(super) fn push(&self, request: Request) -> Result<()> {
        let mut state = self.lock();
        if state.requests.len() >= MAX_REQUESTS {
            let message = "the server does not read this stream's requests".to_owned();
            return Err(Error::Server { kind: protocol::ErrorKind::Retry, message });
        }
        state.requests.push_back(request);
        self.more.notify_one();
        Ok(())
    }

    /// Lets the server send `bytes` more.
    pub(super) fn credit(&self, bytes: u64) {
        if bytes > 0 {
            let mut state = self.lock();
            state.credit = state.credit.saturating_add(bytes);
            self.more.notify_one();
        }
    }

    /// Ends the messages once those that wait have gone.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.more.notify_one();
    }

    /// The stream's messages, for one reader; hello first.
    pub(super) fn messages(self: Arc<Self>, hello: protocol::Hello) -> impl Stream<Item = FlightData> + Send + 'static {
        let first = message(Request::Hello(hello)).with_descriptor(FlightDescriptor::new_cmd(COMMAND));
        futures::stream::unfold((self, Some(first)), |(outbox, first)| async move {
            let next = match first {
                Some(first) => first,
                None => message(outbox.next().await?),
            };
            Some((next, (outbox, None)))
        })
    }

    async fn next(&self) -> Option<Request> {
        loop {
            {
                let mut state = self.lock();
                let credit = std::mem::take(&mut state.credit);
                if credit > 0 {
                    return Some(Request::Credit(protocol::Credit { bytes: credit }));
                }
                if let Some(request) = state.requests.pop_front() {
                    return Some(request);
                }
                if state.closed {
                    return None;
                }
            }
            self.more.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn message(request: Request) -> FlightData {
    FlightData::new().with_app_metadata(protocol::ConsumerRequest { request: Some(request) }.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat(request_id: u64) -> Request {
        Request::Heartbeat(protocol::Heartbeat { request_id, polled: false })
    }

    #[tokio::test]
    async fn credit_is_never_lost_and_requests_are_bounded() {
        let outbox = Outbox::default();
        let taken = (0..MAX_REQUESTS as u64 + 50).filter(|id| outbox.push(heartbeat(*id)).is_ok()).count();
        assert_eq!(taken, MAX_REQUESTS);
        (0..10_000).for_each(|_| outbox.credit(3));
        assert_eq!(outbox.next().await, Some(Request::Credit(protocol::Credit { bytes: 30_000 })));
        outbox.close();
        for id in 0..MAX_REQUESTS as u64 {
            assert_eq!(outbox.next().await, Some(heartbeat(id)));
        }
        assert_eq!(outbox.next().await, None);
    }
}
