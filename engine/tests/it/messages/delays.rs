//! Messages that come at their time.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_engine::{Append, EngineOptions, ErrorKind, MessageKind, PartitionChoice, ProducerStamp, TableId};

use super::{Message, batch, create, delayed, ids, message, rows, send, visible};
use crate::fixture::{Fixture, NOW_US, SECOND, until, who};

const SECOND_US: i64 = 1_000_000;
/// Far longer than the thread needs to look at the clock.
const WHILE: Duration = Duration::from_millis(400);

fn waiting(store: &Fixture, table: TableId) -> Vec<String> {
    let mut found = Vec::new();
    let each = |message: millstream_engine::DelayedMessage| {
        found.push(message.message_id);
        true
    };
    store.engine.delayed_messages(&who(), table, each).unwrap();
    found
}

#[test]
fn a_delayed_message_comes_at_its_time_and_not_before() {
    let store = Fixture::new();
    let (engine, clock) = (&store.engine, &store.clock);
    let table = create(engine, "orders", MessageKind::Any, 2);
    let at = |id: &str, seconds: i64| delayed(id, NOW_US + seconds * SECOND_US);
    send(engine, &table, &[at("b", 20), message("now"), at("a", 10), at("c", 20)]).unwrap();
    assert_eq!(ids(engine, &table), ["now"]);
    assert_eq!(waiting(&store, table.id), ["a", "b", "c"], "in the order of their times");
    assert_eq!(engine.delayed_counts(&who()).unwrap(), [(table.id, 3)]);

    clock.advance(10 * SECOND - Duration::from_micros(1));
    std::thread::sleep(WHILE);
    assert_eq!(ids(engine, &table), ["now"]);
    clock.advance(Duration::from_micros(1));
    until(|| ids(engine, &table).len() == 2);
    clock.advance(3600 * SECOND);
    until(|| ids(engine, &table).len() == 4);
    let found = visible(engine, &table);
    assert!(found.iter().all(|message| message.deliver_us.is_none_or(|at| message.append_us >= at)), "{found:?}");
    assert!(waiting(&store, table.id).is_empty() && engine.delayed_counts(&who()).unwrap().is_empty());
}

#[test]
fn what_comes_is_what_was_sent() {
    let store = Fixture::new();
    let at_once = create(&store.engine, "at_once", MessageKind::Any, 1);
    let later = create(&store.engine, "later", MessageKind::Any, 1);
    let sent = |deliver_us| -> Vec<Message> {
        let messages = [Message { group: Some("g"), ..message("full") }, message(""), Message::default()];
        messages.map(|message| Message { deliver_us, id: message.id.or(Some("n".to_owned())), ..message }).to_vec()
    };
    let at = Some(NOW_US + SECOND_US);
    send(&store.engine, &later, &sent(at)).unwrap();
    store.clock.advance(SECOND);
    until(|| ids(&store.engine, &later).len() == 3);
    send(&store.engine, &at_once, &sent(at)).unwrap();
    let all = |table| {
        let found = rows(&store.engine, table);
        let batches: Vec<_> = found.iter().map(|(_, batch)| batch.clone()).collect();
        arrow_select::concat::concat_batches(&batches[0].schema(), &batches).unwrap()
    };
    let (found, expected) = (all(&later), all(&at_once));
    for (index, field) in found.schema().fields().iter().enumerate() {
        if field.name() != "_append_ts" && field.name() != "born_ts" {
            assert_eq!(found.column(index), expected.column(index), "{}", field.name());
        }
    }
}

#[test]
fn delayed_messages_outlast_the_store_and_what_was_due_meanwhile_comes_then() {
    let store = Fixture::new();
    let table = create(&store.engine, "orders", MessageKind::Delayed, 1);
    let at = |number: i64| delayed(&format!("{number:04}"), NOW_US + number * SECOND_US);
    let sent: Vec<Message> = (1..=2_000).map(at).rev().collect();
    send(&store.engine, &table, &sent).unwrap();
    let store = store.reopen();
    store.clock.advance(1_000 * SECOND);
    until(|| ids(&store.engine, &table).len() == 1_000);
    store.clock.advance(SECOND);
    until(|| ids(&store.engine, &table).len() == 1_001);
    let clock = store.clock.clone();
    let store = store.reopen();
    clock.advance(5_000 * SECOND);
    until(|| ids(&store.engine, &table).len() == 2_000);
    let expected: Vec<String> = (1..=2_000).map(|number| format!("{number:04}")).collect();
    assert_eq!(ids(&store.engine, &table), expected, "in the order of their times, each once");
}

#[test]
fn a_recalled_message_does_not_come() {
    let store = Fixture::new();
    let engine = &store.engine;
    let table = create(engine, "orders", MessageKind::Any, 1);
    let at = |id: &str| delayed(id, NOW_US + 10 * SECOND_US);
    send(engine, &table, &[at("a"), at("b"), at("c")]).unwrap();
    let recall = |id: &str, deliver_us| engine.recall_message(&who(), "public", "orders", id, deliver_us);
    recall("b", Some(NOW_US + 10 * SECOND_US)).unwrap();
    for deliver_us in [None, Some(NOW_US + 10 * SECOND_US)] {
        assert_eq!(recall("b", deliver_us).unwrap_err().kind(), ErrorKind::NotFound);
    }
    assert_eq!(recall("a", Some(NOW_US + 11 * SECOND_US)).unwrap_err().kind(), ErrorKind::NotFound);
    recall("c", None).unwrap();
    store.clock.advance(11 * SECOND);
    until(|| ids(engine, &table).len() == 1);
    assert_eq!(recall("a", None).unwrap_err().kind(), ErrorKind::NotFound, "it is delivered");
    std::thread::sleep(WHILE);
    assert_eq!(ids(engine, &table), ["a"]);
}

