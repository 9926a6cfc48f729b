//! Calls about users, roles and what they log in with, with real users.

use std::sync::Arc;

use super::store::Store;
use crate::credentials::Credentials;
use crate::front::{Engine, UserChanges, UserSpec};
use crate::identities::{Right, Rights, Scope, ScopeKind};
use crate::model::{Error, ErrorKind, Principal, Result};

/// All of them; the tests here try each.
pub(super) const CALLS: [&str; 25] = [
    "access_keys",
    "alter_user",
    "check_login",
    "create_access_key",
    "create_role",
    "create_token",
    "create_user",
    "drop_access_key",
    "drop_role",
    "drop_token",
    "drop_user",
    "explain_grant",
    "give_role",
    "grant",
    "grants",
    "revoke",
    "role_members",
    "roles",
    "roles_of",
    "rotate_access_key",
    "rotate_token",
    "set_password",
    "take_role",
    "tokens",
    "users",
];

const PASSWORD: &str = "a long password";

type Tried = (&'static str, Box<dyn Fn(&Engine, &Principal) -> Result<()>>);

pub(super) fn logged_in(engine: &Engine, user: &str) -> Principal {
    engine.authenticate(Some(Credentials::Password { user, password: PASSWORD }), None).expect("it is the password")
}

/// A store with an administrator, and users with no rights.
pub(super) fn with_users(users: &[&str]) -> (Store, Principal) {
    let store = Store::new(&Principal::anonymous());
    assert!(store.engine.init_administrator(PASSWORD).expect("an administrator"));
    assert!(!store.engine.init_administrator("another password").expect("there is one"));
    let admin = logged_in(&store.engine, "admin");
    for name in users {
        let spec = UserSpec { name: (*name).to_owned(), ..UserSpec::default() };
        store.engine.create_user(&admin, spec, Some(PASSWORD)).expect("a user");
    }
    (store, admin)
}

/// What only those may who manage users.
pub(super) fn managing() -> Vec<Tried> {
    let spec = || UserSpec { name: "new".to_owned(), ..UserSpec::default() };
    vec![
        ("create_user", Box::new(move |e, who| e.create_user(who, spec(), Some(PASSWORD)))),
        ("alter_user", Box::new(|e, who| e.alter_user(who, "bob", UserChanges::default()))),
        ("set_password", Box::new(|e, who| e.set_password(who, "bob", Some(PASSWORD)))),
        ("create_role", Box::new(|e, who| e.create_role(who, "role"))),
        ("give_role", Box::new(|e, who| e.give_role(who, "role", "bob"))),
        ("take_role", Box::new(|e, who| e.take_role(who, "role", "bob"))),
        ("drop_role", Box::new(|e, who| e.drop_role(who, "role"))),
        ("create_token", Box::new(|e, who| e.create_token(who, "bob", "t", None).map(drop))),
        ("rotate_token", Box::new(|e, who| e.rotate_token(who, "bob", "t", None).map(drop))),
        ("drop_token", Box::new(|e, who| e.drop_token(who, "bob", "t"))),
        ("create_access_key", Box::new(|e, who| e.create_access_key(who, "bob", Some(("key", "secret"))).map(drop))),
        ("rotate_access_key", Box::new(|e, who| e.rotate_access_key(who, "key").map(drop))),
        ("drop_access_key", Box::new(|e, who| e.drop_access_key(who, "key"))),
        ("explain_grant", Box::new(|e, who| e.explain_grant(who, "bob", Right::Read, &Scope::SERVER).map(drop))),
        ("roles_of", Box::new(|e, who| e.roles_of(who, "bob").map(drop))),
        ("grant", Box::new(|e, who| e.grant(who, "bob", &Scope::namespace("n"), Rights::ALL))),
        ("revoke", Box::new(|e, who| e.revoke(who, "bob", &Scope::namespace("n"), Rights::ALL))),
        ("drop_user", Box::new(|e, who| e.drop_user(who, "new"))),
    ]
}

#[test]
fn who_does_not_manage_users_may_do_nothing_about_others() {
    let (store, admin) = with_users(&["ann", "bob"]);
    let ann = logged_in(&store.engine, "ann");
    for (name, tried) in managing() {
        let refused = tried(&store.engine, &ann).expect_err(name);
        let hidden = matches!(refused, Error::NotFound { .. })
            && ["rotate_access_key", "drop_access_key", "roles_of"].contains(&name);
        assert!(hidden || refused.kind() == ErrorKind::PermissionDenied, "{name}: {refused}");
        let anonymous = tried(&store.engine, &Principal::anonymous()).expect_err(name);
        assert_eq!(anonymous.kind(), ErrorKind::Unauthenticated, "{name}: {anonymous}");
        tried(&store.engine, &admin).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn everybody_manages_what_he_logs_in_with() {
    let (store, _) = with_users(&["ann", "bob"]);
    let (engine, ann) = (&store.engine, logged_in(&store.engine, "ann"));
    let token = engine.create_token(&ann, "ann", "t", None).expect("a token");
    let by_token = engine.authenticate(Some(Credentials::Token(&token)), None).expect("it is one");
    let other = engine.rotate_token(&ann, "ann", "t", None).expect("another");
    assert_eq!(engine.check_login(&by_token).expect_err("it was rotated").kind(), ErrorKind::Unauthenticated);
    engine.authenticate(Some(Credentials::Token(&other)), None).expect("it is one");
    engine.create_access_key(&ann, "ann", Some(("key of ann", "secret"))).expect("a key");
    assert_eq!(
        engine.create_access_key(&ann, "ann", Some(("", "s"))).expect_err("empty").kind(),
        ErrorKind::InvalidInput
    );
    engine.rotate_access_key(&ann, "key of ann").expect("another secret");
    assert_eq!((engine.tokens(&ann).expect("his").len(), engine.access_keys(&ann).expect("his").len()), (1, 1));
    let bob = logged_in(engine, "bob");
    assert_eq!((engine.tokens(&bob).expect("none").len(), engine.access_keys(&bob).expect("none").len()), (0, 0));
    engine.drop_access_key(&ann, "key of ann").expect("his");
    engine.drop_token(&ann, "ann", "t").expect("his");
    engine.set_password(&ann, "ann", Some("another password")).expect("his");
    assert_eq!(engine.check_login(&ann).expect_err("by the password before").kind(), ErrorKind::Unauthenticated);
}

#[test]
fn listings_of_who_there_is_show_oneself() {
    let (store, admin) = with_users(&["ann", "bob"]);
    let engine = &store.engine;
    for role in ["readers", "writers"] {
        engine.create_role(&admin, role).expect("a role");
    }
    engine.give_role(&admin, "readers", "ann").expect("given");
    engine.give_role(&admin, "writers", "bob").expect("given");
    let read = Rights::NONE.with(Right::Read);
    engine.grant(&admin, "readers", &Scope::namespace("n"), read).expect("granted");
    engine.grant(&admin, "writers", &Scope::namespace("m"), read).expect("granted");
    let ann = logged_in(engine, "ann");
    let names = |who: &Principal| -> Vec<Arc<str>> {
        let users = engine.users(who).expect("users").into_iter().map(|user| user.name.clone());
        let roles = engine.roles(who).expect("roles").into_iter().map(|role| role.name.clone());
        let members = engine.role_members(who).expect("members").into_iter().map(|(_, member)| member);
        let grants = engine.grants(who).expect("grants").into_iter().map(|grant| grant.grantee);
        users.chain(roles).chain(members).chain(grants).collect()
    };
    assert_eq!(names(&ann), ["ann", "readers", "ann", "readers"].map(Arc::from));
    assert_eq!(names(&admin).len(), 3 + 2 + 2 + 3);
    let within = Scope::within(ScopeKind::Table, "n", "t");
    let answers = engine.explain_grant(&ann, "ann", Right::Read, &within).expect("his own");
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].path, ["ann", "readers"].map(Arc::from));
    assert!(engine.explain_grant(&ann, "ann", Right::Produce, &within).expect("his own").is_empty());
    assert_eq!(engine.roles_of(&ann, "ann").expect("his own"), ["ann", "readers"]);
}

#[test]
fn the_first_user_is_the_administrator() {
    let store = Store::new(&Principal::anonymous());
    let spec = UserSpec { name: "ann".to_owned(), ..UserSpec::default() };
    let refused = store.engine.create_user(&Principal::anonymous(), spec, Some(PASSWORD)).expect_err("nobody manages");
    assert!(refused.to_string().contains("MILLSTREAM_INIT_ADMIN_PASSWORD"), "{refused}");
    store.engine.create_role(&Principal::anonymous(), "readers").expect("roles can be made before");
    store.engine.recover("admin", PASSWORD).expect("the first");
    let admin = logged_in(&store.engine, "admin");
    assert_eq!(store.engine.roles(&admin).expect("roles").len(), 1);
    store.engine.recover("admin", "another password").expect("set");
    assert_eq!(store.engine.check_login(&admin).expect_err("the one before").kind(), ErrorKind::Unauthenticated);
}

#[test]
fn nobody_comes_by_what_another_of_his_name_owned() {
    let (store, admin) = with_users(&["ann"]);
    let engine = &store.engine;
    engine.grant(&admin, "ann", &Scope::SERVER, Rights::NONE.with(Right::Define)).expect("granted");
    let ann = logged_in(engine, "ann");
    engine.create_table(&ann, super::store::table_spec("hers")).expect("a table");
    engine.drop_user(&admin, "ann").expect("dropped");
    let again =
        || engine.create_user(&admin, UserSpec { name: "ann".to_owned(), ..UserSpec::default() }, Some(PASSWORD));
    let refused = again().expect_err("she owned something");
    assert!(refused.to_string().contains("hers"), "{refused}");
    engine.drop_table(&admin, super::store::NAMESPACE, "hers", false).expect("dropped");
    again().expect("nothing is hers now");
}
