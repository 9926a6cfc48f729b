//! One client, as those know it who carry out its requests: its connection, and for whom each request is carried out.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{FuturesUnordered, StreamExt};
use millstream_engine::{MessageClientRole, Principal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinError;

use super::answer::Refusal;
use super::asking::{self, Asked};
use super::names::ScopedName;
use super::numbers;
use super::shared::Remoting;
use super::tables::Tables;
use super::trace::Who;
use super::wire::codes;
use super::wire::command::{Header, HeaderForm};
use crate::door::Door;
use crate::net::framed::Outgoing;
use crate::net::stop::Stop;
use crate::work::{READ_BYTES, Waits};

/// Groups of one connection whose consumers are told of others.
const GROUPS: usize = 1_024;

/// No client is called by a longer name.
const MAX_CLIENT_ID_BYTES: usize = 255;
/// Notices that wait to be taken up.
const NOTICES: usize = 64;

/// Groups that a client is told of.
pub(super) enum Notice {
    Watch(Watched, watch::Receiver<u64>),
    Forget(String),
}

/// A group, and who consumes in it.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    /// As the client writes it.
    pub(super) wire: String,
    pub(super) group: ScopedName,
    pub(super) who: Principal,
}

/// One client's connection.
pub(super) struct ClientConnection {
    pub(super) remoting: Arc<Remoting>,
    pub(super) door: Door,
    pub(super) outgoing: Outgoing,
    pub(super) stop: Stop,
    /// No other connection has it.
    pub(super) number: u64,
    pub(super) address: Option<SocketAddr>,
    /// Where clients find this broker, as routes and ids of messages say.
    pub(super) store_host: SocketAddr,
    /// What it was asked and has not answered.
    pub(super) asked: Asked,
    pub(super) said: Said,
    notices: mpsc::Sender<Notice>,
}

/// What one request is carried out with: the connection over which it came, and the way to tables of whom it is carried out for.
pub(super) struct Client {
    connection: Arc<ClientConnection>,
    pub(super) tables: Tables,
}

impl Deref for Client {
    type Target = ClientConnection;

    fn deref(&self) -> &ClientConnection {
        &self.connection
    }
}

/// What a client says of itself beside what the engine knows of it.
#[derive(Debug, Default)]
pub(super) struct Said(Mutex<SaidWords>);

#[derive(Debug, Default)]
struct SaidWords {
    client_id: String,
    language: String,
    version: i32,
    /// How it consumes, by group as it writes it.
    groups: HashMap<String, Consuming>,
}

/// How a client consumes in a group, in its words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Consuming {
    pub(super) kind: Option<String>,
    pub(super) model: Option<String>,
    pub(super) from: Option<String>,
}

impl Said {
    pub(super) fn release(&self, language: &str, version: i32) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Words of clients are short.
        let words = Some(language).filter(|language| language.len() <= 16 && !language.is_empty());
        (said.language, said.version) = (words.unwrap_or("OTHER").to_owned(), version);
    }

    pub(super) fn is_called(&self, client_id: &str) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if client_id.len() <= MAX_CLIENT_ID_BYTES && said.client_id != client_id {
            client_id.clone_into(&mut said.client_id);
        }
    }

    /// What the client calls itself, if it has said so.
    pub(super) fn client_id(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).client_id.clone()
    }

    /// Language and version.
    pub(super) fn released(&self) -> (String, i32) {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (said.language.clone(), said.version)
    }

    pub(super) fn consumes(&self, group: &str, consuming: Consuming) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.groups.len() < GROUPS || said.groups.contains_key(group) {
            said.groups.insert(group.to_owned(), consuming);
        }
    }

    pub(super) fn consuming(&self, group: &str) -> Consuming {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.groups.get(group).cloned().unwrap_or_default()
    }
}

impl ClientConnection {
    /// With the notices that [`tell`] is to be given.
    pub(super) fn new(
        remoting: Arc<Remoting>,
        door: Door,
        outgoing: Outgoing,
        stop: Stop,
    ) -> (ClientConnection, mpsc::Receiver<Notice>) {
        let (notices, noticed) = mpsc::channel(NOTICES);
        let connection = ClientConnection {
            number: numbers::next_connection(),
            address: outgoing.peer().address,
            store_host: remoting.address(outgoing.local),
            remoting,
            door,
            outgoing,
            stop,
            asked: Asked::default(),
            said: Said::default(),
            notices,
        };
        (connection, noticed)
    }

