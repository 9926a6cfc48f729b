//! Groups whose clients share partitions out by themselves: they commit without being members.

use millstream_engine::{ErrorKind, GroupMode, OffsetReset, SeekTo, TopicId};

use crate::fixture::{Fixture, automatic, manual, polled, who};

fn commit(fixture: &Fixture, group: &str, partition: u32, offset: u64) -> Result<(), ErrorKind> {
    let queued = fixture.engine.commit_unowned(&who(), "public", group, "t", partition, offset);
    let done = queued.and_then(|ticket| ticket.wait()).and_then(|receipt| receipt.wait());
    done.map(drop).map_err(|error| error.kind())
}

fn committed(fixture: &Fixture, group: &str, partition: u32) -> Option<u64> {
    fixture.engine.committed_offset(&who(), "public", group, "t", partition).expect("it is asked")
}

#[test]
fn what_is_committed_stays_and_is_where_members_go_on() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 2);
    fixture.append(&table, 0, 0..10);
    assert_eq!(committed(&fixture, "g", 0), None);
    assert_eq!(commit(&fixture, "g", 0, 4), Ok(()));
    assert_eq!((committed(&fixture, "g", 0), committed(&fixture, "g", 1)), (Some(4), None));
    assert_eq!(commit(&fixture, "g", 0, 11), Err(ErrorKind::OutOfRange));
    assert_eq!(commit(&fixture, "g", 7, 0), Err(ErrorKind::NotFound));
    let fixture = fixture.reopen();
    assert_eq!(committed(&fixture, "g", 0), Some(4));
    let member = fixture.join(manual("g"), &["t"]);
    assert_eq!(polled(&member), (4..10).collect::<Vec<_>>());
    assert_eq!(commit(&fixture, "g", 0, 6), Err(ErrorKind::FailedPrecondition), "it has a member");
    assert_eq!(committed(&fixture, "g", 0), Some(4));
    member.leave().expect("it leaves");
    assert_eq!(commit(&fixture, "g", 0, 6), Ok(()));
}

#[test]
fn broadcast_groups_and_too_many_groups_are_refused() {
    let fixture = Fixture::with(|options| options.max_groups_per_topic = 2);
    fixture.table("t", 1);
    let mut config = automatic("b");
    config.mode = GroupMode::Broadcast;
    drop(fixture.join(config, &["t"]));
    assert_eq!(commit(&fixture, "b", 0, 0), Err(ErrorKind::FailedPrecondition));
    assert_eq!(commit(&fixture, "g", 0, 0), Ok(()));
    assert_eq!(commit(&fixture, "h", 0, 0), Err(ErrorKind::FailedPrecondition), "the third on the topic");
}

#[test]
fn a_reset_stands_until_the_clients_are_told() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    fixture.append(&table, 0, 0..10);
    commit(&fixture, "g", 0, 8).expect("it commits");
    let topic = TopicId(table.id.0);
    let told = || fixture.engine.take_offset_reset(&who(), "public", "g", topic, 0).expect("it is asked");
    assert_eq!(told(), None);
    let reset = OffsetReset { topic: Some("t".to_owned()), partition: None, to: SeekTo::Offset(3) };
    fixture.engine.reset_offsets(&who(), "public", "g", reset).expect("it is set");
    assert_eq!(commit(&fixture, "g", 0, 9), Ok(()), "passed over");
    assert_eq!(committed(&fixture, "g", 0), Some(3));
    assert_eq!((told(), told()), (Some(3), None), "told once");
    commit(&fixture, "g", 0, 9).expect("it commits");
    assert_eq!(committed(&fixture, "g", 0), Some(9));
}

#[test]
fn a_group_that_can_not_be_dropped_keeps_its_reset() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    fixture.append(&table, 0, 0..10);
    commit(&fixture, "g", 0, 8).expect("it commits");
    let told = || fixture.engine.take_offset_reset(&who(), "public", "g", TopicId(table.id.0), 0).expect("it is asked");
    let reset = || {
        let reset = OffsetReset { topic: Some("t".to_owned()), partition: None, to: SeekTo::Offset(3) };
        fixture.engine.reset_offsets(&who(), "public", "g", reset).expect("it is set");
    };
    reset();
    let member = fixture.join(manual("g"), &["t"]);
    let refused = fixture.engine.drop_group(&who(), "public", "g", false).expect_err("it has a member");
    assert_eq!(refused.kind(), ErrorKind::FailedPrecondition);
    assert_eq!(told(), Some(3));
    member.leave().expect("it leaves");
    reset();
    fixture.engine.drop_group(&who(), "public", "g", false).expect("it is dropped");
    assert_eq!(told(), None, "another of that name begins anew");
}
