//! What keeps a session alive, many members who come and go at once, and resets beside joins.

#![expect(clippy::disallowed_methods, reason = "threads of a test, which joins them")]

use std::sync::{Arc, mpsc};
use std::time::Duration;

use millstream_engine::disk::GatedDisk;
use millstream_engine::{ConsumerConfig, Error, Member, OffsetReset, SeekTo};

use crate::fixture::{Fixture, LIMIT, MIB, NO_WAIT, SECOND, at, automatic, manual, numbers, until, who};

#[test]
fn rows_that_arrive_do_not_keep_a_session_alive() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    let member = fixture.join(manual("g"), &["t"]);
    let topic = member.topics().first().cloned().expect("it has a topic");
    for round in 0..2 {
        fixture.append(&table, 0, 0..3);
        fixture.clock.advance(SECOND * 5);
        assert!(member.fetch(topic.id, MIB).expect("it fetches").is_some(), "round {round}");
        assert!(member.acknowledge() > 0 && !member.offsets().expect("it is a member").is_empty());
    }
    fixture.append(&table, 0, 0..3);
    fixture.clock.advance(SECOND * 5);
    let error = member.fetch(topic.id, MIB).map(drop).expect_err("nothing was heard of it");
    assert!(matches!(error, Error::Fenced(_)), "{error}");
    assert_eq!(member.generation(), 0);
}

/// How often the partitions of a group were shared out.
fn shared_out(member: &Member) -> u32 {
    // The lower half counts.
    u32::try_from(member.generation() & u64::from(u32::MAX)).expect("it is the lower half")
}

#[test]
fn many_who_come_and_go_share_out_together() {
    let fixture = Fixture::new();
    fixture.table("t", 64);
    let first = fixture.join(manual("g"), &["t"]);
    assert_eq!(first.assignment().len(), 64, "a single member starts at once");
    let alone = shared_out(&first);
    let mut others: Vec<Member> = (0..99).map(|_| fixture.join(manual("g"), &["t"])).collect();
    let small = shared_out(&first) - alone;
    assert!(small < 10, "while the group is small it shares out at once, then it gathers: {small} times");
    fixture.clock.advance(Duration::from_millis(100));
    first.heartbeat().expect("it is a member");
    assert_eq!(shared_out(&first) - alone, small + 1, "all who have come share out together");
    let mut owned: Vec<u32> =
        others.iter().chain([&first]).flat_map(|member| member.assignment()).map(|at| at.partition).collect();
    owned.sort_unstable();
    assert_eq!(owned, (0..64).collect::<Vec<_>>(), "every partition has one owner");

    let before = shared_out(&first);
    for member in others.drain(..90) {
        member.leave().expect("it leaves");
    }
    assert_eq!(shared_out(&first), before, "those who go are gathered too");
    fixture.clock.advance(Duration::from_millis(100));
    first.heartbeat().expect("it is a member");
    assert_eq!(shared_out(&first), before + 1);
    let owned: usize = others.iter().chain([&first]).map(|member| member.assignment().len()).sum();
    assert_eq!(owned, 64, "what they had is shared out");
}

#[test]
fn a_group_that_waits_to_share_out_can_end() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 4);
    fixture.append(&table, 0, 0..3);
    let members: Vec<Member> = (0..20).map(|_| fixture.join(manual("g"), &["t"])).collect();
    for member in members {
        member.leave().expect("it leaves");
    }
    let again = fixture.join(manual("g"), &["t"]);
    assert_eq!(again.assignment().len(), 4);
    fixture.clock.advance(Duration::from_millis(100));
    let rows: Vec<i64> = again.poll(MIB, NO_WAIT).expect("it polls").iter().flat_map(numbers).collect();
    assert_eq!(rows, [0, 1, 2]);
}

/// A log whose writer is at a commit that is not synced.
fn held(fixture: &Fixture, disk: &GatedDisk) {
    let other = fixture.table("other", 1);
    disk.let_pass(Some(0));
    let engine = fixture.engine.clone();
    let column = Arc::new(arrow_array::Int64Array::from(vec![1]));
    let batch = arrow_array::RecordBatch::try_new(crate::fixture::schema(), vec![column]).expect("a batch");
    let partition = millstream_engine::PartitionChoice::Named(0);
    let append = millstream_engine::Append { table: other.id, partition, batch };
    drop(engine.append(&who(), append, None).expect("it is queued"));
    until(|| engine.stats(&who()).unwrap().queue_bytes == 0);
}

fn gated() -> (Fixture, GatedDisk) {
    let disk = GatedDisk::default();
    let fixture = Fixture::with(|options| options.disk = Arc::new(disk.clone()));
    (fixture, disk)
}

/// What a new member of a group is handed, once the disk goes on.
fn handed_after(fixture: &Fixture, disk: &GatedDisk, group: &str) -> Vec<i64> {
    let (sender, polled) = mpsc::sync_channel(1);
    let member = fixture.join(manual(group), &["t"]);
    let poller = std::thread::spawn(move || {
        let rows: Vec<i64> = member.poll(MIB, NO_WAIT).expect("it polls").iter().flat_map(numbers).collect();
        drop(sender.send(rows));
        member
    });
    disk.let_pass(None);
    let rows = polled.recv_timeout(LIMIT).expect("it polls");
    drop(poller.join().expect("it does not panic"));
    rows
}

