//! Who may do what to which object. The one place that decides: calls of the front, members of groups and consumers that
//! are plugins all come through [`Access`].
//!
//! While there is no user, everybody may do everything. From the first user on a caller has what he and his roles were granted, and all
//! rights on what he owns. What was defined before is nobody's, so that it goes on and administrators manage it.

mod action;
mod compiled;
mod object;
#[cfg(test)]
pub(crate) mod rehearsal;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::RwLock;

pub(crate) use action::Action;
use compiled::Compiled;
pub(crate) use object::{Object, ObjectKind};

use crate::identities::{Digest, Identities, IdentityChange, Right, Rights, Scope, UserInfo};
use crate::model::{Error, Login, LoginBy, Principal, Result};
use crate::platform::Clock;

/// Principals whose rights are kept gathered.
const MAX_STANDINGS: usize = 100_000;

/// The last number that was given to who there is. Of all stores of a process: what was found in one says nothing of another.
static LAST_VERSION: AtomicU64 = AtomicU64::new(0);

fn next_version() -> u64 {
    LAST_VERSION.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
}

/// What all rooms ask.
#[derive(Debug)]
pub(crate) struct Access {
    clock: Arc<dyn Clock>,
    /// As of the last commit applied.
    identities: RwLock<Identities>,
    is_on: AtomicBool,
    /// Another one with each change.
    version: AtomicU64,
    /// Gathered when first asked for, forgotten with each change. By name, and behind it the roles that a directory elsewhere gives.
    /// Lock order: `identities` first.
    standings: RwLock<HashMap<Box<str>, Arc<Standing>>>,
}

/// Where somebody stands.
#[derive(Debug)]
struct Standing {
    user: Option<Arc<UserInfo>>,
    rights: Compiled,
}

impl Access {
    pub(crate) fn new(clock: Arc<dyn Clock>, identities: Identities) -> Access {
        let is_on = AtomicBool::new(identities.has_users());
        let version = AtomicU64::new(next_version());
        Access { clock, identities: RwLock::new(identities), is_on, version, standings: RwLock::default() }
    }

