//! Who calls, and in which namespace.
//!
//! gRPC calls stand alone. A client that shook hands has a bearer token, and with it a SQL session in which `USE` lasts;
//! without one each call starts in the namespace that its metadata names.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use arrow_flight::{BasicAuth, HandshakeRequest};
use millstream_engine::{ErrorKind, Principal};
use millstream_protocol::{DEFAULT_NAMESPACE, NAMESPACE_METADATA};
use millstream_sql::{SqlEngine, SqlSession};
use prost::Message;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::error::{DoorError, Result};
use crate::credentials::{self, Credentials};

/// Metadata in which Flight's older log-in has the token.
const TOKEN_METADATA: &str = "auth-token-bin";
/// The session that was used least lately makes room for one more.
const MAX_SESSIONS: usize = 10_000;

/// The sessions of clients that shook hands.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    known: Mutex<Known>,
}

/// Sessions by token; only tokens that were given out are here.
#[derive(Debug, Default)]
struct Known {
    sessions: HashMap<String, Entry>,
    /// Tokens in the order of their last use.
    by_use: BTreeMap<u64, String>,
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    /// Made by the first call.
    session: Option<SqlSession>,
    used: u64,
}

/// One call's session.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) session: SqlSession,
    /// Whether what `USE` changes is remembered.
    kept: bool,
}

impl Sessions {
    /// The session of a call. A token that this server has not given out, or has forgotten since, is refused.
    pub(super) fn caller(&self, sql: &SqlEngine, metadata: &MetadataMap) -> Result<Caller, Status> {
        let namespace = match metadata.get(NAMESPACE_METADATA) {
            None => DEFAULT_NAMESPACE,
            Some(value) => value
                .to_str()
                .map_err(|_| DoorError::invalid(format!("the metadata {NAMESPACE_METADATA} is not ASCII text")))?,
        };
        let session = || sql.session(Principal::anonymous(), namespace);
        let Some(token) = token(metadata)? else { return Ok(Caller { session: session(), kept: false }) };
        let mut known = self.lock();
        let entry = known.touch(&token).ok_or_else(|| {
            unauthenticated(
                "the bearer token is none of this server's, or was forgotten since: log in again".to_owned(),
            )
        })?;
        Ok(Caller { session: entry.session.get_or_insert_with(session).clone(), kept: true })
    }

    /// A token for a client that shakes hands; its session begins with its first call.
    pub(super) fn open(&self, metadata: &MetadataMap, first: Option<&HandshakeRequest>) -> Result<String, Status> {
        stated(metadata)?;
        // Flight's older log-in sends name and password in the message.
        if let Some(login) = first.filter(|first| !first.payload.is_empty()) {
            let login = BasicAuth::decode(login.payload.as_ref())
                .map_err(|error| DoorError::invalid(format!("the handshake is malformed: {error}")))?;
            credentials::check_password(&login.password).map_err(unauthenticated)?;
        }
        let token = uuid::Uuid::new_v4().simple().to_string();
        self.lock().insert(token.clone(), MAX_SESSIONS);
        Ok(token)
    }

    /// Forgets the session of a call.
    pub(super) fn close(&self, metadata: &MetadataMap) {
        if let Ok(Some(token)) = token(metadata) {
            self.lock().remove(&token);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn insert(&mut self, token: String, most: usize) {
        self.uses += 1;
        self.by_use.insert(self.uses, token.clone());
        self.sessions.insert(token, Entry { session: None, used: self.uses });
        while self.sessions.len() > most {
            let Some((_, oldest)) = self.by_use.pop_first() else { return };
            self.sessions.remove(&oldest);
        }
    }

    /// What belongs to a token, which is the last used one now.
    fn touch(&mut self, token: &str) -> Option<&mut Entry> {
        let entry = self.sessions.get_mut(token)?;
        self.uses += 1;
        if let Some(token) = self.by_use.remove(&entry.used) {
            self.by_use.insert(self.uses, token);
        }
        entry.used = self.uses;
        Some(entry)
    }

    fn remove(&mut self, token: &str) {
        if let Some(entry) = self.sessions.remove(token) {
            self.by_use.remove(&entry.used);
        }
    }
}

fn stated(metadata: &MetadataMap) -> Result<Credentials, Status> {
    credentials::read(metadata.get("authorization").map(|value| value.as_bytes())).map_err(unauthenticated)
}

/// The token that a call names.
fn token(metadata: &MetadataMap) -> Result<Option<String>, Status> {
    if let Credentials::Token(token) = stated(metadata)? {
        return Ok(Some(token));
    }
    let Some(token) = metadata.get_bin(TOKEN_METADATA) else { return Ok(None) };
    let token = token.to_bytes().map_err(|error| DoorError::invalid(format!("{TOKEN_METADATA}: {error}")))?;
    Ok(Some(String::from_utf8_lossy(&token).into_owned()))
}

/// The protocols have a code for it, and the engine, which knows no log-in, has no kind.
fn unauthenticated(message: String) -> Status {
    let refused = Status::from(DoorError::new(ErrorKind::PermissionDenied, message));
    Status::with_metadata(tonic::Code::Unauthenticated, refused.message(), refused.metadata().clone())
}

impl Caller {
    /// The caller in the namespace that a statement was planned in.
    pub(super) fn within(self, sql: &SqlEngine, namespace: &str) -> Caller {
        if self.session.namespace() == namespace {
            return self;
        }
        Caller { session: sql.session(self.session.principal().clone(), namespace), kept: false }
    }

    /// To be called after a statement that began in `before`: a `USE` that nobody will remember is refused, not ignored.
    pub(super) fn check_kept(&self, before: &str) -> Result<()> {
        if self.kept || self.session.namespace() == before {
            return Ok(());
        }
        Err(DoorError::new(
            ErrorKind::FailedPrecondition,
            format!("USE needs a session: connect with a user name, or send the metadata {NAMESPACE_METADATA} instead"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_used_least_lately_makes_room() {
        let mut known = Known::default();
        for number in 0..4 {
            known.insert(number.to_string(), 4);
        }
        assert!(known.touch("0").is_some() && known.touch("2").is_some());
        known.remove("3");
        for number in 4..6 {
            known.insert(number.to_string(), 4);
        }
        let kept: Vec<bool> = (0..6).map(|number| known.touch(&number.to_string()).is_some()).collect();
        assert_eq!(kept, [true, false, true, false, true, true]);
        for number in 6..1000 {
            known.insert(number.to_string(), 4);
        }
        assert_eq!((known.sessions.len(), known.by_use.len()), (4, 4));
        assert!(known.touch("invented").is_none());
    }
}
