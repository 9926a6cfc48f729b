//! Users, roles and what they have been granted, as [`crate::identities`] folds them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::changed::Changed;
use super::codec::{self, KeyBytes, KeyParts};
use super::earlier::Earlier;
use super::family::{Ahead, Family, Fold, RecordKind};
use super::stored::{Entries, Stored};
use crate::identities::{Entry, Identities, IdentityChange, Scope, ScopeKind, Value};
use crate::model::{Error, Lsn, Result};
use crate::state::Record;

const TAG: u8 = b'U';

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct IdentityRecord(pub IdentityChange);

impl RecordKind for IdentityRecord {
    fn encode(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| Error::Internal(format!("an identity can't be written: {error}")))
    }

    fn decode(payload: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(payload).map_err(|error| error.to_string())
    }

    fn payload_bytes(&self) -> Result<usize> {
        // What it is told when it is numbered makes it longer.
        Ok(self.encode()?.len() + 64)
    }

    fn admit<'a>(&'a self, ahead: &dyn Ahead, earlier: &mut Earlier<'a>) -> Result<()> {
        match &self.0 {
            IdentityChange::UserCreated { user, .. } => {
                owns_nothing(ahead, &user.name)?;
                earlier.take("user", "", &user.name)?;
            }
            IdentityChange::RoleCreated(role) => earlier.take("user", "", &role.name)?,
            IdentityChange::TokenCreated(token) => earlier.take("token", &token.user, &token.name)?,
            IdentityChange::KeyCreated(key) => earlier.take("access key", "", &key.id)?,
            _ => {}
        }
        ahead.get::<IdentityFamily>()?.identities.check(&self.0)
    }

    fn numbered(&mut self, lsn: Lsn) {
        self.0.numbered(lsn);
    }
}

/// Whoever owns a thing acts through it: another one of his name is not to.
fn owns_nothing(ahead: &dyn Ahead, name: &str) -> Result<()> {
    match ahead.catalog().owned_by(name) {
        None => Ok(()),
        Some((what, namespace, owned)) => Err(Error::FailedPrecondition(format!(
            "a former user {name:?} owns {what} {namespace}.{owned}; drop that first, or choose another name"
        ))),
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct IdentityFamily {
    identities: Identities,
    unwritten: Changed<Entry>,
}

impl IdentityFamily {
    pub(super) fn identities(&self) -> &Identities {
        &self.identities
    }
}

impl Family for IdentityFamily {
    fn apply(&mut self, _fold: &Fold<'_>, record: &Record) -> Result<()> {
        if let Record::Identity(IdentityRecord(change)) = record {
            self.identities.apply(change).into_iter().for_each(|entry| self.unwritten.mark(entry));
        }
        Ok(())
    }

    fn ahead(&self) -> Self {
        IdentityFamily { identities: self.identities.clone(), unwritten: Changed::untracked() }
    }
}

impl Stored for IdentityFamily {
    fn tags(&self) -> &'static [&'static [u8]] {
        &[b"U"]
    }

    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let entry = entry_of(key)?;
        let value = match &entry {
            Entry::User(_) => Value::User(codec::from_json(value)?),
            Entry::Role(_) => Value::Role(codec::from_json(value)?),
            Entry::Member(..) => Value::Given(codec::from_json(value)?),
            Entry::Grant(..) => Value::Granted(codec::from_json(value)?),
            Entry::Token(..) => Value::Token(codec::from_json(value)?),
            Entry::Key(_) => Value::Key(codec::from_json(value)?),
        };
        self.identities.restore(&entry, value);
        Ok(())
    }

    fn begin_checkpoint(&mut self) {
        self.unwritten.begin();
    }

    fn write(&self, entries: &mut Entries<'_>) -> Result<()> {
        self.unwritten.writing().try_for_each(|entry| {
            entries(key_of(entry), self.identities.stored(entry).as_ref().map(codec::json).transpose()?);
            Ok(())
        })
    }

    fn end_checkpoint(&mut self, written: bool) {
        self.unwritten.end(written);
    }
}

fn key_of(entry: &Entry) -> Vec<u8> {
    let begun = |kind: u8| KeyBytes::new(TAG).rest(&[kind]);
    match entry {
        Entry::User(name) => begun(b'u').text(name),
        Entry::Role(name) => begun(b'r').text(name),
        Entry::Member(to, role) => begun(b'm').text(to).text(role),
        Entry::Grant(to, scope) => {
            begun(b'g').text(to).rest(&[scope_byte(scope.kind)]).text(&scope.namespace).text(&scope.name)
        }
        Entry::Token(user, name) => begun(b't').text(user).text(name),
        Entry::Key(id) => begun(b'k').text(id),
    }
    .done()
}

fn entry_of(key: &[u8]) -> Result<Entry, String> {
    let mut parts = KeyParts::of(key);
    let entry = match parts.u8()? {
        b'u' => Entry::User(parts.text()?),
        b'r' => Entry::Role(parts.text()?),
        b'm' => Entry::Member(parts.text()?, parts.text()?),
        b'g' => {
            let to = parts.text()?;
            let kind = parts.u8()?;
            let kind = SCOPES.iter().find(|(_, byte)| *byte == kind).map(|(kind, _)| *kind);
            let kind = kind.ok_or_else(|| "its key: a grant on a kind of object that is not known".to_owned())?;
            let text = |text: Arc<str>| text.as_ref().to_owned();
            Entry::Grant(to, Scope { kind, namespace: text(parts.text()?), name: text(parts.text()?) })
        }
        b't' => Entry::Token(parts.text()?, parts.text()?),
        b'k' => Entry::Key(parts.text()?),
        byte => return Err(format!("its key: a kind of identity that is not known, {byte}")),
    };
    parts.end()?;
    Ok(entry)
}

const SCOPES: [(ScopeKind, u8); 6] = [
    (ScopeKind::Server, b's'),
    (ScopeKind::Namespace, b'n'),
    (ScopeKind::Table, b't'),
    (ScopeKind::Topic, b'o'),
    (ScopeKind::Group, b'g'),
    (ScopeKind::Plugin, b'p'),
];

fn scope_byte(kind: ScopeKind) -> u8 {
    SCOPES.iter().find(|(of, _)| *of == kind).map_or(0, |(_, byte)| *byte)
}
