//! What was granted and is no more: members, consumers that are plugins, topics.

use std::time::Duration;

use super::identities::{logged_in, with_users};
use super::store::{NAMESPACE as NS, consumer_spec, group, topic_spec};
use super::until;
use crate::chunks::PlainColumns;
use crate::contract::InputColumn;
use crate::identities::{Right, Rights, Scope, ScopeKind};
use crate::model::{Assignment, ErrorKind, Lsn};

fn rights(rights: &[Right]) -> Rights {
    rights.iter().copied().collect()
}

#[test]
fn a_member_that_waits_is_out_within_a_second() {
    let (store, admin) = with_users(&["ann"]);
    let engine = &store.engine;
    engine.create_role(&admin, "consumers").expect("a role");
    engine.grant(&admin, "consumers", &Scope::namespace(NS), rights(&[Right::Consume])).expect("granted");
    engine.give_role(&admin, "consumers", "ann").expect("given");
    let ann = logged_in(engine, "ann");
    let member = engine.join(&ann, group("g"), &["t".to_owned()]).expect("she may");
    member.poll(1 << 20, Duration::ZERO).expect("she may");
    let (polled, took) = std::thread::scope(|scope| {
        let waits = scope.spawn(|| {
            let begun = std::time::Instant::now();
            let polled = member.poll(1 << 20, Duration::from_secs(30));
            (polled.map(|batches| batches.len()), begun.elapsed())
        });
        std::thread::sleep(Duration::from_millis(200));
        engine.take_role(&admin, "consumers", "ann").expect("taken");
        waits.join().expect("it ends")
    });
    assert_eq!(polled.expect_err("it was revoked").kind(), ErrorKind::PermissionDenied);
    assert!(took < Duration::from_millis(1_200), "{took:?}");
}

#[test]
fn a_consumer_stops_loudly_with_its_owners_rights() {
    let (store, admin) = with_users(&["ann"]);
    let engine = &store.engine;
    let all = rights(&[Right::Define, Right::Consume, Right::Produce, Right::UsePlugin]);
    engine.grant(&admin, "ann", &Scope::namespace(NS), all).expect("granted");
    let ann = logged_in(engine, "ann");
    engine.create_plugin_consumer(&ann, consumer_spec("hers")).expect("she may");
    let status = || {
        let all = engine.plugin_consumers(&admin).expect("a listing");
        all.into_iter().find(|status| status.info.name == "hers").expect("it is there")
    };
    until(|| status().lag == 0);
    let produce = rights(&[Right::Produce]);
    engine.revoke(&admin, "ann", &Scope::namespace(NS), produce).expect("revoked");
    store.append(&admin);
    until(|| status().state == "stopped");
    let why = status().error.expect("it says why");
    assert!(why.contains("\"ann\"") && why.contains("PRODUCE") && why.contains("out"), "{why}");
    engine.grant(&admin, "ann", &Scope::within(ScopeKind::Table, NS, "out"), produce).expect("granted");
    engine.pause_plugin_consumer(&admin, NS, "hers", false).expect("it goes on");
    until(|| status().lag == 0);
}

#[test]
fn a_topic_is_read_by_its_own_grant_and_its_owners_right_to_the_table() {
    let (store, admin) = with_users(&["ann", "bob"]);
    let engine = &store.engine;
    engine.grant(&admin, "ann", &Scope::namespace(NS), rights(&[Right::Define, Right::Read])).expect("granted");
    let ann = logged_in(engine, "ann");
    let topic = engine.create_topic(&ann, topic_spec(store.table, "hers")).expect("she may");
    engine
        .grant(&admin, "bob", &Scope::within(ScopeKind::Topic, NS, "hers"), rights(&[Right::Consume]))
        .expect("granted");
    engine
        .grant(&admin, "bob", &Scope::within(ScopeKind::Group, NS, "bobs*"), rights(&[Right::Consume]))
        .expect("granted");
    let bob = logged_in(engine, "bob");
    assert_eq!(engine.topics(&bob).expect("a listing").len(), 1, "the table's is not his to see");
    assert!(engine.tables(&bob).expect("a listing").is_empty());
    let hidden = engine.table(&bob, NS, "t").expect_err("it is hidden");
    let missing = engine.table(&bob, NS, "no_such").expect_err("it is not there");
    assert_eq!(hidden.to_string().replace("\"t\"", "\"no_such\""), missing.to_string());
    let member = engine.join(&bob, group("bobs"), &["hers".to_owned()]).expect("he may");
    member.heartbeat().expect("he may");
    assert_eq!(engine.join(&bob, group("bobs"), &["t".to_owned()]).expect_err("hidden").kind(), ErrorKind::NotFound);
    assert_eq!(
        engine.join(&bob, group("g"), &["hers".to_owned()]).expect_err("not his").kind(),
        ErrorKind::PermissionDenied
    );
    engine.revoke(&admin, "ann", &Scope::namespace(NS), rights(&[Right::Read])).expect("revoked");
    let stopped = member.heartbeat().expect_err("its owner may not read the table any more");
    assert!(stopped.to_string().contains("\"ann\""), "{stopped}");
    // Nor is it read by whoever needs no group, nor told what rows it has.
    let table = engine.table_by_id(&admin, store.table).expect("it is there");
    let columns = PlainColumns::of(&table, vec![InputColumn::Field(0)]).expect("columns");
    let at = Assignment { topic: topic.id, partition: 0 };
    for stopped in [
        engine.read_stretch(&bob, at, &(0..1), &columns).map(drop),
        engine.read_topic(&bob, at, 0, 1, 1).map(drop),
        engine.offset_at(&bob, topic.id, 0, 0).map(drop),
        engine.lsn_of(&bob, topic.id, 0, 0).map(drop),
        engine.topic_row_at(&bob, topic.id, Lsn(1)).map(drop),
        engine.watch_topic(&bob, topic.id).map(drop),
    ] {
        let stopped = stopped.expect_err("it stands still");
        assert!(stopped.to_string().contains("stands still"), "{stopped}");
    }
    assert!(engine.topic(&admin, NS, "hers").is_ok_and(|found| found.id == topic.id));
}

#[test]
fn what_stands_in_the_way_is_not_named_to_whom_it_is_hidden() {
    let (store, admin) = with_users(&["ann"]);
    let engine = &store.engine;
    let define = rights(&[Right::Define]);
    engine.grant(&admin, "ann", &Scope::within(ScopeKind::Table, NS, "t"), define).expect("granted");
    engine.grant(&admin, "ann", &Scope::within(ScopeKind::Plugin, NS, "p"), define).expect("granted");
    let ann = logged_in(engine, "ann");
    for (hidden, shown) in [
        (engine.drop_table(&ann, NS, "t", false), engine.drop_table(&admin, NS, "t", false)),
        (engine.drop_plugin(&ann, NS, "p"), engine.drop_plugin(&admin, NS, "p")),
    ] {
        let (hidden, shown) = (hidden.expect_err("in use").to_string(), shown.expect_err("in use").to_string());
        assert!(hidden.contains("may not see") && !shown.contains("may not see"), "{hidden} {shown}");
        assert!(!hidden.contains("sel") && !hidden.contains("\"c\""), "{hidden}");
    }
}
