//! Where groups begin, and how their committed offsets move.

use millstream_engine::{AutoOffsetReset, ConsumerConfig, Error, OffsetReset, SeekTo, TableOptions};

use crate::fixture::{Fixture, MIB, NO_WAIT, NOTHING, SECOND, at, automatic, manual, polled, who};

fn starting(at: AutoOffsetReset) -> ConsumerConfig {
    ConsumerConfig { auto_offset_reset: at, ..manual("g") }
}

fn reset(to: SeekTo) -> OffsetReset {
    OffsetReset { to, topic: None, partition: None }
}

#[test]
fn the_start_of_a_new_group_is_committed_at_once_for_every_partition() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 2);
    fixture.append(&table, 0, 0..3);
    let member = fixture.join(starting(AutoOffsetReset::Latest), &["t"]);
    assert_eq!(fixture.committed("g").into_iter().collect::<Vec<_>>(), [(0, 3), (1, 0)]);
    fixture.append(&table, 0, 3..5);
    drop(member);
    // It had not looked at its partitions yet; the next one starts where it would have.
    let next = fixture.join(starting(AutoOffsetReset::Earliest), &["t"]);
    assert_eq!(polled(&next), [3, 4]);
}

#[test]
fn none_refuses_a_new_group_and_leaves_nothing_behind() {
    let fixture = Fixture::new();
    fixture.table("t", 1);
    let error = fixture.try_join(starting(AutoOffsetReset::None), &["t"]).map(drop).expect_err("there is no offset");
    assert!(matches!(error, Error::NoCommittedOffset { partition: 0, .. }), "{error}");
    assert_eq!(fixture.engine.groups(&who()).expect("they are listed"), []);
    fixture.join(starting(AutoOffsetReset::Earliest), &["t"]).leave().expect("it leaves");
    fixture.join(starting(AutoOffsetReset::None), &["t"]).leave().expect("now there is one");
}

#[test]
fn commits_are_checked_against_the_end() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    fixture.append(&table, 0, 0..3);
    let member = fixture.join(manual("g"), &["t"]);
    let topic = member.topics().first().cloned().expect("it has a topic");
    polled(&member);
    let error = member.commit(&[(at(&topic, 0), 4)]).map(drop).expect_err("there is no such offset");
    assert!(matches!(error, Error::OffsetOutOfRange { offset: 4, start: 0, end: 3, .. }), "{error}");
    member.commit(&[]).expect("nothing is nothing").wait().expect("it is done");
    member.commit_positions().expect("it is queued").wait().expect("it commits");
    assert_eq!(fixture.committed("g").get(&0), Some(&3));
    let offsets = member.offsets().expect("they are known");
    let [only] = offsets.as_slice() else { panic!("one partition: {offsets:?}") };
    assert_eq!((only.start, only.end, only.committed, only.position), (0, 3, Some(3), Some(3)));
}

#[test]
fn automatic_commits_take_what_the_poll_before_handed_out_when_due() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    let config = ConsumerConfig { max_poll_rows: 2, ..automatic("g") };
    fixture.append(&table, 0, 0..10);
    let member = fixture.join(config, &["t"]);
    let committed = || fixture.committed("g").get(&0).copied();
    assert_eq!(polled(&member), [0, 1]);
    assert_eq!(polled(&member), [2, 3]);
    assert_eq!(committed(), Some(0), "it is not due yet");
    fixture.clock.advance(SECOND * 6);
    assert_eq!(polled(&member), [4, 5]);
    let probe = fixture.join(manual("other"), &["t"]);
    probe.leave().expect("a later commit is durable, so the earlier one is");
    assert_eq!(committed(), Some(4), "what the poll before handed out, not what this one did");
    member.leave().expect("it leaves");
    assert_eq!(committed(), Some(6), "leaving commits all that was handed out");
}

#[test]
fn a_dropped_member_does_not_commit_what_it_may_not_have_processed() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    fixture.append(&table, 0, 0..10);
    let member = fixture.join(ConsumerConfig { max_poll_rows: 3, ..automatic("g") }, &["t"]);
    polled(&member);
    polled(&member);
    drop(member);
    let next = fixture.join(automatic("g"), &["t"]);
    assert_eq!(
        polled(&next),
        (3..10).collect::<Vec<_>>(),
        "the first poll's rows were processed, the second's may not be"
    );
}

#[test]
fn a_seek_is_not_committed_by_itself() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    fixture.append(&table, 0, 0..10);
    let member = fixture.join(automatic("g"), &["t"]);
    let topic = member.topics().first().cloned().expect("it has a topic");
    member.seek(at(&topic, 0), SeekTo::Offset(7)).expect("it seeks");
    fixture.clock.advance(SECOND * 6);
    member.pause(&[at(&topic, 0)]).expect("it pauses");
    assert_eq!(polled(&member), NOTHING);
    member.leave().expect("it leaves");
    assert_eq!(fixture.committed("g").get(&0), Some(&0));
}

