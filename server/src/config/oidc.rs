//! Settings of an OpenID Connect provider.

use super::forms::{text, verbatim};
use super::setting::{Access, Setting};

pub(super) const ISSUER: Setting = verbatim!(
    "oidc_issuer",
    "URL",
    oidc.issuer,
    "An OpenID Connect provider whose tokens (JWT) are taken beside our own, as their claim iss has it; none if not given"
);

pub(super) const AUDIENCE: Setting =
    verbatim!("oidc_audience", "NAME", oidc.audience, "With oidc_issuer, what the claim aud of a token has to name");

pub(super) const JWKS: Setting = verbatim!(
    "oidc_jwks",
    "FILE",
    oidc.jwks,
    "File or URL of the provider's keys (JWK set); where its own description says, if not given"
);

pub(super) const USER_CLAIM: Setting =
    verbatim!("oidc_user_claim", "CLAIM", oidc.user_claim, "The claim that names the user; dots lead into objects");

pub(super) const USER_PREFIX: Setting = verbatim!(
    "oidc_user_prefix",
    "TEXT",
    oidc.user_prefix,
    "Stands before the names of the provider's users; without it, they are users here of the same names"
);

pub(super) const ROLES_CLAIM: Setting = verbatim!(
    "oidc_roles_claim",
    "CLAIM",
    oidc.roles_claim,
    "The claim that names the user's roles, such as groups or realm_access.roles"
);

pub(super) const ROLES: Setting = text!(
    "oidc_roles",
    "PAIRS",
    |config| {
        let pairs = config.oidc.roles.iter().map(|(there, here)| format!("{there}={here}"));
        pairs.collect::<Vec<_>>().join(",")
    },
    |config, text| {
        config.oidc.roles = read_roles(text)?;
        Ok(())
    },
    "Roles by their names there and here, such as /staff/ops=operators,/staff/dev=readers; if not given, all by their own names"
);

fn read_roles(text: &str) -> Result<Vec<(String, String)>, String> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let pairs = entries.map(|entry| {
        // Names there are URLs at some providers, and have the sign in them.
        let pair = entry.rsplit_once('=').map(|(there, here)| (there.trim().to_owned(), here.trim().to_owned()));
        pair.filter(|(there, here)| !there.is_empty() && !here.is_empty())
            .ok_or_else(|| format!("{entry:?} is not of the form there=here"))
    });
    pairs.collect()
}
