//! What callers show, checked: tokens of an OpenID Connect provider here, everything else by the engine.

use std::sync::Arc;

use millstream_engine::{CallerAddress, Credentials, Engine, Principal, Result};

use crate::oidc::{Identity, Oidc, is_jwt};

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Authenticator {
    pub(crate) engine: Engine,
    pub(crate) oidc: Option<Arc<Oidc>>,
}

impl Authenticator {
    /// As the engine does; a token may be the provider's.
    pub(crate) fn check(&self, shown: Option<Credentials<'_>>, from: CallerAddress) -> Result<Principal> {
        match (shown, &self.oidc) {
            (Some(Credentials::Token(token)), Some(oidc)) if is_jwt(token) => self.verified(oidc.verify(token), from),
            _ => self.engine.authenticate(shown, from),
        }
    }

    /// The same for a token; where the provider's keys may have changed, they are waited for.
    pub(crate) async fn check_token(&self, token: &str, from: CallerAddress) -> Result<Principal> {
        match &self.oidc {
            Some(oidc) if is_jwt(token) => self.verified(oidc.verify_patiently(token).await, from),
            _ => self.engine.authenticate(Some(Credentials::Token(token)), from),
        }
    }

    fn verified(&self, verified: std::result::Result<Arc<Identity>, String>, from: CallerAddress) -> Result<Principal> {
        match verified {
            Ok(identity) => {
                let Identity { name, roles, expires_us } = &*identity;
                let claims = Credentials::Claims { name, roles, expires_us: Some(*expires_us) };
                self.engine.authenticate(Some(claims), from)
            }
            Err(why) => {
                let why = format!("the token of an OpenID Connect provider is refused: {why}");
                self.engine.authenticate(Some(Credentials::Refused { why: &why }), from)
            }
        }
    }
}
