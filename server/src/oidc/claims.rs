//! What a token says.

use std::fmt;
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::keys::Keys;
use super::settings::OidcSettings;

/// How far the provider's clock may be from ours.
const LEEWAY_S: u64 = 60;
const MAX_NAME_BYTES: usize = 256;
const MAX_ROLES: usize = 256;

/// Those that a public key checks.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Whom a token names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// With the prefix.
    pub(crate) name: String,
    /// By their names here.
    pub(crate) roles: Vec<String>,
    /// Until when it counts, µs since the Unix epoch.
    pub(crate) expires_us: i64,
}

/// Why a token does not count.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unverified {
    /// It may have been signed by a key that is new.
    UnknownKey,
    Wrong(String),
}

impl fmt::Display for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unverified::UnknownKey => f.write_str("it was signed by a key that the provider does not list"),
            Unverified::Wrong(why) => f.write_str(why),
        }
    }
}

pub(super) fn verify(token: &str, keys: &Keys, settings: &OidcSettings) -> Result<Identity, Unverified> {
    let wrong = |why: &str| Unverified::Wrong(why.to_owned());
    let header = decode_header(token).map_err(|_| wrong("it is no JWT, or of an algorithm that is not known here"))?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(wrong("it was not signed with a private key (RS, PS, ES256, ES384 and EdDSA are taken)"));
    }
    let key = keys.of(header.kid.as_deref(), header.alg).ok_or(Unverified::UnknownKey)?;
    let mut validation = Validation::new(header.alg);
    validation.leeway = LEEWAY_S;
    validation.validate_nbf = true;
    validation.set_issuer(&[&settings.issuer]);
    validation.set_audience(&[&settings.audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    let decoded = decode::<Map<String, Value>>(token, key, &validation).map_err(|error| of(error.kind(), settings))?;
    identity(&decoded.claims, settings).map_err(Unverified::Wrong)
}

/// Nothing of the token goes into messages.
fn of(kind: &ErrorKind, settings: &OidcSettings) -> Unverified {
    Unverified::Wrong(match kind {
        ErrorKind::ExpiredSignature => "it has expired".to_owned(),
        ErrorKind::ImmatureSignature => "it does not count yet (nbf)".to_owned(),
        ErrorKind::InvalidIssuer => format!("it is not of {} (iss)", settings.issuer),
        ErrorKind::InvalidAudience => format!("it was not made for {} (aud)", settings.audience),
        ErrorKind::MissingRequiredClaim(claim) => format!("it has no claim {claim}"),
        ErrorKind::InvalidSignature => "its signature is wrong".to_owned(),
        _ => "it can't be read".to_owned(),
    })
}

fn identity(claims: &Map<String, Value>, settings: &OidcSettings) -> Result<Identity, String> {
    let claim = &settings.user_claim;
    let name = found(claims, claim).and_then(Value::as_str).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| format!("its claim {claim} names nobody"))?;
    let name = format!("{}{name}", settings.user_prefix);
    if name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(format!("its claim {claim} is no name of at most {MAX_NAME_BYTES} bytes"));
    }
    let seconds = claims.get("exp").map_or(0, whole_seconds);
    let expires_us = seconds.saturating_add(LEEWAY_S).saturating_mul(1_000_000);
    let expires_us = i64::try_from(expires_us).unwrap_or(i64::MAX);
    let named = found(claims, &settings.roles_claim).map(texts).unwrap_or_default();
    let mut roles: Vec<String> = named.into_iter().flat_map(|role| here(role, settings)).take(MAX_ROLES).collect();
    roles.sort_unstable();
    roles.dedup();
    Ok(Identity { name, roles, expires_us })
}

/// The claim of that very name, or the one that dots lead to.
fn found<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    claims.get(path).or_else(|| {
        let mut steps = path.split('.');
        let first = claims.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.get(step))
    })
}

/// Some providers write fractions.
fn whole_seconds(time: &Value) -> u64 {
    let fraction = || Some(Duration::try_from_secs_f64(time.as_f64()?).ok()?.as_secs());
    time.as_u64().or_else(fraction).unwrap_or(0)
}

/// A list of texts, or words with spaces between, as `scope` has them.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(words) => words.split_whitespace().collect(),
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The roles here that one there stands for.
fn here<'a>(role: &'a str, settings: &'a OidcSettings) -> impl Iterator<Item = String> + 'a {
    let own = settings.roles.is_empty().then(|| role.to_owned());
    let given = settings.roles.iter().filter(move |(there, _)| there == role).map(|(_, here)| here.clone());
    own.into_iter().chain(given)
}
