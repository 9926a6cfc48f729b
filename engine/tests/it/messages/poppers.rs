//! Many who pop at once.

use std::time::Duration;

use millstream_engine::{MessageKind, PopAcked, PopReceipt, PopRequest};

use super::pops::{ack, in_flight, messages, pop, request};
use super::{Message, create, message, send};
use crate::fixture::Fixture;

/// Consumers at once: each message goes to one of them.
#[test]
fn no_two_consumers_have_the_same_message() {
    let store = Fixture::new();
    let engine = &store.engine;
    let table = create(engine, "orders", MessageKind::Any, 4);
    let sent: Vec<String> = (0..400).map(|number| format!("m{number:03}")).collect();
    for part in sent.chunks(20) {
        let messages: Vec<Message> = part.iter().map(|id| message(id)).collect();
        send(engine, &table, &messages).unwrap();
    }
    let taken = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let mut mine = Vec::new();
                    let mut idle = 0;
                    while idle < 20 {
                        let popped = messages(&pop(engine, &PopRequest { messages: 7, ..request(&table) }).unwrap());
                        if popped.is_empty() {
                            idle += 1;
                            std::thread::sleep(Duration::from_millis(2));
                            continue;
                        }
                        idle = 0;
                        let receipts: Vec<PopReceipt> = popped.iter().map(|(_, receipt, _)| *receipt).collect();
                        assert!(ack(engine, &table, &receipts).unwrap().iter().all(|acked| *acked == PopAcked::Done));
                        mine.extend(popped.into_iter().map(|(id, ..)| id));
                    }
                    mine
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect::<Vec<String>>()
    });
    let mut taken = taken;
    taken.sort();
    assert_eq!(taken, sent);
    assert!(in_flight(engine, &table).is_empty());
}
