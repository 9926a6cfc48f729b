//! One client's connection.

use std::sync::Arc;
use std::task::Poll;

use millstream_engine::{CallerAddress, Principal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::answer::{Answer, Refusal};
use super::client::{Client, ClientConnection, Notice, tell};
use super::joined_sends::{JoinedSends, SendRequest};
use super::replies::{Asked, reply};
use super::sending::NewSend;
use super::shared::Remoting;
use super::wire::codes;
use super::wire::command::Command;
use super::{dispatch, route, send, signature};
use crate::net::framed::{Arrived, Ended, Incoming, Outgoing};
use crate::net::stop::Stop;
use crate::work::Waits;

/// Bodies above this are hashed where computing does not hold up other connections.
const SMALL_BODY_BYTES: usize = 32 << 10;

/// Requests of one connection that are under way at once, long polls among them.
const REQUESTS: usize = 4_096;

/// Serves one connection to its end.
pub(super) async fn run(remoting: Arc<Remoting>, incoming: Incoming, outgoing: Outgoing, stop: Stop) {
    let door = tokio::select! {
        () = stop.stopped() => return,
        door = remoting.rooms.opened() => door.clone(),
    };
    let (client, noticed) = ClientConnection::new(remoting, door, outgoing, stop);
    let client = Arc::new(client);
    client.remoting.askable.add(&client);
    let ended = serve(&client, incoming, noticed).await;
    client.remoting.askable.remove(&client);
    client.door.engine.message_clients_disconnected(client.number);
    match ended {
        Ended::Closed | Ended::Gone => {}
        Ended::Malformed | Ended::Late | Ended::NoRoom => {
            tracing::warn!(peer = ?client.address, reason = ?ended, "a RocketMQ client's connection is closed");
        }
    }
}

async fn serve(client: &Arc<ClientConnection>, mut incoming: Incoming, noticed: mpsc::Receiver<Notice>) -> Ended {
    let mut requests = JoinSet::new();
    // Ends with the connection.
    let mut telling = JoinSet::new();
    telling.spawn(tell(Arc::clone(client), noticed));
    let mut sends = JoinedSends::default();
    let ended = loop {
        let arrived = match next(&mut incoming, &mut sends, &mut requests).await {
            Ok(arrived) => arrived,
            Err(ended) => break ended,
        };
        while requests.try_join_next().is_some() {}
        let command = match Command::read(&arrived.bytes) {
            Ok(command) => command,
            Err(error) => {
                tracing::warn!(peer = ?client.address, %error, "a RocketMQ client sends what is no request");
                break Ended::Malformed;
            }
        };
        if command.is_answer() {
            client.asked.answered(command, arrived);
            continue;
        }
        let asked = Asked::of(&command);
        let place = Arc::clone(&client.remoting.requests).try_acquire_owned().ok();
        let Some(place) = place.filter(|_| requests.len() < REQUESTS) else {
            let busy = Refusal::new(codes::SYSTEM_BUSY, "too many requests are under way; send again later");
            reply(client, asked, Answer::from(busy).into()).await;
            continue;
        };
        let code = command.code;
        let (who, command) = match sender(client, command).await {
            Ok(sender) => sender,
            Err(refusal) => {
                // Who is in groups over this connection may have come to his end by the clock, of which nobody else hears.
                client.door.engine.recheck_message_clients(client.number);
                client.door.net.count_unauthenticated();
                let answer = match code {
                    codes::GET_ROUTE => route::for_who_is_not_let_in(client),
                    _ => Answer::from(refusal),
                };
                reply(client, asked, answer.into()).await;
                continue;
            }
        };
        if let Err(over) = client.door.engine.connect(&who, &client.outgoing.peer().places) {
            reply(client, asked, Answer::from(Refusal::from(over)).into()).await;
            continue;
        }
        let client = client.client(who);
        if dispatch::is_send(&command) {
            let read = send::read(&client, &command).await;
            drop(command);
            let request = SendRequest { asked, place, arrived };
            match read {
                Ok(send) if JoinedSends::takes(&send) => {
                    sends.add(&client, send, request);
                    if sends.is_full() {
                        sends.queue(&mut requests).await;
                    }
                }
                apart => {
                    sends.queue(&mut requests).await;
                    send_apart(&client, &mut requests, apart, request).await;
                }
            }
            continue;
        }
        sends.queue(&mut requests).await;
        requests.spawn(async move {
            let answered = dispatch::answer(Arc::clone(&client), command, arrived).await;
            reply(&client, asked, answered.unwrap_or_else(|refusal| Answer::from(refusal).into())).await;
            drop(place);
        });
    };
    sends.queue(&mut requests).await;
    telling.abort_all();
    if ended == Ended::Closed {
        // Who has closed his side may still read; long polls end when the server does.
        if client.stopping() {
            while requests.join_next().await.is_some() {}
        }
    }
    ended
}

/// Whom a request is carried out for; with the request. Long ones are not hashed where that holds up other connections.
async fn sender(client: &Arc<ClientConnection>, command: Command) -> Result<(Principal, Command), Refusal> {
    let from = CallerAddress { ip: client.address.map(|address| address.ip().to_canonical()), door: "remoting" };
    let authenticator = client.door.authenticator.clone();
    if command.body.len() <= SMALL_BODY_BYTES || !authenticator.engine.has_users() {
        return Ok((signature::sender(&authenticator, &command, from)?, command));
    }
    let find = move || Ok::<_, Refusal>((signature::sender(&authenticator, &command, from)?, command));
    client.door.work.run(Waits::Computes, find).await?
}

/// The next message. Sends that have come together are queued before it is waited for.
async fn next(incoming: &mut Incoming, sends: &mut JoinedSends, requests: &mut JoinSet<()>) -> Result<Arrived, Ended> {
    let mut next = std::pin::pin!(incoming.next());
    if !sends.is_empty() {
        if let Poll::Ready(arrived) = futures::poll!(next.as_mut()) {
            return arrived;
        }
        sends.queue(requests).await;
    }
    next.await
}

/// Queues a send that does not go with others, and answers it once it is durable; or says why it is not taken.
async fn send_apart(
    client: &Arc<Client>,
    requests: &mut JoinSet<()>,
    read: Result<NewSend, Refusal>,
    SendRequest { asked, place, arrived }: SendRequest,
) {
    let queued = match read {
        Ok(send) => send.queue(client).await,
        Err(refusal) => Err(refusal),
    };
    drop(arrived);
    let client = Arc::clone(client);
    requests.spawn(async move {
        let answer = match queued {
            Ok(sending) => sending.finish(&client).await,
            Err(refusal) => Err(refusal),
        };
        reply(&client, asked, answer.unwrap_or_else(Answer::from).into()).await;
        drop(place);
    });
}
