//! What calls are about to do, and which rights that takes.

use crate::identities::{Right, Rights};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Know that it is there, and how it is defined.
    See,
    /// Create, change or drop namespaces, tables, topics, plugins.
    Define,
    /// Append rows.
    Produce,
    /// Join groups, move and drop them; read topics as a member.
    Consume,
    /// Read rows as history.
    Read,
    /// Know which offsets there are, hear of new rows, and read rows by their places or their keys, as consumers do.
    Follow,
    /// Let a plugin or a function work in what one defines.
    Use,
    /// See figures, segments, events; cut segments.
    Operate,
    /// Make users and roles.
    Grant,
}

impl Action {
    /// Any of these will do.
    pub(super) fn rights(self) -> Rights {
        let one = |right| Rights::NONE.with(right);
        match self {
            Action::See => Rights::ALL,
            Action::Define => one(Right::Define),
            Action::Produce => one(Right::Produce),
            Action::Consume => one(Right::Consume),
            Action::Read => one(Right::Read),
            Action::Follow => one(Right::Read).with(Right::Consume),
            Action::Use => one(Right::UsePlugin),
            Action::Operate => one(Right::Operate),
            Action::Grant => one(Right::GrantOption),
        }
    }

    /// In the audit table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Action::See => "see",
            Action::Define => "define",
            Action::Produce => "produce",
            Action::Consume => "consume",
            Action::Read => "read",
            Action::Follow => "follow",
            Action::Use => "use",
            Action::Operate => "operate",
            Action::Grant => "grant",
        }
    }

    /// For messages.
    pub(crate) fn wanted(self) -> String {
        match self {
            Action::See => "any right".to_owned(),
            Action::Follow => "READ or CONSUME".to_owned(),
            other => other.rights().to_string(),
        }
    }
}
