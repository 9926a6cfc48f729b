//! Half messages that a plugin decides on.

mod host;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use millstream_engine::{
    CheckVerdict, CheckbackOrder, CheckbackSettings, CheckbackSpec, Engine, ErrorKind, MessageClient,
    MessageClientRole, MessageKind, TableInfo, TableOptions, TableSpec,
};

use super::transactions::{WHILE, begin, end, halves};
use super::{create, ids, message};
use crate::fixture::{Fixture, NOW_US, SECOND, until, who};
pub(super) use host::Bodies;
use host::plugin;

fn settings(order: CheckbackOrder) -> CheckbackSettings {
    CheckbackSettings { order, after_ms: 2_000, every_ms: 10_000, limit: 2 }
}

fn spec(name: &str, table: &str, settings: CheckbackSettings) -> CheckbackSpec {
    let [namespace, name, table, plugin] = ["public", name, table, "p"].map(str::to_owned);
    CheckbackSpec { namespace, name, table, plugin, settings }
}

/// A table `orders` with a checkback `c`, which asks plugin `p`.
fn store(order: CheckbackOrder) -> (Fixture, Arc<Bodies>, Arc<TableInfo>) {
    let (store, host) = (Fixture::new(), Arc::new(Bodies::default()));
    store.engine.set_plugin_host(host.clone());
    let table = create(&store.engine, "orders", MessageKind::Transactional, 2);
    plugin(&store.engine, "p", "check", false).unwrap();
    store.engine.create_checkback(&who(), spec("c", "orders", settings(order))).unwrap();
    (store, host, table)
}

/// A plugin `p`, and a checkback that asks nobody else.
pub(super) fn checkback(engine: &Engine, table: &str) {
    plugin(engine, "p", "check", false).unwrap();
    engine.create_checkback(&who(), spec("c", table, settings(CheckbackOrder::PluginOnly))).unwrap();
}

fn figures(engine: &Engine) -> millstream_engine::CheckbackFigures {
    engine.checkbacks(&who()).unwrap().remove(0).figures
}

fn sorted(engine: &Engine, table: &TableInfo) -> Vec<String> {
    let mut found = ids(engine, table);
    found.sort();
    found
}

fn open(engine: &Engine, table: &TableInfo) -> Vec<String> {
    halves(engine, table).into_iter().map(|half| half.message_id).collect()
}

fn producer(engine: &Engine) {
    let client = MessageClient {
        client_id: "one".to_owned(),
        role: MessageClientRole::Producer,
        connection: 1,
        address: String::new(),
        subscriptions: Vec::new(),
    };
    engine.message_client_alive(&who(), "public", "shop", client).unwrap();
}

#[test]
fn a_plugin_commits_and_rolls_back_and_what_it_does_not_know_is_parked() {
    let (store, host, table) = store(CheckbackOrder::PluginOnly);
    let (engine, clock) = (&store.engine, &store.clock);
    producer(engine);
    let mut checks = engine.transaction_checks(&who()).unwrap();
    let begun = ["commit 1", "rollback 1", "later 1", "what 1"].map(|id| begin(engine, &table, message(id)).unwrap());
    assert_eq!(halves(engine, &table)[0].check_us, Some(NOW_US + 2_000_000));
    clock.advance(2 * SECOND - Duration::from_micros(1));
    std::thread::sleep(WHILE);
    assert!(host.asked.lock().is_empty(), "it is too early");
    clock.advance(Duration::from_micros(1));
    until(|| open(engine, &table) == ["later 1", "what 1"] && figures(engine).unknown == 2);
    assert_eq!(ids(engine, &table), ["commit 1"]);
    assert_eq!(host.asked.lock().len(), 4, "all of them in one call");
    assert_eq!(store.compiler.casts.load(Ordering::SeqCst), 1, "bodies are read as texts by the rule of SQL");
    let gone = end(engine, &table, begun[1], CheckVerdict::Commit).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    assert!(halves(engine, &table).iter().all(|half| half.checks == 1 && half.check_us == Some(NOW_US + 12_000_000)));

    clock.advance(10 * SECOND);
    until(|| open(engine, &table) == ["what 1"] && halves(engine, &table)[0].checks == 2);
    assert_eq!(sorted(engine, &table), ["commit 1", "later 1"]);
    clock.advance(10 * SECOND);
    until(|| halves(engine, &table)[0].check_us.is_none() && store.events("transaction_parked") == 1);
    clock.advance(3_600 * SECOND);
    std::thread::sleep(WHILE);
    assert_eq!(host.asked.lock().iter().filter(|(body, _)| body == "what 1").count(), 2, "it is asked about no more");
    assert!(checks.try_recv().is_err(), "no producer is asked");
    let found = figures(engine);
    assert_eq!((found.asked, found.committed, found.rolled_back, found.unknown, found.parked), (6, 2, 1, 3, 1));
    assert_eq!((found.failed, found.asked_producers, found.error), (0, 0, None));
    assert!(end(engine, &table, begun[3], CheckVerdict::Commit).unwrap());
    assert_eq!(sorted(engine, &table), ["commit 1", "later 1", "what 1"]);
    assert_eq!(store.events("due_failed"), 0);
}

