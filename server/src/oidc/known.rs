//! Tokens that were found to hold, by their digests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ring::digest::{SHA256, digest};

use super::claims::Identity;

/// Tokens that are remembered; a server that sees more of them forgets all, and checks them again.
const TOKENS: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<[u8; 32], Arc<Identity>>>);

impl Known {
    /// Whether it has expired meanwhile is asked by whoever logs its user in.
    pub(super) fn get(&self, token: &str) -> Option<Arc<Identity>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&of(token)?).cloned()
    }

    pub(super) fn put(&self, token: &str, identity: &Arc<Identity>) {
        let Some(digest) = of(token) else { return };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= TOKENS {
            known.clear();
        }
        known.insert(digest, Arc::clone(identity));
    }
}

fn of(token: &str) -> Option<[u8; 32]> {
    digest(&SHA256, token.as_bytes()).as_ref().try_into().ok()
}
