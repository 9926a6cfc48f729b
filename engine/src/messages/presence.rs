//! Which clients of a group are alive: those of message queues balance queues among themselves, by the list of these.
//!
//! Nothing of it lasts: after a restart clients are known once they have been heard of. What all of them say is bounded in sum.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::subscription::{LiveSubscription, MessageSubscription};
use crate::model::{Error, Principal, Result, TopicId};

/// A client that was not heard of for this long is gone.
const SILENCE: Duration = Duration::from_secs(120);
/// What clients say of themselves, of all groups together.
const MAX_BYTES: usize = 4 << 20;
/// What an entry takes beside its texts.
const ENTRY_BYTES: usize = 512;

/// What a client is in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageClientRole {
    Consumer,
    Producer,
}

/// A client in one group, as it was heard of last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageClient {
    pub client_id: String,
    pub role: MessageClientRole,
    /// Chosen by the caller, one for each connection: what is heard of the client over another one is newer.
    pub connection: u64,
    pub address: String,
    pub subscriptions: Vec<MessageSubscription>,
}

/// A client's place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClientName {
    pub namespace: Arc<str>,
    pub group: Arc<str>,
    pub role: MessageClientRole,
    pub client_id: Arc<str>,
}

/// All clients that are alive.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    groups: HashMap<(Arc<str>, Arc<str>), Group>,
    by_connection: HashMap<u64, BTreeSet<ClientName>>,
    bytes: usize,
}

#[derive(Debug)]
struct Group {
    clients: BTreeMap<(MessageClientRole, Arc<str>), Alive>,
    /// Changes with its consumers.
    changes: watch::Sender<u64>,
    /// Tables with messages on which a filter of these consumers has failed.
    failing: BTreeSet<TopicId>,
}

#[derive(Debug)]
struct Alive {
    client: MessageClient,
    /// Who has said so.
    who: Principal,
    heard: Duration,
    bytes: usize,
}

/// What a heartbeat has told.
#[derive(Debug)]
pub(crate) struct Heard {
    /// Changes whenever consumers of the group come or go.
    pub changes: watch::Receiver<u64>,
    /// A consumer of the group that subscribes to the same topic with another expression, and the topic.
    pub differing: Option<(String, String)>,
}

impl Presence {
    /// A client is alive, and `who` says this of it.
    pub(crate) fn heard(
        &self,
        (namespace, group): (&str, &str),
        client: MessageClient,
        who: &Principal,
        now: Duration,
    ) -> Result<Heard> {
        let mut inner = self.inner.lock();
        let name = ClientName {
            namespace: Arc::from(namespace),
            group: Arc::from(group),
            role: client.role,
            client_id: Arc::from(client.client_id.as_str()),
        };
        let bytes = bytes_of(&name, &client);
        let before = inner.alive(&name).map_or(0, |alive| alive.bytes);
        if inner.bytes - before + bytes > MAX_BYTES {
            inner.expire_all(now);
        }
        let before = inner.alive(&name).map_or(0, |alive| alive.bytes);
        if inner.bytes - before + bytes > MAX_BYTES {
            return Err(Error::Busy(format!("clients of groups say more of themselves than {MAX_BYTES} bytes")));
        }
        inner.bytes = inner.bytes - before + bytes;
        let key = (name.namespace.clone(), name.group.clone());
        let place = (name.role, name.client_id.clone());
        let connection = client.connection;
        let found = inner.groups.entry(key).or_default();
        let differing = found.differing(&client);
        let asked = client.subscriptions.clone();
        let was = found.clients.insert(place, Alive { client, who: who.clone(), heard: now, bytes });
        let is_changed = match (&was, name.role) {
            (None, MessageClientRole::Consumer) => true,
            (Some(was), MessageClientRole::Consumer) => was.client.connection != connection,
            (_, MessageClientRole::Producer) => false,
        };
        if is_changed {
            found.changes.send_modify(|changes| *changes += 1);
        }
        let asks_anew = was.as_ref().is_some_and(|was| !same(&was.client.subscriptions, &asked));
        if is_changed || asks_anew {
            found.failing.clear();
        }
        let changes = found.changes.subscribe();
        if let Some(was) = was.filter(|was| was.client.connection != connection) {
            inner.forget_connection(was.client.connection, &name);
        }
        inner.by_connection.entry(connection).or_default().insert(name);
        Ok(Heard { changes, differing: differing.filter(|_| is_changed || asks_anew) })
    }

