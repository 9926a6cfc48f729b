//! How callers say who they are.

use crate::credentials::{Credentials, hashed};
use crate::front::Engine;
use crate::identities::{IdentityChange, Right, Rights, Scope, UserInfo, UserOptions};
use crate::model::{CallerAddress, Error, Lsn, Principal, Result};

/// Whom [`Engine::init_administrator`] makes.
const ADMINISTRATOR: &str = "admin";

impl Engine {
    /// Who shows these credentials, from that address. While there is no user, whoever comes is [`Principal::anonymous`], whatever
    /// he shows. `Unauthenticated` if they are wrong, have expired, are missing, or after too many failed attempts.
    pub fn authenticate(&self, shown: Option<Credentials<'_>>, from: impl Into<CallerAddress>) -> Result<Principal> {
        self.rooms.ledger.check_open()?;
        let (access, from) = (&self.rooms.ledger.access, from.into());
        let answer = self.rooms.authenticator.authenticate(access, shown, from);
        self.rooms.audit.logged_in(access, shown, from, &answer);
        answer
    }

    /// Whether callers have to log in: there is a user.
    pub fn has_users(&self) -> bool {
        self.rooms.ledger.access.is_on()
    }

    /// Whether a login still stands; `Unauthenticated` if not. For doors that keep callers for long without a call of theirs.
    pub fn check_login(&self, who: &Principal) -> Result<()> {
        self.rooms.ledger.access.check_login(who)
    }

    /// Makes the user `admin`, with all rights, if there is no user yet; from then on callers have to log in. False if there is one.
    pub fn init_administrator(&self, password: &str) -> Result<bool> {
        if self.has_users() {
            return Ok(false);
        }
        let user = UserInfo {
            name: ADMINISTRATOR.into(),
            options: UserOptions::default(),
            password: Some(hashed(password)?),
            password_set: Lsn(0),
            created_us: self.rooms.ledger.options.clock.wall_us(),
            created: Lsn(0),
        };
        self.begin_audit()?;
        match self.identify(
            &Principal::system(),
            IdentityChange::UserCreated { user, grants: vec![(Scope::SERVER, Rights::ALL)] },
        ) {
            Err(Error::AlreadyExists { .. }) => Ok(false),
            made => made.map(|()| true),
        }
    }

    /// Sets a password, creating the administrator with it where there is no user at all: for whoever has the data directory and no
    /// server running on it.
    pub fn recover(&self, user: &str, password: &str) -> Result<()> {
        if user == ADMINISTRATOR && self.init_administrator(password)? {
            return Ok(());
        }
        let known = self.rooms.ledger.access.of(|identities| identities.user(user).cloned());
        let known = known.ok_or_else(|| Error::NotFound { what: "user", name: user.to_owned() })?;
        let password = Some(hashed(password)?);
        self.identify(
            &Principal::system(),
            IdentityChange::PasswordSet { user: known.name.clone(), password, set: Lsn(0) },
        )?;
        if known.options.disabled {
            let options = UserOptions { disabled: false, ..known.options.clone() };
            self.identify(&Principal::system(), IdentityChange::UserAltered { user: known.name.clone(), options })?;
        }
        if user == ADMINISTRATOR {
            let missing = self.rooms.ledger.access.of(|identities| {
                let all = identities
                    .grants_of(user)
                    .any(|(scope, rights)| *scope == Scope::SERVER && rights.has(Right::GrantOption));
                !all
            });
            if missing {
                let to = known.name.clone();
                self.identify(
                    &Principal::system(),
                    IdentityChange::Granted { to, scope: Scope::SERVER, rights: Rights::ALL },
                )?;
            }
        }
        Ok(())
    }
}
