//! A principal's rights, gathered from all of his roles and laid out so that a check costs a few look-ups, however many they are.

use std::collections::HashMap;

use super::object::{Object, ObjectKind};
use crate::identities::{Right, Rights, Scope, ScopeKind, prefix_of};

/// Rights by names and beginnings of names.
#[derive(Debug, Default)]
struct Patterns {
    whole: HashMap<Box<str>, Rights>,
    beginnings: HashMap<Box<str>, Rights>,
    /// Of the beginnings, each once.
    lengths: Vec<usize>,
}

impl Patterns {
    fn add(&mut self, pattern: &str, rights: Rights) {
        let (map, key) = match prefix_of(pattern) {
            Some(prefix) => {
                if let Err(at) = self.lengths.binary_search(&prefix.len()) {
                    self.lengths.insert(at, prefix.len());
                }
                (&mut self.beginnings, prefix)
            }
            None => (&mut self.whole, pattern),
        };
        let held = map.entry(Box::from(key)).or_default();
        *held = held.union(rights);
    }

    fn has_any(&self, rights: Rights) -> bool {
        self.whole.values().chain(self.beginnings.values()).any(|held| held.has_any(rights))
    }

    fn of(&self, name: &str) -> Rights {
        let mut rights = self.whole.get(name).copied().unwrap_or_default();
        for length in &self.lengths {
            let held = name.get(..*length).and_then(|beginning| self.beginnings.get(beginning));
            rights = rights.union(held.copied().unwrap_or_default());
        }
        rights
    }
}

/// What somebody holds.
#[derive(Debug, Default)]
pub(super) struct Compiled {
    server: Rights,
    namespaces: Patterns,
    /// Within namespaces, by the namespace: tables, topics, groups, plugins.
    within: [HashMap<Box<str>, Patterns>; 4],
}

fn place(kind: ScopeKind) -> Option<usize> {
    match kind {
        ScopeKind::Server | ScopeKind::Namespace => None,
        ScopeKind::Table => Some(0),
        ScopeKind::Topic => Some(1),
        ScopeKind::Group => Some(2),
        ScopeKind::Plugin => Some(3),
    }
}

/// What rights on single objects can be granted on; the others go by their namespace and their owner.
fn scope_kind(kind: ObjectKind) -> Option<ScopeKind> {
    match kind {
        ObjectKind::Table => Some(ScopeKind::Table),
        ObjectKind::Topic => Some(ScopeKind::Topic),
        ObjectKind::Group => Some(ScopeKind::Group),
        ObjectKind::Plugin => Some(ScopeKind::Plugin),
        ObjectKind::Server
        | ObjectKind::Namespace
        | ObjectKind::Function
        | ObjectKind::Consumer
        | ObjectKind::Checkback => None,
    }
}

impl Compiled {
    pub(super) fn add(&mut self, scope: &Scope, rights: Rights) {
        match place(scope.kind) {
            Some(place) => {
                let within = self.within.get_mut(place).map(|within| within.entry(Box::from(scope.namespace.as_str())));
                if let Some(patterns) = within {
                    patterns.or_default().add(&scope.name, rights);
                }
            }
            None if scope.kind == ScopeKind::Namespace => self.namespaces.add(&scope.namespace, rights),
            None => self.server = self.server.union(rights),
        }
    }

    /// All rights that were granted on an object or on what holds it.
    pub(super) fn on(&self, object: &Object<'_>) -> Rights {
        if object.kind == ObjectKind::Server {
            return self.server;
        }
        let rights = self.server.union(self.namespaces.of(object.namespace));
        let within = scope_kind(object.kind).and_then(place).and_then(|place| self.within.get(place));
        let own = within.and_then(|within| within.get(object.namespace)).map(|patterns| patterns.of(object.name));
        let rights = rights.union(own.unwrap_or_default());
        match object.kept_for() {
            // Whoever consumes in a group has messages come again, and sees which it has given up.
            Some(group) if self.on(&group).has(Right::Consume) => {
                let own = [Right::Produce, Right::Consume, Right::Read, Right::Define];
                rights.union(own.into_iter().collect())
            }
            _ => rights,
        }
    }

    /// Whether one of the rights was granted on the namespace, or on a table or topic in it.
    pub(super) fn has_within(&self, rights: Rights, namespace: &str) -> bool {
        let of_rows = [ScopeKind::Table, ScopeKind::Topic].into_iter().filter_map(place);
        let mut within = of_rows.filter_map(|place| self.within.get(place)?.get(namespace));
        self.server.union(self.namespaces.of(namespace)).has_any(rights)
            || within.any(|patterns| patterns.has_any(rights))
    }

    /// Whether anything was granted on the namespace or in it.
    pub(super) fn sees_namespace(&self, name: &str) -> bool {
        !self.server.union(self.namespaces.of(name)).is_empty()
            || self.within.iter().any(|within| within.contains_key(name))
    }
}