    /// For a request that is carried out for this principal.
    pub(super) fn client(self: &Arc<Self>, who: Principal) -> Arc<Client> {
        let (engine, settings) = (self.door.engine.clone(), self.remoting.settings.clone());
        Arc::new(Client { connection: Arc::clone(self), tables: Tables { engine, who, settings } })
    }

    /// By the log's time.
    pub(super) fn now_ms(&self) -> i64 {
        self.door.engine.now_us().div_euclid(1_000)
    }

    /// Asks the client, and waits for what it says: its answer, with the room of that.
    pub(super) async fn ask(
        &self,
        code: i32,
        fields: Vec<(&'static str, String)>,
        body: &[u8],
    ) -> Result<asking::Answered, Refusal> {
        let opaque = self.remoting.next_opaque();
        let header = Header { code, opaque, flag: 0, remark: None, fields };
        let message = header.write(HeaderForm::Json, body)?;
        self.asked.ask((code, opaque), message, &self.outgoing, &self.stop).await
    }

    /// Runs a call that reads rows, and holds room for what it looks at.
    pub(super) async fn reading<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let _room = self.outgoing.room(READ_BYTES).await;
        self.door.work.run(Waits::ForRows, call).await
    }

    /// This client as a consumer of a group.
    pub(super) fn as_consumer(&self, group: &ScopedName) -> Who {
        Who::of(group, &self.said.client_id(), self.address)
    }

    pub(super) fn stopping(&self) -> bool {
        futures::FutureExt::now_or_never(self.stop.stopped()).is_some()
    }

    /// From now on the client is told when consumers of the group come and go: it shares out queues anew then.
    pub(super) fn watch_group(&self, watched: Watched, changes: watch::Receiver<u64>) {
        // Where many come at once, a later heartbeat brings it up again.
        drop(self.notices.try_send(Notice::Watch(watched, changes)));
    }

    pub(super) fn forget_group(&self, group: &str) {
        drop(self.notices.try_send(Notice::Forget(group.to_owned())));
    }

    /// 40, to who may still consume in the group; false of others.
    fn notify(&self, Watched { wire, group, who }: &Watched) -> bool {
        let ScopedName { namespace, name } = group;
        if self.door.engine.check_message_client(who, MessageClientRole::Consumer, namespace, name).is_err() {
            return false;
        }
        let fields = vec![("consumerGroup", wire.clone())];
        let header = Header::one_way(codes::NOTIFY_CONSUMER_IDS_CHANGED, self.remoting.next_opaque(), fields);
        if let Ok(message) = header.write(HeaderForm::Json, &[]) {
            self.outgoing.notify(message);
        }
        true
    }
}

/// Tells the client of its groups: at once of one that is new, then with every change.
pub(super) async fn tell(client: Arc<ClientConnection>, mut noticed: mpsc::Receiver<Notice>) {
    let (mut groups, mut changes) = (HashSet::new(), FuturesUnordered::new());
    loop {
        tokio::select! {
            notice = noticed.recv() => match notice {
                None => return,
                Some(Notice::Forget(group)) => drop(groups.remove(&group)),
                Some(Notice::Watch(watched, receiver)) => {
                    if groups.len() < GROUPS && groups.insert(watched.wire.clone()) {
                        client.notify(&watched);
                        changes.push(changed(watched, receiver));
                    }
                }
            },
            Some((watched, receiver)) = changes.next(), if !changes.is_empty() => match receiver {
                Some(receiver) if groups.contains(&watched.wire) && client.notify(&watched) => {
                    changes.push(changed(watched, receiver));
                }
                // All of its consumers have gone, or this one may not consume any more.
                _ => drop(groups.remove(&watched.wire)),
            },
        }
    }
}

async fn changed(watched: Watched, mut receiver: watch::Receiver<u64>) -> (Watched, Option<watch::Receiver<u64>>) {
    let changed = receiver.changed().await;
    (watched, changed.is_ok().then_some(receiver))
}
