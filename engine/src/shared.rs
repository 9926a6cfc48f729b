//! What every part of one open engine shares.

/// Filled by the modules' owners.
#[derive(Debug)]
pub(crate) struct Shared {}
