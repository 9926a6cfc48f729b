//! The fold, and which changes make sense.

use std::sync::Arc;

use super::entries::Digest;
use super::*;
use crate::model::{Error, Lsn};

fn user(name: &str) -> UserInfo {
    UserInfo {
        name: Arc::from(name),
        options: UserOptions::default(),
        password: Some(PasswordHash("$argon2id$secret".to_owned())),
        password_set: Lsn(7),
        created_us: 1,
        created: Lsn(7),
    }
}

fn created(name: &str, grants: Vec<(Scope, Rights)>) -> IdentityChange {
    IdentityChange::UserCreated { user: user(name), grants }
}

fn role(name: &str) -> IdentityChange {
    IdentityChange::RoleCreated(RoleInfo { name: Arc::from(name), created_us: 1 })
}

fn given(role: &str, to: &str) -> IdentityChange {
    IdentityChange::RoleGiven { role: Arc::from(role), to: Arc::from(to) }
}

fn token(user: &str, name: &str, byte: u8) -> TokenInfo {
    let (user, name) = (Arc::from(user), Arc::from(name));
    TokenInfo { user, name, sha256: Digest([byte; 32]), created_us: 1, expires_us: None }
}

fn key(id: &str, user: &str) -> AccessKeyInfo {
    AccessKeyInfo { id: Arc::from(id), user: Arc::from(user), sealed: SealedSecret(vec![1, 2, 3]), created_us: 1 }
}

fn apply(known: &mut Identities, changes: &[IdentityChange]) -> Vec<Entry> {
    let mut touched = Vec::new();
    for change in changes {
        known.check(change).unwrap_or_else(|error| panic!("{change:?}: {error}"));
        touched.extend(known.apply(change));
    }
    touched
}

#[test]
fn what_is_stored_of_it_makes_it_anew() {
    let mut known = Identities::default();
    let scope = Scope::within(ScopeKind::Table, "n", "t*");
    let rights = Rights::NONE.with(Right::Read);
    let mut touched = apply(
        &mut known,
        &[
            created("admin", vec![(Scope::SERVER, Rights::ALL)]),
            created("ann", Vec::new()),
            role("readers"),
            given("readers", "ann"),
            IdentityChange::Granted { to: Arc::from("readers"), scope: scope.clone(), rights },
            IdentityChange::TokenCreated(token("ann", "t", 1)),
            IdentityChange::KeyCreated(key("k", "ann")),
        ],
    );
    let restored = |touched: &[Entry]| {
        let mut again = Identities::default();
        for entry in touched {
            known.stored(entry).into_iter().for_each(|value| again.restore(entry, value));
        }
        again
    };
    assert_eq!(restored(&touched), known);
    assert_eq!(known.closure(["ann"]), ["ann", "readers"]);
    assert_eq!(known.path("ann", "readers"), [Arc::from("ann"), Arc::from("readers")]);

    let dropped = known.apply(&IdentityChange::UserDropped { user: Arc::from("ann") });
    assert!(
        known.token_of(&Digest([1; 32])).is_none() && known.key("k").is_none() && known.given("ann").next().is_none()
    );
    touched.extend(dropped);
    touched.extend(known.apply(&IdentityChange::RoleDropped { role: Arc::from("readers") }));
    let mut again = Identities::default();
    for entry in &touched {
        known.stored(entry).into_iter().for_each(|value| again.restore(entry, value));
    }
    assert_eq!(again, known);
    assert_eq!(known.grants().count(), 1, "the administrator's");
}

#[test]
fn a_record_survives_its_bytes() {
    let changes = [
        created("ann", vec![(Scope::SERVER, Rights::ALL)]),
        IdentityChange::TokenCreated(token("ann", "t", 0xab)),
        IdentityChange::KeyCreated(key("k", "ann")),
        IdentityChange::Revoked { from: Arc::from("ann"), scope: Scope::namespace("n*"), rights: Rights::ALL },
    ];
    for change in changes {
        let bytes = serde_json::to_vec(&change).unwrap();
        assert_eq!(serde_json::from_slice::<IdentityChange>(&bytes).unwrap(), change);
        let shown = format!("{change:?}");
        assert!(!shown.contains("$argon2id") && !shown.contains("abab") && !shown.contains("1, 2, 3"), "{shown}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut known = Identities::default();
    apply(&mut known, &[created("admin", vec![(Scope::SERVER, Rights::ALL)]), role("a"), role("b"), given("a", "b")]);
    let refused = |change: IdentityChange| known.check(&change).unwrap_err();
    assert!(matches!(refused(created("a", Vec::new())), Error::AlreadyExists { what: "role", .. }));
    assert!(matches!(refused(role("admin")), Error::AlreadyExists { what: "user", .. }));
    assert!(matches!(refused(given("b", "a")), Error::InvalidInput(_)), "a circle");
    assert!(matches!(refused(given("a", "a")), Error::InvalidInput(_)), "a circle");
    assert!(matches!(refused(given("admin", "a")), Error::NotFound { what: "role", .. }));
    assert!(matches!(refused(IdentityChange::TokenCreated(token("a", "t", 1))), Error::NotFound { what: "user", .. }));
    assert!(matches!(refused(IdentityChange::KeyDropped { id: Arc::from("k") }), Error::NotFound { .. }));
}

#[test]
fn somebody_can_always_manage_the_others() {
    let mut known = Identities::default();
    apply(
        &mut known,
        &[created("admin", vec![(Scope::SERVER, Rights::ALL)]), created("ann", Vec::new()), role("admins")],
    );
    let options = UserOptions { disabled: true, ..UserOptions::default() };
    let rights = Rights::NONE.with(Right::GrantOption);
    let admin = || Arc::<str>::from("admin");
    let fatal = [
        IdentityChange::UserDropped { user: admin() },
        IdentityChange::UserAltered { user: admin(), options: options.clone() },
        IdentityChange::Revoked { from: admin(), scope: Scope::SERVER, rights },
    ];
    for change in &fatal {
        assert!(matches!(known.check(change), Err(Error::FailedPrecondition(_))), "{change:?}");
    }
    known.check(&IdentityChange::UserDropped { user: Arc::from("ann") }).unwrap();
    // Another administrator, through a role.
    let admins = IdentityChange::Granted { to: Arc::from("admins"), scope: Scope::SERVER, rights };
    apply(&mut known, &[admins, given("admins", "ann")]);
    fatal.iter().for_each(|change| known.check(change).unwrap());
    apply(&mut known, &fatal[..1]);
    let last = [
        IdentityChange::RoleTaken { role: Arc::from("admins"), from: Arc::from("ann") },
        IdentityChange::RoleDropped { role: Arc::from("admins") },
        IdentityChange::UserDropped { user: Arc::from("ann") },
    ];
    for change in &last {
        assert!(matches!(known.check(change), Err(Error::FailedPrecondition(_))), "{change:?}");
    }
}

#[test]
fn names() {
    for name in ["ann", "ann@example.com", "CN-1", "svc:orders/1", "ä"] {
        check_identity_name("user", name).unwrap();
    }
    for name in ["", "a b", "a\0", "a'b", "anonymous", "System", &"x".repeat(129)] {
        check_identity_name("user", name).unwrap_err();
    }
}
