//! Clients that have told of themselves, each on a stream of its own. The stream is a client's connection: what is known of it goes
//! with that.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_engine::{Error, ErrorKind, MessageClient, MessageClientRole, MessageSubscription};
use tokio::sync::mpsc;

use super::proto::TelemetryCommand;
use super::status::Done;
use crate::net::sent::{Load, Sent};
use crate::rocketmq::names::ScopedName;
use crate::rocketmq::numbers;
use crate::rocketmq::tables::Tables;

/// What waits to be told to one client.
const COMMANDS: usize = 4;

/// A command, and its room.
pub(super) type Command = (TelemetryCommand, Load);

/// What a client is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// Of a producer the topics it says it sends to, since half messages name no other group; of a consumer its group.
    pub(super) groups: Vec<ScopedName>,
    pub(super) consumes: Option<Vec<MessageSubscription>>,
}

/// One client.
pub(super) struct Session {
    /// Whose client it is: another's of the same id is another.
    user: String,
    pub(super) client_id: String,
    /// No other connection has it, of whichever door.
    pub(super) number: u64,
    address: Option<SocketAddr>,
    /// `None` until it has said so.
    part: Mutex<Option<Part>>,
    commands: mpsc::Sender<Command>,
    sent: Arc<Sent>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("client_id", &self.client_id)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl Part {
    fn role(&self) -> MessageClientRole {
        if self.consumes.is_some() { MessageClientRole::Consumer } else { MessageClientRole::Producer }
    }
}

impl Session {
    /// It is alive, and is what it has said last; false if it has said nothing yet.
    pub(super) fn is_heard(&self, tables: &Tables) -> Done<bool> {
        let part = self.part().clone();
        let Some(part) = part else { return Ok(false) };
        self.alive(tables, &part)?;
        Ok(true)
    }

    /// It says what it is.
    pub(super) fn says(&self, tables: &Tables, part: Part) -> Done<()> {
        self.alive(tables, &part)?;
        let before = self.part().replace(part.clone());
        for group in before.iter().flat_map(|before| &before.groups).filter(|group| !part.groups.contains(group)) {
            let role = before.as_ref().map_or(MessageClientRole::Producer, Part::role);
            let left =
                tables.engine.message_client_left(&tables.who, &group.namespace, &group.name, role, &self.client_id);
            unless_no_producer(role, left)?;
        }
        Ok(())
    }

    /// It says that it goes.
    fn leaves(&self, tables: &Tables) -> Done<()> {
        let part = self.part().clone().unwrap_or_default();
        for group in &part.groups {
            let (namespace, name) = (&group.namespace, &group.name);
            let left = tables.engine.message_client_left(&tables.who, namespace, name, part.role(), &self.client_id);
            unless_no_producer(part.role(), left)?;
        }
        Ok(())
    }

    fn alive(&self, tables: &Tables, part: &Part) -> Done<()> {
        for group in &part.groups {
            let alive = MessageClient {
                client_id: self.client_id.clone(),
                role: part.role(),
                connection: self.number,
                address: self.address.map(|address| address.to_string()).unwrap_or_default(),
                subscriptions: part.consumes.clone().unwrap_or_default(),
            };
            let heard = tables.engine.message_client_alive(&tables.who, &group.namespace, &group.name, alive);
            unless_no_producer(part.role(), heard.map(drop)).inspect_err(|_| {
                tables.engine.recheck_message_clients(self.number);
            })?;
        }
        Ok(())
    }

    fn place(&self) -> (String, String) {
        (self.user.clone(), self.client_id.clone())
    }

    /// Room to tell it something of so many bytes, if there is some now.
    pub(super) fn try_room(&self, bytes: usize) -> Option<Load> {
        self.sent.try_take(bytes)
    }

    /// Tells it something, if it takes what it is told.
    pub(super) fn try_tell(&self, command: Command) {
        drop(self.commands.try_send(command));
    }

    fn part(&self) -> MutexGuard<'_, Option<Part>> {
        self.part.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A producer that may not send to one of its topics is not asked about its messages, and that is all.
fn unless_no_producer(role: MessageClientRole, done: Result<(), Error>) -> Done<()> {
    match done {
        Err(error) if role == MessageClientRole::Producer && error.kind() == ErrorKind::PermissionDenied => Ok(()),
        done => Ok(done?),
    }
}

/// All clients.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// By user and id.
    by_client: HashMap<(String, String), Arc<Session>>,
    by_number: HashMap<u64, Arc<Session>>,
}

impl Sessions {
    /// A client's stream begins, in place of an older one of his.
    pub(super) fn begin(
        &self,
        (user, client_id): (&str, &str),
        address: Option<SocketAddr>,
        sent: &Arc<Sent>,
    ) -> (Arc<Session>, mpsc::Receiver<Command>) {
        let (commands, told) = mpsc::channel(COMMANDS);
        let session = Arc::new(Session {
            user: user.to_owned(),
            client_id: client_id.to_owned(),
            number: numbers::next_connection(),
            address,
            part: Mutex::default(),
            commands,
            sent: Arc::clone(sent),
        });
        let mut known = self.known();
        known.by_number.insert(session.number, Arc::clone(&session));
        known.by_client.insert(session.place(), Arc::clone(&session));
        (session, told)
    }

    /// A client says that it goes. Its stream ends by itself.
    pub(super) fn leave(&self, session: &Session, tables: &Tables) -> Done<()> {
        let left = session.leaves(tables);
        self.end(session, tables);
        left
    }

    /// A stream is over.
    pub(super) fn end(&self, session: &Session, tables: &Tables) {
        {
            let mut known = self.known();
            known.by_number.remove(&session.number);
            let place = session.place();
            if known.by_client.get(&place).is_some_and(|newest| newest.number == session.number) {
                known.by_client.remove(&place);
            }
        }
        tables.engine.message_clients_disconnected(session.number);
    }

    pub(super) fn of(&self, (user, client_id): (&str, &str)) -> Option<Arc<Session>> {
        let place = (user.to_owned(), client_id.to_owned());
        self.known().by_client.get(&place).cloned()
    }

    pub(super) fn by_number(&self, number: u64) -> Option<Arc<Session>> {
        self.known().by_number.get(&number).cloned()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
