//! Whether principals are checked for the objects that their calls name.

mod audit;
mod calls;
mod continuous_calls;
mod host;
mod identities;
mod locks;
mod matrix;
mod message_calls;
mod revoked;
mod store;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use calls::{calls, listings};
use store::{NAMESPACE, Store, consumer_spec, group};

use crate::access::rehearsal::{self, Named};
use crate::access::{Action, ObjectKind};
use crate::delivery::Member;
use crate::model::{Assignment, ErrorKind, Principal, Result, SeekTo};

/// Calls that count what their caller does; `engine/tests/it/quotas.rs` shows that they tell nothing of what he may not see.
const COUNTING: [&str; 6] =
    ["admit_requests", "append_pause", "connect", "delivered", "delivered_rows", "delivery_pause"];

/// Calls that no principal makes: the embedding program's, and probes that tell nothing of objects.
const WITHOUT_PRINCIPAL: [&str; 17] = [
    "authenticate",
    "check_ready",
    "check_writable",
    "close",
    "has_users",
    "init_administrator",
    "message_clients_disconnected",
    "note_messages",
    "now_us",
    "recheck_message_clients",
    "recover",
    "report",
    "segments_fenced_by",
    "set_plugin_host",
    "set_topic_compiler",
    "split_for_append",
    "traces_messages",
];

fn named((kind, name): (ObjectKind, &str)) -> Named {
    let namespace = match kind {
        ObjectKind::Server => "",
        ObjectKind::Namespace => name,
        _ => NAMESPACE,
    };
    (kind, namespace.to_owned(), name.to_owned())
}

/// Who owns what is there already, of the kinds that record it.
fn owner_of((kind, name): (ObjectKind, &str), owner: &Principal) -> Option<Principal> {
    let recorded = !matches!(kind, ObjectKind::Server | ObjectKind::Namespace | ObjectKind::Group);
    (recorded && name != "new").then(|| owner.clone())
}

#[test]
fn every_call_is_checked_for_each_object_that_it_names() {
    let (owner, who) = (Principal::named("calls_owner"), Principal::named("calls_caller"));
    let store = Store::new(&owner);
    for call in calls() {
        let object = named(call.object);
        rehearsal::begin(&who, Some(object.clone()));
        let error = (call.call)(&store, &who).expect_err(call.name);
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{} of {object:?}: {error}", call.name);
        let checked = rehearsal::checked(&who);
        let wanted = (call.action, object, owner_of(call.object, &owner));
        assert_eq!(checked.last(), Some(&wanted), "{}", call.name);
    }
}

#[test]
fn listings_show_what_may_be_seen() {
    let (owner, who) = (Principal::named("listings_owner"), Principal::named("listings_caller"));
    let store = Store::new(&owner);
    for listing in listings() {
        let name = listing.object.1.to_owned();
        let wanted = (listing.action, named(listing.object), owner_of(listing.object, &owner));
        for refused in [None, Some(wanted.1.clone())] {
            rehearsal::begin(&who, refused.clone());
            let names = (listing.names)(&store, &who).expect(listing.name);
            assert_eq!(names.contains(&name), refused.is_none(), "{}: {names:?}", listing.name);
            assert!(rehearsal::checked(&who).contains(&wanted), "{}: {:?}", listing.name, rehearsal::checked(&who));
        }
    }
}

/// Names of the public calls in the sources of the front, with or without a principal.
fn public_calls(with_principal: bool) -> BTreeSet<String> {
    let front = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/front");
    let files = std::fs::read_dir(front).expect("the front").map(|file| file.expect("a file").path());
    let mut found = BTreeSet::new();
    for file in files.filter(|file| file.is_file()) {
        let text = std::fs::read_to_string(file).expect("text");
        let heads = text.split("    pub fn ").skip(1).filter_map(|head| head.split_once('{')).map(|(head, _)| head);
        let of_engine = heads.filter(|head| head.contains("&self"));
        let wanted = of_engine.filter(|head| head.contains("who: &Principal") == with_principal);
        found.extend(wanted.filter_map(|head| Some(head.split_once('(')?.0.to_owned())));
    }
    found
}

#[test]
fn no_call_is_left_out_here() {
    let (calls, listings) = (calls(), listings());
    let tried = calls.iter().map(|call| call.name).chain(listings.iter().map(|listing| listing.name));
    let tried: BTreeSet<&str> = tried.chain(identities::CALLS).chain(COUNTING).collect();
    assert_eq!(public_calls(true).iter().map(String::as_str).collect::<BTreeSet<_>>(), tried);
    assert_eq!(public_calls(false).into_iter().collect::<Vec<_>>(), WITHOUT_PRINCIPAL);
}