#[test]
fn a_member_that_joins_during_a_reset_begins_after_it() {
    let (fixture, disk) = gated();
    let table = fixture.table("t", 1);
    fixture.append(&table, 0, 0..10);
    let member = fixture.join(manual("g"), &["t"]);
    member.acknowledge();
    let topic = member.topics().first().cloned().expect("it has a topic");
    member.commit(&[(at(&topic, 0), 2)]).expect("it is queued").wait().expect("it commits");
    member.leave().expect("it leaves");
    held(&fixture, &disk);
    let engine = fixture.engine.clone();
    let reset = std::thread::spawn(move || {
        let reset = OffsetReset { topic: None, partition: None, to: SeekTo::Offset(7) };
        engine.reset_offsets(&who(), "public", "g", reset)
    });
    until(|| fixture.engine.stats(&who()).unwrap().queue_bytes > 0);
    assert_eq!(handed_after(&fixture, &disk, "g"), [7, 8, 9]);
    reset.join().expect("it does not panic").expect("it is reset");
}

#[test]
fn a_group_that_comes_back_waits_for_its_own_commits() {
    let (fixture, disk) = gated();
    let table = fixture.table("t", 2);
    fixture.append(&table, 0, 0..10);
    let member = fixture.join(manual("g"), &["t"]);
    let topic = member.topics().first().cloned().expect("it has a topic");
    drop(member.poll(MIB, NO_WAIT).expect("it polls"));
    held(&fixture, &disk);
    let committed = member.commit(&[(at(&topic, 0), 6)]).expect("it is queued");
    member.leave().expect("it leaves");
    assert_eq!(handed_after(&fixture, &disk, "g"), [6, 7, 8, 9]);
    committed.wait().expect("it commits");
}

#[test]
fn a_commit_that_is_queued_outlasts_a_rebalance() {
    let (fixture, disk) = gated();
    let table = fixture.table("t", 2);
    fixture.append(&table, 0, 0..10);
    fixture.append(&table, 1, 0..10);
    let member = fixture.join(manual("g"), &["t"]);
    let topic = member.topics().first().cloned().expect("it has a topic");
    drop(member.poll(MIB, NO_WAIT).expect("it polls"));
    held(&fixture, &disk);
    let committed = member.commit(&[(at(&topic, 0), 6), (at(&topic, 1), 7)]).expect("it is queued");
    let handed = handed_after(&fixture, &disk, "g");
    assert!([vec![6, 7, 8, 9], vec![7, 8, 9]].contains(&handed), "{handed:?}");
    committed.wait().expect("it commits");
    assert_eq!(fixture.committed("g").into_iter().collect::<Vec<_>>(), [(0, 6), (1, 7)]);
}

#[test]
fn a_commit_that_is_refused_lets_nobody_pass_those_before_it() {
    let (fixture, disk) = gated();
    let (table, other) = (fixture.table("t", 1), fixture.table("u", 1));
    fixture.append(&table, 0, 0..10);
    fixture.append(&other, 0, 0..10);
    let config = ConsumerConfig { auto_commit_interval: LIMIT, ..automatic("g") };
    let member = fixture.join(config, &["t", "u"]);
    let topic = member.topics().into_iter().find(|topic| topic.name == "t").expect("it has the topic");
    // All of it is handed out, and done with.
    drop(member.poll(MIB, NO_WAIT).expect("it polls"));
    drop(member.poll(MIB, NO_WAIT).expect("it polls"));
    held(&fixture, &disk);
    let committed = member.commit(&[(at(&topic, 0), 6)]).expect("it is queued");
    let (engine, before) = (fixture.engine.clone(), fixture.engine.stats(&who()).unwrap());
    let queued = fixture.engine.stats(&who()).unwrap().queue_bytes;
    let end = std::thread::spawn(move || engine.drop_table(&who(), "public", "u", true));
    until(|| fixture.engine.stats(&who()).unwrap().queue_bytes > queued);
    // Its last commit names the topic that is about to end.
    drop(member);
    disk.let_pass(Some(1));
    until(|| fixture.engine.stats(&who()).unwrap().submissions_refused > before.submissions_refused);
    assert_eq!(handed_after(&fixture, &disk, "g"), [6, 7, 8, 9]);
    committed.wait().expect("it commits");
    end.join().expect("it does not panic").expect("it is dropped");
}

#[test]
fn a_member_that_joins_while_its_group_is_dropped_begins_it_anew() {
    let (fixture, disk) = gated();
    let table = fixture.table("t", 1);
    fixture.append(&table, 0, 0..4);
    let member = fixture.join(manual("g"), &["t"]);
    member.acknowledge();
    let topic = member.topics().first().cloned().expect("it has a topic");
    member.commit(&[(at(&topic, 0), 3)]).expect("it is queued").wait().expect("it commits");
    member.leave().expect("it leaves");
    held(&fixture, &disk);
    let engine = fixture.engine.clone();
    let end = std::thread::spawn(move || engine.drop_group(&who(), "public", "g", false));
    until(|| fixture.engine.stats(&who()).unwrap().queue_bytes > 0);
    assert_eq!(handed_after(&fixture, &disk, "g"), [0, 1, 2, 3]);
    end.join().expect("it does not panic").expect("it is dropped");
    assert_eq!(fixture.committed("g").into_iter().collect::<Vec<_>>(), [(0, 0)], "the new one's beginning");
}
