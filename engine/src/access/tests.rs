//! What is decided.

use std::sync::Arc;

use super::*;
use crate::identities::{PasswordHash, RoleInfo, ScopeKind, TokenInfo, UserOptions};
use crate::model::Lsn;
use crate::platform::ManualClock;

fn user(name: &str) -> IdentityChange {
    let user = UserInfo {
        name: Arc::from(name),
        options: UserOptions::default(),
        password: Some(PasswordHash(String::new())),
        password_set: Lsn(5),
        created_us: 0,
        created: Lsn(5),
    };
    IdentityChange::UserCreated { user, grants: Vec::new() }
}

fn granted(to: &str, scope: Scope, rights: &[Right]) -> IdentityChange {
    IdentityChange::Granted { to: Arc::from(to), scope, rights: rights.iter().copied().collect() }
}

fn access(changes: &[IdentityChange]) -> (Access, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(1_000_000_000_000));
    let access = Access::new(clock.clone(), Identities::default());
    access.apply(changes);
    (access, clock)
}

fn by_password(name: &str) -> Principal {
    let login = Login { created: Some(Lsn(5)), by: LoginBy::Password(Lsn(5)), expires_us: None, roles: Vec::new() };
    Principal::logged_in(Arc::from(name), login)
}

fn table<'a>(namespace: &'a str, name: &'a str) -> Object<'a> {
    Object::unowned(ObjectKind::Table, namespace, name)
}

#[test]
fn without_users_everybody_may_do_everything() {
    let (access, _) = access(&[]);
    assert!(!access.is_on());
    access.check(&Principal::anonymous(), Action::Operate, &Object::SERVER).unwrap();
    access.check(&Principal::named("anybody"), Action::Define, &table("n", "t")).unwrap();
}

#[test]
fn with_users_everybody_has_what_he_was_granted() {
    let (access, _) = access(&[
        user("ann"),
        granted("ann", Scope::within(ScopeKind::Table, "n", "orders*"), &[Right::Produce]),
        granted("ann", Scope::namespace("m"), &[Right::Consume]),
    ]);
    let ann = by_password("ann");
    let may = |action, object: Object<'_>| access.check(&ann, action, &object).is_ok();
    assert!(may(Action::Produce, table("n", "orders")) && may(Action::Produce, table("n", "orders_eu")));
    assert!(!may(Action::Produce, table("n", "order")) && !may(Action::Produce, table("o", "orders")));
    assert!(!may(Action::Read, table("n", "orders")), "another right");
    assert!(!may(Action::Produce, Object::unowned(ObjectKind::Topic, "n", "orders")), "another kind");
    assert!(may(Action::Consume, table("m", "any")) && may(Action::Consume, Object::group("m", "g")));
    assert!(may(Action::Follow, table("m", "any")) && !may(Action::Follow, table("n", "orders")));
    assert!(may(Action::See, table("n", "orders")) && may(Action::See, Object::namespace("n")));
    assert!(!may(Action::See, table("n", "other")) && !may(Action::See, Object::namespace("o")));
    assert!(!access.sees(&ann, &table("n", "other")) && access.sees(&ann, &table("m", "other")));
    assert!(!may(Action::Operate, Object::SERVER));
    let denied = access.check(&ann, Action::Read, &table("n", "orders")).unwrap_err().to_string();
    assert!(denied.contains("READ") && denied.contains("TABLE n.orders"), "{denied}");
}

#[test]
fn who_has_not_logged_in_is_refused() {
    let (access, _) = access(&[user("ann")]);
    let refused = access.check(&Principal::anonymous(), Action::See, &table("n", "t"));
    assert!(matches!(refused, Err(Error::Unauthenticated(_))), "{refused:?}");
    access.check(&Principal::system(), Action::Operate, &Object::SERVER).unwrap();
}