#[test]
fn a_checkback_and_what_waits_for_it_are_there_after_a_restart() {
    let (store, _, table) = store(CheckbackOrder::PluginOnly);
    begin(&store.engine, &table, message("commit 1")).unwrap();
    let defined = store.engine.checkback(&who(), "public", "c").unwrap();
    let store = store.reopen();
    let engine = &store.engine;
    assert_eq!(engine.checkback(&who(), "public", "c").unwrap(), defined);
    store.clock.advance(60 * SECOND);
    std::thread::sleep(WHILE);
    assert_eq!(halves(engine, &table)[0].checks, 0, "nothing is asked before there is a host");
    engine.set_plugin_host(Arc::new(Bodies::default()));
    until(|| ids(engine, &table) == ["commit 1"]);
    begin(engine, &table, message("rollback 1")).unwrap();
    store.clock.advance(2 * SECOND);
    until(|| open(engine, &table).is_empty());
    engine.drop_checkback(&who(), "public", "c").unwrap();
    let store = store.reopen();
    assert!(store.engine.checkbacks(&who()).unwrap().is_empty());
    assert_eq!(ids(&store.engine, &table), ["commit 1"]);
}

#[test]
fn a_producer_that_is_alive_is_asked_first_and_the_plugin_after_it() {
    let (store, host, table) = store(CheckbackOrder::ProducerFirst);
    let (engine, clock) = (&store.engine, &store.clock);
    let mut checks = engine.transaction_checks(&who()).unwrap();
    // Nobody is alive.
    begin(engine, &table, message("commit 1")).unwrap();
    clock.advance(2 * SECOND);
    until(|| ids(engine, &table) == ["commit 1"]);
    assert!(checks.try_recv().is_err());
    producer(engine);
    let asked = begin(engine, &table, message("commit 2")).unwrap();
    let silent = begin(engine, &table, message("commit 3")).unwrap();
    clock.advance(2 * SECOND);
    let told = [checks.blocking_recv().unwrap().id, checks.blocking_recv().unwrap().id];
    assert_eq!(told, [asked, silent]);
    assert_eq!(host.asked.lock().len(), 1, "the plugin is not");
    assert!(end(engine, &table, asked, CheckVerdict::Rollback).is_ok());
    clock.advance(10 * SECOND);
    until(|| sorted(engine, &table) == ["commit 1", "commit 3"]);
    assert_eq!(*host.asked.lock(), [("commit 1".to_owned(), 0), ("commit 3".to_owned(), 1)]);
    assert_eq!((figures(engine).asked, figures(engine).asked_producers), (2, 2));
}

#[test]
fn a_producer_is_asked_where_the_plugin_does_not_know() {
    let (store, host, table) = store(CheckbackOrder::PluginFirst);
    let engine = &store.engine;
    producer(engine);
    let mut checks = engine.transaction_checks(&who()).unwrap();
    begin(engine, &table, message("commit 1")).unwrap();
    let unknown = begin(engine, &table, message("what 1")).unwrap();
    store.clock.advance(2 * SECOND);
    assert_eq!(checks.blocking_recv().unwrap().id, unknown);
    assert_eq!((ids(engine, &table), host.asked.lock().len()), (vec!["commit 1".to_owned()], 2));
    assert!(end(engine, &table, unknown, CheckVerdict::Commit).unwrap());
    assert!(checks.try_recv().is_err());
}

