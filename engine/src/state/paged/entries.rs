//! What a paged family says of its entries.

use std::fmt;

use crate::model::Result;

/// How the entries of a paged family lie in the state store.
pub(crate) trait PagedEntries: fmt::Debug + 'static {
    type Key: Ord + Clone + fmt::Debug + Send + Sync;
    type Value: Clone + PartialEq + fmt::Debug + Send + Sync;
    /// First byte of the keys.
    const TAG: u8;

    /// The key's bytes, in the order of the keys: the tag, the owner (`u64`, big-endian), and what tells its entries apart.
    fn key(key: &Self::Key) -> Vec<u8>;
    fn parse_key(bytes: &[u8]) -> Result<Self::Key, String>;
    fn value(value: &Self::Value) -> Result<Vec<u8>>;
    fn parse_value(bytes: &[u8]) -> Result<Self::Value, String>;

    /// Owners are ids, given once: what is void stays so.
    fn owner(key: &Self::Key) -> u64;
    /// The lowest key that an owner can have.
    fn first_of(owner: u64) -> Self::Key;

    /// What an entry takes in memory, about.
    fn bytes(key: &Self::Key, value: Option<&Self::Value>) -> usize;
}
