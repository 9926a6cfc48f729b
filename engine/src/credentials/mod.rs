//! What callers show for who they are: passwords, tokens, signatures, and what doors have checked themselves.
//!
//! Secrets come in here and do not go out: what is stored are hashes of passwords, digests of tokens, and secrets that sign, sealed by
//! the key of the data directory. A failed attempt costs its address and its user time ([`attempts`]).

mod attempts;
mod passwords;
mod remembered;
mod seal;
mod secrets;
mod signing;
#[cfg(test)]
mod signing_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use attempts::{Attempt, Attempts};
use remembered::Remembered;
use seal::SealKey;
use signing::{Keyed, SigningKey, SigningKeys};

use crate::access::Access;
use crate::identities::{AccessKeyInfo, Digest, UserInfo};
use crate::model::{CallerAddress, Error, Login, LoginBy, Principal, Result};
use crate::platform::disk::Disk;
use crate::platform::{Clock, Events};

pub(crate) use passwords::hashed;
pub use secrets::is_token;
pub(crate) use secrets::{NewKey, new_key, new_token};
pub use signing::SignatureAlgorithm;

/// What a caller shows.
#[derive(Clone, Copy)]
pub enum Credentials<'a> {
    Password {
        user: &'a str,
        /// A token of the user will do, too.
        password: &'a str,
    },
    Token(&'a str),
    /// An HMAC over what was sent, by the secret of an access key. Whether the request is a new one is the door's matter.
    Signature {
        key: &'a str,
        algorithm: SignatureAlgorithm,
        /// In pieces, one behind the other.
        signed: &'a [&'a [u8]],
        signature: &'a [u8],
    },
    /// A client certificate that the door has verified, by the name in it.
    Certificate {
        name: &'a str,
    },
    /// Claims that the door has verified.
    Claims {
        name: &'a str,
        roles: &'a [String],
        expires_us: Option<i64>,
    },
    /// What the door would have verified, and found wrong: a failed attempt, refused with this reason.
    Refused {
        why: &'a str,
    },
}

/// Checks what callers show.
#[derive(Debug)]
pub(crate) struct Authenticator {
    clock: Arc<dyn Clock>,
    events: Arc<Events>,
    attempts: Attempts,
    remembered: Remembered,
    signing: SigningKeys,
    pub(crate) seal: SealKey,
}

impl Authenticator {
    pub(crate) fn open(
        dir: &std::path::Path,
        disk: &Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        events: Arc<Events>,
    ) -> Result<Authenticator> {
        let seal = SealKey::open(dir, disk)?;
        let (attempts, signing) = (Attempts::default(), SigningKeys::default());
        Ok(Authenticator { clock, events, attempts, remembered: Remembered::new()?, signing, seal })
    }

    /// Who shows these, from that address. While nobody has to log in, whoever does is nobody in particular.
    pub(crate) fn authenticate(
        &self,
        access: &Access,
        shown: Option<Credentials<'_>>,
        from: CallerAddress,
    ) -> Result<Principal> {
        if !access.is_on() {
            return Ok(Principal::anonymous().at(from));
        }
        let Some(shown) = shown else {
            return Err(Error::Unauthenticated(
                "log in first: this server wants a user and a password, or a token".to_owned(),
            ));
        };
        let name = shown.claimed();
        // Each request is signed: programs that share an address with one whose secret is wrong would wait with it.
        let by = Attempt { user: name, from: from.ip, counts_for_all: !matches!(shown, Credentials::Signature { .. }) };
        let now = self.clock.monotonic();
        if let Some(left) = self.attempts.locked(by, now) {
            return Err(Error::Unauthenticated(format!(
                "too many failed attempts; the next one is looked at in {} s",
                left.as_secs().saturating_add(1)
            )));
        }
        match self.check(access, shown) {
            Some(principal) => {
                access.check_login(&principal)?;
                self.attempts.succeeded(by);
                Ok(principal.at(from))
            }
            None => {
                if let Some(told) = self.attempts.failed(by, now) {
                    self.events.push("login_failed", told);
                }
                let why = match shown {
                    Credentials::Refused { why } => why,
                    _ => "the credentials are wrong, or have expired",
                };
                Err(Error::Unauthenticated(why.to_owned()))
            }
        }
    }

