//! One topic of a member, as front doors hand it on.

use std::sync::Arc;
use std::time::Duration;

use arrow_schema::DataType;
use millstream_engine::{ColumnSpec, Error, Handed, OnError, SeekTo, Subscription, TopicInfo};

use crate::fixture::{Fixture, MIB, at, manual, numbers, who};

fn subscribe(fixture: &Fixture, group: &str, topic: &TopicInfo) -> Subscription {
    let member = Arc::new(fixture.join(manual(group), &[&topic.name]));
    member.subscription(topic.id).expect("it subscribes")
}

fn assigned(subscription: &mut Subscription) -> Vec<u32> {
    match subscription.next(MIB).expect("it goes on") {
        Handed::Assigned { partitions, .. } => partitions.iter().map(|offsets| offsets.partition).collect(),
        other => panic!("the assignment comes first: {other:?}"),
    }
}

/// Rows until nothing is ready.
fn rows(subscription: &mut Subscription) -> Vec<i64> {
    let mut all = Vec::new();
    loop {
        match subscription.next(MIB).expect("it goes on") {
            Handed::Rows { delivery, .. } => all.extend(numbers(&delivery)),
            Handed::Idle { due_in: None } => return all,
            other => panic!("rows and nothing else: {other:?}"),
        }
    }
}

#[test]
fn an_assignment_is_given_before_the_first_rows_of_it() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 2);
    for partition in 0..2 {
        fixture.append(&table, partition, 0..5);
    }
    let topic = fixture.join(manual("other"), &["t"]).topics().remove(0);
    let mut first = subscribe(&fixture, "g", &topic);
    assert!(first.is_reassigned(), "nothing was given yet");
    assert_eq!(assigned(&mut first), [0, 1]);
    assert!(!first.is_reassigned());
    assert_eq!(rows(&mut first).len(), 10);
    let mut second = subscribe(&fixture, "g", &topic);
    assert!(first.is_reassigned(), "another member has come");
    let (ours, theirs) = (assigned(&mut first), assigned(&mut second));
    assert_eq!([ours.clone(), theirs].concat().len(), 2, "each has one of the two");
    for partition in 0..2 {
        fixture.append(&table, partition, 5..6);
    }
    assert_eq!(rows(&mut first), [5], "of partition {ours:?} alone");
}

#[test]
fn without_room_for_rows_only_the_assignment_is_given() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    fixture.append(&table, 0, 0..5);
    let topic = fixture.join(manual("other"), &["t"]).topics().remove(0);
    let mut subscription = subscribe(&fixture, "g", &topic);
    assert!(matches!(subscription.next(0), Ok(Handed::Assigned { .. })));
    assert!(matches!(subscription.next(0), Ok(Handed::Idle { .. })));
    assert_eq!(rows(&mut subscription), [0, 1, 2, 3, 4]);
}

#[test]
fn who_is_told_that_nothing_is_ready_is_woken_by_rows() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    let topic = fixture.join(manual("other"), &["t"]).topics().remove(0);
    let mut subscription = subscribe(&fixture, "g", &topic);
    assigned(&mut subscription);
    assert!(rows(&mut subscription).is_empty());
    // Between the answer and the wait.
    fixture.append(&table, 0, 0..1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().expect("threads");
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(30), subscription.changed()).await.expect("it wakes");
    });
    assert_eq!(rows(&mut subscription), [0]);
}

#[test]
fn a_partition_that_fails_waits_for_a_seek_while_others_go_on() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 2);
    let topic = fixture.topic("broken", &table, "fail 3", OnError::Stop);
    fixture.append(&table, 0, 0..6);
    let mut subscription = subscribe(&fixture, "g", &topic);
    assigned(&mut subscription);
    let mut seen = Vec::new();
    let failed = loop {
        match subscription.next(MIB).expect("it goes on") {
            Handed::Rows { delivery, .. } => seen.extend(numbers(&delivery)),
            Handed::Failed { partition, offset, error } => {
                assert!(matches!(error, Error::Evaluation { .. }), "{error}");
                break (partition, offset);
            }
            other => panic!("rows, then the failure: {other:?}"),
        }
    };
    assert_eq!((seen, failed), (vec![0, 1, 2], (0, 3)));
    fixture.append(&table, 1, 10..12);
    assert_eq!(rows(&mut subscription), [10, 11], "it is told once, and holds back nothing else");
    assert_eq!(subscription.seek(0, SeekTo::Offset(4)).expect("it seeks"), 4);
    assert_eq!(rows(&mut subscription), [4, 5]);
}

#[test]
fn with_other_columns_another_subscription_goes_on_where_it_was() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    let member = Arc::new(fixture.join(manual("g"), &["t"]));
    let topic = member.topics().remove(0);
    let mut subscription = member.subscription(topic.id).expect("it subscribes");
    assigned(&mut subscription);
    fixture.append(&table, 0, 0..3);
    assert_eq!(rows(&mut subscription), [0, 1, 2]);
    fixture.append(&table, 0, 3..5);
    let column = ColumnSpec { name: "more".to_owned(), data_type: DataType::Int64 };
    fixture.engine.add_columns(&who(), "public", "t", vec![column]).expect("a column is added");
    assert!(matches!(subscription.next(MIB), Ok(Handed::OtherColumns)));
    let mut subscription = member.subscription(topic.id).expect("it subscribes again");
    assigned(&mut subscription);
    assert_eq!(rows(&mut subscription), [3, 4], "nothing is passed over");
    assert_eq!(subscription.topic().output_schema.fields().len(), topic.output_schema.fields().len() + 1);
    member.commit(&[(at(&topic, 0), 5)]).expect("it is queued").wait().expect("it commits");
}
