//! Broadcast groups, and delivery at the recorded pace.

use std::time::Duration;

use millstream_engine::{ConsumerConfig, Error, GroupMode, OffsetReset, SeekTo};

use crate::fixture::{Fixture, MIB, NOTHING, SECOND, automatic, manual, polled, who};

fn broadcast(client: &str) -> ConsumerConfig {
    ConsumerConfig { client_id: client.to_owned(), mode: GroupMode::Broadcast, ..manual("b") }
}

#[test]
fn every_client_reads_everything_and_keeps_its_own_offsets() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 2);
    fixture.append(&table, 0, 0..3);
    fixture.append(&table, 1, 10..13);
    let (first, second) = (fixture.join(broadcast("one"), &["t"]), fixture.join(broadcast("two"), &["t"]));
    for member in [&first, &second] {
        assert_eq!(member.assignment().len(), 2);
        assert_eq!(polled(member).len(), 6);
    }
    first.acknowledge();
    first.commit_positions().expect("it is queued").wait().expect("it commits");
    drop((first, second));
    assert_eq!(polled(&fixture.join(broadcast("one"), &["t"])), NOTHING);
    assert_eq!(polled(&fixture.join(broadcast("two"), &["t"])).len(), 6);
    let offsets = fixture.engine.group_offsets(&who(), "public", "b").expect("they are known");
    let mut committed: Vec<_> = offsets.iter().filter_map(|offset| offset.committed).collect();
    committed.sort_unstable();
    assert_eq!(committed, [0, 0, 3, 3]);
    let reset = OffsetReset { to: SeekTo::Start, topic: None, partition: None };
    fixture.engine.reset_offsets(&who(), "public", "b", reset).expect("it is reset");
    assert_eq!(polled(&fixture.join(broadcast("one"), &["t"])).len(), 6, "a reset is for all clients");
}

#[test]
fn a_client_that_joins_again_takes_its_own_place() {
    let fixture = Fixture::new();
    fixture.table("t", 1);
    let (old, other) = (fixture.join(broadcast("one"), &["t"]), fixture.join(broadcast("two"), &["t"]));
    let new = fixture.join(broadcast("one"), &["t"]);
    let error = old.heartbeat().expect_err("it was replaced");
    assert!(error.to_string().contains("client id"), "{error}");
    new.heartbeat().expect("it is a member");
    other.heartbeat().expect("it is a member");
}

#[test]
fn modes_do_not_mix() {
    let fixture = Fixture::new();
    fixture.table("t", 1);
    let member = fixture.join(broadcast("one"), &["t"]);
    let error = fixture.try_join(manual("b"), &["t"]).map(drop).expect_err("it is a broadcast group");
    assert!(matches!(error, Error::FailedPrecondition(_)), "{error}");
    drop(member);
    assert!(fixture.try_join(manual("b"), &["t"]).is_err(), "the mode is recorded");
}

#[test]
fn replay_keeps_the_recorded_pace() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    // Commits of one moment are a microsecond apart each, and it is not known which is first: a row's or one that the engine makes.
    let alone = Duration::from_millis(1);
    fixture.clock.advance(alone);
    for (number, pause) in [(0, 0), (1, 10), (2, 10), (3, 600)] {
        fixture.clock.advance(SECOND * pause);
        fixture.append(&table, 0, [number]);
    }
    fixture.clock.advance(SECOND * 3_600);
    let config = ConsumerConfig { replay: true, session_timeout: SECOND * 1_800, ..automatic("g") };
    let member = fixture.join(ConsumerConfig { max_poll_interval: SECOND * 3_600, ..config }, &["t"]);
    assert_eq!(polled(&member), [0]);
    assert_eq!(polled(&member), NOTHING);
    let due = member.due_in().expect("a row is due");
    assert!((SECOND * 10..SECOND * 10 + alone).contains(&due), "{due:?}");
    fixture.clock.advance(SECOND * 9);
    assert_eq!(polled(&member), NOTHING);
    fixture.clock.advance(SECOND + alone);
    assert_eq!(polled(&member), [1]);
    fixture.clock.advance(SECOND * 300);
    assert_eq!(polled(&member), [2]);
    assert_eq!(member.poll(MIB, Duration::from_millis(1)).expect("it polls").len(), 0);
    fixture.clock.advance(SECOND * 310);
    assert_eq!(polled(&member), [3]);
    fixture.clock.advance(alone);
    fixture.append(&table, 0, [4]);
    // It was appended 4,840.002 s after the first row; 620.002 s of those have passed.
    for wait in [1_000, 1_700, 1_519] {
        assert_eq!(polled(&member), NOTHING);
        fixture.clock.advance(SECOND * wait);
    }
    assert_eq!(polled(&member), NOTHING);
    fixture.clock.advance(SECOND + alone);
    assert_eq!(polled(&member), [4]);
}
