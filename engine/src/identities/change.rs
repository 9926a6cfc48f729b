//! What the log says of users and roles.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::entries::{AccessKeyInfo, PasswordHash, RoleInfo, TokenInfo, UserInfo, UserOptions};
use super::rights::Rights;
use super::scope::Scope;
use crate::model::Lsn;

/// One decision. Stored as JSON: fields may be added with a default, never renamed or removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum IdentityChange {
    UserCreated {
        user: UserInfo,
        /// What he has from the beginning: the first user could be granted nothing by anybody.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        grants: Vec<(Scope, Rights)>,
    },
    UserAltered {
        user: Arc<str>,
        options: UserOptions,
    },
    PasswordSet {
        user: Arc<str>,
        password: Option<PasswordHash>,
        #[serde(default)]
        set: Lsn,
    },
    /// With his tokens, keys, roles and grants.
    UserDropped {
        user: Arc<str>,
    },
    RoleCreated(RoleInfo),
    /// Whoever had it has it no more.
    RoleDropped {
        role: Arc<str>,
    },
    RoleGiven {
        role: Arc<str>,
        to: Arc<str>,
    },
    RoleTaken {
        role: Arc<str>,
        from: Arc<str>,
    },
    Granted {
        to: Arc<str>,
        scope: Scope,
        rights: Rights,
    },
    Revoked {
        from: Arc<str>,
        scope: Scope,
        rights: Rights,
    },
    TokenCreated(TokenInfo),
    /// Another secret and another end for the same name.
    TokenRotated(TokenInfo),
    TokenDropped {
        user: Arc<str>,
        name: Arc<str>,
    },
    KeyCreated(AccessKeyInfo),
    KeyRotated(AccessKeyInfo),
    KeyDropped {
        id: Arc<str>,
    },
}

impl IdentityChange {
    /// Told the LSN of its record before it is applied.
    pub(crate) fn numbered(&mut self, lsn: Lsn) {
        match self {
            IdentityChange::UserCreated { user, .. } => (user.created, user.password_set) = (lsn, lsn),
            IdentityChange::PasswordSet { set, .. } => *set = lsn,
            _ => {}
        }
    }
}
