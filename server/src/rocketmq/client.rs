//! One client, as those know it who carry out its requests.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{FuturesUnordered, StreamExt};
use millstream_engine::Principal;
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
    /// What it was asked and has not answered.
    pub(super) asked: Asked,
    pub(super) said: Said,
    notices: mpsc::Sender<Notice>,
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

impl Client {
    /// With the notices that [`tell`] is to be given.
    pub(super) fn new(
        remoting: Arc<Remoting>,
        door: Door,
        outgoing: Outgoing,
        stop: Stop,
    ) -> (Client, mpsc::Receiver<Notice>) {
        let (notices, noticed) = mpsc::channel(NOTICES);
        let tables =
            Tables { engine: door.engine.clone(), who: Principal::anonymous(), settings: remoting.settings.clone() };
        let client = Client {
            number: numbers::next_connection(),
            address: outgoing.peer().address,
            store_host: remoting.address(outgoing.local),
            remoting,
            door,
            tables,
            outgoing,
            stop,
            asked: Asked::default(),
            said: Said::default(),
            notices,
        };
        (client, noticed)
    }

    /// By the log's time.
    pub(super) fn now_ms(&self) -> i64 {
        self.tables.engine.now_us().div_euclid(1_000)
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
pub(super) async fn tell(client: Arc<Client>, mut noticed: mpsc::Receiver<Notice>) {
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
