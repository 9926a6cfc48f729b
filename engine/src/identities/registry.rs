//! The fold.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use serde::Serialize;

use super::change::IdentityChange;
use super::entries::{AccessKeyInfo, Digest, GrantInfo, RoleInfo, TokenInfo, UserInfo};
use super::rights::Rights;
use super::scope::Scope;

/// What can change by itself, as the state store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Entry {
    User(Arc<str>),
    Role(Arc<str>),
    /// That a user or role has been given a role.
    Member(Arc<str>, Arc<str>),
    Grant(Arc<str>, Scope),
    Token(Arc<str>, Arc<str>),
    Key(Arc<str>),
}

/// What the state store keeps of an entry.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Value {
    User(Arc<UserInfo>),
    Role(Arc<RoleInfo>),
    Given(bool),
    Granted(Rights),
    Token(Arc<TokenInfo>),
    Key(Arc<AccessKeyInfo>),
}

/// Everybody and everything granted.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Identities {
    users: BTreeMap<Arc<str>, Arc<UserInfo>>,
    roles: BTreeMap<Arc<str>, Arc<RoleInfo>>,
    /// Roles by whom they were given to.
    given: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    grants: BTreeMap<Arc<str>, BTreeMap<Scope, Rights>>,
    /// By user and name.
    tokens: BTreeMap<(Arc<str>, Arc<str>), Arc<TokenInfo>>,
    by_digest: HashMap<Digest, Arc<TokenInfo>>,
    keys: BTreeMap<Arc<str>, Arc<AccessKeyInfo>>,
}

impl Identities {
    pub(crate) fn user(&self, name: &str) -> Option<&Arc<UserInfo>> {
        self.users.get(name)
    }

    pub(crate) fn users(&self) -> impl Iterator<Item = &Arc<UserInfo>> {
        self.users.values()
    }

    /// Whether anybody can log in at all.
    pub(crate) fn has_users(&self) -> bool {
        !self.users.is_empty()
    }

    pub(crate) fn role(&self, name: &str) -> Option<&Arc<RoleInfo>> {
        self.roles.get(name)
    }

    pub(crate) fn roles(&self) -> impl Iterator<Item = &Arc<RoleInfo>> {
        self.roles.values()
    }

    /// Those that were given to a user or role themselves.
    pub(crate) fn given(&self, to: &str) -> impl Iterator<Item = &Arc<str>> {
        self.given.get(to).into_iter().flatten()
    }

