//! Signatures by access keys, and the keys that are in use, ready to check them.
//!
//! To unseal a secret and to key a MAC with it takes longer than to check a short request. What is kept for it is the state of the MAC, with
//! which signatures can be made as with the secret itself: in memory only, and for keys that clients have named.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hmac::{Hmac, Mac};
use parking_lot::RwLock;
use sha1::Sha1;
use sha2::Sha256;

use crate::identities::AccessKeyInfo;
use crate::model::Principal;

/// Of keys in use.
const MAX_KEPT: usize = 10_000;
/// Below this, those of keys that are gone are not looked for.
const FEW: usize = 16;

/// Of signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    HmacSha1,
    HmacSha256,
}

/// A secret, as signatures are checked by it.
pub(super) struct Keyed {
    sha1: Hmac<Sha1>,
    sha256: Hmac<Sha256>,
}

impl Keyed {
    /// `None` for no secret: each has a length that fits.
    pub(super) fn new(secret: &[u8]) -> Option<Keyed> {
        Some(Keyed { sha1: Hmac::new_from_slice(secret).ok()?, sha256: Hmac::new_from_slice(secret).ok()? })
    }

    /// Whether `signature` is that of the pieces, one behind the other. Takes as long for wrong ones, wherever they differ.
    pub(super) fn verify(&self, algorithm: SignatureAlgorithm, signed: &[&[u8]], signature: &[u8]) -> bool {
        match algorithm {
            SignatureAlgorithm::HmacSha1 => verify(self.sha1.clone(), signed, signature),
            SignatureAlgorithm::HmacSha256 => verify(self.sha256.clone(), signed, signature),
        }
    }
}

fn verify(mut mac: impl Mac, signed: &[&[u8]], signature: &[u8]) -> bool {
    signed.iter().for_each(|piece| mac.update(piece));
    mac.verify_slice(signature).is_ok()
}

/// A key that is in use.
pub(super) struct SigningKey {
    /// The very record that it was made of: a key that was rotated, or dropped and made anew, has another.
    pub(super) of: Arc<AccessKeyInfo>,
    pub(super) keyed: Keyed,
    /// Who signs by it.
    pub(super) who: Principal,
    /// The number of who there is when this was found to be the key of its id.
    found_at: AtomicU64,
}

impl SigningKey {
    pub(super) fn new(of: Arc<AccessKeyInfo>, keyed: Keyed, who: Principal) -> SigningKey {
        SigningKey { of, keyed, who, found_at: AtomicU64::new(0) }
    }
}

/// Keys in use, by their ids.
#[derive(Default)]
pub(super) struct SigningKeys(RwLock<Kept>);

#[derive(Default)]
struct Kept {
    by_id: HashMap<Arc<str>, Arc<SigningKey>>,
    /// So many, and those of keys that are gone are looked for.
    swept_at: usize,
}

impl SigningKeys {
    /// The key of this id, if it was found to be that when who there is had this number.
    pub(super) fn found_at(&self, id: &str, version: u64) -> Option<Arc<SigningKey>> {
        self.0.read().by_id.get(id).filter(|key| key.found_at.load(Ordering::Acquire) == version).cloned()
    }

    /// The key of this record, which is the one of its id and was read after who there is had this number. What was kept of an earlier
    /// record counts for nothing.
    pub(super) fn of(&self, now: &Arc<AccessKeyInfo>, version: u64) -> Option<Arc<SigningKey>> {
        let key = self.0.read().by_id.get(&now.id).filter(|key| Arc::ptr_eq(&key.of, now)).cloned()?;
        key.found_at.store(version, Ordering::Release);
        Some(key)
    }

    /// Keeps a key, in the place of the one of its id. `stands` says whether a record is still the one of its id.
    pub(super) fn keep(&self, key: Arc<SigningKey>, stands: impl Fn(&Arc<AccessKeyInfo>) -> bool) {
        let mut kept = self.0.write();
        if kept.by_id.len() >= kept.swept_at.max(FEW) {
            kept.by_id.retain(|_, key| stands(&key.of));
            if kept.by_id.len() >= MAX_KEPT {
                kept.by_id.clear();
            }
            kept.swept_at = kept.by_id.len().saturating_mul(2).min(MAX_KEPT);
        }
        kept.by_id.insert(key.of.id.clone(), key);
    }

    /// There is no key of this id any more.
    pub(super) fn forget(&self, id: &str) {
        if self.0.read().by_id.contains_key(id) {
            self.0.write().by_id.remove(id);
        }
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.0.read().by_id.len()
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKeys(…)")
    }
}