#[test]
fn a_plugin_that_fails_does_not_know_and_is_told_of() {
    let (store, _, table) = store(CheckbackOrder::PluginOnly);
    let engine = &store.engine;
    for id in ["commit 1", "trap 1", "commit 2", "rollback 1"] {
        begin(engine, &table, message(id)).unwrap();
    }
    store.clock.advance(2 * SECOND);
    until(|| open(engine, &table) == ["trap 1"] && figures(engine).unknown == 1);
    assert_eq!(sorted(engine, &table), ["commit 1", "commit 2"]);
    assert_eq!((figures(engine).failed, store.events("checkback_failed")), (1, 1));
    assert!(figures(engine).error.is_some_and(|error| error.contains("not to its taste")));
    // It is an attempt like others, and told of no more for a while.
    for _ in 0..2 {
        store.clock.advance(10 * SECOND);
        std::thread::sleep(WHILE);
    }
    until(|| halves(engine, &table)[0].check_us.is_none());
    assert_eq!((halves(engine, &table)[0].checks, store.events("checkback_failed")), (2, 1));
}

#[test]
fn whoever_ends_a_transaction_waits_for_no_plugin() {
    let (store, host, table) = store(CheckbackOrder::PluginOnly);
    let engine = &store.engine;
    let [first, second] = ["commit 1", "commit 2"].map(|id| begin(engine, &table, message(id)).unwrap());
    host.waits.store(true, Ordering::SeqCst);
    store.clock.advance(2 * SECOND);
    until(|| host.asked.lock().len() == 2);
    assert!(!end(engine, &table, first, CheckVerdict::Rollback).unwrap());
    host.waits.store(false, Ordering::SeqCst);
    // It is counted a moment after it can be seen.
    until(|| open(engine, &table).is_empty() && figures(engine).committed > 0);
    assert_eq!(ids(engine, &table), ["commit 2"], "what was ended by then stays so");
    assert_eq!(end(engine, &table, second, CheckVerdict::Rollback).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(figures(engine).committed, 1);
}

#[test]
fn what_a_checkback_stands_on_stays_and_what_does_not_fit_is_refused() {
    let (store, _, _) = store(CheckbackOrder::PluginOnly);
    let engine = &store.engine;
    let refused = |result: millstream_engine::Result<()>, of: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(of), "{error}");
    };
    refused(engine.drop_table(&who(), "public", "orders", true), "in use by checkback \"c\"");
    let another = TableSpec::of_messages("public", "orders", MessageKind::Any, TableOptions::default());
    refused(engine.replace_table(&who(), another).map(drop), "in use by checkback \"c\"");
    refused(engine.drop_plugin(&who(), "public", "p"), "in use by checkback \"c\"");
    refused(plugin(engine, "p", "filter", true).map(drop), "does not fit checkback \"c\": it is a filter");
    refused(plugin(engine, "p", "check nothing", true).map(drop), "reads \"nothing\", which half messages don't have");
    plugin(engine, "p", "check property.of", true).unwrap();
    assert_eq!(engine.checkbacks(&who()).unwrap()[0].plugin_version, 2);

    let with = |change: fn(&mut CheckbackSettings)| {
        let mut settings = settings(CheckbackOrder::PluginOnly);
        change(&mut settings);
        settings
    };
    let create_of =
        |name: &str, table: &str, settings| engine.create_checkback(&who(), spec(name, table, settings)).map(drop);
    let plain = with(|_| ());
    refused(create_of("c", "orders", plain), "checkback \"c\" already exists");
    refused(create_of("d", "orders", plain), "a table has one at most");
    refused(create_of("d", "nowhere", plain), "table \"nowhere\" does not exist");
    store.table("plain", 1);
    refused(create_of("d", "plain", plain), "is no message table");
    create(engine, "normal", MessageKind::Normal, 1);
    refused(create_of("d", "normal", plain), "takes no transactions");
    create(engine, "other", MessageKind::Any, 1);
    refused(create_of("", "other", plain), "name");
    refused(create_of("d", "other", with(|settings| settings.every_ms = 99)), "every is 100 ms to");
    refused(create_of("d", "other", with(|settings| settings.limit = 0)), "limit is 1 to");
    refused(create_of("d", "other", with(|settings| settings.after_ms = u64::MAX)), "after is at most");
    plugin(engine, "f", "filter", false).unwrap();
    let by_filter = CheckbackSpec { plugin: "f".to_owned(), ..spec("d", "other", plain) };
    refused(engine.create_checkback(&who(), by_filter).map(drop), "it is a filter, not a checkback handler");
    let by_nobody = CheckbackSpec { plugin: "q".to_owned(), ..spec("d", "other", plain) };
    refused(engine.create_checkback(&who(), by_nobody).map(drop), "plugin \"q\" does not exist");
    create_of("d", "other", plain).unwrap();
    engine.drop_checkback(&who(), "public", "c").unwrap();
    refused(engine.drop_checkback(&who(), "public", "c"), "does not exist");
    engine.drop_table(&who(), "public", "orders", false).unwrap();
    engine.drop_checkback(&who(), "public", "d").unwrap();
    engine.drop_plugin(&who(), "public", "p").unwrap();
}

