//! Secrets that the server makes.

use sha2::{Digest as _, Sha256};

use crate::identities::Digest;
use crate::model::{Error, Result};

/// What tokens begin with, so that they are known where they should not be.
const TOKEN: &str = "mst_";
const KEY: &str = "MSK";
/// Without what looks alike; 32 of them, so that each takes five bits.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

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
