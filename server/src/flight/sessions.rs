//! Who calls, and in which namespace.
//!
//! gRPC calls stand alone. A client that shook hands has a bearer token, and with it a SQL session in which `USE` lasts;
//! without one each call starts in the namespace that its metadata names.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use millstream_engine::{ErrorKind, Principal};
use millstream_sql::{SqlEngine, SqlSession};
use tonic::metadata::MetadataMap;

use super::error::{DoorError, Result};

/// Metadata that names the namespace of calls without a session.
const NAMESPACE_METADATA: &str = "millstream-namespace";
const DEFAULT_NAMESPACE: &str = "public";
const MAX_SESSIONS: usize = 10_000;
const MAX_TOKEN_BYTES: usize = 128;
const IDLE: Duration = Duration::from_secs(3600);

/// The sessions of clients that shook hands.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    known: Mutex<HashMap<String, (SqlSession, Instant)>>,
}

/// One call's session.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) session: SqlSession,
    /// Whether what `USE` changes is remembered.
    kept: bool,
}

impl Sessions {
    /// The session of a call. A token that is not known (the server was restarted, or the session has expired) begins a
    /// new session: there is nothing yet that a token could protect.
    pub(super) fn caller(&self, sql: &SqlEngine, metadata: &MetadataMap) -> Result<Caller> {
        let namespace = match metadata.get(NAMESPACE_METADATA) {
            None => DEFAULT_NAMESPACE,
            Some(value) => value
                .to_str()
                .map_err(|_| DoorError::invalid(format!("the metadata {NAMESPACE_METADATA} is not ASCII text")))?,
        };
        let token = metadata.get("authorization").and_then(|value| value.to_str().ok());
        let Some(token) = token.and_then(|value| value.strip_prefix("Bearer ")).filter(|token| !token.is_empty())
        else {
            return Ok(Caller { session: sql.session(Principal::anonymous(), namespace), kept: false });
        };
        if token.len() > MAX_TOKEN_BYTES {
            return Err(DoorError::invalid(format!("the bearer token has more than {MAX_TOKEN_BYTES} bytes")));
        }
        let now = Instant::now();
        let mut known = self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((session, used)) = known.get_mut(token) {
            *used = now;
            return Ok(Caller { session: session.clone(), kept: true });
        }
        if known.len() >= MAX_SESSIONS {
            known.retain(|_, (_, used)| now.duration_since(*used) < IDLE);
        }
        if known.len() >= MAX_SESSIONS {
            return Err(DoorError::new(ErrorKind::ResourceExhausted, "too many sessions are open; retry later"));
        }
        let session = sql.session(Principal::anonymous(), namespace);
        known.insert(token.to_owned(), (session.clone(), now));
        Ok(Caller { session, kept: true })
    }

    /// A token for a client that shakes hands; its session begins with its first call.
    pub(super) fn token(&self) -> String {
        uuid::Uuid::new_v4().simple().to_string()
    }

    /// Forgets the session of a call.
    pub(super) fn close(&self, metadata: &MetadataMap) {
        let token = metadata.get("authorization").and_then(|value| value.to_str().ok());
        if let Some(token) = token.and_then(|value| value.strip_prefix("Bearer ")) {
            self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(token);
        }
    }
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
