//! Reading topics: operators compiled once, canonical chunks evaluated once for all groups that read them.

mod chunk;
mod compact;
mod evaluate;
mod evaluations;
mod identity;
mod letters;
mod operators;
mod parts;
mod shadow;
mod skips;
#[cfg(test)]
mod tests;
mod versions;

pub(crate) use chunk::Part;
pub(crate) use evaluations::Evaluations;
pub(crate) use identity::identity_in_memory;
pub(crate) use parts::Parts;