#[test]
fn owners_have_all_rights_on_what_is_theirs() {
    let (access, _) = access(&[user("ann"), user("bob")]);
    let ann = Principal::named("ann");
    let owned = Object { owner: Some(&ann), ..table("n", "t") };
    access.check(&by_password("ann"), Action::Define, &owned).unwrap();
    access.check(&by_password("bob"), Action::See, &owned).unwrap_err();
    // What was defined while nobody logged in goes on.
    let before = Principal::anonymous();
    access.check_owner(&before, Action::Produce, &table("n", "t")).unwrap();
    access.check_owner(&ann, Action::Produce, &table("n", "t")).unwrap_err();
    access.check_owner(&Principal::named("gone"), Action::Produce, &owned).unwrap_err();
    // However she had logged in when she made it.
    let logged_in = by_password("ann");
    access.apply([&IdentityChange::PasswordSet { user: Arc::from("ann"), password: None, set: Lsn(9) }]);
    access.check(&logged_in, Action::Define, &owned).unwrap_err();
    access.check_owner(&logged_in, Action::Define, &owned).unwrap();
}

#[test]
fn a_login_ends_with_what_it_rests_on() {
    let digest = crate::identities::Digest([3; 32]);
    let token =
        TokenInfo { user: Arc::from("ann"), name: Arc::from("t"), sha256: digest, created_us: 0, expires_us: None };
    let all = granted("ann", Scope::SERVER, &Right::ALL);
    let begin = || access(&[user("ann"), all.clone(), IdentityChange::TokenCreated(token.clone())]);
    let by_token = |expires_us| {
        let by = LoginBy::Token([3; 32]);
        Principal::logged_in(Arc::from("ann"), Login { created: Some(Lsn(5)), by, expires_us, roles: Vec::new() })
    };
    let stands = |access: &Access, who: &Principal| match access.check(who, Action::See, &table("n", "t")) {
        Ok(()) => true,
        Err(Error::Unauthenticated(_)) => false,
        Err(other) => panic!("{other}"),
    };
    let (access, clock) = begin();
    let expires = clock.wall_us() + 1_000;
    assert!(stands(&access, &by_password("ann")) && stands(&access, &by_token(Some(expires))));
    clock.advance(std::time::Duration::from_secs(1));
    assert!(!stands(&access, &by_token(Some(expires))) && stands(&access, &by_token(None)));

    let ends: [(IdentityChange, bool, bool); 4] = [
        (IdentityChange::PasswordSet { user: Arc::from("ann"), password: None, set: Lsn(9) }, false, true),
        (IdentityChange::TokenDropped { user: Arc::from("ann"), name: Arc::from("t") }, true, false),
        (IdentityChange::UserDropped { user: Arc::from("ann") }, false, false),
        (
            IdentityChange::UserAltered {
                user: Arc::from("ann"),
                options: UserOptions { disabled: true, ..UserOptions::default() },
            },
            false,
            false,
        ),
    ];
    for (change, password, token) in ends {
        let (access, _) = begin();
        access.apply([&user("bob"), &change]);
        assert_eq!(stands(&access, &by_password("ann")), password, "{change:?}");
        assert_eq!(stands(&access, &by_token(None)), token, "{change:?}");
    }
}

#[test]
fn another_user_of_the_same_name_is_somebody_else() {
    let (access, _) = access(&[user("ann"), granted("ann", Scope::SERVER, &Right::ALL)]);
    let before = by_password("ann");
    let again = UserInfo { created: Lsn(20), password_set: Lsn(20), ..user_info("ann") };
    access.apply([
        &IdentityChange::UserDropped { user: Arc::from("ann") },
        &IdentityChange::UserCreated { user: again, grants: vec![(Scope::SERVER, Rights::ALL)] },
    ]);
    assert!(matches!(access.check_login(&before), Err(Error::Unauthenticated(_))));
}

fn user_info(name: &str) -> UserInfo {
    match user(name) {
        IdentityChange::UserCreated { user, .. } => user,
        other => panic!("{other:?}"),
    }
}