#[test]
fn a_step_of_the_clock_delivers_nothing_early() {
    let store = Fixture::new();
    let table = create(&store.engine, "orders", MessageKind::Any, 1);
    send(&store.engine, &table, &[delayed("tomorrow", NOW_US + 86_400 * SECOND_US)]).unwrap();
    store.clock.set_wall_us(NOW_US + 10 * 86_400 * SECOND_US);
    std::thread::sleep(WHILE);
    assert!(ids(&store.engine, &table).is_empty());
    store.clock.set_wall_us(NOW_US);
    store.clock.advance(86_400 * SECOND);
    until(|| ids(&store.engine, &table) == ["tomorrow"]);
}

#[test]
fn delays_end_with_their_table() {
    let store = Fixture::new();
    let engine = &store.engine;
    let table = create(engine, "orders", MessageKind::Any, 1);
    send(engine, &table, &[delayed("gone", NOW_US + SECOND_US)]).unwrap();
    engine.drop_table(&who(), "public", "orders", false).unwrap();
    let table = create(engine, "orders", MessageKind::Any, 1);
    store.clock.advance(2 * SECOND);
    std::thread::sleep(WHILE);
    assert!(ids(engine, &table).is_empty());
    assert!(engine.delayed_counts(&who()).unwrap().is_empty());
    assert_eq!(store.events("due_failed"), 0);
    let store = store.reopen();
    assert!(store.engine.delayed_counts(&who()).unwrap().is_empty());
}

#[test]
fn a_repeat_of_a_producers_batch_delays_nothing_twice() {
    let store = Fixture::new();
    let table = create(&store.engine, "orders", MessageKind::Any, 1);
    let stamp = ProducerStamp { id: 7, epoch: 0, sequence: 0 };
    for duplicate in [false, true] {
        let batch = batch(&[delayed("once", NOW_US + SECOND_US)]);
        let append = Append { table: table.id, partition: PartitionChoice::ByKey, batch };
        let receipt = store.engine.append(&who(), append, Some(stamp)).unwrap().wait().unwrap();
        assert_eq!(receipt.duplicate, duplicate);
    }
    store.clock.advance(2 * SECOND);
    until(|| ids(&store.engine, &table).len() == 1);
    std::thread::sleep(WHILE);
    assert_eq!(ids(&store.engine, &table), ["once"]);
}

/// Many more than one submission takes, of several tables, whatever the sizes.
#[test]
fn large_ones_and_many_come_whole() {
    let store = Fixture::with(|options: &mut EngineOptions| options.max_commit_bytes = 64 << 10);
    let engine = &store.engine;
    let tables = [create(engine, "a", MessageKind::Any, 3), create(engine, "b", MessageKind::Any, 1)];
    let mut expected: BTreeMap<TableId, usize> = BTreeMap::new();
    for round in 0..60 {
        for (table, count) in tables.iter().zip([7, 120]) {
            let at = |number: i64| delayed(&format!("{round}-{number}"), NOW_US + (number % 5 + 1) * SECOND_US);
            let messages: Vec<Message> = (0..count).map(at).collect();
            send(engine, table, &messages).unwrap();
            *expected.entry(table.id).or_default() += messages.len();
        }
    }
    let large = "x".repeat(40 << 10);
    send(engine, &tables[0], &[delayed(&large[..9 << 10], NOW_US + SECOND_US)]).unwrap();
    *expected.entry(tables[0].id).or_default() += 1;
    let refused = send(engine, &tables[0], &[delayed(&large, NOW_US + SECOND_US)]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ResourceExhausted, "{refused}");
    store.clock.advance(10 * SECOND);
    for table in &tables {
        until(|| ids(engine, table).len() >= expected[&table.id]);
        let mut found = ids(engine, table);
        let count = found.len();
        found.sort();
        found.dedup();
        assert_eq!((count, found.len()), (expected[&table.id], count));
    }
    assert_eq!(store.events("due_failed"), 0);
}

/// A clock that nobody moves.
#[test]
fn real_time_delivers_too() {
    let dir = tempfile::tempdir().unwrap();
    let engine = millstream_engine::Engine::open(dir.path()).unwrap();
    let table = create(&engine, "orders", MessageKind::Any, 1);
    let now_us = i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap();
    send(&engine, &table, &[delayed("soon", now_us + SECOND_US / 2), delayed("later", now_us + SECOND_US)]).unwrap();
    until(|| ids(&engine, &table).len() == 2);
    let found = visible(&engine, &table);
    assert!(found.iter().all(|message| message.append_us >= message.deliver_us.unwrap()), "{found:?}");
}
