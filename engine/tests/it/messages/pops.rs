//! Messages taken by pop.

use std::collections::BTreeSet;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use futures::executor::block_on;
use millstream_engine::{
    Chosen, ConsumerConfig, Engine, ErrorKind, InFlight, MessageKind, Offset, OffsetReset, PartitionId, PopAcked,
    PopChoice, PopOutcome, PopReceipt, PopRequest, PopStart, Popped, Result, SeekTo, TableInfo,
};

use super::{Message, create, ids, message, send, send_to};
use crate::fixture::{Fixture, NOW_US, SECOND, who};

pub(super) const NS: &str = "public";
pub(super) const INVISIBLE: Duration = Duration::from_secs(60);

/// Takes what does not have one of these ids, each row as so many bytes.
#[derive(Debug, Default)]
pub(super) struct Except {
    ids: Vec<&'static str>,
}

fn texts(rows: &RecordBatch) -> Vec<String> {
    rows.column(0).as_string::<i32>().iter().flatten().map(str::to_owned).collect()
}

impl PopChoice for Except {
    fn choose(&mut self, _: PartitionId, _: Offset, rows: &RecordBatch, most: usize) -> Result<Chosen> {
        let passes = |(_, id): &(usize, String)| !self.ids.contains(&id.as_str());
        let rows_of = texts(rows).into_iter().enumerate().filter(passes).map(|(row, _)| row);
        Ok(Chosen { rows: rows_of.take(most).collect(), looked_at: rows.num_rows(), ends: false })
    }

    fn bytes(&self, _: &RecordBatch, _: usize) -> Result<usize> {
        Ok(100)
    }
}

pub(super) fn request(table: &TableInfo) -> PopRequest {
    PopRequest {
        namespace: NS.to_owned(),
        group: "g".to_owned(),
        table: table.id,
        partition: None,
        messages: 32,
        bytes: 1 << 20,
        invisible: INVISIBLE,
        max_attempts: 3,
        in_order: false,
        start: PopStart::Earliest,
        kept_by: None,
    }
}

/// So many, as often as it takes.
pub(super) fn request_of(table: &TableInfo, messages: usize) -> PopRequest {
    PopRequest { messages, max_attempts: u32::MAX, ..request(table) }
}

pub(super) fn pop_with(engine: &Engine, request: &PopRequest, choice: &mut Except) -> Result<Vec<Popped>> {
    loop {
        match engine.pop(&who(), request, choice)? {
            PopOutcome::Taken(pending) => {
                if let Some(handed) = block_on(pending.finish())?.filter(|handed| !handed.is_empty()) {
                    return Ok(handed.received());
                }
            }
            PopOutcome::Nothing { .. } => return Ok(Vec::new()),
            other => panic!("{other:?}"),
        }
    }
}

pub(super) fn pop(engine: &Engine, request: &PopRequest) -> Result<Vec<Popped>> {
    pop_with(engine, request, &mut Except::default())
}

/// Ids and receipts, with how often each was handed out.
pub(super) fn messages(popped: &[Popped]) -> Vec<(String, PopReceipt, u32)> {
    let of = |one: &Popped| {
        let ids = texts(&one.rows).into_iter().zip(&one.offsets);
        ids.map(|(id, offset)| (id, one.receipt(*offset), one.attempts)).collect::<Vec<_>>()
    };
    popped.iter().flat_map(of).collect()
}

fn names(popped: &[Popped]) -> Vec<(String, u32)> {
    messages(popped).into_iter().map(|(id, _, attempts)| (id, attempts)).collect()
}

fn named(ids: &[&str], attempts: u32) -> Vec<(String, u32)> {
    ids.iter().map(|id| ((*id).to_owned(), attempts)).collect()
}

pub(super) fn ack(engine: &Engine, table: &TableInfo, receipts: &[PopReceipt]) -> Result<Vec<PopAcked>> {
    loop {
        let pending = engine.acknowledge_popped(&who(), NS, "g", table.id, receipts)?;
        if let Some((found, _)) = block_on(pending.finish())? {
            return Ok(found);
        }
    }
}

