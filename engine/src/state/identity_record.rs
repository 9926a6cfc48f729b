//! What the log says of users and roles, one change a record.

use serde::{Deserialize, Serialize};

use crate::identities::IdentityChange;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct IdentityRecord(pub IdentityChange);
