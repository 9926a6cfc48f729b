//! Each call that names an object, with each right granted on what holds the object, on the object, and beside it. That the calls ask just this
//! is what the other tests of this room show.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::calls::{calls, listings};
use super::named;
use crate::access::{Access, Action, Object, ObjectKind};
use crate::identities::{Identities, IdentityChange, Right, Rights, Scope, ScopeKind, UserInfo, UserOptions};
use crate::model::{Error, Lsn, Principal};
use crate::platform::ManualClock;

/// What suffices for an action, said once more.
fn suffices(action: Action, right: Right) -> bool {
    match action {
        Action::See => true,
        Action::Define => right == Right::Define,
        Action::Produce => right == Right::Produce,
        Action::Consume => right == Right::Consume,
        Action::Read => right == Right::Read,
        Action::Follow => right == Right::Read || right == Right::Consume,
        Action::Use => right == Right::UsePlugin,
        Action::Operate => right == Right::Operate,
        Action::Grant => right == Right::GrantOption,
    }
}

/// Scopes that hold the object, and scopes beside it.
fn scopes(kind: ObjectKind, namespace: &str, name: &str) -> Vec<(Scope, bool)> {
    let mut scopes = vec![(Scope::SERVER, true)];
    if kind == ObjectKind::Server {
        scopes.push((Scope::namespace("*"), false));
        return scopes;
    }
    let beginning = namespace.get(..1).unwrap_or_default();
    scopes.extend([
        (Scope::namespace(namespace), true),
        (Scope::namespace("*"), true),
        (Scope::namespace(&format!("{beginning}*")), true),
        (Scope::namespace("elsewhere"), false),
        (Scope::namespace(&format!("{namespace}x*")), false),
    ]);
    let own = match kind {
        ObjectKind::Table => Some(ScopeKind::Table),
        ObjectKind::Topic => Some(ScopeKind::Topic),
        ObjectKind::Group => Some(ScopeKind::Group),
        ObjectKind::Plugin => Some(ScopeKind::Plugin),
        _ => None,
    };
    for within in [ScopeKind::Table, ScopeKind::Topic, ScopeKind::Group, ScopeKind::Plugin] {
        let is_own = own == Some(within);
        scopes.extend([
            (Scope::within(within, namespace, name), is_own),
            (Scope::within(within, namespace, "*"), is_own),
            (Scope::within(within, namespace, &format!("{name}*")), is_own),
            (Scope::within(within, namespace, &format!("{name}x")), false),
            (Scope::within(within, namespace, &format!("{name}x*")), false),
            (Scope::within(within, "elsewhere", name), false),
        ]);
    }
    scopes
}

fn with_grant(scope: Scope, right: Right) -> Access {
    let access = Access::new(Arc::new(ManualClock::new(1)), Identities::default());
    let user = UserInfo {
        name: Arc::from("ann"),
        options: UserOptions::default(),
        password: None,
        password_set: Lsn(0),
        created_us: 0,
        created: Lsn(1),
    };
    access.apply([&IdentityChange::UserCreated { user, grants: vec![(scope, Rights::NONE.with(right))] }]);
    access
}

#[test]
fn each_call_with_each_grant_in_reach_and_beside() {
    let (ann, other) = (Principal::named("ann"), Principal::named("other"));
    let of_calls = calls().into_iter().map(|call| (call.action, named(call.object)));
    let of_listings = listings().into_iter().map(|listing| (listing.action, named(listing.object)));
    // Each question once.
    let asked: BTreeMap<String, _> = of_calls.chain(of_listings).map(|asked| (format!("{asked:?}"), asked)).collect();
    assert!(asked.len() > 40, "{}", asked.len());
    let mut decided = [0, 0];
    for (action, (kind, namespace, name)) in asked.values() {
        for (scope, holds) in scopes(*kind, namespace, name) {
            for right in Right::ALL {
                let access = with_grant(scope.clone(), right);
                let object = Object { kind: *kind, namespace, name, owner: Some(&other) };
                // Whoever has something in a namespace knows that it is there.
                let within = *kind == ObjectKind::Namespace && *action == Action::See && scope.namespace == *namespace;
                let may = within || (holds && suffices(*action, right));
                let checked = access.check(&ann, *action, &object);
                match &checked {
                    Ok(()) => assert!(may, "{action:?} {object:?} with {right:?} on {scope}"),
                    Err(Error::PermissionDenied(why)) => {
                        assert!(!may, "{action:?} {object:?} with {right:?} on {scope}: {why}");
                    }
                    Err(error) => panic!("{error}"),
                }
                decided[usize::from(may)] += 1;
                assert_eq!(access.sees(&ann, &object), holds || within || seen_within(*kind, &scope, namespace));
                let own = Object { owner: Some(&ann), ..object };
                access.check(&ann, *action, &own).expect("it is his own");
            }
        }
    }
    assert!(decided.iter().all(|count| *count > 500), "{decided:?}");
}

fn seen_within(kind: ObjectKind, scope: &Scope, namespace: &str) -> bool {
    kind == ObjectKind::Namespace && scope.namespace == namespace
}
