//! Tokens and access keys. A secret is told once, when it is made.

use std::sync::Arc;

use crate::credentials::{NewKey, new_key, new_token};
use crate::front::Engine;
use crate::identities::{AccessKeyInfo, IdentityChange, TokenInfo, check_identity_name};
use crate::model::{Error, Principal, Result};

/// What a program may choose as an access key, so that it need not be changed.
const MAX_KEY: usize = 128;

impl Engine {
    /// Gives the token. Everybody may make his own.
    pub fn create_token(&self, who: &Principal, user: &str, name: &str, expires_us: Option<i64>) -> Result<String> {
        self.about_user(who, user)?;
        check_identity_name("token", name)?;
        let (token, info) = self.made_token(user, name, expires_us)?;
        self.identify(who, IdentityChange::TokenCreated(info))?;
        Ok(token)
    }

    /// Gives another token of the same name; the one before ends at once.
    pub fn rotate_token(&self, who: &Principal, user: &str, name: &str, expires_us: Option<i64>) -> Result<String> {
        self.about_user(who, user)?;
        let (token, info) = self.made_token(user, name, expires_us)?;
        self.identify(who, IdentityChange::TokenRotated(info))?;
        Ok(token)
    }

    pub fn drop_token(&self, who: &Principal, user: &str, name: &str) -> Result<()> {
        self.about_user(who, user)?;
        self.identify(who, IdentityChange::TokenDropped { user: Arc::from(user), name: Arc::from(name) })
    }

    /// By user and name. Who may not manage users sees his own.
    pub fn tokens(&self, who: &Principal) -> Result<Vec<Arc<TokenInfo>>> {
        let users = self.users(who)?;
        let shown = |name: &Arc<str>| users.iter().any(|user| user.name == *name);
        Ok(self.rooms.ledger.access.of(|known| known.tokens().filter(|token| shown(&token.user)).cloned().collect()))
    }

    /// Gives the id and the secret; `given` are those that programs have already. Everybody may make his own.
    pub fn create_access_key(
        &self,
        who: &Principal,
        user: &str,
        given: Option<(&str, &str)>,
    ) -> Result<(String, String)> {
        self.about_user(who, user)?;
        let NewKey { id, secret } = match given {
            None => new_key()?,
            Some((id, secret)) => {
                let fits = |text: &str| (1..=MAX_KEY).contains(&text.len()) && !text.contains(char::is_control);
                if !fits(id) || !fits(secret) {
                    return Err(Error::InvalidInput(format!(
                        "an access key and its secret have 1 to {MAX_KEY} bytes without control characters"
                    )));
                }
                NewKey { id: id.to_owned(), secret: secret.to_owned() }
            }
        };
        let info = self.made_key(user, &id, &secret)?;
        self.identify(who, IdentityChange::KeyCreated(info))?;
        Ok((id, secret))
    }

    /// Gives another secret for the same id; the one before ends at once.
    pub fn rotate_access_key(&self, who: &Principal, id: &str) -> Result<String> {
        let user = self.user_of_key(who, id)?;
        let NewKey { secret, .. } = new_key()?;
        let info = self.made_key(&user, id, &secret)?;
        self.identify(who, IdentityChange::KeyRotated(info))?;
        Ok(secret)
    }

    pub fn drop_access_key(&self, who: &Principal, id: &str) -> Result<()> {
        self.user_of_key(who, id)?;
        self.identify(who, IdentityChange::KeyDropped { id: Arc::from(id) })
    }

    /// By id. Who may not manage users sees his own.
    pub fn access_keys(&self, who: &Principal) -> Result<Vec<Arc<AccessKeyInfo>>> {
        let users = self.users(who)?;
        let shown = |name: &Arc<str>| users.iter().any(|user| user.name == *name);
        Ok(self.rooms.ledger.access.of(|known| known.keys().filter(|key| shown(&key.user)).cloned().collect()))
    }

    fn made_token(&self, user: &str, name: &str, expires_us: Option<i64>) -> Result<(String, TokenInfo)> {
        let created_us = self.now_us();
        if expires_us.is_some_and(|end| end <= created_us) {
            return Err(Error::InvalidInput("the token would have expired already".to_owned()));
        }
        let (token, sha256) = new_token()?;
        let (user, name) = (Arc::from(user), Arc::from(name));
        Ok((token, TokenInfo { user, name, sha256, created_us, expires_us }))
    }

    fn made_key(&self, user: &str, id: &str, secret: &str) -> Result<AccessKeyInfo> {
        let sealed = self.rooms.authenticator.seal.sealed(id, secret)?;
        Ok(AccessKeyInfo { id: Arc::from(id), user: Arc::from(user), sealed, created_us: self.now_us() })
    }

    /// Whose key it is, if the caller may know.
    fn user_of_key(&self, who: &Principal, id: &str) -> Result<Arc<str>> {
        let found = self.access_keys(who)?.into_iter().find(|key| key.id.as_ref() == id);
        let key = found.ok_or_else(|| Error::NotFound { what: "access key", name: id.to_owned() })?;
        self.about_user(who, &key.user)?;
        Ok(key.user.clone())
    }
}
