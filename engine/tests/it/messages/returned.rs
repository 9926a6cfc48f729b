//! Messages that were handed out and come back before their time: nobody has received them, or their client has gone.

use std::time::Duration;

use futures::executor::block_on;
use millstream_engine::{
    Engine, HandedMessages, MessageClient, MessageClientRole, MessageKind, PendingPop, PopAcked, PopOutcome,
    PopRequest, TableInfo,
};

use super::pops::{Except, INVISIBLE, NS, ack, change, in_flight, messages, pop, request};
use super::{create, message, send};
use crate::fixture::{Fixture, SECOND, until, wait, who};

const GRACE: Duration = Duration::from_secs(30);

/// What is on its way to being handed out, once nobody else is at it.
fn pending(engine: &Engine, request: &PopRequest) -> PendingPop {
    let pop = || match engine.pop(&who(), request, &mut Except::default()).unwrap() {
        PopOutcome::Taken(pending) => Some(pending),
        PopOutcome::Nothing { .. } => None,
        other => panic!("{other:?}"),
    };
    wait(pop, "messages to take")
}

fn handed(engine: &Engine, request: &PopRequest) -> HandedMessages {
    block_on(pending(engine, request).finish()).unwrap().unwrap()
}

/// Ids, and how often each was handed out.
fn names(engine: &Engine, request: &PopRequest) -> Vec<(String, u32)> {
    messages(&pop(engine, request).unwrap()).into_iter().map(|(id, _, attempts)| (id, attempts)).collect()
}

fn is_visible(engine: &Engine, table: &TableInfo, messages: usize) -> bool {
    let now_us = engine.now_us();
    in_flight(engine, table).iter().filter(|one| one.visible_us <= now_us).map(|one| one.messages).sum::<usize>()
        == messages
}

fn alive(engine: &Engine, client_id: &str, connection: u64) {
    let client = MessageClient {
        client_id: client_id.to_owned(),
        role: MessageClientRole::Consumer,
        connection,
        address: String::new(),
        subscriptions: Vec::new(),
    };
    engine.message_client_alive(&who(), NS, "g", client).unwrap();
}

fn store(ids: &[&str]) -> (Fixture, std::sync::Arc<TableInfo>) {
    let store = Fixture::new();
    let table = create(&store.engine, "orders", MessageKind::Any, 1);
    let sent: Vec<_> = ids.iter().map(|id| message(id)).collect();
    send(&store.engine, &table, &sent).unwrap();
    (store, table)
}

#[test]
fn what_nobody_receives_is_handed_out_again_at_once_and_does_not_count() {
    let (store, table) = store(&["a", "b", "c"]);
    let (engine, asked) = (&store.engine, request(&table));
    // Before it is durable, and after; more often than a message may be handed out.
    for _ in 0..4 {
        drop(pending(engine, &asked));
        drop(block_on(pending(engine, &asked).finish()).unwrap());
    }
    let received = handed(engine, &asked).received();
    let received = messages(&received);
    assert_eq!(
        received.iter().map(|(id, _, attempts)| (id.as_str(), *attempts)).collect::<Vec<_>>(),
        [("a", 1), ("b", 1), ("c", 1)]
    );
    assert!(pop(engine, &asked).unwrap().is_empty(), "what was received is invisible");
    let receipts: Vec<_> = received.iter().map(|(_, receipt, _)| *receipt).collect();
    assert_eq!(ack(engine, &table, &receipts).unwrap(), [PopAcked::Done; 3]);
    assert!(in_flight(engine, &table).is_empty());
}

#[test]
fn others_wait_until_what_is_let_go_of_is_decided() {
    let (store, table) = store(&["a"]);
    let engine = &store.engine;
    let asked = PopRequest { in_order: true, ..request(&table) };
    let told = engine.watch_pop(&who(), NS, "g", table.id, true).unwrap();
    drop(pending(engine, &asked));
    until(|| is_visible(engine, &table, 1));
    assert!(told.has_changed().unwrap(), "who waits is told");
    assert_eq!(names(engine, &asked), [("a".to_owned(), 1)]);
}

#[test]
fn what_a_client_keeps_is_given_back_when_it_leaves() {
    let (store, table) = store(&["a", "b", "c", "d"]);
    let engine = &store.engine;
    alive(engine, "one", 7);
    alive(engine, "two", 8);
    let of = |client: &str, messages| PopRequest {
        messages,
        kept_by: Some(client.to_owned()),
        invisible: 15 * INVISIBLE,
        ..request(&table)
    };
    let ones = messages(&pop(engine, &of("one", 3)).unwrap());
    let twos = messages(&pop(engine, &of("two", 1)).unwrap());
    assert_eq!(ack(engine, &table, &[ones[0].1]).unwrap(), [PopAcked::Done]);
    let later = change(engine, &table, &ones[1].1, 2 * INVISIBLE).unwrap();
    engine.message_client_left(&who(), NS, "g", MessageClientRole::Consumer, "one").unwrap();
    until(|| is_visible(engine, &table, 1));
    // What was acknowledged stays so, and what was put off comes when it was put off to.
    assert_eq!(names(engine, &request(&table)), [("c".to_owned(), 2)]);
    assert_eq!(ack(engine, &table, &[ones[2].1]).unwrap(), [PopAcked::Stale]);
    assert_eq!(ack(engine, &table, &[later, twos[0].1]).unwrap(), [PopAcked::Done; 2]);
}

#[test]
fn what_a_client_keeps_is_given_back_when_it_is_missed() {
    let (store, table) = store(&["a", "b"]);
    let (engine, clock) = (&store.engine, &store.clock);
    alive(engine, "one", 7);
    let asked = PopRequest { kept_by: Some("one".to_owned()), invisible: 15 * INVISIBLE, ..request(&table) };
    let kept = messages(&pop(engine, &asked).unwrap());
    engine.message_clients_disconnected(7);
    engine.maintain(&who()).unwrap();
    clock.advance(GRACE / 2);
    alive(engine, "one", 9);
    engine.maintain(&who()).unwrap();
    clock.advance(GRACE / 2 + SECOND);
    engine.maintain(&who()).unwrap();
    assert!(is_visible(engine, &table, 0), "it has come back");
    assert_eq!(ack(engine, &table, &[kept[0].1]).unwrap(), [PopAcked::Done]);
    // Nothing is heard of it for long enough.
    clock.advance(Duration::from_secs(121));
    engine.maintain(&who()).unwrap();
    assert!(is_visible(engine, &table, 0), "it may come back");
    clock.advance(GRACE);
    until(|| is_visible(engine, &table, 1));
    assert_eq!(names(engine, &request(&table)), [("b".to_owned(), 2)]);
}
