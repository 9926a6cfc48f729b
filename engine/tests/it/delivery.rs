//! What members are handed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_engine::{Assignment, ConsumerConfig, Error, OnError, SeekTo};

use crate::fixture::{Fixture, MIB, NO_WAIT, NOTHING, at, manual, numbers, polled};

#[test]
fn a_raw_topic_hands_out_rows_with_their_offsets_and_whole_frames_encoded() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    fixture.append(&table, 0, 0..10);
    let member = fixture.join(manual("g"), &["t"]);
    let deliveries = member.poll(MIB, NO_WAIT).expect("it polls");
    let [delivery] = deliveries.as_slice() else { panic!("one frame, one delivery: {deliveries:?}") };
    assert_eq!(numbers(delivery), (0..10).collect::<Vec<_>>());
    assert!(delivery.offsets.iter().eq(0..10));
    assert_eq!((delivery.first_offset, delivery.next_offset), (0, 10));
    assert!(delivery.encoded.is_some());
    assert!(member.poll(MIB, NO_WAIT).expect("it polls").is_empty());
}

#[test]
fn a_part_of_a_frame_is_not_encoded() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    fixture.append(&table, 0, 0..10);
    let member = fixture.join(ConsumerConfig { max_poll_rows: 4, ..manual("g") }, &["t"]);
    for expected in [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]] {
        let deliveries = member.poll(MIB, NO_WAIT).expect("it polls");
        assert_eq!(deliveries.iter().flat_map(numbers).collect::<Vec<_>>(), expected);
        assert!(deliveries.iter().all(|delivery| delivery.encoded.is_none()));
    }
}

#[test]
fn a_filtered_topic_keeps_the_sources_offsets_and_moves_past_what_it_leaves_out() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    let topic = fixture.topic("even", &table, "even", OnError::Stop);
    fixture.append(&table, 0, [1, 2, 3, 4]);
    fixture.append(&table, 0, [5, 7]);
    let member = fixture.join(manual("g"), &["even"]);
    let deliveries = member.poll(MIB, NO_WAIT).expect("it polls");
    assert_eq!(deliveries.iter().flat_map(numbers).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(deliveries.iter().flat_map(|d| d.offsets.iter().collect::<Vec<_>>()).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(deliveries.last().map(|delivery| delivery.next_offset), Some(6));
    let first = deliveries.first().map(|delivery| delivery.first_offset);
    assert_eq!(first, Some(0));
    member.commit(&[(at(&topic, 0), 6)]).expect("it is queued").wait().expect("it commits");
    assert_eq!(fixture.committed("g").get(&0), Some(&6));
}

#[test]
fn bytes_are_bounded_but_one_row_always_comes() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    fixture.append(&table, 0, 0..1000);
    let member = fixture.join(manual("g"), &["t"]);
    let few: usize = member.poll(1_600, NO_WAIT).expect("it polls").iter().map(|d| d.batch.num_rows()).sum();
    assert!((1..=100).contains(&few), "{few} rows of 16 bytes came for 1,600");
    let one: usize = member.poll(1, NO_WAIT).expect("it polls").iter().map(|d| d.batch.num_rows()).sum();
    assert_eq!(one, 1);
    let topic = member.topics().first().cloned().expect("it has a topic");
    let fetched = member.fetch(topic.id, 1).expect("it fetches").expect("there are rows");
    assert_eq!(fetched.batch.num_rows(), 1);
    assert_eq!(fetched.first_offset, (few + 1) as u64);
}

#[test]
fn partitions_take_turns() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 3);
    for _ in 0..4 {
        for partition in 0..3 {
            fixture.append(&table, partition, [i64::from(partition)]);
        }
    }
    let member = fixture.join(ConsumerConfig { max_poll_rows: 3, ..manual("g") }, &["t"]);
    for _ in 0..4 {
        let mut turn = polled(&member);
        turn.sort_unstable();
        assert_eq!(turn, [0, 1, 2]);
    }
}

