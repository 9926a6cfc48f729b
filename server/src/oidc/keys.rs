//! A provider's public keys (JWK set, RFC 7517).

use std::fmt;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

const MAX_KEYS: usize = 64;

/// Those that sign, and whose algorithm is one of ours.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Keys(Vec<Key>);

#[derive(Debug)]
pub(super) struct Key {
    jwk: Jwk,
    key: DecodingKey,
    algorithms: Vec<Algorithm>,
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.jwk == other.jwk
    }
}

impl Eq for Key {}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

impl Keys {
    /// Others among them are passed over: what a provider encrypts with, or what comes after us.
    pub(super) fn read(json: &[u8]) -> Result<Keys, String> {
        let set: Set = serde_json::from_slice(json).map_err(|error| format!("they are no JWK set: {error}"))?;
        let keys: Vec<Key> = set.keys.into_iter().filter_map(Key::read).take(MAX_KEYS).collect();
        if keys.is_empty() {
            return Err("there is no public key among them for RS, PS, ES or EdDSA signatures".to_owned());
        }
        Ok(Keys(keys))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The key of this name, or the only one that signs so where a token names none.
    pub(super) fn of(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let mut fitting = self.0.iter().filter(|key| {
            key.algorithms.contains(&algorithm) && id.is_none_or(|id| key.jwk.common.key_id.as_deref() == Some(id))
        });
        let found = fitting.next()?;
        (id.is_some() || fitting.next().is_none()).then_some(&found.key)
    }
}

/// Their names.
impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|key| key.jwk.common.key_id.as_deref().unwrap_or("(without a name)"));
        f.write_str(&names.collect::<Vec<_>>().join(", "))
    }
}

impl Key {
    fn read(value: Value) -> Option<Key> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        if jwk.common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature) {
            return None;
        }
        let mut algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => vec![
                Algorithm::RS256,
                Algorithm::RS384,
                Algorithm::RS512,
                Algorithm::PS256,
                Algorithm::PS384,
                Algorithm::PS512,
            ],
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => vec![Algorithm::ES256],
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => vec![Algorithm::ES384],
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => vec![Algorithm::EdDSA],
            // A secret that both sides have is none that a provider publishes.
            _ => return None,
        };
        if let Some(only) = jwk.common.key_algorithm {
            algorithms.retain(|algorithm| KeyAlgorithm::from(*algorithm) == only);
        }
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        (!algorithms.is_empty()).then_some(Key { jwk, key, algorithms })
    }
}