pub(super) fn change(engine: &Engine, table: &TableInfo, receipt: &PopReceipt, after: Duration) -> Option<PopReceipt> {
    let pending = engine.change_invisible(&who(), NS, "g", table.id, (receipt, after)).unwrap();
    block_on(pending.finish()).unwrap().unwrap().1
}

pub(super) fn in_flight(engine: &Engine, table: &TableInfo) -> Vec<InFlight> {
    let mut found = Vec::new();
    let each = |one| {
        found.push(one);
        true
    };
    engine.in_flight(&who(), table.id, each).unwrap();
    found
}

fn committed(engine: &Engine) -> Option<Offset> {
    engine.committed_offset(&who(), NS, "g", "orders", 0).unwrap()
}

fn numbered(ids: &[&str]) -> Vec<Message> {
    ids.iter().map(|id| message(id)).collect()
}

#[test]
fn what_is_acknowledged_does_not_come_again_and_the_rest_does() {
    let store = Fixture::new();
    let (engine, clock) = (&store.engine, &store.clock);
    let table = create(engine, "orders", MessageKind::Any, 1);
    send(engine, &table, &numbered(&["a", "b", "c", "d"])).unwrap();
    let first = pop(engine, &request(&table)).unwrap();
    assert_eq!(names(&first), named(&["a", "b", "c", "d"], 1));
    assert!(pop(engine, &request(&table)).unwrap().is_empty(), "all are in flight");
    assert_eq!(committed(engine), Some(0));
    let receipts: Vec<PopReceipt> = messages(&first).iter().map(|(_, receipt, _)| *receipt).collect();
    assert_eq!(ack(engine, &table, &receipts[..1]).unwrap(), [PopAcked::Done]);
    assert_eq!(ack(engine, &table, &[receipts[0], receipts[2]]).unwrap(), [PopAcked::Done; 2], "twice is once");
    let [left] = &in_flight(engine, &table)[..] else { panic!("one hand-out") };
    assert_eq!((left.first_offset, left.messages, left.attempts, left.visible_us), (1, 2, 1, NOW_US + 60_000_000));

    clock.advance(INVISIBLE - Duration::from_micros(1));
    assert!(pop(engine, &request(&table)).unwrap().is_empty(), "not yet");
    clock.advance(Duration::from_micros(1));
    let again = pop(engine, &request(&table)).unwrap();
    assert_eq!(names(&again), named(&["b", "d"], 2));
    assert_eq!(again[0].begun_us, NOW_US);
    assert_eq!(ack(engine, &table, &receipts[1..2]).unwrap(), [PopAcked::Stale], "it is in other hands");
    assert_eq!(committed(engine), Some(1), "below what is in flight");
    let receipts: Vec<PopReceipt> = messages(&again).iter().map(|(_, receipt, _)| *receipt).collect();
    assert_eq!(ack(engine, &table, &receipts).unwrap(), [PopAcked::Done; 2]);
    assert!(in_flight(engine, &table).is_empty());
    assert_eq!(committed(engine), Some(4));
    let never = PopReceipt { offset: 9, ..receipts[0] };
    assert_eq!(ack(engine, &table, &[never]).unwrap(), [PopAcked::Stale]);
    clock.advance(10 * INVISIBLE);
    assert!(pop(engine, &request(&table)).unwrap().is_empty());
}

#[test]
fn what_is_in_flight_survives() {
    let store = Fixture::new();
    let table = create(&store.engine, "orders", MessageKind::Any, 1);
    send(&store.engine, &table, &numbered(&["a", "b", "c"])).unwrap();
    let first = messages(&pop(&store.engine, &PopRequest { messages: 2, ..request(&table) }).unwrap());
    ack(&store.engine, &table, &[first[0].1]).unwrap();
    let before = in_flight(&store.engine, &table);
    let store = store.reopen();
    let engine = &store.engine;
    assert_eq!(in_flight(engine, &table), before);
    assert_eq!(names(&pop(engine, &request(&table)).unwrap()), named(&["c"], 1));
    assert_eq!(ack(engine, &table, &[first[1].1]).unwrap(), [PopAcked::Done], "the receipt is good as before");
    store.clock.advance(INVISIBLE + Duration::from_millis(1));
    let again = pop(engine, &request(&table)).unwrap();
    assert_eq!(names(&again), named(&["c"], 2));
}