    /// Who was given which role.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        self.given.iter().flat_map(|(to, roles)| roles.iter().map(move |role| (to, role)))
    }

    pub(crate) fn token(&self, user: &str, name: &str) -> Option<&Arc<TokenInfo>> {
        self.tokens.get(&(Arc::from(user), Arc::from(name)))
    }

    pub(crate) fn token_of(&self, digest: &Digest) -> Option<&Arc<TokenInfo>> {
        self.by_digest.get(digest)
    }

    pub(crate) fn tokens(&self) -> impl Iterator<Item = &Arc<TokenInfo>> {
        self.tokens.values()
    }

    pub(crate) fn key(&self, id: &str) -> Option<&Arc<AccessKeyInfo>> {
        self.keys.get(id)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Arc<AccessKeyInfo>> {
        self.keys.values()
    }

    pub(crate) fn grants(&self) -> impl Iterator<Item = GrantInfo> {
        self.grants.iter().flat_map(|(grantee, grants)| {
            let of = move |(scope, rights): (&Scope, &Rights)| GrantInfo {
                grantee: grantee.clone(),
                scope: scope.clone(),
                rights: *rights,
            };
            grants.iter().map(of)
        })
    }

    /// What was granted to a user or role itself.
    pub(crate) fn grants_of(&self, grantee: &str) -> impl Iterator<Item = (&Scope, Rights)> {
        self.grants.get(grantee).into_iter().flatten().map(|(scope, rights)| (scope, *rights))
    }

    /// These and the roles that they have through others, each once.
    pub(crate) fn closure<'a>(&'a self, of: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        let mut seen = BTreeSet::new();
        let mut ahead: Vec<&str> = of.into_iter().collect();
        let mut all = Vec::new();
        while let Some(name) = ahead.pop() {
            if seen.insert(name) {
                all.push(name);
                ahead.extend(self.given(name).map(AsRef::as_ref));
            }
        }
        all
    }

    /// Does what makes sense of the change, and says which entries are others now.
    pub(crate) fn apply(&mut self, change: &IdentityChange) -> Vec<Entry> {
        match change {
            IdentityChange::UserCreated { user, grants } => {
                self.users.insert(user.name.clone(), Arc::new(user.clone()));
                let mut changed = vec![Entry::User(user.name.clone())];
                for (scope, rights) in grants {
                    changed.push(self.grant(&user.name, scope, *rights));
                }
                changed
            }
            IdentityChange::UserAltered { user, options } => self.edit(user, |user| user.options = options.clone()),
            IdentityChange::PasswordSet { user, password, set } => self.edit(user, |user| {
                user.password = password.clone();
                user.password_set = *set;
            }),
            IdentityChange::UserDropped { user } => {
                self.users.remove(user);
                let mut changed = vec![Entry::User(user.clone())];
                changed.extend(self.forget_grantee(user));
                let tokens: Vec<_> = self.tokens.keys().filter(|(of, _)| of == user).cloned().collect();
                changed.extend(tokens.into_iter().map(|(user, name)| self.drop_token(&user, &name)));
                let keys: Vec<_> =
                    self.keys.values().filter(|key| key.user == *user).map(|key| key.id.clone()).collect();
                for id in keys {
                    self.keys.remove(&id);
                    changed.push(Entry::Key(id));
                }
                changed
            }
            IdentityChange::RoleCreated(role) => {
                self.roles.insert(role.name.clone(), Arc::new(role.clone()));
                vec![Entry::Role(role.name.clone())]
            }
            IdentityChange::RoleDropped { role } => {
                self.roles.remove(role);
                let mut changed = vec![Entry::Role(role.clone())];
                changed.extend(self.forget_grantee(role));
                let had: Vec<_> =
                    self.given.iter().filter(|(_, roles)| roles.contains(role)).map(|(name, _)| name.clone()).collect();
                changed.extend(had.into_iter().map(|name| self.take_role(role, &name)));
                changed
            }
            IdentityChange::RoleGiven { role, to } => {
                self.given.entry(to.clone()).or_default().insert(role.clone());
                vec![Entry::Member(to.clone(), role.clone())]
            }
            IdentityChange::RoleTaken { role, from } => vec![self.take_role(role, from)],
            IdentityChange::Granted { to, scope, rights } => vec![self.grant(to, scope, *rights)],
            IdentityChange::Revoked { from, scope, rights } => vec![self.revoke(from, scope, *rights)],
            IdentityChange::TokenCreated(token) | IdentityChange::TokenRotated(token) => {
                let entry = self.drop_token(&token.user, &token.name);
                self.put_token(Arc::new(token.clone()));
                vec![entry]
            }
            IdentityChange::TokenDropped { user, name } => vec![self.drop_token(user, name)],
            IdentityChange::KeyCreated(key) | IdentityChange::KeyRotated(key) => {
                self.keys.insert(key.id.clone(), Arc::new(key.clone()));
                vec![Entry::Key(key.id.clone())]
            }
            IdentityChange::KeyDropped { id } => {
                self.keys.remove(id);
                vec![Entry::Key(id.clone())]
            }
        }
    }

    fn edit(&mut self, name: &Arc<str>, change: impl FnOnce(&mut UserInfo)) -> Vec<Entry> {
        if let Some(user) = self.users.get_mut(name) {
            change(Arc::make_mut(user));
        }
        vec![Entry::User(name.clone())]
    }

    fn grant(&mut self, to: &Arc<str>, scope: &Scope, rights: Rights) -> Entry {
        let granted = self.grants.entry(to.clone()).or_default().entry(scope.clone()).or_default();
        *granted = granted.union(rights);
        Entry::Grant(to.clone(), scope.clone())
    }

    fn revoke(&mut self, from: &Arc<str>, scope: &Scope, rights: Rights) -> Entry {
        if let Some(grants) = self.grants.get_mut(from) {
            if let Some(granted) = grants.get_mut(scope) {
                *granted = granted.minus(rights);
                if granted.is_empty() {
                    grants.remove(scope);
                }
            }
            if grants.is_empty() {
                self.grants.remove(from);
            }
        }
        Entry::Grant(from.clone(), scope.clone())
    }

    fn take_role(&mut self, role: &Arc<str>, from: &Arc<str>) -> Entry {
        if let Some(roles) = self.given.get_mut(from) {
            roles.remove(role);
            if roles.is_empty() {
                self.given.remove(from);
            }
        }
        Entry::Member(from.clone(), role.clone())
    }

    /// What was granted and given to somebody who is gone.
    fn forget_grantee(&mut self, name: &Arc<str>) -> Vec<Entry> {
        let grants = self.grants.remove(name).unwrap_or_default().into_keys();
        let mut changed: Vec<Entry> = grants.map(|scope| Entry::Grant(name.clone(), scope)).collect();
        let roles = self.given.remove(name).unwrap_or_default();
        changed.extend(roles.into_iter().map(|role| Entry::Member(name.clone(), role)));
        changed
    }

    fn put_token(&mut self, token: Arc<TokenInfo>) {
        self.by_digest.insert(token.sha256, token.clone());
        self.tokens.insert((token.user.clone(), token.name.clone()), token);
    }

    fn drop_token(&mut self, user: &Arc<str>, name: &Arc<str>) -> Entry {
        if let Some(token) = self.tokens.remove(&(user.clone(), name.clone())) {
            self.by_digest.remove(&token.sha256);
        }
        Entry::Token(user.clone(), name.clone())
    }

    /// How somebody comes by a role: himself, what he was given, what that was given, down to the role.
    pub(crate) fn path(&self, from: &str, role: &str) -> Vec<Arc<str>> {
        let mut came: BTreeMap<&str, &str> = BTreeMap::new();
        let mut ahead = VecDeque::from([from]);
        while let Some(name) = ahead.pop_front() {
            for next in self.given(name).map(AsRef::as_ref) {
                if next != from && !came.contains_key(next) {
                    came.insert(next, name);
                    ahead.push_back(next);
                }
            }
        }
        let before = std::iter::successors(Some(role), |name| came.get(name).copied());
        let mut path: Vec<Arc<str>> = before.map(Arc::from).collect();
        path.reverse();
        path
    }

    /// Takes back what the state store has of an entry.
    pub(crate) fn restore(&mut self, entry: &Entry, value: Value) {
        match (entry, value) {
            (Entry::User(name), Value::User(user)) => drop(self.users.insert(name.clone(), user)),
            (Entry::Role(name), Value::Role(role)) => drop(self.roles.insert(name.clone(), role)),
            (Entry::Member(to, role), Value::Given(true)) => {
                self.given.entry(to.clone()).or_default().insert(role.clone());
            }
            (Entry::Grant(to, scope), Value::Granted(rights)) => {
                self.grants.entry(to.clone()).or_default().insert(scope.clone(), rights);
            }
            (Entry::Token(..), Value::Token(token)) => self.put_token(token),
            (Entry::Key(id), Value::Key(key)) => drop(self.keys.insert(id.clone(), key)),
            (Entry::User(_) | Entry::Role(_) | Entry::Member(..), _)
            | (Entry::Grant(..) | Entry::Token(..) | Entry::Key(_), _) => {}
        }
    }

    /// What the state store is to have of an entry; `None`: it is gone.
    pub(crate) fn stored(&self, entry: &Entry) -> Option<Value> {
        match entry {
            Entry::User(name) => self.users.get(name).cloned().map(Value::User),
            Entry::Role(name) => self.roles.get(name).cloned().map(Value::Role),
            Entry::Member(to, role) => self.given.get(to)?.contains(role).then_some(Value::Given(true)),
            Entry::Grant(to, scope) => self.grants.get(to)?.get(scope).copied().map(Value::Granted),
            Entry::Token(user, name) => self.token(user, name).cloned().map(Value::Token),
            Entry::Key(id) => self.keys.get(id).cloned().map(Value::Key),
        }
    }
}
