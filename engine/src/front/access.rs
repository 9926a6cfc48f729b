//! Who may do what. The one place that decides; every call of the engine's front comes through here.

use crate::model::Principal;
use crate::model::Result;

/// What a call is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Create, change or drop namespaces, tables, topics, plugins.
    Define,
    /// Append rows.
    Produce,
    /// Join groups, move and drop them.
    Consume,
    /// Read rows as history, and definitions.
    Read,
    /// See figures, segments, events; cut segments.
    Operate,
}

/// Refuses with `PermissionDenied` what `who` may not do in `namespace` (`None`: the whole store). Until roles exist,
/// everybody may do everything.
pub(crate) fn check(who: &Principal, action: Action, namespace: Option<&str>) -> Result<()> {
    tracing::trace!(who = who.name(), ?action, namespace, "allowed");
    Ok(())
}
