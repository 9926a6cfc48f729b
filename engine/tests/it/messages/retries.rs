//! How messages of a group are tried again, as it is set.

use millstream_engine::{ErrorKind, GroupRetries, GroupRetryChanges, MessageKind};

use super::pops::{INVISIBLE, NS, in_flight, messages, pop, request};
use super::{create, ids, message, send};
use crate::fixture::{Fixture, who};

fn changes(max_attempts: Option<u32>, steps_ms: Option<Vec<u64>>) -> GroupRetryChanges {
    GroupRetryChanges { max_attempts, steps_ms }
}

#[test]
fn a_group_s_own_attempts_go_before_what_a_consumer_asks_for() {
    let store = Fixture::new();
    let (engine, clock) = (&store.engine, &store.clock);
    let table = create(engine, "orders", MessageKind::Any, 1);
    engine.create_group(&who(), NS, "g", changes(Some(1), None)).unwrap();
    send(engine, &table, &[message("a")]).unwrap();
    assert_eq!(messages(&pop(engine, &request(&table)).unwrap()).len(), 1);
    clock.advance(INVISIBLE);
    assert!(pop(engine, &request(&table)).unwrap().is_empty(), "it may be handed out once");
    let letters = engine.table(&who(), NS, "%DLQ%g").unwrap();
    assert_eq!(ids(engine, &letters), ["a"]);

    engine.set_group_retries(&who(), NS, "g", changes(Some(2), None)).unwrap();
    send(engine, &table, &[message("b")]).unwrap();
    for attempts in 1..=2 {
        assert_eq!(messages(&pop(engine, &request(&table)).unwrap())[0].2, attempts);
        clock.advance(INVISIBLE);
    }
    assert!(pop(engine, &request(&table)).unwrap().is_empty());
    assert!(in_flight(engine, &table).is_empty());
    assert_eq!(ids(engine, &letters), ["a", "b"]);
}

#[test]
fn settings_of_a_group_last_as_long_as_it_does() {
    let store = Fixture::new();
    let refused =
        |store: &Fixture, of: &str, set| store.engine.set_group_retries(&who(), NS, of, set).unwrap_err().kind();
    assert_eq!(refused(&store, "g", changes(Some(1), None)), ErrorKind::NotFound);
    store.engine.create_group(&who(), NS, "g", changes(None, Some(vec![1_000, 30_000]))).unwrap();
    let again = store.engine.create_group(&who(), NS, "g", changes(None, None));
    assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(refused(&store, "g", changes(None, Some(vec![1]))), ErrorKind::InvalidInput);
    store.engine.set_group_retries(&who(), NS, "g", changes(Some(18), None)).unwrap();
    let set = GroupRetries { max_attempts: Some(18), steps_ms: vec![1_000, 30_000] };
    // From the log, and from a checkpoint.
    let store = store.reopen().reopen();
    assert_eq!(store.engine.group_retries(&who(), NS, "g").unwrap(), set);
    assert_eq!(store.engine.groups(&who()).unwrap()[0].retries, set);
    store.engine.drop_group(&who(), NS, "g", false).unwrap();
    let store = store.reopen();
    store.engine.create_group(&who(), NS, "g", changes(None, None)).unwrap();
    assert_eq!(store.engine.group_retries(&who(), NS, "g").unwrap(), GroupRetries::default());
}
