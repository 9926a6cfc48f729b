//! Messages of a stream: what a client asks, and what it is told.

use arrow_flight::FlightData;
use futures::StreamExt;
use millstream_protocol::{ConsumerReply, ConsumerRequest, End, EndReason, consumer_reply, consumer_request};
use prost::Message;

use crate::flight::error::{DoorError, Result};
use crate::flight::forward::Messages;
use crate::net::sent::Load;

/// A message on its way, and the room that it has.
pub(super) struct Leaving {
    pub(super) data: FlightData,
    pub(super) load: Option<Load>,
}

pub(super) fn ended(reason: EndReason) -> End {
    End { reason: reason.into(), error: None }
}

/// A reply as a Flight message without rows.
pub(super) fn message(reply: consumer_reply::Reply) -> FlightData {
    let metadata = ConsumerReply { reply: Some(reply) }.encode_to_vec();
    FlightData { app_metadata: metadata.into(), ..FlightData::default() }
}

/// The next request; `None` when the client has gone. Messages without one (a schema that a library sends by itself) are
/// passed over.
pub(super) async fn next_request(incoming: &mut Messages) -> Result<Option<consumer_request::Request>> {
    loop {
        let Some(data) = incoming.next().await else { return Ok(None) };
        let data = data?;
        if data.app_metadata.is_empty() {
            continue;
        }
        let request = ConsumerRequest::decode(data.app_metadata)
            .map_err(|error| DoorError::invalid(format!("the message is not a ConsumerRequest: {error}")))?;
        return match request.request {
            Some(request) => Ok(Some(request)),
            None => Err(DoorError::unsupported("the ConsumerRequest holds nothing that this server knows")),
        };
    }
}
