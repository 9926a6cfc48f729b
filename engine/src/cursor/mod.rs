//! Lands with its owner.
