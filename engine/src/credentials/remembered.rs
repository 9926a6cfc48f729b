//! Passwords that were right a while ago, so that protocols that send one with each request do not pay for its hash each time. What
//! is kept is a keyed digest, by a key that ends with the process.

use std::collections::HashMap;
use std::fmt;

use parking_lot::Mutex;
use ring::hmac;

use super::secrets::random;
use crate::model::{Lsn, Result};

const MAX_REMEMBERED: usize = 10_000;

pub(super) struct Remembered {
    key: hmac::Key,
    /// By user: the digest, and which password it was.
    right: Mutex<HashMap<String, ([u8; 32], Lsn)>>,
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remembered(…)")
    }
}

impl Remembered {
    pub(super) fn new() -> Result<Remembered> {
        Ok(Remembered { key: hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()?), right: Mutex::default() })
    }

    pub(super) fn knows(&self, user: &str, password: &str, set: Lsn) -> bool {
        let right = self.right.lock();
        let Some((digest, of)) = right.get(user) else { return false };
        *of == set && hmac::verify(&self.key, password.as_bytes(), digest).is_ok()
    }

    pub(super) fn remember(&self, user: &str, password: &str, set: Lsn) {
        let tag = hmac::sign(&self.key, password.as_bytes());
        let Ok(digest) = <[u8; 32]>::try_from(tag.as_ref()) else { return };
        let mut right = self.right.lock();
        if right.len() >= MAX_REMEMBERED {
            right.clear();
        }
        right.insert(user.to_owned(), (digest, set));
    }
}