    /// Takes up what a commit says.
    pub(crate) fn apply<'a>(&self, changes: impl IntoIterator<Item = &'a IdentityChange>) {
        let mut identities = self.identities.write();
        for change in changes {
            identities.apply(change);
        }
        self.standings.write().clear();
        // Whoever sees this one finds nothing that was gathered before.
        self.version.store(next_version(), Ordering::Release);
        self.is_on.store(identities.has_users(), Ordering::Release);
    }

    /// Whether callers have to log in.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Acquire)
    }

    /// The number of who there is: what was found since it was asked for holds for as long as it is the same.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Asks something of who there is. Nothing else may be asked of this meanwhile.
    pub(crate) fn of<T>(&self, ask: impl FnOnce(&Identities) -> T) -> T {
        ask(&self.identities.read())
    }

    /// Refuses with `PermissionDenied` what `who` may not do to `object`, and with `Unauthenticated` who has not logged in, or whose login
    /// has ended.
    pub(crate) fn check(&self, who: &Principal, action: Action, object: &Object<'_>) -> Result<()> {
        #[cfg(test)]
        rehearsal::note(who, action, object)?;
        if object.is_of_the_server() {
            return self.check_of_the_server(who, action, object);
        }
        let may = match self.rights(who, object)? {
            None => true,
            // Whoever was granted something in a namespace knows of it.
            Some(_) if action == Action::See && object.kind == ObjectKind::Namespace => self.sees(who, object),
            Some(rights) => rights.has_any(action.rights()),
        };
        if may { Ok(()) } else { Err(denied(who, action, object)) }
    }

    /// What the server keeps of its own is read by whoever operates it, and nobody else touches it.
    fn check_of_the_server(&self, who: &Principal, action: Action, object: &Object<'_>) -> Result<()> {
        match action {
            _ if who.is_system() => Ok(()),
            Action::Define | Action::Produce => Err(Error::PermissionDenied(format!(
                "{} is the server's own: it can be read, and neither changed nor written",
                object.shown()
            ))),
            _ => self.check(who, Action::Operate, &Object::SERVER),
        }
    }

    /// As [`Self::check`], for what is done in the name of who has defined it.
    pub(crate) fn check_owner(&self, owner: &Principal, action: Action, object: &Object<'_>) -> Result<()> {
        if owner.is_anonymous() {
            #[cfg(test)]
            rehearsal::note(owner, action, object)?;
            return Ok(());
        }
        self.check(&owner.as_owner(), action, object)
    }

    /// Whether `who` may know that the object is there.
    pub(crate) fn sees(&self, who: &Principal, object: &Object<'_>) -> bool {
        if object.is_of_the_server() {
            return self.check_of_the_server(who, Action::See, object).is_ok();
        }
        match self.rights(who, object) {
            Ok(None) => true,
            Ok(Some(_)) if object.kind == ObjectKind::Namespace => {
                self.standing(who).is_ok_and(|standing| standing.rights.sees_namespace(object.name))
            }
            Ok(Some(rights)) => !rights.is_empty(),
            Err(_) => false,
        }
    }

    /// Whether `who` may know of all that is in the namespace.
    pub(crate) fn sees_all_in(&self, who: &Principal, namespace: &str) -> bool {
        match self.rights(who, &Object::namespace(namespace)) {
            Ok(None) => true,
            Ok(Some(rights)) => !rights.is_empty(),
            Err(_) => false,
        }
    }

    /// Whether `who` was granted this on something in a namespace. False while there are no users: then nothing is granted.
    pub(crate) fn is_granted_within(&self, who: &Principal, action: Action, namespace: &str) -> bool {
        self.is_on() && self.standing(who).is_ok_and(|standing| standing.rights.has_within(action.rights(), namespace))
    }

    /// Refuses what `who` may not grant: he needs GRANT OPTION and the rights themselves on all of the scope.
    pub(crate) fn check_grant(&self, who: &Principal, scope: &Scope, rights: Rights) -> Result<()> {
        if !self.is_on() || who.is_system() {
            return Ok(());
        }
        self.standing(who)?;
        let held = self.held_on(who, scope);
        let missing = rights.with(Right::GrantOption).minus(held);
        match missing.is_empty() {
            true => Ok(()),
            false => Err(Error::PermissionDenied(format!(
                "{:?} may not grant {rights} on {scope}: that needs GRANT OPTION and the rights themselves there, and {missing} \
                 is missing",
                who.name()
            ))),
        }
    }

    /// What was granted on all of the scope.
    fn held_on(&self, who: &Principal, scope: &Scope) -> Rights {
        let identities = self.identities.read();
        let names = identities.closure(names_of(who));
        let grants = names.into_iter().flat_map(|name| identities.grants_of(name));
        grants.filter(|(of, _)| of.covers(scope)).fold(Rights::NONE, |held, (_, rights)| held.union(rights))
    }

    /// Whether the login still stands; `Unauthenticated` if not.
    pub(crate) fn check_login(&self, who: &Principal) -> Result<()> {
        if !self.is_on() || who.is_system() || (who.stood_at(self.version()) && !self.has_expired(who)) {
            return Ok(());
        }
        self.standing(who).map(drop)
    }

    /// What `who` holds on an object; `None`: all.
    fn rights(&self, who: &Principal, object: &Object<'_>) -> Result<Option<Rights>> {
        if !self.is_on() || who.is_system() {
            return Ok(None);
        }
        let standing = self.standing(who)?;
        if object.owner == Some(who) {
            return Ok(None);
        }
        Ok(Some(standing.rights.on(object)))
    }

    fn standing(&self, who: &Principal) -> Result<Arc<Standing>> {
        if who.is_anonymous() {
            return Err(Error::Unauthenticated(
                "log in first: this server wants a user and a password, or a token".to_owned(),
            ));
        }
        // Asked for before anything is looked at.
        let version = self.version();
        let standing = self.gathered(who);
        if who.stood_at(version) && !self.has_expired(who) {
            return Ok(standing);
        }
        match who.login() {
            Some(login) => self.check_stands(who, login, &standing)?,
            None if standing.user.is_none() => {
                return Err(Error::PermissionDenied(format!("user {:?} does not exist any more", who.name())));
            }
            None => {}
        }
        if standing.user.as_ref().is_some_and(|user| user.options.disabled) {
            return Err(Error::Unauthenticated(format!("user {:?} is disabled", who.name())));
        }
        who.stands_at(version);
        Ok(standing)
    }

    fn has_expired(&self, who: &Principal) -> bool {
        let end = who.login().and_then(|login| login.expires_us);
        end.is_some_and(|end| end <= self.clock.wall_us())
    }

    fn check_stands(&self, who: &Principal, login: &Login, standing: &Standing) -> Result<()> {
        let ended = |why: &str| Err(Error::Unauthenticated(format!("the login of {:?} has ended: {why}", who.name())));
        if self.has_expired(who) {
            return ended("it has expired");
        }
        let Some(created) = login.created else { return Ok(()) };
        let Some(user) = standing.user.as_ref().filter(|user| user.created == created) else {
            return ended("the user was dropped");
        };
        match &login.by {
            LoginBy::Password(set) if user.password_set != *set => ended("the password is another one now"),
            LoginBy::Token(digest) if self.identities.read().token_of(&Digest(*digest)).is_none() => {
                ended("the token was dropped")
            }
            LoginBy::Key(id, made) if self.identities.read().key(id).is_none_or(|key| key.created_us != *made) => {
                ended("the access key was dropped")
            }
            _ => Ok(()),
        }
    }

    fn gathered(&self, who: &Principal) -> Arc<Standing> {
        let roles = who.login().map_or(&[][..], |login| login.roles.as_slice());
        let joined;
        let key = match roles {
            [] => who.name(),
            roles => {
                joined =
                    std::iter::once(who.name()).chain(roles.iter().map(AsRef::as_ref)).collect::<Vec<_>>().join("\0");
                &joined
            }
        };
        if let Some(standing) = self.standings.read().get(key) {
            return standing.clone();
        }
        // Kept while what it was gathered from is locked: a change that comes meanwhile forgets it again.
        let identities = self.identities.read();
        let mut rights = Compiled::default();
        for name in identities.closure(names_of(who)) {
            identities.grants_of(name).for_each(|(scope, granted)| rights.add(scope, granted));
        }
        let standing = Arc::new(Standing { user: identities.user(who.name()).cloned(), rights });
        let mut standings = self.standings.write();
        if standings.len() >= MAX_STANDINGS {
            standings.clear();
        }
        standings.insert(Box::from(key), standing.clone());
        standing
    }
}

fn names_of(who: &Principal) -> impl Iterator<Item = &str> {
    let roles = who.login().map_or(&[][..], |login| login.roles.as_slice());
    std::iter::once(who.name()).chain(roles.iter().map(AsRef::as_ref))
}

fn denied(who: &Principal, action: Action, object: &Object<'_>) -> Error {
    Error::PermissionDenied(format!(
        "{:?} may not do this: it needs {} on {}",
        who.name(),
        action.wanted(),
        object.shown()
    ))
}
