//! Signatures of modules, by ed25519 keys that the operator lists.
//!
//! A signature is the last section of the component, so that it goes wherever the module goes. It says which module it is of, and
//! under what terms that was signed:
//!
//! ```text
//! 0x00 custom section | its length, LEB128 | 0x16 the length of its name | "millstream:signature@2"
//! terms, UTF-8 | public key, 32 bytes | signature, 64 bytes | length of the terms, u16 LE
//! signed: the terms, which begin "millstream plugin 2\nmodule <SHA-256 of every byte before the section, hex>\n"
//! ```
//!
//! Those of before say nothing but the module. They hold where nothing more is asked for, as of release 0:
//!
//! ```text
//! 0x00 custom section | 0x75 its length | 0x14 the length of its name | "millstream:signature"
//! public key, 32 bytes | signature, 64 bytes
//! signed: "millstream plugin\0" | SHA-256 of every byte before the section
//! ```

mod terms;

use millstream_engine::{Error, Result};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::modules::digest::{digest, hex};
pub(crate) use terms::IntendedUse;
pub use terms::{Terms, canonical as canonical_grant};

/// The length of the name, name.
const NAME: &[u8] = b"\x16millstream:signature@2";
/// Of a signature without terms: section, length, length of the name, name.
const BARE_HEADER: &[u8] = b"\0\x75\x14millstream:signature";
const KEY_BYTES: usize = 32;
const SIGNATURE_BYTES: usize = 64;
const BARE_SECTION_BYTES: usize = BARE_HEADER.len() + KEY_BYTES + SIGNATURE_BYTES;
const BARE_CONTEXT: &[u8] = b"millstream plugin\0";

/// An ed25519 public key.
pub type PublicKey = [u8; KEY_BYTES];

/// Signs modules.
pub struct SigningKey {
    pair: Ed25519KeyPair,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("public", &hex(&self.public())).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// 32 random bytes to make a key of.
    pub fn random_seed() -> Result<[u8; KEY_BYTES]> {
        let mut seed = [0; KEY_BYTES];
        getrandom::fill(&mut seed).map_err(|e| Error::Internal(format!("the system gives no random bytes: {e}")))?;
        Ok(seed)
    }

    /// The key of a seed: 32 secret bytes.
    pub fn from_seed(seed: &[u8]) -> Result<SigningKey> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed);
        let pair = pair.map_err(|_| Error::InvalidInput("a signing key is made of 32 bytes".to_owned()))?;
        Ok(SigningKey { pair })
    }

    /// What others need to check its signatures.
    pub fn public(&self) -> PublicKey {
        let mut key = [0; KEY_BYTES];
        key.copy_from_slice(self.pair.public_key().as_ref());
        key
    }

    /// The module with a signature under these terms; one that it had is replaced.
    pub fn sign(&self, module: &[u8], terms: &Terms) -> Result<Vec<u8>> {
        terms.check()?;
        let bare = Signed::find(module).map_or(module, |signed| signed.bare);
        let text = terms.text(&digest(bare));
        let signature = self.pair.sign(text.as_bytes());
        let header = header(text.len());
        let length = u16::try_from(text.len()).map_err(|e| Error::Internal(e.to_string()))?.to_le_bytes();
        Ok([bare, &header, text.as_bytes(), &self.public(), signature.as_ref(), &length].concat())
    }
}

/// Plugins that [`Trust::least_releases`] should name at most.
pub const MAX_LEAST_RELEASES: usize = 1_024;

/// Which signed modules a server takes.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Whose signatures are taken; with none, modules need no signature, and those that they have are not looked at.
    pub keys: Vec<PublicKey>,
    /// The least release that is taken of a plugin, by name; `*` stands for those that are not named.
    pub least_releases: Vec<(String, u64)>,
}

impl Trust {
    fn least_release(&self, name: Option<&str>) -> u64 {
        let of = |name: &str| self.least_releases.iter().find(|(other, _)| other == name).map(|(_, release)| *release);
        name.and_then(of).or_else(|| of("*")).unwrap_or(0)
    }
}

/// Refuses a module that none of the trusted keys has signed for such a use.
pub(crate) fn check_signature(module: &[u8], trust: &Trust, used: &IntendedUse<'_>) -> Result<()> {
    if trust.keys.is_empty() {
        return Ok(());
    }
    let refused = |why: String| {
        Err(Error::PermissionDenied(format!(
            "the module {why}, and this server takes only modules that a key of plugin_trusted_keys has signed; \
             `millstream plugin sign` signs one"
        )))
    };
    let Some(signed) = Signed::find(module) else { return refused("is not signed".to_owned()) };
    let key = signed.key;
    if !trust.keys.iter().any(|trusted| trusted == key) {
        return refused(format!("is signed with key {}, which is not listed", hex(key)));
    }
    let message = match signed.terms {
        Some(text) => text.to_vec(),
        None => [BARE_CONTEXT, &digest(signed.bare)].concat(),
    };
    let changed = || refused(format!("was changed after key {} had signed it", hex(key)));
    if UnparsedPublicKey::new(&ED25519, key).verify(&message, signed.signature).is_err() {
        return changed();
    }
    let terms = match signed.terms {
        Some(text) => {
            let read = std::str::from_utf8(text).ok().and_then(|text| Terms::read(text, &digest(signed.bare)));
            let Some(terms) = read else { return changed() };
            terms
        }
        None => Terms::default(),
    };
    if let Some(why) = terms.refusal(used) {
        return refused(why);
    }
    let least = trust.least_release(used.name.or(terms.name.as_deref()));
    if terms.release < least {
        return refused(format!(
            "is release {} of what key {} signs, where plugin_least_releases asks for {least}",
            terms.release,
            hex(key)
        ));
    }
    Ok(())
}

/// The parts of a module that has a signature.
struct Signed<'a> {
    bare: &'a [u8],
    /// Those of before have none.
    terms: Option<&'a [u8]>,
    key: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    fn find(module: &'a [u8]) -> Option<Signed<'a>> {
        Signed::with_terms(module).or_else(|| Signed::without(module))
    }

    fn with_terms(module: &'a [u8]) -> Option<Signed<'a>> {
        let (rest, length) = module.split_last_chunk::<2>()?;
        let length = usize::from(u16::from_le_bytes(*length));
        if length > terms::MAX_BYTES {
            return None;
        }
        let (rest, signature) = split_end(rest, SIGNATURE_BYTES)?;
        let (rest, key) = split_end(rest, KEY_BYTES)?;
        let (rest, terms) = split_end(rest, length)?;
        let bare = rest.strip_suffix(&header(length)[..])?;
        Some(Signed { bare, terms: Some(terms), key, signature })
    }

    fn without(module: &'a [u8]) -> Option<Signed<'a>> {
        let (bare, section) = split_end(module, BARE_SECTION_BYTES)?;
        let (key, signature) = section.strip_prefix(BARE_HEADER)?.split_at_checked(KEY_BYTES)?;
        Some(Signed { bare, terms: None, key, signature })
    }
}

/// What the section begins with, for terms of `length` bytes.
fn header(length: usize) -> Vec<u8> {
    let mut left = NAME.len() + length + KEY_BYTES + SIGNATURE_BYTES + 2;
    let mut header = vec![0];
    while left >= 0x80 {
        header.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    header.push(left as u8);
    header.extend(NAME);
    header
}

fn split_end(bytes: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    bytes.split_at_checked(bytes.len().checked_sub(length)?)
}

#[cfg(test)]
mod tests;
