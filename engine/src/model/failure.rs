//! How evaluations and calls of plugins fail.

use std::sync::Arc;

/// Why an evaluation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The expression or guest returned an error about its input (a cast, a division by zero).
    Data,
    /// The guest trapped.
    Trap,
    /// The guest used more time than its limit.
    Timeout,
    /// The guest asked for more memory than its limit.
    Memory,
    /// The guest's answer does not hold to the contract.
    BadOutput,
    /// The machinery failed; no row is at fault.
    Host,
}

impl FailureKind {
    pub const ALL: [FailureKind; 6] = [
        FailureKind::Data,
        FailureKind::Trap,
        FailureKind::Timeout,
        FailureKind::Memory,
        FailureKind::BadOutput,
        FailureKind::Host,
    ];

    /// Whether a call that fails so has used up its whole allowance of time or memory.
    pub fn is_costly(self) -> bool {
        matches!(self, FailureKind::Timeout | FailureKind::Memory)
    }

    /// As listings, figures and dead letters name it.
    pub fn name(self) -> &'static str {
        match self {
            FailureKind::Data => "error",
            FailureKind::Trap => "trap",
            FailureKind::Timeout => "timeout",
            FailureKind::Memory => "memory",
            FailureKind::BadOutput => "bad_output",
            FailureKind::Host => "host",
        }
    }
}

/// A failed evaluation. Trap, error, time-out and bad output stay distinct up to the user.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct OperatorError {
    pub kind: FailureKind,
    pub message: String,
    /// The plugin version that failed; `None` where no plugin did.
    pub plugin: Option<Arc<PluginVersion>>,
}

impl OperatorError {
    /// A failure that is no plugin's.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> OperatorError {
        OperatorError { kind, message: message.into(), plugin: None }
    }

    /// The word for what failed: that of [`FailureKind::name`], or `expression` for an error about a row that is no
    /// plugin's.
    pub fn failure(&self) -> &'static str {
        match (self.kind, &self.plugin) {
            (FailureKind::Data, None) => "expression",
            (kind, _) => kind.name(),
        }
    }
}

/// One version of a plugin, by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PluginVersion {
    pub name: String,
    pub version: u32,
}
