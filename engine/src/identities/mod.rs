//! Users, roles, what they log in with, and what they have been granted: a pure fold of the log's records, which the state keeps and
//! [`crate::access`] decides by.
//!
//! Users and roles share their names: either can be granted rights and be given roles.

mod admit;
mod change;
mod entries;
mod names;
mod registry;
mod rights;
mod scope;
#[cfg(test)]
mod tests;

pub(crate) use change::IdentityChange;
pub use entries::{AccessKeyInfo, GrantInfo, PasswordHash, RoleInfo, TokenInfo, UserInfo, UserOptions};
pub(crate) use entries::{Digest, SealedSecret};
pub(crate) use names::check_identity_name;
pub(crate) use registry::{Entry, Identities, Value};
pub use rights::{Right, Rights};
pub(crate) use scope::prefix_of;
pub use scope::{Scope, ScopeKind};
