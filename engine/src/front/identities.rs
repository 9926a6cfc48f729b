//! Users, roles and grants.

use std::sync::Arc;

use crate::access::{Action, Object};
use crate::credentials::hashed;
use crate::front::Engine;
use crate::identities::{
    GrantInfo, IdentityChange, Right, Rights, RoleInfo, Scope, UserInfo, UserOptions, check_identity_name,
};
use crate::model::{Error, Lsn, NamespaceLimit, NamespaceLimitChanges, NamespaceLimits, Principal, Result};
use crate::state::{IdentityRecord, Submission};

/// What a new user has.
#[derive(Debug, Clone, Default)]
pub struct UserSpec {
    pub name: String,
    pub options: UserOptions,
}

/// Which options to set; `None` leaves one as it is.
#[derive(Debug, Clone, Default)]
pub struct UserChanges {
    pub disabled: Option<bool>,
    /// `Some(None)`: certificates with the user's own name are his.
    pub certificate: Option<Option<String>>,
    /// Those of [`NamespaceLimit::OF_USERS`]; the others stay as they are.
    pub limits: NamespaceLimitChanges,
}

/// One grant that answers a question about rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantAnswer {
    pub grant: GrantInfo,
    /// The roles from the user to the grantee, both included.
    pub path: Vec<Arc<str>>,
}

impl Engine {
    /// Refused while there is no user at all: the first is made by [`Engine::init_administrator`].
    pub fn create_user(&self, who: &Principal, spec: UserSpec, password: Option<&str>) -> Result<()> {
        self.session(who)?.server(Action::Grant)?;
        check_identity_name("user", &spec.name)?;
        check_user_limits(&spec.options.limits)?;
        if !self.has_users() {
            return Err(Error::FailedPrecondition(
                "there is no administrator yet, and with the first user everybody has to log in: start the server once with \
                 MILLSTREAM_INIT_ADMIN_PASSWORD set, or stop it and run millstream passwd admin"
                    .to_owned(),
            ));
        }
        let user = UserInfo {
            name: Arc::from(spec.name.as_str()),
            options: spec.options,
            password: password.map(hashed).transpose()?,
            password_set: Lsn(0),
            created_us: self.now_us(),
            created: Lsn(0),
        };
        self.identify(who, IdentityChange::UserCreated { user, grants: Vec::new() })
    }

    /// Disabling ends what he does within a second.
    pub fn alter_user(&self, who: &Principal, name: &str, changes: UserChanges) -> Result<()> {
        self.session(who)?.server(Action::Grant)?;
        let user = self.known_user(name)?;
        let UserOptions { disabled, certificate, limits } = user.options.clone();
        let options = UserOptions {
            disabled: changes.disabled.unwrap_or(disabled),
            certificate: changes.certificate.unwrap_or(certificate),
            limits: limits.with(&changes.limits),
        };
        check_user_limits(&options.limits)?;
        self.identify(who, IdentityChange::UserAltered { user: user.name.clone(), options })
    }

    /// Ends logins by the password that was. `None` refuses passwords. Everybody may set his own.
    pub fn set_password(&self, who: &Principal, name: &str, password: Option<&str>) -> Result<()> {
        self.about_user(who, name)?;
        let user = self.known_user(name)?;
        let password = password.map(hashed).transpose()?;
        self.identify(who, IdentityChange::PasswordSet { user: user.name.clone(), password, set: Lsn(0) })
    }

    /// With his tokens and keys. What he owns stays, and what acts with his rights stands still.
    pub fn drop_user(&self, who: &Principal, name: &str) -> Result<()> {
        self.session(who)?.server(Action::Grant)?;
        self.identify(who, IdentityChange::UserDropped { user: Arc::from(name) })
    }

    pub fn create_role(&self, who: &Principal, name: &str) -> Result<()> {
        self.session(who)?.server(Action::Grant)?;
        check_identity_name("role", name)?;
        self.identify(who, IdentityChange::RoleCreated(RoleInfo { name: Arc::from(name), created_us: self.now_us() }))
    }

    /// Whoever had it has it no more.
    pub fn drop_role(&self, who: &Principal, name: &str) -> Result<()> {
        self.session(who)?.server(Action::Grant)?;
        self.identify(who, IdentityChange::RoleDropped { role: Arc::from(name) })
    }

    /// To a user or another role.
    pub fn give_role(&self, who: &Principal, role: &str, to: &str) -> Result<()> {
        self.session(who)?.server(Action::Grant)?;
        self.identify(who, IdentityChange::RoleGiven { role: Arc::from(role), to: Arc::from(to) })
    }

    pub fn take_role(&self, who: &Principal, role: &str, from: &str) -> Result<()> {
        self.session(who)?.server(Action::Grant)?;
        self.identify(who, IdentityChange::RoleTaken { role: Arc::from(role), from: Arc::from(from) })
    }

    /// To a user or a role. Needs GRANT OPTION and the rights themselves on all of the scope.
    pub fn grant(&self, who: &Principal, to: &str, scope: &Scope, rights: Rights) -> Result<()> {
        self.session(who)?.grant(scope, rights)?;
        self.identify(who, IdentityChange::Granted { to: Arc::from(to), scope: scope.clone(), rights })
    }