    fn check(&self, access: &Access, shown: Credentials<'_>) -> Option<Principal> {
        match shown {
            Credentials::Password { user, password } if secrets::is_token(password) => {
                self.by_token(access, password).filter(|found| found.name() == user)
            }
            Credentials::Password { user, password } => self.by_password(access, user, password),
            Credentials::Token(token) => self.by_token(access, token),
            Credentials::Signature { key, algorithm, signed, signature } => {
                let key = self.signing_key(access, key)?;
                key.keyed.verify(algorithm, signed, signature).then(|| key.who.clone())
            }
            Credentials::Certificate { name } => {
                let user = access.of(|identities| {
                    let is_his = |user: &&Arc<UserInfo>| user.options.certificate.as_deref() == Some(name);
                    let own = |user: &&Arc<UserInfo>| user.options.certificate.is_none();
                    identities.users().find(is_his).or_else(|| identities.user(name).filter(own)).cloned()
                })?;
                self.logged_in(access, &user.name, LoginBy::Certificate, None)
            }
            Credentials::Refused { .. } => None,
            Credentials::Claims { name, roles, expires_us } => {
                // Owners are known by their names alone: what one called so defines would act with all rights.
                let owner = Principal::named(name);
                if owner.is_system() || owner.is_anonymous() {
                    return None;
                }
                let created = access.of(|identities| identities.user(name).map(|user| user.created));
                let roles = roles.iter().map(|role| Arc::from(role.as_str())).collect();
                Some(Principal::logged_in(Arc::from(name), Login { created, by: LoginBy::Claims, expires_us, roles }))
            }
        }
    }

    /// The key of this id as it stands now.
    fn signing_key(&self, access: &Access, id: &str) -> Option<Arc<SigningKey>> {
        let version = access.version();
        if let Some(key) = self.signing.found_at(id, version) {
            return Some(key);
        }
        let Some(of) = access.of(|identities| identities.key(id).cloned()) else {
            self.signing.forget(id);
            return None;
        };
        if let Some(key) = self.signing.of(&of, version) {
            return Some(key);
        }
        let keyed = Keyed::new(&self.seal.opened(&of.id, &of.sealed)?)?;
        let who = self.logged_in(access, &of.user, LoginBy::Key(of.id.clone(), of.created_us), None)?;
        let key = Arc::new(SigningKey::new(of, keyed, who));
        let stands = |of: &Arc<AccessKeyInfo>| {
            access.of(|identities| identities.key(&of.id).is_some_and(|now| Arc::ptr_eq(now, of)))
        };
        self.signing.keep(key.clone(), stands);
        Some(key)
    }

    fn by_password(&self, access: &Access, name: &str, password: &str) -> Option<Principal> {
        let user = access.of(|identities| identities.user(name).cloned());
        let known = user.as_deref().and_then(|user| Some((user, user.password.as_ref()?)));
        let Some((user, hash)) = known else {
            // As long as it takes for users that there are.
            passwords::verify_nobody(password);
            return None;
        };
        let set = user.password_set;
        if !self.remembered.knows(name, password, set) {
            if !passwords::verify(password, hash) {
                return None;
            }
            self.remembered.remember(name, password, set);
        }
        self.logged_in(access, &user.name, LoginBy::Password(set), None)
    }

    fn by_token(&self, access: &Access, token: &str) -> Option<Principal> {
        let digest = secrets::digest(token);
        let found = access.of(|identities| identities.token_of(&digest).cloned())?;
        if found.expires_us.is_some_and(|end| end <= self.clock.wall_us()) {
            return None;
        }
        let Digest(bytes) = digest;
        self.logged_in(access, &found.user, LoginBy::Token(bytes), found.expires_us)
    }

    fn logged_in(&self, access: &Access, name: &Arc<str>, by: LoginBy, expires_us: Option<i64>) -> Option<Principal> {
        let created = access.of(|identities| identities.user(name).map(|user| user.created))?;
        let login = Login { created: Some(created), by, expires_us, roles: Vec::new() };
        Some(Principal::logged_in(name.clone(), login))
    }
}

impl Credentials<'_> {
    /// Who he says he is, as far as he does.
    fn claimed(&self) -> &str {
        match self {
            Credentials::Password { user, .. } => user,
            Credentials::Token(_) | Credentials::Refused { .. } => "",
            Credentials::Signature { key, .. } => key,
            Credentials::Certificate { name } | Credentials::Claims { name, .. } => name,
        }
    }

    /// What is shown, in a word.
    pub(crate) fn form(&self) -> &'static str {
        match self {
            Credentials::Password { .. } => "password",
            Credentials::Token(_) => "token",
            Credentials::Signature { .. } => "key",
            Credentials::Certificate { .. } => "certificate",
            Credentials::Claims { .. } | Credentials::Refused { .. } => "claims",
        }
    }

    /// The user whom he claims to be, or whose token or key it is, if there is such a one.
    pub(crate) fn known_user(&self, access: &Access) -> Option<Arc<str>> {
        access.of(|known| match self {
            Credentials::Token(token) => known.token_of(&secrets::digest(token)).map(|token| token.user.clone()),
            Credentials::Signature { key, .. } => known.key(key).map(|key| key.user.clone()),
            Credentials::Password { user: name, .. }
            | Credentials::Certificate { name }
            | Credentials::Claims { name, .. } => known.user(name).map(|user| user.name.clone()),
            Credentials::Refused { .. } => None,
        })
    }
}

/// Without the secrets.
impl std::fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "credentials of {:?}", self.claimed())
    }
}
