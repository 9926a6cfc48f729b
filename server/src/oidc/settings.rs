//! Which provider, and what of its tokens counts.

/// An OpenID Connect provider; none while `issuer` is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcSettings {
    /// As the claim `iss` has it.
    pub issuer: String,
    /// One that the claim `aud` names.
    pub audience: String,
    /// File or URL of the keys; where the provider's own description says, if empty.
    pub jwks: String,
    /// The claim that names the user; dots lead into objects.
    pub user_claim: String,
    /// Stands before the names of users, lest a provider names one of ours.
    pub user_prefix: String,
    /// The claim that names roles.
    pub roles_claim: String,
    /// Names there, and roles here; all by their own names if empty.
    pub roles: Vec<(String, String)>,
}

impl Default for OidcSettings {
    fn default() -> OidcSettings {
        OidcSettings {
            issuer: String::new(),
            audience: String::new(),
            jwks: String::new(),
            user_claim: "sub".to_owned(),
            user_prefix: "oidc:".to_owned(),
            roles_claim: "roles".to_owned(),
            roles: Vec::new(),
        }
    }
}

impl OidcSettings {
    /// Whether there is a provider.
    pub fn is_on(&self) -> bool {
        !self.issuer.is_empty()
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.audience.is_empty() {
            let message =
                "oidc_audience is not given: without one, a token that was made for another service would let in here";
            return Err(message.to_owned());
        }
        if self.user_claim.is_empty() {
            return Err("oidc_user_claim is empty: name the claim that users are called by, such as sub".to_owned());
        }
        Ok(())
    }
}
