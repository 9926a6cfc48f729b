//! Who calls.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::Lsn;

const ANONYMOUS: &str = "anonymous";
const SYSTEM: &str = "system";

/// Who makes a call, and who owns what was created. Every engine call takes one; `crate::access` is the one place that
/// decides. Two are the same if their names are: how somebody has logged in, and where he calls from, makes him nobody else.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Principal {
    name: Arc<str>,
    /// How he has logged in. `None` of owners, as definitions name them, and of callers while nobody has to.
    login: Option<Arc<LoggedIn>>,
    address: CallerAddress,
}

/// Where somebody calls from, for the audit table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CallerAddress {
    /// `None` where it is not known, or where he is in this very process.
    pub ip: Option<IpAddr>,
    /// The door that he has come by; empty for none.
    pub door: &'static str,
}

impl From<Option<IpAddr>> for CallerAddress {
    fn from(ip: Option<IpAddr>) -> CallerAddress {
        CallerAddress { ip, door: "" }
    }
}

/// A login, and when it was found to stand.
struct LoggedIn {
    login: Login,
    /// By the number of the changes to who there is; 0: not yet.
    stood_at: AtomicU64,
}

/// What a login rests on: once that is gone, so is the login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Login {
    /// Of the user's record; `None` of those who are users of somebody else's directory.
    pub created: Option<Lsn>,
    pub by: LoginBy,
    /// µs since the Unix epoch.
    pub expires_us: Option<i64>,
    /// That a directory elsewhere says he has, beside those that he was given here.
    pub roles: Vec<Arc<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum LoginBy {
    /// The password that was set by this record.
    Password(Lsn),
    /// By its digest.
    Token([u8; 32]),
    /// By its id and when its secret was made.
    Key(Arc<str>, i64),
    /// Which the door has checked.
    Certificate,
    /// Which the door has checked.
    Claims,
}

impl Principal {
    /// Whoever connects without credentials. Definitions that were recorded while nobody needed any are his.
    pub fn anonymous() -> Principal {
        Principal::named(ANONYMOUS)
    }

    /// The server itself, for what it does of its own accord. Nobody logs in as this one.
    pub fn system() -> Principal {
        Principal::named(SYSTEM)
    }

    /// An owner, or a caller where nobody has to log in.
    pub fn named(name: &str) -> Principal {
        Principal { name: Arc::from(name), login: None, address: CallerAddress::default() }
    }

    pub(crate) fn logged_in(name: Arc<str>, login: Login) -> Principal {
        Principal {
            name,
            login: Some(Arc::new(LoggedIn { login, stood_at: AtomicU64::new(0) })),
            address: CallerAddress::default(),
        }
    }

    /// The same, calling from there.
    pub fn at(self, address: CallerAddress) -> Principal {
        Principal { address, ..self }
    }

    pub(crate) fn address(&self) -> CallerAddress {
        self.address
    }

    /// The name shown in logs and system tables.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn login(&self) -> Option<&Login> {
        self.login.as_deref().map(|logged_in| &logged_in.login)
    }

    /// Whether what the login rests on was found to stand when who there is had this number. Whether it has expired is another matter.
    pub(crate) fn stood_at(&self, version: u64) -> bool {
        self.login.as_deref().is_some_and(|login| login.stood_at.load(Ordering::Acquire) == version)
    }

    /// The login was found to stand then, for all who have logged in by it.
    pub(crate) fn stands_at(&self, version: u64) {
        if let Some(login) = self.login.as_deref() {
            login.stood_at.store(version, Ordering::Release);
        }
    }

    /// As definitions name him: what he made stays his, however he had logged in when he made it.
    pub(crate) fn as_owner(&self) -> Principal {
        Principal { name: self.name.clone(), login: None, address: CallerAddress::default() }
    }

    pub fn is_anonymous(&self) -> bool {
        self.login.is_none() && self.name.as_ref() == ANONYMOUS
    }

    pub(crate) fn is_system(&self) -> bool {
        self.login.is_none() && self.name.as_ref() == SYSTEM
    }
}

impl PartialEq for Principal {
    fn eq(&self, other: &Principal) -> bool {
        self.name == other.name
    }
}

impl Eq for Principal {}

impl Hash for Principal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Principal").field(&self.name).finish()
    }
}

impl From<String> for Principal {
    fn from(name: String) -> Principal {
        Principal::named(&name)
    }
}

impl From<Principal> for String {
    fn from(principal: Principal) -> String {
        principal.name.as_ref().to_owned()
    }
}
