//! Signatures of modules, by ed25519 keys that the operator lists.
//!
//! A signature is the last section of the component, so that it goes wherever the module goes:
//!
//! ```text
//! 0x00 custom section | 0x75 its length | 0x14 the length of its name | "millstream:signature"
//! public key, 32 bytes | signature, 64 bytes
//! signed: "millstream plugin\0" | SHA-256 of every byte before the section
//! ```

use millstream_engine::{Error, Result};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::module::{digest, hex};

/// Section, length, length of the name, name.
const HEADER: &[u8] = b"\0\x75\x14millstream:signature";
const KEY_BYTES: usize = 32;
const SIGNATURE_BYTES: usize = 64;
const SECTION_BYTES: usize = HEADER.len() + KEY_BYTES + SIGNATURE_BYTES;
const CONTEXT: &[u8] = b"millstream plugin\0";

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

    /// The module with a signature; one that it had is replaced.
    pub fn sign(&self, module: &[u8]) -> Vec<u8> {
        let bare = split(module).map_or(module, |(bare, _)| bare);
        let signature = self.pair.sign(&message(bare));
        [bare, HEADER, &self.public(), signature.as_ref()].concat()
    }
}

/// Refuses a module that none of the trusted keys has signed. Where none is listed, every module is taken.
pub(crate) fn check(module: &[u8], trusted: &[PublicKey]) -> Result<()> {
    if trusted.is_empty() {
        return Ok(());
    }
    let refused = |why: String| {
        Err(Error::PermissionDenied(format!(
            "the module {why}, and this server takes only modules that a key of plugin_trusted_keys has signed; \
             `millstream plugin sign` signs one"
        )))
    };
    let Some((bare, section)) = split(module) else { return refused("is not signed".to_owned()) };
    let (key, signature) = section.split_at(KEY_BYTES);
    if !trusted.iter().any(|trusted| trusted == key) {
        return refused(format!("is signed with key {}, which is not listed", hex(key)));
    }
    match UnparsedPublicKey::new(&ED25519, key).verify(&message(bare), signature) {
        Ok(()) => Ok(()),
        Err(_) => refused(format!("was changed after key {} had signed it", hex(key))),
    }
}

/// What is signed, and key and signature, of a module that has a signature.
fn split(module: &[u8]) -> Option<(&[u8], &[u8])> {
    let (bare, section) = module.split_at_checked(module.len().checked_sub(SECTION_BYTES)?)?;
    Some((bare, section.strip_prefix(HEADER)?))
}

fn message(bare: &[u8]) -> Vec<u8> {
    [CONTEXT, &digest(bare)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: &[u8] = b"\0asm\x0d\0\x01\0 and so on";

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32]).unwrap_or_else(|e| panic!("{e}"))
    }

    fn refusal(module: &[u8], trusted: &[PublicKey]) -> String {
        check(module, trusted).map(|()| panic!("it is taken")).unwrap_or_else(|e| e.to_string())
    }

    #[test]
    fn a_key_is_the_one_that_the_standard_says() {
        // RFC 8032, 7.1, test 1.
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let seed: Vec<u8> = (0..32).filter_map(|i| u8::from_str_radix(&seed[2 * i..2 * i + 2], 16).ok()).collect();
        let key = SigningKey::from_seed(&seed).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(hex(&key.public()), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        assert!(SigningKey::from_seed(&[1; 31]).is_err());
    }

    #[test]
    fn signed_modules_are_taken_and_others_refused_with_the_reason() {
        let (ours, theirs) = (key(1), key(2));
        let trusted = [key(3).public(), ours.public()];
        check(MODULE, &[]).unwrap_or_else(|e| panic!("{e}"));
        check(&ours.sign(MODULE), &trusted).unwrap_or_else(|e| panic!("{e}"));
        assert!(refusal(MODULE, &trusted).contains("is not signed"));
        assert!(refusal(b"", &trusted).contains("is not signed"));
        assert!(refusal(&theirs.sign(MODULE), &trusted).contains(&hex(&theirs.public())));
        // Signing again replaces the signature.
        assert_eq!(ours.sign(&theirs.sign(MODULE)), ours.sign(MODULE));
    }

    #[test]
    fn a_change_of_any_byte_is_seen() {
        let trusted = [key(1).public()];
        let signed = key(1).sign(MODULE);
        for at in 0..signed.len() {
            let mut changed = signed.clone();
            changed[at] ^= 0x01;
            refusal(&changed, &trusted);
            refusal(&signed[..at], &trusted);
        }
        refusal(&[&signed[..], b"more"].concat(), &trusted);
        // Somebody else's signature under our key's name.
        let mut forged = key(2).sign(MODULE);
        let key_at = MODULE.len() + HEADER.len();
        forged[key_at..key_at + KEY_BYTES].copy_from_slice(&key(1).public());
        assert!(refusal(&forged, &trusted).contains("was changed"));
    }
}
