//! Modules before they are code: what is let through to the compiler, by which digest it is known, and who has signed it.

mod check;
mod digest;
mod parts;
mod signature;

pub use check::MAX_MODULE_BYTES;
pub(crate) use check::{check, check_size};
pub(crate) use digest::{Digest, check_digest, digest, hex};
pub(crate) use parts::Parts;
pub(crate) use signature::{IntendedUse, check_signature};
pub use signature::{MAX_LEAST_RELEASES, PublicKey, SigningKey, Terms, Trust, canonical_grant};
