//! Which changes make sense of what there is.

use std::sync::Arc;

use super::change::IdentityChange;
use super::entries::{AccessKeyInfo, TokenInfo, UserInfo};
use super::registry::Identities;
use super::rights::Right;
use super::scope::Scope;
use crate::model::{Error, Result};

impl Identities {
    /// Those who can log in and manage all others.
    fn administrators(&self) -> impl Iterator<Item = &Arc<UserInfo>> {
        self.users().filter(|user| !user.options.disabled && self.administers(&user.name))
    }

    fn administers(&self, name: &str) -> bool {
        let grants = |name| {
            self.grants_of(name).any(|(scope, rights)| *scope == Scope::SERVER && rights.has(Right::GrantOption))
        };
        self.closure([name]).into_iter().any(grants)
    }

    /// Whether the change makes sense of what there is.
    pub(crate) fn check(&self, change: &IdentityChange) -> Result<()> {
        match change {
            IdentityChange::UserCreated { user, .. } => self.free(&user.name),
            IdentityChange::RoleCreated(role) => self.free(&role.name),
            IdentityChange::UserAltered { user, .. } | IdentityChange::PasswordSet { user, .. } => {
                self.known_user(user)?;
                self.keeps_administrator(change)
            }
            IdentityChange::UserDropped { user } => {
                self.known_user(user)?;
                self.keeps_administrator(change)
            }
            IdentityChange::RoleDropped { role } => {
                self.known_role(role)?;
                self.keeps_administrator(change)
            }
            IdentityChange::RoleGiven { role, to } => {
                self.known_role(role)?;
                self.known(to)?;
                match self.closure([role.as_ref()]).contains(&to.as_ref()) {
                    true => {
                        Err(Error::InvalidInput(format!("role {role:?} has role {to:?} already: it would have itself")))
                    }
                    false => Ok(()),
                }
            }
            IdentityChange::RoleTaken { role, from } => {
                self.known_role(role)?;
                self.known(from)?;
                self.keeps_administrator(change)
            }
            IdentityChange::Granted { to, .. } => self.known(to),
            IdentityChange::Revoked { from, .. } => {
                self.known(from)?;
                self.keeps_administrator(change)
            }
            IdentityChange::TokenCreated(token) => {
                self.known_user(&token.user)?;
                match self.token(&token.user, &token.name) {
                    Some(_) => Err(Error::AlreadyExists { what: "token", name: token.name.to_string() }),
                    None => Ok(()),
                }
            }
            IdentityChange::TokenRotated(TokenInfo { user, name, .. })
            | IdentityChange::TokenDropped { user, name } => found(self.token(user, name).is_some(), "token", name),
            IdentityChange::KeyCreated(key) => {
                self.known_user(&key.user)?;
                match self.key(&key.id) {
                    Some(_) => Err(Error::AlreadyExists { what: "access key", name: key.id.to_string() }),
                    None => Ok(()),
                }
            }
            IdentityChange::KeyRotated(AccessKeyInfo { id, .. }) | IdentityChange::KeyDropped { id } => {
                found(self.key(id).is_some(), "access key", id)
            }
        }
    }

    fn free(&self, name: &str) -> Result<()> {
        let taken = |what| Error::AlreadyExists { what, name: name.to_owned() };
        match (self.user(name), self.role(name)) {
            (Some(_), _) => Err(taken("user")),
            (None, Some(_)) => Err(taken("role")),
            (None, None) => Ok(()),
        }
    }

    fn known_user(&self, name: &str) -> Result<()> {
        found(self.user(name).is_some(), "user", name)
    }

    fn known_role(&self, name: &str) -> Result<()> {
        found(self.role(name).is_some(), "role", name)
    }

    fn known(&self, name: &str) -> Result<()> {
        found(self.user(name).is_some() || self.role(name).is_some(), "user or role", name)
    }

    /// Refuses to leave users whom nobody can manage any more.
    fn keeps_administrator(&self, change: &IdentityChange) -> Result<()> {
        let (concerned, whose) = match change {
            IdentityChange::UserAltered { user, options } => (options.disabled, user),
            IdentityChange::UserDropped { user } => (true, user),
            IdentityChange::RoleDropped { role } | IdentityChange::RoleTaken { role, .. } => (true, role),
            IdentityChange::Revoked { from, scope, rights } => {
                (*scope == Scope::SERVER && rights.has(Right::GrantOption), from)
            }
            _ => return Ok(()),
        };
        if !concerned || !self.administers(whose) {
            return Ok(());
        }
        let mut after = self.clone();
        after.apply(change);
        if self.administrators().next().is_none() || after.administrators().next().is_some() {
            return Ok(());
        }
        Err(Error::FailedPrecondition(
            "nobody who can log in would have GRANT OPTION on the server any more; grant it to somebody else first"
                .to_owned(),
        ))
    }
}

fn found(is: bool, what: &'static str, name: &str) -> Result<()> {
    if is { Ok(()) } else { Err(Error::NotFound { what, name: name.to_owned() }) }
}
