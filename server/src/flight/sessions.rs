//! Who calls, and in which namespace.
//!
//! gRPC calls stand alone, and each may show a password or a token. A client that shook hands has a bearer token of this door's, which
//! stands for the login that it shook hands with, and a SQL session in which `USE` lasts. It ends with that login. All others start each
//! call in the namespace that its metadata names.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_flight::{BasicAuth, HandshakeRequest};
use millstream_engine::{Engine, ErrorKind, Principal};
use millstream_protocol::{DEFAULT_NAMESPACE, NAMESPACE_METADATA};
use millstream_sql::{SqlEngine, SqlSession};
use prost::Message;
use tonic::metadata::MetadataMap;

use super::error::{DoorError, Result};
use crate::credentials::{self, Shown};
use crate::door::Door;
use crate::logins::{address, log_in};
use crate::net::peer::Peer;

/// In the audit table.
const DOOR: &str = "flight";
/// Metadata in which Flight's older log-in has the token.
const TOKEN_METADATA: &str = "auth-token-bin";
/// What this door's own tokens begin with, so that one it has forgotten is not taken for an attempt to guess another.
const SESSION: &str = "mss_";
/// The session that was used least lately makes room for one more.
const MAX_SESSIONS: usize = 10_000;

/// The sessions of clients that shook hands.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    known: Mutex<Known>,
}

/// Sessions by token; only tokens that were given out are here.
#[derive(Default)]
struct Known {
    sessions: HashMap<String, Entry>,
    /// Tokens in the order of their last use.
    by_use: BTreeMap<u64, String>,
    uses: u64,
}

/// Without the tokens.
impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").field("sessions", &self.sessions.len()).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Entry {
    who: Principal,
    /// Made by the first call.
    session: Option<SqlSession>,
    used: u64,
}

/// What a call says of its caller.
#[derive(Debug)]
pub(super) struct Calling {
    shown: Shown,
    namespace: String,
    peer: Arc<Peer>,
}

/// One call's session.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) session: SqlSession,
    /// Whether what `USE` changes is remembered.
    kept: bool,
}

impl Calling {
    pub(super) fn read(metadata: &MetadataMap, peer: Arc<Peer>) -> Result<Calling> {
        let namespace = match metadata.get(NAMESPACE_METADATA) {
            None => DEFAULT_NAMESPACE,
            Some(value) => value
                .to_str()
                .map_err(|_| DoorError::invalid(format!("the metadata {NAMESPACE_METADATA} is not ASCII text")))?,
        };
        Ok(Calling { shown: shown(metadata)?, namespace: namespace.to_owned(), peer })
    }
}

impl Sessions {
    /// The session of a call.
    pub(super) async fn caller(&self, door: &Door, calling: Calling) -> Result<Caller> {
        let Calling { shown, namespace, peer } = calling;
        match shown {
            Shown::Token(token) if token.starts_with(SESSION) => {
                let session = self.known_session(&token, &door.engine, |who| door.sql.session(who, &namespace))?;
                door.engine.connect(session.principal(), &peer.places)?;
                Ok(Caller { session: session.at(address(DOOR, &peer)), kept: true })
            }
            shown => {
                let who = log_in(door, DOOR, shown, &peer).await?;
                Ok(Caller { session: door.sql.session(who, &namespace), kept: false })
            }
        }
    }

    /// A token for a client that shakes hands; its session begins with its first call. It is always a new one, whatever the client shows.
    pub(super) async fn open(&self, door: &Door, calling: Calling, first: Option<&HandshakeRequest>) -> Result<String> {
        let Calling { shown, peer, .. } = calling;
        let who = match (shown, first) {
            (Shown::Token(token), _) if token.starts_with(SESSION) => self.who(&token, &door.engine)?,
            (Shown::Nothing, Some(first)) => log_in(door, DOOR, logged_in_by(first)?, &peer).await?,
            (shown, _) => log_in(door, DOOR, shown, &peer).await?,
        };
        // 244 random bits.
        let [first, second] = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
        let token = format!("{SESSION}{}{}", first.simple(), second.simple());
        self.lock().insert(token.clone(), who, MAX_SESSIONS);
        Ok(token)
    }