#[test]
fn without_its_checkback_a_table_asks_producers_again() {
    let (store, host, table) = store(CheckbackOrder::PluginOnly);
    let engine = &store.engine;
    let mut checks = engine.transaction_checks(&who()).unwrap();
    host.waits.store(true, Ordering::SeqCst);
    let first = begin(engine, &table, message("what 1")).unwrap();
    store.clock.advance(2 * SECOND);
    until(|| host.asked.lock().len() == 1);
    // Passed by, and in no turn yet.
    let second = begin(engine, &table, message("what 2")).unwrap();
    store.clock.advance(2 * SECOND);
    std::thread::sleep(WHILE);
    engine.drop_checkback(&who(), "public", "c").unwrap();
    let told = BTreeSet::from([checks.blocking_recv().unwrap().id, checks.blocking_recv().unwrap().id]);
    assert_eq!(told, BTreeSet::from([first, second]));
    host.waits.store(false, Ordering::SeqCst);
    std::thread::sleep(WHILE);
    assert_eq!(host.asked.lock().len(), 1);
    assert!(halves(engine, &table).iter().all(|half| half.checks == 1));
}

/// More than one turn takes, while others end some of them.
#[test]
fn of_many_each_ends_once() {
    const MANY: usize = 12_000;
    let (store, _, table) = store(CheckbackOrder::PluginOnly);
    let engine = &store.engine;
    let mut by_hand = Vec::new();
    let messages =
        |from: usize| (from..from + 1_000).map(|number| message(&format!("commit {number}"))).collect::<Vec<_>>();
    for from in (0..MANY).step_by(1_000) {
        let ids = super::transactions::begin_all(engine, &table, &messages(from)).unwrap();
        by_hand.extend(ids.into_iter().step_by(100));
    }
    let ended = std::thread::scope(|scope| {
        let hands = scope.spawn(|| {
            let mut ended = 0;
            for id in &by_hand {
                match end(engine, &table, *id, CheckVerdict::Rollback) {
                    Ok(_) => ended += 1,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
                }
            }
            ended
        });
        store.clock.advance(2 * SECOND);
        hands.join().unwrap()
    });
    until(|| engine.half_counts(&who()).unwrap().is_empty());
    let found = ids(engine, &table);
    let once: BTreeSet<&String> = found.iter().collect();
    assert_eq!((found.len(), once.len()), (MANY - ended, MANY - ended), "{ended} were rolled back by hand");
    until(|| usize::try_from(figures(engine).committed) == Ok(MANY - ended));
    assert_eq!((store.events("due_failed"), store.events("checkback_failed")), (0, 0));
}
