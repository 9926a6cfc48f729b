//! What families know of their records.

use super::family::RecordKind;
use super::record::{Record, each_kind};
use crate::model::{Error, Lsn, Result};

macro_rules! kinds {
    ($($(#[$meta:meta])* $name:ident($body:ty) = $byte:literal,)*) => {
        impl Record {
            /// What its family knows of it, and the byte that names it. `None`: it is the log's own.
            fn family_kind(&self) -> Option<(u8, &dyn RecordKind)> {
                match self {
                    Record::Rows(_) | Record::Sealed { .. } | Record::CleanShutdown => None,
                    $($(#[$meta])* Record::$name(body) => Some(($byte, body)),)*
                }
            }

            /// Told once it is admitted.
            pub(crate) fn numbered(&mut self, lsn: Lsn) {
                match self {
                    Record::Rows(_) | Record::Sealed { .. } | Record::CleanShutdown => {}
                    $($(#[$meta])* Record::$name(body) => body.numbered(lsn),)*
                }
            }

            /// Whether the byte names a kind of record that a family brings.
            pub(crate) fn is_kind(byte: u8) -> bool {
                match byte {
                    $($(#[$meta])* $byte => true,)*
                    _ => false,
                }
            }

            /// A record that a family brings.
            pub(crate) fn decode(byte: u8, payload: &[u8]) -> Result<Record, String> {
                match byte {
                    $($(#[$meta])* $byte => <$body>::decode(payload).map(Record::$name),)*
                    _ => Err(format!("records of kind {byte} are not known to this release")),
                }
            }
        }
    };
}

each_kind!(kinds);

impl Record {
    /// What the record's family knows of it. An error for records of the log's own, which nobody submits.
    pub(crate) fn kind(&self) -> Result<&dyn RecordKind> {
        let kind = self.family_kind().map(|(_, kind)| kind);
        kind.ok_or_else(|| Error::Internal(format!("a record of the log's own is no family's: {self:?}")))
    }

    /// The byte that names its kind, and its payload.
    pub(crate) fn encode(&self) -> Result<(u8, Vec<u8>)> {
        let (byte, kind) = self.family_kind().ok_or_else(|| Error::Internal(format!("no family encodes {self:?}")))?;
        Ok((byte, kind.encode()?))
    }
}
