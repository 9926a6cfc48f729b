//! DoExchange: one stream of a consumer-group member. `docs/consumer-protocol.md` describes it.

mod batches;
mod fetch;
mod hello;
mod requests;
mod session;

use std::sync::Arc;

use arrow_flight::FlightData;
use futures::StreamExt;
use millstream_engine::Principal;
use millstream_protocol::{ConsumerReply, ConsumerRequest, End, EndReason, consumer_reply, consumer_request};
use prost::Message;
use tokio::sync::mpsc;
use tonic::Status;

use super::blocking::blocking;
use super::error::{DoorError, Result};
use super::fed::Fed;
use super::forward::Messages;
use super::members::Members;
use crate::Door;
use crate::figures::Count;
use crate::net::leaving::{Load, Sent};
use crate::work::Waits;

/// Messages handed to the network ahead of the client. Together with one fetch they are all that a stream holds in memory
/// for a client that does not read.
const NETWORK_QUEUE: usize = 2;

/// Serves one stream in a task of its own; gives what is sent to the client.
pub(super) fn serve(
    door: Door,
    members: Arc<Members>,
    who: Principal,
    incoming: Messages,
    sent: Arc<Sent>,
) -> Messages {
    let reader = Arc::clone(&sent);
    let replies = Fed::by(NETWORK_QUEUE, |sender| async move {
        let _counted = door.figures.count(Count::Exchange);
        run(door, members, who, incoming, sender, sent).await;
    });
    replies
        .map(move |leaving| {
            let Leaving { data, load } = leaving?;
            load.into_iter().for_each(|load| reader.hand_over(load));
            Ok(data)
        })
        .boxed()
}

/// A message on its way, and the room that it has.
pub(super) struct Leaving {
    data: FlightData,
    load: Option<Load>,
}

async fn run(
    door: Door,
    members: Arc<Members>,
    who: Principal,
    mut incoming: Messages,
    sender: mpsc::Sender<Result<Leaving, Status>>,
    sent: Arc<Sent>,
) {
    let (end, session) = match begin(&door, &members, who, &mut incoming, sent).await {
        Ok(Some(mut session)) => (session.run(&mut incoming, &sender).await, Some(session)),
        Ok(None) => (Ok(ended(EndReason::Shutdown)), None),
        Err(error) => (Err(error), None),
    };
    let end = end.unwrap_or_else(|error| End { reason: EndReason::Error.into(), error: Some(error.to_wire()) });
    // In all other cases the place is given up before the client is told, who may take long to hear it.
    let session = session.filter(|_| end.reason() == EndReason::SchemaChanged);
    let _ = sender.send(Ok(Leaving { data: message(consumer_reply::Reply::End(end)), load: None })).await;
    if let Some(session) = session {
        // The call stays open: that its client has gone can be seen only while it is.
        session.wait_for_successor(incoming).await;
    }
    drop(sender);
}

/// Takes the hello and a place in the group; `None` when the server stops first.
async fn begin(
    door: &Door,
    members: &Arc<Members>,
    who: Principal,
    incoming: &mut Messages,
    sent: Arc<Sent>,
) -> Result<Option<session::Session>> {
    let hello = tokio::select! {
        hello = hello::receive(incoming) => hello?,
        () = door.stopped() => return Ok(None),
    };
    let config = hello::config(&hello)?;
    hello::message_bytes(&hello)?;
    let place = {
        let (members, engine, hello) = (Arc::clone(members), door.engine.clone(), hello.clone());
        blocking(door, Waits::ForLog, move || members.attach(&engine, &who, &hello, config)).await?
    };
    session::Session::new(door, hello, place, sent).map(Some)
}

fn ended(reason: EndReason) -> End {
    End { reason: reason.into(), error: None }
}

/// A reply as a Flight message without rows.
fn message(reply: consumer_reply::Reply) -> FlightData {
    let metadata = ConsumerReply { reply: Some(reply) }.encode_to_vec();
    FlightData { app_metadata: metadata.into(), ..FlightData::default() }
}

/// The next request; `None` when the client has gone. Messages without one (a schema that a library sends by itself) are
/// passed over.
async fn next_request(incoming: &mut Messages) -> Result<Option<consumer_request::Request>> {
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
