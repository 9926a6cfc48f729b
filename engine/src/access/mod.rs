//! Who may do what to which object. The one place that decides: calls of the front, members of groups and consumers that
//! are plugins all come through [`check`].

mod object;
#[cfg(test)]
pub(crate) mod rehearsal;

pub(crate) use object::{Object, ObjectKind};

use crate::model::{Principal, Result};

/// What a call is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Create, change or drop namespaces, tables, topics, plugins.
    Define,
    /// Append rows.
    Produce,
    /// Join groups, move and drop them; read topics as a member.
    Consume,
    /// Read rows as history, and definitions.
    Read,
    /// See figures, segments, events; cut segments.
    Operate,
}

/// Refuses with `PermissionDenied` what `who` may not do to `object`. Until roles exist, everybody may do everything.
pub(crate) fn check(who: &Principal, action: Action, object: &Object<'_>) -> Result<()> {
    tracing::trace!(who = who.name(), ?action, ?object, "allowed");
    #[cfg(test)]
    rehearsal::note(who, action, object)?;
    Ok(())
}