#[test]
fn roles_of_a_directory_elsewhere_count() {
    let role = IdentityChange::RoleCreated(RoleInfo { name: Arc::from("ops"), created_us: 0 });
    let (access, _) = access(&[user("ann"), role, granted("ops", Scope::SERVER, &[Right::Operate])]);
    let claimed = |roles: &[&str]| {
        let roles = roles.iter().map(|role| Arc::from(*role)).collect();
        Principal::logged_in(Arc::from("x@y"), Login { created: None, by: LoginBy::Claims, expires_us: None, roles })
    };
    access.check(&claimed(&["ops"]), Action::Operate, &Object::SERVER).unwrap();
    access.check(&claimed(&[]), Action::Operate, &Object::SERVER).unwrap_err();
    access.check(&claimed(&["other"]), Action::Operate, &Object::SERVER).unwrap_err();
}

#[test]
fn nobody_hands_on_what_he_has_not() {
    let (access, _) = access(&[
        user("ann"),
        granted("ann", Scope::namespace("n"), &[Right::GrantOption, Right::Read]),
        granted("ann", Scope::within(ScopeKind::Table, "m", "t"), &[Right::Read]),
    ]);
    let ann = by_password("ann");
    let may =
        |scope: Scope, rights: &[Right]| access.check_grant(&ann, &scope, rights.iter().copied().collect()).is_ok();
    assert!(
        may(Scope::within(ScopeKind::Table, "n", "t*"), &[Right::Read]) && may(Scope::namespace("n"), &[Right::Read])
    );
    assert!(may(Scope::within(ScopeKind::Group, "n", "g"), &[Right::GrantOption]));
    assert!(!may(Scope::namespace("n*"), &[Right::Read]) && !may(Scope::SERVER, &[Right::Read]));
    assert!(!may(Scope::namespace("n"), &[Right::Produce]));
    assert!(!may(Scope::within(ScopeKind::Table, "m", "t"), &[Right::Read]), "without GRANT OPTION there");
}

#[test]
fn what_is_gathered_follows_each_change() {
    let (access, _) = access(&[user("ann")]);
    let ann = by_password("ann");
    for _ in 0..3 {
        access.check(&ann, Action::Read, &table("n", "t")).unwrap_err();
        access.apply([&granted("ann", Scope::namespace("n"), &[Right::Read])]);
        access.check(&ann, Action::Read, &table("n", "t")).unwrap();
        let rights = Rights::NONE.with(Right::Read);
        access.apply([&IdentityChange::Revoked { from: Arc::from("ann"), scope: Scope::namespace("n"), rights }]);
    }
}

#[test]
fn who_consumes_in_a_group_has_what_the_group_keeps() {
    let (access, _) = access(&[
        user("ann"),
        granted("ann", Scope::within(ScopeKind::Group, "n", "g"), &[Right::Consume]),
        granted("ann", Scope::within(ScopeKind::Group, "n", "h"), &[Right::Produce]),
    ]);
    let ann = by_password("ann");
    let may = |action, object: Object<'_>| access.check(&ann, action, &object).is_ok();
    for own in ["%RETRY%g", "%DLQ%g"] {
        for action in [Action::See, Action::Produce, Action::Consume, Action::Read, Action::Define] {
            assert!(may(action, table("n", own)), "{action:?} of {own}");
        }
        assert!(!may(Action::Operate, table("n", own)) && !may(Action::See, table("m", own)));
    }
    assert!(!may(Action::See, table("n", "%RETRY%h")) && !may(Action::See, table("n", "%RETRY%gg")));
    assert!(!may(Action::See, Object::unowned(ObjectKind::Topic, "n", "%RETRY%g")), "another kind");
}

#[test]
fn what_is_granted_in_a_namespace_is_known() {
    let (access, _) = access(&[
        user("ann"),
        granted("ann", Scope::within(ScopeKind::Table, "n", "orders*"), &[Right::Produce]),
        granted("ann", Scope::within(ScopeKind::Group, "m", "g"), &[Right::Produce]),
        granted("ann", Scope::namespace("o"), &[Right::Produce]),
    ]);
    let within = |namespace| access.is_granted_within(&by_password("ann"), Action::Produce, namespace);
    assert!(within("n") && within("o"));
    assert!(!within("m"), "groups have no rows");
    assert!(!within("p") && !access.is_granted_within(&by_password("bob"), Action::Produce, "n"));
}