    /// What was granted on exactly this scope. Needs what [`Engine::grant`] needs.
    pub fn revoke(&self, who: &Principal, from: &str, scope: &Scope, rights: Rights) -> Result<()> {
        self.session(who)?.grant(scope, rights)?;
        self.identify(who, IdentityChange::Revoked { from: Arc::from(from), scope: scope.clone(), rights })
    }

    /// By name. Who may not manage users sees himself.
    pub fn users(&self, who: &Principal) -> Result<Vec<Arc<UserInfo>>> {
        let all = self.manages(who)?;
        Ok(self
            .rooms
            .ledger
            .access
            .of(|known| known.users().filter(|user| all || user.name.as_ref() == who.name()).cloned().collect()))
    }

    /// By name. Who may not manage users sees those that he has.
    pub fn roles(&self, who: &Principal) -> Result<Vec<Arc<RoleInfo>>> {
        let all = self.manages(who)?;
        Ok(self.rooms.ledger.access.of(|known| {
            let own = known.closure([who.name()]);
            known.roles().filter(|role| all || own.contains(&role.name.as_ref())).cloned().collect()
        }))
    }

    /// Roles with whom they were given to: (role, to), by whom. Who may not manage users sees those that concern him.
    pub fn role_members(&self, who: &Principal) -> Result<Vec<(Arc<str>, Arc<str>)>> {
        let all = self.manages(who)?;
        Ok(self.rooms.ledger.access.of(|known| {
            let own = known.closure([who.name()]);
            let shown = |(to, _): &(&Arc<str>, &Arc<str>)| all || own.contains(&to.as_ref());
            known.members().filter(shown).map(|(to, role)| (role.clone(), to.clone())).collect()
        }))
    }

    /// By grantee. Who may not manage users sees those that concern him.
    pub fn grants(&self, who: &Principal) -> Result<Vec<GrantInfo>> {
        let all = self.manages(who)?;
        Ok(self.rooms.ledger.access.of(|known| {
            let own = known.closure([who.name()]);
            known.grants().filter(|grant| all || own.contains(&grant.grantee.as_ref())).collect()
        }))
    }

    /// A user or role and the roles that he has, also through others. Everybody may ask of himself and of his roles.
    pub fn roles_of(&self, who: &Principal, name: &str) -> Result<Vec<String>> {
        let all = self.manages(who)?;
        self.rooms.ledger.access.of(|known| {
            let is_there = known.user(name).is_some() || known.role(name).is_some();
            if !is_there || (!all && !known.closure([who.name()]).contains(&name)) {
                return Err(Error::NotFound { what: "user or role", name: name.to_owned() });
            }
            Ok(known.closure([name]).into_iter().map(str::to_owned).collect())
        })
    }

    /// The grants by which a user has a right on a scope; none: he has it not, unless he owns the object. Everybody may ask of himself.
    pub fn explain_grant(&self, who: &Principal, user: &str, right: Right, scope: &Scope) -> Result<Vec<GrantAnswer>> {
        self.about_user(who, user)?;
        self.known_user(user)?;
        Ok(self.rooms.ledger.access.of(|known| {
            let mut answers = Vec::new();
            for name in known.closure([user]) {
                for (of, rights) in known.grants_of(name).filter(|(of, rights)| rights.has(right) && of.covers(scope)) {
                    let grant = GrantInfo { grantee: Arc::from(name), scope: of.clone(), rights };
                    answers.push(GrantAnswer { grant, path: known.path(user, name) });
                }
            }
            answers
        }))
    }

    fn manages(&self, who: &Principal) -> Result<bool> {
        let session = self.session(who)?;
        self.rooms.ledger.access.check_login(who)?;
        Ok(self.rooms.ledger.access.check(session.who, Action::Grant, &Object::SERVER).is_ok())
    }

    /// Refuses whoever is neither that user nor manages users.
    pub(super) fn about_user(&self, who: &Principal, name: &str) -> Result<()> {
        let session = self.session(who)?;
        if self.has_users() && who.name() == name {
            return self.rooms.ledger.access.check_login(who);
        }
        session.server(Action::Grant)
    }

    pub(super) fn known_user(&self, name: &str) -> Result<Arc<UserInfo>> {
        let found = self.rooms.ledger.access.of(|known| known.user(name).cloned());
        found.ok_or_else(|| Error::NotFound { what: "user", name: name.to_owned() })
    }

    pub(super) fn identify(&self, who: &Principal, change: IdentityChange) -> Result<()> {
        self.submit_for(who, Submission::of([IdentityRecord(change)])).map(drop)
    }
}

/// Refuses limits that users do not have, and such as let nothing pass.
fn check_user_limits(limits: &NamespaceLimits) -> Result<()> {
    let others = NamespaceLimit::of_namespaces().filter(|limit| !NamespaceLimit::OF_USERS.contains(limit));
    if let Some(limit) = others.into_iter().find(|limit| limits.get(*limit).is_some()) {
        return Err(Error::InvalidInput(format!("{} is a limit of namespaces, and not of users", limit.name())));
    }
    let set = NamespaceLimit::OF_USERS.into_iter().filter_map(|limit| Some((limit, limits.get(limit)?)));
    match set.into_iter().find(|(limit, value)| *value < limit.least()) {
        Some((limit, _)) => Err(Error::InvalidInput(format!("{} must be at least {}", limit.name(), limit.least()))),
        None => Ok(()),
    }
}
