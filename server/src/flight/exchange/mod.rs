//! DoExchange: one stream of a consumer-group member. `docs/consumer-protocol.md` describes it.

mod batches;
mod fetch;
mod hello;
mod messages;
mod requests;
mod session;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use millstream_engine::Principal;
use millstream_protocol::{End, EndReason, consumer_reply};
use tokio::sync::mpsc;
use tonic::Status;

use self::messages::{Leaving, ended, message};
use super::blocking::blocking;
use super::calls::DO_EXCHANGE;
use super::error::Result;
use super::fed::Fed;
use super::forward::Messages;
use super::members::Members;
use crate::door::Door;
use crate::net::sent::Sent;
use crate::net::vigil::Vigil;
use crate::work::Waits;

/// Messages handed to the network ahead of the client. Together with one fetch they are all that a stream holds in memory
/// for a client that does not read.
const NETWORK_QUEUE: usize = 2;
/// How long a call stays open for its client to hear why it has ended; and a stream's place is kept for the one that follows it when
/// the topic's schema has changed.
const HEARD_TIMEOUT: Duration = Duration::from_secs(10);

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
        let _counted = door.figures.count(DO_EXCHANGE);
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

async fn run(
    door: Door,
    members: Arc<Members>,
    who: Principal,
    mut incoming: Messages,
    sender: mpsc::Sender<Result<Leaving, Status>>,
    sent: Arc<Sent>,
) {
    let stopped = door.clone();
    let (end, session) = match begin(&door, &members, who, &mut incoming, sent).await {
        Ok(Some((mut session, vigil))) => (vigil.within(session.run(&mut incoming, &sender)).await, Some(session)),
        Ok(None) => (Ok(ended(EndReason::Shutdown)), None),
        Err(error) => (Err(error), None),
    };
    let end = end.unwrap_or_else(|error| End { reason: EndReason::Error.into(), error: Some(error.to_wire()) });
    // In all other cases the place is given up before the client is told, who may take long to hear it.
    let mut session = session.filter(|_| end.reason() == EndReason::SchemaChanged);
    let _ = sender.send(Ok(Leaving { data: message(consumer_reply::Reply::End(end)), load: None })).await;
    // The call stays open until its client has heard the end. gRPC's library for C++, and so pyarrow, throws away what came and was
    // not read when a write fails: a client that is about to send a heartbeat would never learn why the stream has ended. For a
    // successor's sake, too: that its client has gone can be seen only while the call is open.
    tokio::select! {
        () = gone(&mut incoming) => {}
        () = succeeded(session.as_mut()) => {}
        () = stopped.stopped() => {}
        () = tokio::time::sleep(HEARD_TIMEOUT) => {}
    }
    drop(sender);
}

/// Reads what the client sends to its end. Nobody listens any more.
async fn gone(incoming: &mut Messages) {
    while incoming.next().await.is_some_and(|data| data.is_ok()) {}
}

/// Completes when the client's next stream for the topic has taken the place of one that still has it.
async fn succeeded(session: Option<&mut session::Session>) {
    match session {
        Some(session) => session.replaced().await,
        None => std::future::pending().await,
    }
}

/// Takes the hello and a place in the group; `None` when the server stops first.
async fn begin(
    door: &Door,
    members: &Arc<Members>,
    who: Principal,
    incoming: &mut Messages,
    sent: Arc<Sent>,
) -> Result<Option<(session::Session, Arc<Vigil>)>> {
    let hello = tokio::select! {
        hello = hello::receive(incoming) => hello?,
        () = door.stopped() => return Ok(None),
    };
    let config = hello::config(&hello)?;
    hello::message_bytes(&hello)?;
    let place = {
        let (members, engine, hello, who) = (Arc::clone(members), door.engine.clone(), hello.clone(), who.clone());
        blocking(door, Waits::ForLog, move || members.attach(&engine, &who, &hello, config)).await?
    };
    let (engine, config) = (door.engine.clone(), place.live.config.clone());
    let topic = Arc::clone(place.subscription.topic());
    let session = session::Session::new(door, who.clone(), hello, place, sent)?;
    let vigil = Vigil::begin(&door.net, move || engine.check_consumes(&who, &config, &topic));
    Ok(Some((session, vigil)))
}