    /// Forgets the session of a call.
    pub(super) fn close(&self, metadata: &MetadataMap) {
        if let Ok(Shown::Token(token)) = shown(metadata) {
            self.lock().remove(&token);
        }
    }

    fn known_session(
        &self,
        token: &str,
        engine: &Engine,
        session: impl FnOnce(Principal) -> SqlSession,
    ) -> Result<SqlSession> {
        let who = self.who(token, engine)?;
        let mut known = self.lock();
        let entry = known.touch(token).ok_or_else(forgotten)?;
        Ok(entry.session.get_or_insert_with(|| session(who)).clone())
    }

    /// Who has shaken hands for a token. A session whose login has ended is none.
    fn who(&self, token: &str, engine: &Engine) -> Result<Principal> {
        let who = self.lock().touch(token).ok_or_else(forgotten)?.who.clone();
        if let Err(ended) = engine.check_login(&who) {
            self.lock().remove(token);
            return Err(ended.into());
        }
        Ok(who)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn insert(&mut self, token: String, who: Principal, most: usize) {
        self.uses += 1;
        self.by_use.insert(self.uses, token.clone());
        self.sessions.insert(token, Entry { who, session: None, used: self.uses });
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

/// What the metadata of a call shows.
fn shown(metadata: &MetadataMap) -> Result<Shown> {
    let headers = metadata.get_all("authorization");
    let shown = credentials::read(headers.iter().map(|value| value.as_bytes())).map_err(unauthenticated)?;
    match metadata.get_bin(TOKEN_METADATA) {
        Some(token) if shown == Shown::Nothing => {
            let token = token.to_bytes().ok().and_then(|token| String::from_utf8(token.to_vec()).ok());
            token
                .map(Shown::Token)
                .ok_or_else(|| unauthenticated(format!("the metadata {TOKEN_METADATA} is malformed")))
        }
        _ => Ok(shown),
    }
}

/// Flight's older log-in sends name and password in the message.
fn logged_in_by(handshake: &HandshakeRequest) -> Result<Shown> {
    if handshake.payload.is_empty() {
        return Ok(Shown::Nothing);
    }
    let BasicAuth { username, password } = BasicAuth::decode(handshake.payload.as_ref())
        .map_err(|_| DoorError::invalid("the handshake is malformed: its payload is no BasicAuth message"))?;
    Ok(Shown::Password { user: username, password })
}

fn forgotten() -> DoorError {
    unauthenticated("the session of the bearer token is none of this server's, or was forgotten since: log in again")
}

fn unauthenticated(message: impl Into<String>) -> DoorError {
    DoorError::new(ErrorKind::Unauthenticated, message)
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
            format!("USE needs a session: log in by a handshake, or send the metadata {NAMESPACE_METADATA} instead"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::fuzz;

    #[test]
    fn the_session_used_least_lately_makes_room() {
        let mut known = Known::default();
        for number in 0..4 {
            known.insert(number.to_string(), Principal::anonymous(), 4);
        }
        assert!(known.touch("0").is_some() && known.touch("2").is_some());
        known.remove("3");
        for number in 4..6 {
            known.insert(number.to_string(), Principal::anonymous(), 4);
        }
        let kept: Vec<bool> = (0..6).map(|number| known.touch(&number.to_string()).is_some()).collect();
        assert_eq!(kept, [true, false, true, false, true, true]);
        for number in 6..1000 {
            known.insert(number.to_string(), Principal::anonymous(), 4);
        }
        assert_eq!((known.sessions.len(), known.by_use.len()), (4, 4));
        assert!(known.touch("invented").is_none());
    }

    #[test]
    fn mutated_handshakes_log_in_or_are_malformed() {
        const PIECES: &[&str] = &["\u{0}", "\n", "\u{12}", "\u{1}", "\u{7f}", "\u{ff}", "ann", ":"];
        let login = BasicAuth { username: "ann".to_owned(), password: "some secret".to_owned() };
        fuzz(&login.encode_to_vec(), PIECES, |bytes| {
            let handshake = HandshakeRequest { protocol_version: 0, payload: bytes.to_vec().into() };
            logged_in_by(&handshake).is_ok_and(|shown| shown != Shown::Nothing)
        });
    }
}
