//! Key-value state of a [`crate::Consumer`] that asks for [`crate::Capability::State`].
//!
//! Keys belong to the consumer and the partition of the batch at hand. Reads see the writes of the same call; those become
//! durable together with the rows that the call gives and the offset of its input, or not at all. Errors say which limit
//! was met; `?` gives them back as the call's own.

use crate::bindings::consumer::millstream::plugin::state::{self, Error};

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

pub fn get(key: &[u8]) -> Result<Option<Vec<u8>>, String> {
    state::get(key).map_err(text)
}

/// Keys have 1 to 1,024 bytes, values at most 256 KiB; one call writes at most 65,536 keys and 2 MiB.
pub fn put(key: &[u8], value: &[u8]) -> Result<(), String> {
    state::put(key, value).map_err(text)
}

/// A key that is not there is no error.
pub fn delete(key: &[u8]) -> Result<(), String> {
    state::delete(key).map_err(text)
}

/// Entries whose keys begin with `prefix`, in the order of the keys, from the first one behind `after` on; at most
/// `limit`, and fewer where they are many or large. An empty answer is the end.
pub fn scan(prefix: &[u8], after: Option<&[u8]>, limit: u32) -> Result<Vec<Entry>, String> {
    let found = state::scan(prefix, after, limit).map_err(text)?;
    Ok(found.into_iter().map(|entry| (entry.key, entry.value)).collect())
}

fn text(error: Error) -> String {
    match error {
        Error::TooLarge(why) | Error::Unavailable(why) => why,
    }
}
