//! Secrets that the server makes, and signatures by them.

use ring::hmac;
use sha2::{Digest as _, Sha256};

use crate::identities::Digest;
use crate::model::{Error, Result};

/// What tokens begin with, so that they are known where they should not be.
const TOKEN: &str = "mst_";
const KEY: &str = "MSK";
/// Without what looks alike; 32 of them, so that each takes five bits.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Of signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    HmacSha1,
    HmacSha256,
}

pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::Internal(format!("no randomness: {error}")))?;
    Ok(bytes)
}

fn letters<const N: usize>() -> Result<String> {
    let letter = |byte: &u8| char::from(LETTERS.get(usize::from(byte % 32)).copied().unwrap_or(b'a'));
    Ok(random::<N>()?.iter().map(letter).collect())
}

/// A new token (200 random bits), and its digest.
pub(crate) fn new_token() -> Result<(String, Digest)> {
    let token = format!("{TOKEN}{}", letters::<40>()?);
    let digest = digest(&token);
    Ok((token, digest))
}

/// Whether a text looks like a token of ours, for doors where one may stand in the place of something else.
pub fn is_token(text: &str) -> bool {
    text.starts_with(TOKEN)
}

pub(super) fn digest(token: &str) -> Digest {
    Digest(Sha256::digest(token.as_bytes()).into())
}

/// A new access key.
pub(crate) struct NewKey {
    pub id: String,
    pub secret: String,
}

pub(crate) fn new_key() -> Result<NewKey> {
    Ok(NewKey { id: format!("{KEY}{}", letters::<16>()?), secret: letters::<40>()? })
}

/// Whether `signature` is that of `signed`. Takes as long for wrong ones, wherever they differ.
pub(super) fn verify(secret: &[u8], algorithm: SignatureAlgorithm, signed: &[u8], signature: &[u8]) -> bool {
    let algorithm = match algorithm {
        SignatureAlgorithm::HmacSha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        SignatureAlgorithm::HmacSha256 => hmac::HMAC_SHA256,
    };
    hmac::verify(&hmac::Key::new(algorithm, secret), signed, signature).is_ok()
}
