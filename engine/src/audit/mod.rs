//! Who did what to which object, from where and with what outcome: the lines of the table `system.audit`.
//!
//! What is defined is told of in its own submission, so that it is done if and only if there is a line of it. Who has logged in, what was
//! refused and what has failed waits here for a thread of the front that appends it: within bounds, so that nobody fills memory or the
//! disk by asking.

mod deeds;
mod line;
#[cfg(test)]
mod tests;
mod waiting;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use crate::access::{Access, Action, Object};
use crate::credentials::Credentials;
use crate::identities::Digest;
use crate::model::{CallerAddress, Error, LoginBy, Principal, Result};
use crate::platform::{AuditOptions, Clock};

pub(crate) use deeds::deeds_of;
pub(crate) use line::{AuditLine, Deed, Outcome, audit_columns, audit_rows};
pub(crate) use waiting::WaitingLines;
use waiting::{Class, Noted};

/// What is told of, for all who tell.
#[derive(Debug)]
pub(crate) struct Audit {
    clock: Arc<dyn Clock>,
    reads: bool,
    /// The table is there.
    is_on: AtomicBool,
    waiting: Arc<WaitingLines>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Makes one number of what makes lines alike; nobody outside can choose what collides.
    hasher: RandomState,
}

impl Audit {
    pub(crate) fn new(options: AuditOptions, clock: Arc<dyn Clock>) -> Audit {
        Audit {
            reads: options.reads,
            is_on: AtomicBool::new(false),
            waiting: Arc::new(WaitingLines::new(clock.clone())),
            thread: Mutex::default(),
            hasher: RandomState::new(),
            clock,
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Acquire)
    }

    /// From now on lines are kept, by this thread; `start` is not asked for another one.
    pub(crate) fn begin(&self, start: impl FnOnce(Arc<WaitingLines>) -> Result<JoinHandle<()>>) -> Result<()> {
        let mut thread = self.thread.lock();
        if thread.is_none() {
            *thread = Some(start(self.waiting.clone())?);
        }
        self.is_on.store(true, Ordering::Release);
        Ok(())
    }

    /// Ends the thread, which writes what waits first: it is to be waited for.
    pub(crate) fn stop(&self) -> Option<JoinHandle<()>> {
        self.waiting.stop();
        self.thread.lock().take()
    }

    /// Lines that could not be kept since opening.
    pub(crate) fn lost(&self) -> u64 {
        self.waiting.lost()
    }

    /// A line of what `who` does now.
    pub(crate) fn line(&self, access: &Access, who: &Principal, deed: Deed, outcome: Outcome) -> AuditLine {
        let CallerAddress { ip, door } = who.address();
        let (principal, login) = (Some(who.name().to_owned()), login_of(access, who));
        AuditLine { at_us: self.clock.wall_us(), principal, login, ip, door, deed, outcome }
    }

    /// Keeps a line as it is.
    pub(crate) fn tell(&self, line: AuditLine) {
        if self.is_on() {
            self.waiting.tell(line);
        }
    }

    /// What was asked of [`Access`], and answered. What is only looked at is no matter of this.
    pub(crate) fn checked(
        &self,
        access: &Access,
        who: &Principal,
        action: Action,
        object: &Object<'_>,
        answer: &Result<()>,
    ) {
        if !self.is_on() || who.is_system() {
            return;
        }
        let (class, outcome) = match (answer, action) {
            (Err(Error::PermissionDenied(_)), Action::See | Action::Follow) => return,
            (Err(Error::PermissionDenied(_)), _) => (Class::Refused, Outcome::Refused),
            (Ok(()), Action::Read | Action::Consume) if self.reads => (Class::Read, Outcome::Done),
            _ => return,
        };
        let Object { kind, namespace, name, .. } = *object;
        self.noted((who.name(), who.address(), action.name(), kind, (namespace, name), outcome), class, || {
            let detail = match outcome {
                Outcome::Done => String::new(),
                _ => format!("it needs {} on {}", action.wanted(), object.shown()),
            };
            let deed = Deed::new(action.name(), kind.name(), namespace, name).with(detail);
            self.line(access, who, deed, outcome)
        });
    }

    /// What was refused of the right to grant.
    pub(crate) fn not_granted(&self, access: &Access, who: &Principal, answer: &Result<()>) {
        let Err(Error::PermissionDenied(why)) = answer else { return };
        if !self.is_on() {
            return;
        }
        self.noted((who.name(), who.address(), "grant", why), Class::Refused, || {
            let deed = Deed::new("grant", "server", "", "").with(why.clone());
            self.line(access, who, deed, Outcome::Refused)
        });
    }

    /// What should have been done, and what came in between.
    pub(crate) fn failed(&self, access: &Access, who: &Principal, deeds: Vec<Deed>, error: &Error) {
        for deed in deeds {
            let Deed { action, kind, namespace, name, .. } = &deed;
            let key = (who.name(), who.address(), *action, *kind, namespace.as_str(), name.as_str());
            self.noted(key, Class::Failed, || {
                let deed = Deed { detail: error.to_string(), ..deed.clone() };
                self.line(access, who, deed, Outcome::Failed)
            });
        }
    }

    /// Somebody has shown this, or nothing, and is let in or not. Whom he has claimed to be is told only if there is somebody of that
    /// name: what is typed there by mistake may be a password.
    pub(crate) fn logged_in(
        &self,
        access: &Access,
        shown: Option<Credentials<'_>>,
        from: CallerAddress,
        answer: &Result<Principal>,
    ) {
        if !self.is_on() {
            return;
        }
        match answer {
            Ok(who) if who.login().is_none() => {}
            Ok(who) => {
                let by = who.login().map(|login| &login.by);
                self.noted((who.name(), from, "login", by), Class::LoggedIn, || {
                    self.line(access, who, Deed::new("login", "user", "", who.name()), Outcome::Done)
                });
            }
            Err(Error::Unauthenticated(why)) => {
                let known = shown.and_then(|shown| shown.known_user(access));
                let how = shown.map(|shown| shown.form());
                self.noted((known.as_deref(), from, "login", how), Class::NotLoggedIn, || {
                    let deed = Deed::new("login", "user", "", known.as_deref().unwrap_or_default()).with(why.clone());
                    AuditLine {
                        at_us: self.clock.wall_us(),
                        principal: known.as_deref().map(str::to_owned),
                        login: how.map(str::to_owned),
                        ip: from.ip,
                        door: from.door,
                        deed,
                        outcome: Outcome::Refused,
                    }
                });
            }
            Err(_) => {}
        }
    }

    /// Keeps a line unless there was one like it within the minute, which then is counted.
    fn noted(&self, key: impl std::hash::Hash, class: Class, line: impl FnOnce() -> AuditLine) {
        self.waiting.note(Noted { key: self.hasher.hash_one(key), class }, line);
    }
}

/// How somebody has logged in, without the secret.
fn login_of(access: &Access, who: &Principal) -> Option<String> {
    Some(match &who.login()?.by {
        LoginBy::Password(_) => "password".to_owned(),
        LoginBy::Token(digest) => {
            let name = access.of(|known| known.token_of(&Digest(*digest)).map(|token| token.name.clone()));
            name.map_or_else(|| "token".to_owned(), |name| format!("token {name}"))
        }
        LoginBy::Key(id, _) => format!("key {id}"),
        LoginBy::Certificate => "certificate".to_owned(),
        LoginBy::Claims => "claims".to_owned(),
    })
}
