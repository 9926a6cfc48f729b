//! One client's connection.

use std::sync::Arc;

use millstream_engine::Principal;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::answer::{Answer, Given, Refusal};
use super::client::{ClientConnection, Notice, tell};
use super::shared::Remoting;
use super::wire::codes;
use super::wire::command::{Command, Header, HeaderForm};
use super::{dispatch, send, signature};
use crate::net::framed::{Ended, Incoming, Outgoing};
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
    let ended = loop {
        let arrived = match incoming.next().await {
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
        let (who, command) = match sender(client, command).await {
            Ok(sender) => sender,
            Err(refusal) => {
                // Who is in groups over this connection may have come to his end by the clock, of which nobody else hears.
                client.door.engine.recheck_message_clients(client.number);
                client.door.net.count_unauthenticated();
                reply(client, asked, Answer::from(refusal).into()).await;
                continue;
            }
        };
        let client = client.client(who);
        if dispatch::is_send(&command) {
            let begun = send::begin(&client, &command).await;
            drop((arrived, command));
            requests.spawn(async move {
                let answer = match begun {
                    Ok(sending) => sending.finish(&client).await,
                    Err(refusal) => Err(refusal),
                };
                reply(&client, asked, answer.unwrap_or_else(Answer::from).into()).await;
                drop(place);
            });
        } else {
            requests.spawn(async move {
                let answered = dispatch::answer(Arc::clone(&client), command, arrived).await;
                reply(&client, asked, answered.unwrap_or_else(|refusal| Answer::from(refusal).into())).await;
                drop(place);
            });
        }
    };
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
    let (engine, from) = (client.door.engine.clone(), client.address.map(|address| address.ip()));
    if command.body.len() <= SMALL_BODY_BYTES || !engine.has_users() {
        return Ok((signature::sender(&engine, &command, from)?, command));
    }
    let find = move || Ok::<_, Refusal>((signature::sender(&engine, &command, from)?, command));
    client.door.work.run(Waits::Computes, find).await?
}

/// What an answer has to say of its request.
#[derive(Debug, Clone, Copy)]
struct Asked {
    form: HeaderForm,
    opaque: i32,
    one_way: bool,
}

impl Asked {
    fn of(command: &Command) -> Asked {
        Asked { form: command.form, opaque: command.opaque, one_way: command.wants_no_answer() }
    }
}

async fn reply(client: &ClientConnection, asked: Asked, Given { answer, room, handed }: Given) {
    if asked.one_way {
        if answer.code != codes::SUCCESS {
            tracing::debug!(peer = ?client.address, code = answer.code, remark = answer.remark, "refused, one way");
        }
        return;
    }
    let Answer { code, remark, fields, body } = answer;
    let message = match Header::answer(code, asked.opaque, remark, fields).write(asked.form, &body) {
        Ok(message) => message,
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            return;
        }
    };
    let room = match room {
        Some(mut held) => held.split(message.len()),
        None => client.outgoing.room(message.len()).await,
    };
    if client.outgoing.send(message, room).await
        && let Some(handed) = handed
    {
        handed.received();
    }
}