    /// Whether a producer of the group is alive.
    pub(crate) fn has_producer(&self, namespace: &str, group: &str, now: Duration) -> bool {
        self.of_group(namespace, group, now).iter().any(|client| client.role == MessageClientRole::Producer)
    }

    pub(crate) fn is_alive(&self, name: &ClientName, now: Duration) -> bool {
        let inner = self.inner.lock();
        inner.alive(name).is_some_and(|alive| now.saturating_sub(alive.heard) <= SILENCE)
    }

    /// A client has left a group.
    pub(crate) fn left(&self, name: &ClientName) {
        let mut inner = self.inner.lock();
        if let Some(connection) = inner.alive(name).map(|alive| alive.client.connection) {
            inner.forget_connection(connection, name);
            inner.remove(name);
        }
    }

    /// Whom clients are there for: those that were heard of over a connection, or all.
    pub(crate) fn whose(&self, over: Option<u64>) -> Vec<(ClientName, Principal)> {
        let inner = self.inner.lock();
        let names: Vec<&ClientName> = match over {
            Some(connection) => inner.by_connection.get(&connection).into_iter().flatten().collect(),
            None => inner.by_connection.values().flatten().collect(),
        };
        names.into_iter().filter_map(|name| Some((name.clone(), inner.alive(name)?.who.clone()))).collect()
    }

    /// All that was heard of over a connection has gone with it.
    pub(crate) fn disconnected(&self, connection: u64) {
        let mut inner = self.inner.lock();
        let gone = inner.by_connection.remove(&connection).unwrap_or_default();
        gone.iter().for_each(|name| inner.remove(name));
    }

    /// Those of a group, in the order of their names.
    pub(crate) fn of_group(&self, namespace: &str, group: &str, now: Duration) -> Vec<MessageClient> {
        self.with_whose(namespace, group, now).into_iter().map(|(client, _)| client).collect()
    }

    /// The same, each with whom it is there for.
    pub(crate) fn with_whose(&self, namespace: &str, group: &str, now: Duration) -> Vec<(MessageClient, Principal)> {
        let mut inner = self.inner.lock();
        inner.expire(&(Arc::from(namespace), Arc::from(group)), now);
        let found = inner.groups.get(&(Arc::from(namespace), Arc::from(group)));
        let of = |alive: &Alive| (alive.client.clone(), alive.who.clone());
        found.map_or_else(Vec::new, |group| group.clients.values().map(of).collect())
    }

    /// Those of all groups, each with its namespace and group, in the order of these and of their names.
    pub(crate) fn all(&self, now: Duration) -> Vec<(String, String, MessageClient)> {
        let mut inner = self.inner.lock();
        inner.expire_all(now);
        let of_group = |((namespace, name), group): (&(Arc<str>, Arc<str>), &Group)| {
            let clients =
                group.clients.values().map(|alive| (namespace.to_string(), name.to_string(), alive.client.clone()));
            clients.collect::<Vec<_>>()
        };
        let mut all: Vec<_> = inner.groups.iter().flat_map(of_group).collect();
        all.sort_by_key(|(namespace, group, client)| {
            (namespace.clone(), group.clone(), client.role, client.client_id.clone())
        });
        all
    }

    /// What all consumers ask for, group by group.
    pub(crate) fn subscriptions(&self, now: Duration) -> Vec<LiveSubscription> {
        let mut inner = self.inner.lock();
        inner.expire_all(now);
        let mut all = Vec::new();
        for ((namespace, name), group) in &inner.groups {
            for client in group.consumers() {
                all.extend(client.subscriptions.iter().map(|subscription| LiveSubscription {
                    namespace: namespace.to_string(),
                    group: name.to_string(),
                    client_id: client.client_id.clone(),
                    address: client.address.clone(),
                    subscription: subscription.clone(),
                    differs: group.other_than(client, subscription).is_some(),
                }));
            }
        }
        all.sort_by(|one, other| one.key().cmp(&other.key()));
        all
    }

    /// A filter of a group has failed on a message; true the first time since its consumers have changed.
    pub(crate) fn filter_failed(&self, namespace: &str, group: &str, topic: TopicId) -> bool {
        let mut inner = self.inner.lock();
        let group = inner.groups.get_mut(&(Arc::from(namespace), Arc::from(group)));
        group.is_some_and(|group| group.failing.insert(topic))
    }

