//! Pieces of state in the store, by the owner of their window.

use std::sync::Arc;

use super::super::codec::{self, KeyBytes, KeyParts};
use super::super::paged::{Paged, PagedEntries};
use crate::model::{Error, Result};
use crate::state::SavedKey;

/// Memory that an entry takes beside its bytes.
const OVERHEAD: usize = 96;

#[derive(Debug)]
pub(crate) struct Pieces;

impl PagedEntries for Pieces {
    type Key = (u64, u32);
    type Value = Arc<[u8]>;
    const TAG: u8 = b'G';

    fn key((owner, sequence): &Self::Key) -> Vec<u8> {
        KeyBytes::new(Self::TAG).u64(*owner).u32(*sequence).done()
    }

    fn parse_key(bytes: &[u8]) -> Result<Self::Key, String> {
        let mut parts = KeyParts::of(bytes);
        let key = (parts.u64()?, parts.u32()?);
        parts.end()?;
        Ok(key)
    }

    fn value(value: &Self::Value) -> Result<Vec<u8>> {
        Ok(codec::bytes(value))
    }

    fn parse_value(bytes: &[u8]) -> Result<Self::Value, String> {
        codec::from_bytes(bytes).map(Arc::from)
    }

    fn owner((owner, _): &Self::Key) -> u64 {
        *owner
    }

    fn first_of(owner: u64) -> Self::Key {
        (owner, 0)
    }

    fn bytes(_key: &Self::Key, value: Option<&Self::Value>) -> usize {
        OVERHEAD + value.map_or(0, |value| value.len())
    }
}

/// The pieces of one topic, as they are when it is made. Nobody but the topic's worker changes them.
#[derive(Debug)]
pub(crate) struct SavedReader {
    /// In the order of their keys, each with its owner.
    pub(super) keys: Vec<(SavedKey, u64)>,
    pub(super) pieces: Paged<Pieces>,
}

impl SavedReader {
    /// All of them, in the order of their keys.
    pub(crate) fn each(&self, mut each: impl FnMut(SavedKey, &[u8]) -> Result<()>) -> Result<()> {
        for (key, owner) in &self.keys {
            match self.pieces.get(&(*owner, key.sequence))? {
                Some(piece) => each(*key, &piece)?,
                // Its topic was dropped, or is at work elsewhere: whoever goes on from here is refused.
                None => return Err(Error::Fenced("a piece of state is gone meanwhile".to_owned())),
            }
        }
        Ok(())
    }
}