#[test]
fn invisibility_is_changed_and_the_receipt_with_it() {
    let store = Fixture::new();
    let (engine, clock) = (&store.engine, &store.clock);
    let table = create(engine, "orders", MessageKind::Any, 1);
    send(engine, &table, &numbered(&["a", "b", "c"])).unwrap();
    let first = messages(&pop(engine, &request(&table)).unwrap());
    let later = change(engine, &table, &first[0].1, 3 * INVISIBLE).unwrap();
    let sooner = change(engine, &table, &first[1].1, SECOND).unwrap();
    assert_eq!(change(engine, &table, &first[0].1, SECOND), None, "by the old receipt");
    assert_eq!(ack(engine, &table, &[first[1].1]).unwrap(), [PopAcked::Stale]);
    clock.advance(SECOND);
    assert_eq!(names(&pop(engine, &request(&table)).unwrap()), named(&["b"], 2));
    assert_eq!(ack(engine, &table, &[sooner]).unwrap(), [PopAcked::Stale]);
    clock.advance(INVISIBLE);
    assert_eq!(names(&pop(engine, &request(&table)).unwrap()), [("c".to_owned(), 2), ("b".to_owned(), 3)]);
    assert_eq!(ack(engine, &table, &[later]).unwrap(), [PopAcked::Done]);
    let c = messages(&{
        clock.advance(INVISIBLE);
        pop(engine, &request(&table)).unwrap()
    });
    assert_eq!(c.iter().map(|(id, ..)| id.as_str()).collect::<Vec<_>>(), ["c"], "b was handed out three times");
    let now = change(engine, &table, &c[0].1, Duration::ZERO).unwrap();
    assert_eq!(ids(engine, &engine.table(&who(), NS, "%DLQ%g").unwrap()), ["b"]);
    assert_eq!(ack(engine, &table, &[now]).unwrap(), [PopAcked::Done], "nobody has taken it since");
    let long = engine.change_invisible(&who(), NS, "g", table.id, (&now, 721 * INVISIBLE));
    assert_eq!(long.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn what_comes_back_too_often_becomes_a_dead_letter() {
    let store = Fixture::new();
    let (engine, clock) = (&store.engine, &store.clock);
    let table = create(engine, "orders", MessageKind::Any, 1);
    send(engine, &table, &numbered(&["a", "b"])).unwrap();
    for attempt in 1..=3 {
        let popped = pop(engine, &request(&table)).unwrap();
        assert!(messages(&popped).iter().all(|(_, _, attempts)| *attempts == attempt));
        if attempt == 2 {
            let b = messages(&popped).into_iter().find(|(id, ..)| id == "b").unwrap();
            assert_eq!(ack(engine, &table, &[b.1]).unwrap(), [PopAcked::Done]);
        }
        clock.advance(INVISIBLE);
    }
    assert!(pop(engine, &request(&table)).unwrap().is_empty());
    let letters = engine.table(&who(), NS, "%DLQ%g").unwrap();
    assert_eq!(ids(engine, &letters), ["a"]);
    let (_, rows) = super::rows(engine, &letters).remove(0);
    let attempts = rows.column_by_name("attempts").unwrap().as_primitive::<arrow_array::types::Int32Type>().value(0);
    let properties = rows.column_by_name("properties").unwrap().as_map().value(0);
    let pairs: Vec<String> = properties
        .columns()
        .iter()
        .flat_map(|column| column.as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert_eq!((attempts, pairs.join(" ").as_str()), (2, "of DLQ_ORIGIN_TOPIC DLQ_ORIGIN_MESSAGE_ID a orders a"));
    assert!(in_flight(engine, &table).is_empty());
    assert_eq!(committed(engine), Some(2));

    send(engine, &table, &numbered(&["c"])).unwrap();
    let c = messages(&pop(engine, &request(&table)).unwrap());
    let given_up = engine.give_up_popped(&who(), NS, "g", table.id, &c[0].1).unwrap();
    block_on(given_up.finish()).unwrap().unwrap();
    assert_eq!(ids(engine, &letters), ["a", "c"]);
    assert!(in_flight(engine, &table).is_empty());
}

#[test]
fn one_group_of_messages_is_in_one_pair_of_hands() {
    let store = Fixture::new();
    let (engine, clock) = (&store.engine, &store.clock);
    let table = create(engine, "orders", MessageKind::Any, 1);
    let of = |id: &str, group| Message { group: Some(group), ..message(id) };
    let sent = [of("a1", "a"), of("b1", "b"), of("a2", "a"), of("a3", "a"), of("c1", "c")];
    send(engine, &table, &sent).unwrap();
    let ordered = |messages| PopRequest { in_order: true, messages, ..request(&table) };
    let first = messages(&pop(engine, &ordered(1)).unwrap());
    assert_eq!(first[0].0, "a1");
    // b1 goes, a2 waits for a1, and what is behind it for a2.
    let second = messages(&pop(engine, &ordered(5)).unwrap());
    assert_eq!(second.iter().map(|(id, ..)| id.as_str()).collect::<Vec<_>>(), ["b1"]);
    assert!(pop(engine, &ordered(5)).unwrap().is_empty());
    ack(engine, &table, &[first[0].1]).unwrap();
    let third = messages(&pop(engine, &ordered(3)).unwrap());
    assert_eq!(third.iter().map(|(id, ..)| id.as_str()).collect::<Vec<_>>(), ["a2", "a3", "c1"]);
    // The second of a group that is handed out together comes back first, and waits for the first one.
    change(engine, &table, &third[1].1, SECOND).unwrap();
    clock.advance(SECOND);
    assert!(pop(engine, &ordered(5)).unwrap().is_empty());
    ack(engine, &table, &[third[0].1]).unwrap();
    assert_eq!(names(&pop(engine, &ordered(5)).unwrap()), named(&["a3"], 2));
    clock.advance(INVISIBLE);
    let all: BTreeSet<String> = names(&pop(engine, &ordered(5)).unwrap()).into_iter().map(|(id, _)| id).collect();
    assert_eq!(all, BTreeSet::from(["a3", "b1", "c1"].map(str::to_owned)));
}

#[test]
fn what_a_consumer_leaves_out_is_passed_over_and_limits_hold() {
    let store = Fixture::new();
    let engine = &store.engine;
    let table = create(engine, "orders", MessageKind::Any, 1);
    send(engine, &table, &numbered(&["a", "x", "b", "c"])).unwrap();
    let mut choice = Except { ids: vec!["x"] };
    let two = pop_with(engine, &PopRequest { bytes: 250, ..request(&table) }, &mut choice).unwrap();
    assert_eq!(names(&two), named(&["a", "b"], 1));
    let rest = pop_with(engine, &request(&table), &mut choice).unwrap();
    assert_eq!(names(&rest), named(&["c"], 1));
    send(engine, &table, &numbered(&["x", "y"])).unwrap();
    let small = PopRequest { bytes: 99, ..request(&table) };
    let PopOutcome::Taken(pending) = engine.pop(&who(), &small, &mut choice).unwrap() else {
        panic!("x is passed over")
    };
    assert!(block_on(pending.finish()).unwrap().unwrap().is_empty());
    assert!(matches!(engine.pop(&who(), &small, &mut choice).unwrap(), PopOutcome::TooLong(100)));
    let refused = |request: PopRequest| engine.pop(&who(), &request, &mut Except::default()).unwrap_err().kind();
    assert_eq!(refused(PopRequest { messages: 0, ..request(&table) }), ErrorKind::InvalidInput);
    assert_eq!(refused(PopRequest { messages: 1_025, ..request(&table) }), ErrorKind::InvalidInput);
    assert_eq!(refused(PopRequest { invisible: 721 * INVISIBLE, ..request(&table) }), ErrorKind::InvalidInput);
    assert_eq!(refused(PopRequest { invisible: Duration::ZERO, ..request(&table) }), ErrorKind::InvalidInput);
    assert_eq!(refused(PopRequest { partition: Some(1), ..request(&table) }), ErrorKind::NotFound);
}

#[test]
fn a_group_pops_or_has_members() {
    let store = Fixture::new();
    let engine = &store.engine;
    let table = create(engine, "orders", MessageKind::Any, 1);
    send(engine, &table, &numbered(&["a", "b", "c"])).unwrap();
    let config = || ConsumerConfig { group_id: "g".into(), ..ConsumerConfig::default() };
    let member = engine.join(&who(), config(), &["orders".to_owned()]).unwrap();
    assert_eq!(engine.begin_pop(&who(), NS, "g", table.id).unwrap_err().kind(), ErrorKind::FailedPrecondition);
    member.leave().unwrap();
    engine
        .reset_offsets(
            &who(),
            NS,
            "g",
            OffsetReset { to: SeekTo::Offset(1), topic: Some("orders".into()), partition: None },
        )
        .unwrap();
    let topic = millstream_engine::TopicId(table.id.0);
    assert_eq!(engine.take_offset_reset(&who(), NS, "g", topic, 0).unwrap(), Some(1));
    let first = messages(&pop(engine, &PopRequest { messages: 1, ..request(&table) }).unwrap());
    assert_eq!(first[0].0, "b", "it goes on where it was");
    assert!(engine.is_popping(&who(), NS, "g", table.id).unwrap());
    assert!(engine.join(&who(), config(), &["orders".to_owned()]).is_err());
    assert!(engine.commit_unowned(&who(), NS, "g", "orders", 0, 3).is_err());

    let start = OffsetReset { to: SeekTo::Start, topic: Some("orders".into()), partition: None };
    engine.reset_offsets(&who(), NS, "g", start).unwrap();
    assert_eq!(ack(engine, &table, &[first[0].1]).unwrap(), [PopAcked::Stale], "the offset was set since");
    let all = messages(&pop(engine, &request(&table)).unwrap());
    assert_eq!(all.len(), 3);
    ack(engine, &table, &[all[0].1]).unwrap();
    engine.end_pop(&who(), NS, "g", table.id).unwrap();
    assert!(!engine.is_popping(&who(), NS, "g", table.id).unwrap());
    assert!(in_flight(engine, &table).is_empty());
    engine.commit_unowned(&who(), NS, "g", "orders", 0, 2).unwrap().wait().unwrap().wait().unwrap();
    let again = messages(&pop(engine, &request(&table)).unwrap());
    assert_eq!(again[0].0, "c");
    engine.drop_group(&who(), NS, "g", false).unwrap();
    assert!(in_flight(engine, &table).is_empty());
    assert_eq!(pop(engine, &request(&table)).unwrap().iter().map(|one| one.offsets.len()).sum::<usize>(), 3);
    engine.drop_table(&who(), NS, "orders", true).unwrap();
}

#[test]
fn a_new_group_begins_where_it_says() {
    let store = Fixture::new();
    let engine = &store.engine;
    let table = create(engine, "orders", MessageKind::Any, 2);
    send_to(engine, &table, millstream_engine::PartitionChoice::Named(1), &numbered(&["a"])).unwrap();
    let group = |name: &str, start| PopRequest { group: name.to_owned(), start, ..request(&table) };
    let latest = |since| PopStart::Latest { unless_new_since_us: since };
    // Each commit has an append time of its own, also while the clock stands still.
    assert!(pop(engine, &group("end", latest(NOW_US + 1_000))).unwrap().is_empty());
    assert_eq!(names(&pop(engine, &group("new", latest(NOW_US))).unwrap()), named(&["a"], 1));
    assert_eq!(names(&pop(engine, &group("start", PopStart::Earliest)).unwrap()), named(&["a"], 1));
    send(engine, &table, &numbered(&["b"])).unwrap();
    assert_eq!(names(&pop(engine, &group("end", PopStart::Earliest)).unwrap()), named(&["b"], 1));
}