    /// What a group's consumers ask for on a topic: the one behind the connection, or else the newest of it, so that each is given
    /// what it has asked for itself. `None` where none of them asks; an error of kind `NotFound` where the group has no consumers.
    pub(crate) fn subscription(
        &self,
        namespace: &str,
        group: &str,
        topic: &str,
        connection: u64,
    ) -> Result<Option<MessageSubscription>> {
        let inner = self.inner.lock();
        let none = || Error::NotFound { what: "client of consumer group", name: group.to_owned() };
        let found = inner.groups.get(&(Arc::from(namespace), Arc::from(group))).ok_or_else(none)?;
        let mut consumers = found.consumers().peekable();
        consumers.peek().ok_or_else(none)?;
        let all = consumers
            .flat_map(|client| client.subscriptions.iter().map(move |of| (client.connection == connection, of)));
        let newest = all.filter(|(_, of)| of.topic == topic).max_by_key(|(own, of)| (*own, of.version));
        Ok(newest.map(|(_, of)| of.clone()))
    }
}

impl Default for Group {
    fn default() -> Group {
        Group { clients: BTreeMap::new(), changes: watch::Sender::new(0), failing: BTreeSet::new() }
    }
}

impl Group {
    fn consumers(&self) -> impl Iterator<Item = &MessageClient> {
        self.clients.values().map(|alive| &alive.client).filter(|client| client.role == MessageClientRole::Consumer)
    }

    fn differing(&self, client: &MessageClient) -> Option<(String, String)> {
        let mut asked = client.subscriptions.iter();
        asked.find_map(|mine| self.other_than(client, mine).map(|other| (other.client_id.clone(), mine.topic.clone())))
    }

    /// Another consumer that does not ask for the same messages of a topic.
    fn other_than(&self, client: &MessageClient, mine: &MessageSubscription) -> Option<&MessageClient> {
        let mut others = self.consumers().filter(|other| other.client_id != client.client_id);
        others.find(|other| {
            let same_topic = other.subscriptions.iter().find(|its| its.topic == mine.topic);
            same_topic.is_none_or(|its| !its.is_as(mine))
        })
    }
}

impl Inner {
    fn alive(&self, name: &ClientName) -> Option<&Alive> {
        let group = self.groups.get(&(name.namespace.clone(), name.group.clone()))?;
        group.clients.get(&(name.role, name.client_id.clone()))
    }

    fn remove(&mut self, name: &ClientName) {
        let key = (name.namespace.clone(), name.group.clone());
        let Some(group) = self.groups.get_mut(&key) else { return };
        let Some(gone) = group.clients.remove(&(name.role, name.client_id.clone())) else { return };
        self.bytes = self.bytes.saturating_sub(gone.bytes);
        if name.role == MessageClientRole::Consumer {
            group.changes.send_modify(|changes| *changes += 1);
        }
        if group.clients.is_empty() {
            self.groups.remove(&key);
        }
    }

    fn forget_connection(&mut self, connection: u64, name: &ClientName) {
        if let Some(names) = self.by_connection.get_mut(&connection) {
            names.remove(name);
            if names.is_empty() {
                self.by_connection.remove(&connection);
            }
        }
    }

    fn expire(&mut self, key: &(Arc<str>, Arc<str>), now: Duration) {
        let Some(group) = self.groups.get(key) else { return };
        let silent = group.clients.iter().filter(|(_, alive)| now.saturating_sub(alive.heard) > SILENCE);
        let silent: Vec<(ClientName, u64)> = silent
            .map(|((role, client_id), alive)| {
                let (namespace, group) = key.clone();
                (ClientName { namespace, group, role: *role, client_id: client_id.clone() }, alive.client.connection)
            })
            .collect();
        for (name, connection) in silent {
            self.forget_connection(connection, &name);
            self.remove(&name);
        }
    }

    fn expire_all(&mut self, now: Duration) {
        let groups: Vec<_> = self.groups.keys().cloned().collect();
        groups.iter().for_each(|group| self.expire(group, now));
    }
}

fn same(one: &[MessageSubscription], other: &[MessageSubscription]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.topic == other.topic && one.is_as(other))
}

fn bytes_of(name: &ClientName, client: &MessageClient) -> usize {
    let texts = name.namespace.len() + name.group.len() + 3 * client.client_id.len() + client.address.len();
    let subscriptions: usize = client.subscriptions.iter().map(MessageSubscription::bytes).sum();
    ENTRY_BYTES + texts + subscriptions
}

#[cfg(test)]
mod tests;
