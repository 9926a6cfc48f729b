//! What rights are granted on.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeKind {
    /// All that there is.
    Server,
    /// A namespace and all in it.
    Namespace,
    /// Message tables included, and the topic that has a table's name.
    Table,
    Topic,
    Group,
    Plugin,
}

impl ScopeKind {
    /// As SQL has it.
    pub fn name(self) -> &'static str {
        match self {
            ScopeKind::Server => "SERVER",
            ScopeKind::Namespace => "NAMESPACE",
            ScopeKind::Table => "TABLE",
            ScopeKind::Topic => "TOPIC",
            ScopeKind::Group => "GROUP",
            ScopeKind::Plugin => "PLUGIN",
        }
    }
}

/// One object, or all whose names begin alike: a name may end in `*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    pub kind: ScopeKind,
    /// Empty for the server. A pattern for [`ScopeKind::Namespace`], a name for what lies in one.
    pub namespace: String,
    /// A pattern; empty for the server and for namespaces.
    pub name: String,
}

impl Scope {
    pub const SERVER: Scope = Scope { kind: ScopeKind::Server, namespace: String::new(), name: String::new() };

    pub fn namespace(pattern: &str) -> Scope {
        Scope { kind: ScopeKind::Namespace, namespace: pattern.to_owned(), name: String::new() }
    }

    pub fn within(kind: ScopeKind, namespace: &str, pattern: &str) -> Scope {
        Scope { kind, namespace: namespace.to_owned(), name: pattern.to_owned() }
    }

    /// Whether all that `other` covers is covered by this one.
    pub fn covers(&self, other: &Scope) -> bool {
        match self.kind {
            ScopeKind::Server => true,
            ScopeKind::Namespace => {
                other.kind != ScopeKind::Server && pattern_covers(&self.namespace, &other.namespace)
            }
            kind => kind == other.kind && self.namespace == other.namespace && pattern_covers(&self.name, &other.name),
        }
    }
}

/// The beginning that a pattern asks for; `None` of a whole name.
pub(crate) fn prefix_of(pattern: &str) -> Option<&str> {
    pattern.strip_suffix('*')
}

fn pattern_covers(pattern: &str, other: &str) -> bool {
    match prefix_of(pattern) {
        Some(prefix) => prefix_of(other).unwrap_or(other).starts_with(prefix),
        None => pattern == other,
    }
}

/// As SQL has it.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ScopeKind::Server => f.write_str("SERVER"),
            ScopeKind::Namespace => write!(f, "NAMESPACE {}", self.namespace),
            kind => write!(f, "{} {}.{}", kind.name(), self.namespace, self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_covers_what() {
        let table = |name| Scope::within(ScopeKind::Table, "n", name);
        assert!(Scope::SERVER.covers(&Scope::SERVER) && Scope::SERVER.covers(&table("t*")));
        assert!(Scope::namespace("n").covers(&table("t*")) && Scope::namespace("*").covers(&table("t")));
        assert!(Scope::namespace("n*").covers(&Scope::namespace("n*")));
        assert!(!Scope::namespace("n").covers(&Scope::namespace("n*")));
        assert!(!Scope::namespace("*").covers(&Scope::SERVER));
        assert!(table("t*").covers(&table("t")) && table("t*").covers(&table("tt*")) && table("t").covers(&table("t")));
        assert!(!table("t").covers(&table("t*")) && !table("tt*").covers(&table("t*")));
        assert!(!table("t*").covers(&Scope::within(ScopeKind::Topic, "n", "t")));
        assert!(!table("t*").covers(&Scope::within(ScopeKind::Table, "m", "t")));
    }
}
