//! Random numbers fit for keys, for plugins that ask for [`crate::Capability::Random`]. A call without it ends the
//! instance.

use crate::bindings::filter::millstream::plugin::random;

/// At most 65,536 bytes.
pub fn bytes(count: u32) -> Vec<u8> {
    random::bytes(count)
}

pub fn number() -> u64 {
    random::number()
}
