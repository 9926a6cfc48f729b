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

use crate::module::{digest, hex};
pub(crate) use terms::Use;
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
pub(crate) fn check(module: &[u8], trust: &Trust, used: &Use<'_>) -> Result<()> {
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
mod tests {
    use super::*;

    const MODULE: &[u8] = b"\0asm\x0d\0\x01\0 and so on";

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32]).unwrap_or_else(|e| panic!("{e}"))
    }

    fn trust(keys: &[PublicKey]) -> Trust {
        Trust { keys: keys.to_vec(), ..Trust::default() }
    }

    fn sign(key: &SigningKey, module: &[u8]) -> Vec<u8> {
        key.sign(module, &Terms::default()).unwrap_or_else(|e| panic!("{e}"))
    }

    fn taken(module: &[u8], trust: &Trust) -> Result<()> {
        check(module, trust, &Use { name: Some("late"), ..Use::default() })
    }

    fn refusal(module: &[u8], trust: &Trust) -> String {
        taken(module, trust).map(|()| panic!("it is taken")).unwrap_or_else(|e| e.to_string())
    }

    /// As signatures were before they had terms.
    fn sign_bare(key: &SigningKey, module: &[u8]) -> Vec<u8> {
        let signature = key.pair.sign(&[BARE_CONTEXT, &digest(module)].concat());
        [module, BARE_HEADER, &key.public(), signature.as_ref()].concat()
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
        let trusted = trust(&[key(3).public(), ours.public()]);
        taken(MODULE, &trust(&[])).unwrap_or_else(|e| panic!("{e}"));
        taken(&sign(&ours, MODULE), &trusted).unwrap_or_else(|e| panic!("{e}"));
        taken(&sign_bare(&ours, MODULE), &trusted).unwrap_or_else(|e| panic!("{e}"));
        assert!(refusal(MODULE, &trusted).contains("is not signed"));
        assert!(refusal(b"", &trusted).contains("is not signed"));
        assert!(refusal(&sign(&theirs, MODULE), &trusted).contains(&hex(&theirs.public())));
        // Signing again replaces the signature, of either form.
        for before in [sign(&theirs, MODULE), sign_bare(&theirs, MODULE)] {
            assert_eq!(sign(&ours, &before), sign(&ours, MODULE));
        }
    }

    #[test]
    fn a_change_of_any_byte_is_seen() {
        let trusted = trust(&[key(1).public()]);
        let terms = Terms { release: 7, name: Some("late".to_owned()), grants: Some(["clock".to_owned()].into()) };
        let with_terms = key(1).sign(MODULE, &terms).unwrap_or_else(|e| panic!("{e}"));
        for signed in [with_terms, sign(&key(1), MODULE), sign_bare(&key(1), MODULE)] {
            for at in 0..signed.len() {
                let mut changed = signed.clone();
                changed[at] ^= 0x01;
                refusal(&changed, &trusted);
                refusal(&signed[..at], &trusted);
            }
            refusal(&[&signed[..], b"more"].concat(), &trusted);
        }
        // Somebody else's signature under our key's name.
        let mut forged = sign(&key(2), MODULE);
        let key_at = forged.len() - 2 - SIGNATURE_BYTES - KEY_BYTES;
        forged[key_at..key_at + KEY_BYTES].copy_from_slice(&key(1).public());
        assert!(refusal(&forged, &trusted).contains("was changed"));
        // Terms of another module.
        let text = terms.text(&digest(b"another"));
        let signature = key(1).pair.sign(text.as_bytes());
        let length = u16::try_from(text.len()).unwrap_or_default().to_le_bytes();
        let moved =
            [MODULE, &header(text.len()), text.as_bytes(), &key(1).public(), signature.as_ref(), &length].concat();
        assert!(refusal(&moved, &trusted).contains("was changed"));
    }

    #[test]
    fn a_signature_holds_for_its_terms_alone() {
        let trusted = trust(&[key(1).public()]);
        let sign = |terms: &Terms| key(1).sign(MODULE, terms).unwrap_or_else(|e| panic!("{e}"));
        let named = |name: &str| Terms { name: Some(name.to_owned()), ..Terms::default() };
        taken(&sign(&named("late")), &trusted).unwrap_or_else(|e| panic!("{e}"));
        assert!(refusal(&sign(&named("early")), &trusted).contains("is signed as \"early\", and not as \"late\""));
        let clock = Use { name: Some("late"), grants: ["clock".to_owned()].into() };
        let none = sign(&Terms { grants: Some([].into()), ..Terms::default() });
        let refused = check(&none, &trusted, &clock).map_err(|e| e.to_string());
        assert!(refused.as_ref().is_err_and(|e| e.contains("granted nothing, and not clock")), "{refused:?}");
        check(&sign(&Terms::default()), &trusted, &clock).unwrap_or_else(|e| panic!("{e}"));
    }

    #[test]
    fn releases_below_the_least_are_not_taken_again() {
        let least = |name: &str, release| Trust {
            keys: vec![key(1).public()],
            least_releases: vec![("other".to_owned(), 100), (name.to_owned(), release)],
        };
        let old = key(1).sign(MODULE, &Terms { release: 6, ..Terms::default() }).unwrap_or_else(|e| panic!("{e}"));
        let new = key(1).sign(MODULE, &Terms { release: 7, ..Terms::default() }).unwrap_or_else(|e| panic!("{e}"));
        for name in ["late", "*"] {
            taken(&new, &least(name, 7)).unwrap_or_else(|e| panic!("{e}"));
            assert!(refusal(&old, &least(name, 7)).contains("is release 6"));
            assert!(refusal(&sign_bare(&key(1), MODULE), &least(name, 1)).contains("is release 0"));
        }
        taken(&old, &least("third", 7)).unwrap_or_else(|e| panic!("{e}"));
    }

    #[test]
    fn mutated_signatures_are_refused() {
        let terms = Terms { release: 7, name: Some("late".to_owned()), grants: Some(["clock".to_owned()].into()) };
        let with_terms = key(1).sign(MODULE, &terms).unwrap_or_else(|e| panic!("{e}"));
        let trusted = trust(&[key(1).public()]);
        crate::fuzz::fuzz(&[with_terms, sign(&key(1), MODULE), sign_bare(&key(1), MODULE)], |module, changed| {
            match taken(module, &trusted) {
                Ok(()) if changed => Err("it is taken".to_owned()),
                Err(e) if !changed => Err(e.to_string()),
                _ => Ok(()),
            }
        });
    }
}