#[test]
fn members_are_checked_again_with_each_call() {
    let (owner, who) = (Principal::named("members_owner"), Principal::named("members_caller"));
    let store = Store::new(&owner);
    let topic = store::identity(store.table);
    let at = Assignment { topic, partition: 0 };
    let member = store.engine.join(&who, group("g"), &["t".to_owned()]).expect("it joins");
    assert_eq!(member.poll(1 << 20, Duration::ZERO).expect("it may").len(), 1);
    type Check<'a> = (&'a str, Box<dyn Fn(&Member) -> Result<()>>);
    let checks: [Check<'_>; 9] = [
        ("heartbeat", Box::new(|member| member.heartbeat().map(drop))),
        ("poll", Box::new(|member| member.poll(1 << 20, Duration::ZERO).map(drop))),
        ("polled", Box::new(Member::polled)),
        ("fetch", Box::new(move |member| member.fetch(topic, 1 << 20).map(drop))),
        ("commit", Box::new(move |member| member.commit(&[(at, 1)]).map(drop))),
        ("commit_positions", Box::new(|member| member.commit_positions().map(drop))),
        ("seek", Box::new(move |member| member.seek(at, SeekTo::Start).map(drop))),
        ("pause", Box::new(move |member| member.pause(&[at]))),
        ("offsets", Box::new(|member| member.offsets().map(drop))),
    ];
    for object in [(ObjectKind::Group, "g"), (ObjectKind::Table, "t")] {
        for (name, check) in &checks {
            rehearsal::begin(&who, Some(named(object)));
            assert_eq!(check(&member).expect_err(name).kind(), ErrorKind::PermissionDenied, "{name} of {object:?}");
            let wanted = (Action::Consume, named(object), owner_of(object, &owner));
            assert_eq!(rehearsal::checked(&who).last(), Some(&wanted), "{name}");
        }
    }
    rehearsal::begin(&who, None);
    member.heartbeat().expect("it is still a member");
}

#[test]
fn consumers_that_are_plugins_act_as_their_owner() {
    let (owner, definer) = (Principal::named("consumers_owner"), Principal::named("consumers_definer"));
    let store = Store::new(&owner);
    let status = || store.engine.plugin_consumers(&definer).expect("a listing").remove(0);
    let until_lag = |lag| until(|| status().lag == lag);
    until_lag(0);
    for (action, object) in [
        (Action::Consume, (ObjectKind::Group, "c")),
        (Action::Consume, (ObjectKind::Table, "t")),
        (Action::Produce, (ObjectKind::Table, "out")),
    ] {
        rehearsal::begin(&owner, Some(named(object)));
        if action == Action::Consume {
            until(|| status().state == "stopped");
        }
        store.append(&definer);
        until(|| status().state == "stopped");
        assert!(status().error.is_some_and(|why| why.contains("consumers_owner may not")), "{object:?}");
        assert!(rehearsal::checked(&owner).contains(&(action, named(object), owner_of(object, &owner))), "{object:?}");
        assert_eq!(status().lag, 1);
        rehearsal::begin(&owner, None);
        store.engine.pause_plugin_consumer(&definer, NAMESPACE, "c", false).expect("it goes on");
        until_lag(0);
    }
}

#[test]
fn checkbacks_act_as_their_owner() {
    let (owner, definer) = (Principal::named("checkbacks_owner"), Principal::named("checkbacks_definer"));
    let store = Store::new(&owner);
    store.engine.set_topic_compiler(Arc::new(host::NoTopics));
    for (number, (action, object)) in
        [(Action::Produce, (ObjectKind::Table, "m")), (Action::Use, (ObjectKind::Plugin, host::JUDGES))]
            .into_iter()
            .enumerate()
    {
        rehearsal::begin(&owner, Some(named(object)));
        let message = store::message(store.messages, None);
        let begun = store.engine.begin_transactions(&definer, &message, "g", Some(0)).expect("queued");
        begun.wait().expect("there is room").wait().expect("it begins");
        let status = || store.engine.checkbacks(&definer).expect("a listing").remove(0).figures;
        until(|| status().error.is_some_and(|why| why.contains("checkbacks_owner may not")));
        assert!(rehearsal::checked(&owner).contains(&(action, named(object), owner_of(object, &owner))), "{object:?}");
        rehearsal::begin(&owner, None);
        until(|| status().committed > number as u64);
    }
}

#[test]
fn whoever_creates_something_owns_it() {
    let (owner, another) = (Principal::named("owners_owner"), Principal::named("owners_another"));
    let store = Store::new(&owner);
    let engine = &store.engine;
    let consumer = engine.plugin_consumer(&another, NAMESPACE, "c").expect("a consumer");
    let function = engine.function(&another, NAMESPACE, "f").expect("a function");
    let table = engine.table_by_id(&another, store.table).expect("a table");
    let topic = engine.topic_by_id(&another, store::identity(store.table)).expect("a topic");
    let checkback = engine.checkback(&another, NAMESPACE, "k").expect("a checkback");
    let owners = [&consumer.owner, &function.owner, &table.owner, &topic.owner, &store.topic.owner, &checkback.owner];
    assert_eq!(owners, [&owner; 6]);
    let second = engine.plugin(&another, NAMESPACE, "p").expect("a plugin");
    assert_eq!((second.version, &second.owner), (2, &owner), "another version has the owner of the first");
    engine.reload_plugin_consumer(&another, NAMESPACE, "c", Default::default()).expect("it is reloaded");
    engine.pause_plugin_consumer(&another, NAMESPACE, "c", true).expect("it is paused");
    let altered = engine.plugin_consumer(&another, NAMESPACE, "c").expect("a consumer");
    assert_eq!((altered.version, &altered.owner), (consumer.version + 2, &owner));
    engine.create_plugin_consumer(&another, consumer_spec("d")).expect("a consumer");
    assert_eq!(engine.plugin_consumer(&owner, NAMESPACE, "d").expect("a consumer").owner, another);
}

fn until(condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not come to be");
        std::thread::sleep(Duration::from_millis(5));
    }
}