#[test]
fn a_reset_moves_live_members_and_fences_what_they_had() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 2);
    fixture.append(&table, 0, 0..10);
    fixture.append(&table, 1, 10..20);
    let member = fixture.join(manual("g"), &["t"]);
    let topic = member.topics().first().cloned().expect("it has a topic");
    assert_eq!(polled(&member).len(), 20);
    fixture.engine.reset_offsets(&who(), "public", "g", reset(SeekTo::Offset(8))).expect("it is reset");
    assert_eq!(fixture.committed("g").into_values().collect::<Vec<_>>(), [8, 8]);
    let late = member.commit(&[(at(&topic, 0), 10)]).map(drop).expect_err("it is from before the reset");
    assert!(matches!(late, Error::Fenced(_)), "{late}");
    let mut rows = polled(&member);
    rows.sort_unstable();
    assert_eq!(rows, [8, 9, 18, 19]);
    let one = OffsetReset { to: SeekTo::Start, topic: Some("t".to_owned()), partition: Some(1) };
    fixture.engine.reset_offsets(&who(), "public", "g", one).expect("it is reset");
    assert_eq!(polled(&member), (10..20).collect::<Vec<_>>());
    assert_eq!(fixture.committed("g").into_values().collect::<Vec<_>>(), [8, 0]);
}

#[test]
fn a_reset_without_members_and_resets_that_are_refused() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    fixture.append(&table, 0, 0..10);
    fixture.join(manual("g"), &["t"]).leave().expect("it leaves");
    let engine = &fixture.engine;
    engine.reset_offsets(&who(), "public", "g", reset(SeekTo::End)).expect("it is reset");
    assert_eq!(fixture.committed("g").get(&0), Some(&10));
    let refused = |group: &str, reset: OffsetReset| {
        engine.reset_offsets(&who(), "public", group, reset).expect_err("it is refused").to_string()
    };
    assert_eq!(refused("nobody", reset(SeekTo::End)), "consumer group \"nobody\" does not exist");
    let beyond = refused("g", reset(SeekTo::Offset(11)));
    assert_eq!(beyond, "offset 11 of partition 0 is out of range: retained are 0..10");
    let nowhere = OffsetReset { to: SeekTo::End, topic: Some("t".to_owned()), partition: Some(3) };
    assert!(refused("g", nowhere).contains("does not exist"));
    let nothing = OffsetReset { to: SeekTo::End, topic: Some("u".to_owned()), partition: None };
    assert_eq!(refused("g", nothing), "topic \"u\" does not exist");
}

#[test]
fn a_dropped_group_is_forgotten_with_its_offsets() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    fixture.append(&table, 0, 0..3);
    let member = fixture.join(manual("g"), &["t"]);
    polled(&member);
    member.commit_positions().expect("it is queued").wait().expect("it commits");
    let refused = fixture.engine.drop_group(&who(), "public", "g", false).expect_err("it has a member");
    assert!(matches!(refused, Error::InUse { .. }), "{refused}");
    fixture.engine.drop_group(&who(), "public", "g", true).expect("it is dropped");
    let error = member.poll(MIB, NO_WAIT).expect_err("the group is gone");
    assert!(error.to_string().contains("dropped"), "{error}");
    assert!(matches!(fixture.engine.group_offsets(&who(), "public", "g"), Err(Error::NotFound { .. })));
    assert!(matches!(fixture.engine.drop_group(&who(), "public", "g", true), Err(Error::NotFound { .. })));
    assert_eq!(polled(&fixture.join(manual("g"), &["t"])), [0, 1, 2], "it begins anew");
}

#[test]
fn what_retention_has_passed_follows_the_reset_policy() {
    let fixture = Fixture::new();
    let table = fixture.table_with("t", TableOptions { retention_ms: Some(10_000), ..TableOptions::default() });
    fixture.append(&table, 0, 0..5);
    fixture.join(starting(AutoOffsetReset::Earliest), &["t"]).leave().expect("it leaves");
    let live = fixture.join(ConsumerConfig { group_id: "live".to_owned(), ..manual("g") }, &["t"]);
    live.acknowledge();
    fixture.clock.advance(SECOND * 11);
    fixture.append(&table, 0, 5..8);
    fixture.engine.maintain(&who()).expect("retention runs");
    assert_eq!(polled(&live), [5, 6, 7], "a live member is moved as well");
    assert_eq!(fixture.events("offset_reset"), 1);
    let none = fixture.join(starting(AutoOffsetReset::None), &["t"]);
    let error = none.poll(MIB, NO_WAIT).expect_err("its offset is gone");
    assert!(matches!(error, Error::OffsetOutOfRange { offset: 0, start: 5, end: 8, .. }), "{error}");
    drop(none);
    assert_eq!(polled(&fixture.join(starting(AutoOffsetReset::Latest), &["t"])), NOTHING);
    assert_eq!(polled(&fixture.join(starting(AutoOffsetReset::Earliest), &["t"])), [5, 6, 7]);
    assert_eq!(fixture.events("offset_reset"), 3);
    assert_eq!(fixture.committed("g").get(&0), Some(&0), "only positions have moved");
}

#[test]
fn a_reader_overtaken_by_retention_goes_on() {
    let fixture = Fixture::new();
    let table = fixture.table_with("t", TableOptions { retention_ms: Some(10_000), ..TableOptions::default() });
    fixture.append(&table, 0, 0..5);
    let member = fixture.join(ConsumerConfig { max_poll_rows: 2, ..manual("g") }, &["t"]);
    assert_eq!(polled(&member), [0, 1]);
    fixture.clock.advance(SECOND * 11);
    fixture.append(&table, 0, [5]);
    fixture.engine.maintain(&who()).expect("retention runs");
    assert_eq!(polled(&member), [5]);
    assert_eq!(fixture.events("offset_reset"), 1);
}