#[test]
fn pause_and_seek_move_nothing_that_is_committed() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 2);
    fixture.append(&table, 0, 0..5);
    fixture.append(&table, 1, 10..15);
    let member = fixture.join(manual("g"), &["t"]);
    let topic = member.topics().first().cloned().expect("it has a topic");
    member.pause(&[at(&topic, 1)]).expect("it pauses");
    assert_eq!(polled(&member), (0..5).collect::<Vec<_>>());
    assert_eq!(polled(&member), NOTHING);
    member.resume(&[at(&topic, 1)]).expect("it resumes");
    assert_eq!(polled(&member), (10..15).collect::<Vec<_>>());
    assert_eq!(member.seek(at(&topic, 0), SeekTo::Offset(3)).expect("it seeks"), 3);
    assert_eq!(polled(&member), [3, 4]);
    assert_eq!(member.seek(at(&topic, 0), SeekTo::Start).expect("it seeks"), 0);
    assert_eq!(member.seek(at(&topic, 0), SeekTo::End).expect("it seeks"), 5);
    assert_eq!(polled(&member), NOTHING);
    let beyond = member.seek(at(&topic, 0), SeekTo::Offset(6)).expect_err("there is no such offset");
    assert!(matches!(beyond, Error::OffsetOutOfRange { offset: 6, start: 0, end: 5, .. }), "{beyond}");
    let stranger = Assignment { topic: topic.id, partition: 9 };
    assert!(matches!(member.seek(stranger, SeekTo::Start), Err(Error::Fenced(_))));
    assert!(matches!(member.pause(&[stranger]), Err(Error::Fenced(_))));
    assert_eq!(fixture.committed("g").into_values().collect::<Vec<_>>(), [0, 0]);
}

#[test]
fn seek_by_append_time() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    let mut times = Vec::new();
    for number in 0..5 {
        fixture.clock.advance(Duration::from_secs(10));
        times.push(millstream_engine::Clock::wall_us(&*fixture.clock));
        fixture.append(&table, 0, [number]);
    }
    let member = fixture.join(manual("g"), &["t"]);
    let topic = member.topics().first().cloned().expect("it has a topic");
    assert_eq!(member.seek(at(&topic, 0), SeekTo::AppendTime(times[3])).expect("it seeks"), 3);
    assert_eq!(polled(&member), [3, 4]);
    assert_eq!(member.seek(at(&topic, 0), SeekTo::AppendTime(times[4] + 1)).expect("it seeks"), 5);
    assert_eq!(member.seek(at(&topic, 0), SeekTo::AppendTime(0)).expect("it seeks"), 0);
}

#[test]
fn a_waiting_poll_is_woken_by_an_append_and_by_enough_rows_only() {
    let fixture = Arc::new(Fixture::new());
    let table = fixture.table("t", 1);
    let member = fixture.join(ConsumerConfig { min_poll_rows: 3, ..manual("g") }, &["t"]);
    let changed = member.changed();
    std::thread::scope(|scope| {
        let rows = scope.spawn(|| {
            let deliveries = member.poll(MIB, Duration::from_secs(60)).expect("it polls");
            deliveries.iter().flat_map(numbers).collect::<Vec<_>>()
        });
        let began = Instant::now();
        for number in 0..3 {
            fixture.append(&table, 0, [number]);
        }
        assert_eq!(rows.join().expect("it does not panic"), [0, 1, 2]);
        assert!(began.elapsed() < Duration::from_secs(30), "it waited for its time-out");
    });
    assert!(changed.has_changed().expect("the member lives"));
}

#[test]
fn appends_wake_the_readers_of_their_own_table_only() {
    let fixture = Fixture::new();
    let (mine, other) = (fixture.table("mine", 1), fixture.table("other", 1));
    let member = fixture.join(manual("g"), &["mine"]);
    let mut changed = member.changed();
    changed.mark_unchanged();
    // An append is answered before readers are woken, and after those of the append before it.
    for _ in 0..2 {
        fixture.append(&other, 0, 0..10);
    }
    assert!(!changed.has_changed().expect("the member lives"));
    fixture.append(&mine, 0, 0..10);
    let begun = Instant::now();
    while !changed.has_changed().expect("the member lives") {
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody wakes the reader");
        std::thread::yield_now();
    }
}

#[test]
fn a_member_of_several_topics_fetches_each_by_itself() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    let even = fixture.topic("even", &table, "even", OnError::Stop);
    fixture.append(&table, 0, 0..4);
    let member = fixture.join(manual("g"), &["t", "even"]);
    let fetched = member.fetch(even.id, MIB).expect("it fetches").expect("there are rows");
    assert_eq!((fetched.topic, numbers(&fetched)), (even.id, vec![0, 2]));
    assert!(member.fetch(even.id, MIB).expect("it fetches").is_none());
    assert_eq!(polled(&member), [0, 1, 2, 3]);
}
