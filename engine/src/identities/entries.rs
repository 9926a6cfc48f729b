//! What there is to know of users, roles and what they log in with. Stored as JSON: fields may be added with a default, never renamed
//! or removed.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::rights::Rights;
use super::scope::Scope;
use crate::model::{Lsn, NamespaceLimits};

/// Somebody who logs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserInfo {
    pub name: Arc<str>,
    #[serde(default)]
    pub options: UserOptions,
    /// `None`: passwords are refused.
    #[serde(default)]
    pub password: Option<PasswordHash>,
    /// Of the record that set the password last; logins with an earlier one have ended.
    #[serde(default)]
    pub password_set: Lsn,
    /// µs since the Unix epoch.
    pub created_us: i64,
    /// Of the record that created the user: another one of the same name is somebody else.
    #[serde(default)]
    pub created: Lsn,
}

/// What `CREATE USER … WITH` and `ALTER USER … SET` say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UserOptions {
    /// Refused everywhere, and what he owns stands still.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// The name in the client certificates that are his; his own name where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Those of [`NamespaceLimit::OF_USERS`] that were set.
    ///
    /// [`NamespaceLimit::OF_USERS`]: crate::model::NamespaceLimit::OF_USERS
    #[serde(default, skip_serializing_if = "NamespaceLimits::is_empty")]
    pub limits: NamespaceLimits,
}

/// A hash in the PHC string format, which holds its parameters and salt.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(pub(crate) String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// A name for rights, which is given to users and to other roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleInfo {
    pub name: Arc<str>,
    /// µs since the Unix epoch.
    pub created_us: i64,
}

/// A secret that stands for a user. The server keeps its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenInfo {
    pub user: Arc<str>,
    /// Among the user's.
    pub name: Arc<str>,
    pub sha256: Digest,
    /// µs since the Unix epoch.
    pub created_us: i64,
    /// µs since the Unix epoch; `None`: it holds until it is dropped.
    #[serde(default)]
    pub expires_us: Option<i64>,
}

/// SHA-256 of a token; hexadecimal where it is stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub(crate) [u8; 32]);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:064x}", Hex(&self.0)))
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::LowerHex for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; 32];
        let fits = text.len() == 64 && text.is_ascii();
        let parsed = fits.then(|| {
            bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)).try_for_each(|(byte, digits)| {
                let digits = std::str::from_utf8(digits).ok()?;
                *byte = u8::from_str_radix(digits, 16).ok()?;
                Some(())
            })
        });
        match parsed.flatten() {
            Some(()) => Ok(Digest(bytes)),
            None => Err(serde::de::Error::custom("no SHA-256 in hexadecimal digits")),
        }
    }
}

/// What protocols need that sign requests: an id that is sent, and a secret that is not. The server keeps the secret, sealed by the
/// key of its data directory, since nobody can check a signature without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKeyInfo {
    pub id: Arc<str>,
    pub user: Arc<str>,
    pub sealed: SealedSecret,
    /// µs since the Unix epoch.
    pub created_us: i64,
}

/// A secret as it is stored: nonce, cipher text, tag.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealedSecret(pub(crate) Vec<u8>);

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedSecret(…)")
    }
}

/// What a user or a role has been granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantInfo {
    pub grantee: Arc<str>,
    pub scope: Scope,
    pub rights: Rights,
}
