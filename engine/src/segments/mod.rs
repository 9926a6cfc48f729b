//! Lands with its owner.

/// Placeholder of the module.
#[derive(Debug, Default)]
pub(crate) struct Segments {}
