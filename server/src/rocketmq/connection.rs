//! One client's connection.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::stream::{FuturesUnordered, StreamExt};
use millstream_engine::Principal;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::answer::{Answer, Refusal};
use super::tables::Tables;
use super::wire::codes;
use super::wire::command::{Command, Header, HeaderForm};
use super::{Remoting, dispatch, send};
use crate::door::Door;
use crate::net::framed::{Ended, Incoming, Outgoing};
use crate::net::sent::Load;
use crate::net::stop::Stop;

/// Requests of one connection that are under way at once, long polls among them.
const REQUESTS: usize = 4_096;
/// Groups of one connection whose consumers are told of others.
const GROUPS: usize = 1_024;

/// Notices that wait to be taken up.
const NOTICES: usize = 64;

/// Groups that a client is told of.
enum Notice {
    Watch(String, watch::Receiver<u64>),
    Forget(String),
}

/// What requests of one connection are carried out with.
pub(super) struct Client {
    pub(super) remoting: Arc<Remoting>,
    pub(super) door: Door,
    pub(super) tables: Tables,
    pub(super) outgoing: Outgoing,
    pub(super) stop: Stop,
    /// No other connection has it.
    pub(super) number: u64,
    pub(super) address: Option<SocketAddr>,
    /// Where clients find this broker, as routes and ids of messages say.
    pub(super) store_host: SocketAddr,
    notices: mpsc::Sender<Notice>,
}

/// Serves one connection to its end.
pub(super) async fn run(remoting: Arc<Remoting>, incoming: Incoming, outgoing: Outgoing, stop: Stop) {
    let door = tokio::select! {
        () = stop.stopped() => return,
        door = remoting.rooms.opened() => door.clone(),
    };
    let (notices, noticed) = mpsc::channel(NOTICES);
    let tables =
        Tables { engine: door.engine.clone(), who: Principal::anonymous(), settings: remoting.settings.clone() };
    let client = Arc::new(Client {
        number: remoting.connections.fetch_add(1, Ordering::Relaxed),
        address: outgoing.peer().address,
        store_host: remoting.address(outgoing.local),
        remoting,
        door,
        tables,
        outgoing,
        stop,
        notices,
    });
    let ended = serve(&client, incoming, noticed).await;
    client.tables.engine.message_clients_disconnected(client.number);
    match ended {
        Ended::Closed | Ended::Gone => {}
        Ended::Malformed | Ended::Late | Ended::NoRoom => {
            tracing::warn!(peer = ?client.address, reason = ?ended, "a RocketMQ client's connection is closed");
        }
    }
}

async fn serve(client: &Arc<Client>, mut incoming: Incoming, noticed: mpsc::Receiver<Notice>) -> Ended {
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
        // Nothing that we send asks for an answer.
        if command.is_answer() {
            continue;
        }
        let asked = Asked::of(&command);
        let place = Arc::clone(&client.remoting.requests).try_acquire_owned().ok();
        let Some(place) = place.filter(|_| requests.len() < REQUESTS) else {
            let busy = Refusal::new(codes::SYSTEM_BUSY, "too many requests are under way; send again later");
            reply(client, asked, busy.into(), None).await;
            continue;
        };
        let client = Arc::clone(client);
        if dispatch::is_send(&command) {
            let begun = send::begin(&client, &command).await;
            drop((arrived, command));
            requests.spawn(async move {
                let answer = match begun {
                    Ok(sending) => sending.finish(&client).await,
                    Err(refusal) => Err(refusal),
                };
                reply(&client, asked, answer.unwrap_or_else(Answer::from), None).await;
                drop(place);
            });
        } else {
            requests.spawn(async move {
                let answered = dispatch::answer(Arc::clone(&client), command).await;
                drop(arrived);
                let (answer, room) = answered.unwrap_or_else(|refusal| (refusal.into(), None));
                reply(&client, asked, answer, room).await;
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

async fn reply(client: &Client, asked: Asked, answer: Answer, room: Option<Load>) {
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
    client.outgoing.send(message, room).await;
}

impl Client {
    /// By the server's wall clock.
    pub(super) fn now_ms(&self) -> i64 {
        self.tables.engine.now_us().div_euclid(1_000)
    }

    fn stopping(&self) -> bool {
        futures::FutureExt::now_or_never(self.stop.stopped()).is_some()
    }

    /// From now on the client is told when consumers of the group come and go: it shares out queues anew then. `group` is as it
    /// writes it.
    pub(super) fn watch_group(&self, group: &str, changes: watch::Receiver<u64>) {
        // Where many come at once, a later heartbeat brings it up again.
        drop(self.notices.try_send(Notice::Watch(group.to_owned(), changes)));
    }

    pub(super) fn forget_group(&self, group: &str) {
        drop(self.notices.try_send(Notice::Forget(group.to_owned())));
    }

    /// 40.
    fn notify(&self, group: &str) {
        let fields = vec![("consumerGroup", group.to_owned())];
        let header = Header::one_way(codes::NOTIFY_CONSUMER_IDS_CHANGED, self.remoting.next_opaque(), fields);
        if let Ok(message) = header.write(HeaderForm::Json, &[]) {
            self.outgoing.notify(message);
        }
    }
}

/// Tells the client of its groups: at once of one that is new, then with every change.
async fn tell(client: Arc<Client>, mut noticed: mpsc::Receiver<Notice>) {
    let (mut groups, mut changes) = (HashSet::new(), FuturesUnordered::new());
    loop {
        tokio::select! {
            notice = noticed.recv() => match notice {
                None => return,
                Some(Notice::Forget(group)) => drop(groups.remove(&group)),
                Some(Notice::Watch(group, receiver)) => {
                    if groups.len() < GROUPS && groups.insert(group.clone()) {
                        client.notify(&group);
                        changes.push(changed(group, receiver));
                    }
                }
            },
            Some((group, receiver)) = changes.next(), if !changes.is_empty() => match receiver {
                Some(receiver) if groups.contains(&group) => {
                    client.notify(&group);
                    changes.push(changed(group, receiver));
                }
                // All of its consumers have gone.
                _ => drop(groups.remove(&group)),
            },
        }
    }
}

async fn changed(group: String, mut receiver: watch::Receiver<u64>) -> (String, Option<watch::Receiver<u64>>) {
    let changed = receiver.changed().await;
    (group, changed.is_ok().then_some(receiver))
}
