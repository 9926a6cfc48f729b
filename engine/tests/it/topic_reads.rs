//! Topics read from an offset on, by consumers that keep their places themselves.

use std::time::Duration;

use millstream_engine::{
    Assignment, Delivery, Error, ErrorKind, FailureKind, Offset, OnError, Result, TableOptions, TopicId, TopicInfo,
};

use crate::fixture::{Fixture, MIB, NOTHING, at, numbers, who};

fn read(fixture: &Fixture, topic: &TopicInfo, from: Offset, (rows, bytes): (usize, usize)) -> Result<Delivery> {
    fixture.engine.read_topic(&who(), at(topic, 0), from, rows, bytes)
}

/// Numbers, their offsets, and where the next read goes on.
fn shown(delivery: &Delivery) -> (Vec<i64>, Vec<Offset>, Offset) {
    (numbers(delivery), delivery.offsets.iter().collect(), delivery.next_offset)
}

#[test]
fn what_does_not_pass_is_passed_over() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 2);
    let even = fixture.topic("even", &table, "even", OnError::Stop);
    fixture.append(&table, 0, [1, 2, 3, 4]);
    fixture.append(&table, 0, (0..100).map(|number| 2 * number + 1));
    fixture.append(&table, 0, [6, 7]);
    let read = |from| read(&fixture, &even, from, (10, MIB)).map(|delivery| shown(&delivery));
    assert_eq!(read(0).unwrap(), (vec![2, 4, 6], vec![1, 3, 104], 106));
    assert_eq!(read(2).unwrap(), (vec![4, 6], vec![3, 104], 106));
    assert_eq!(read(105).unwrap(), (NOTHING.to_vec(), vec![], 106), "none pass");
    assert_eq!(read(106).unwrap(), (NOTHING.to_vec(), vec![], 106), "the end");
    let other = fixture.engine.read_topic(&who(), at(&even, 1), 0, 10, MIB).unwrap();
    assert_eq!(shown(&other), (NOTHING.to_vec(), vec![], 0), "an empty partition");

    // The table by its own topic.
    let own = Assignment { topic: TopicId(table.id.0), partition: 0 };
    let own = fixture.engine.read_topic(&who(), own, 2, 2, MIB).unwrap();
    assert_eq!(shown(&own), (vec![3, 4], vec![2, 3], 4));
}

#[test]
fn a_long_stretch_without_rows_gives_a_place_to_go_on_at() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    let even = fixture.topic("even", &table, "even", OnError::Stop);
    for _ in 0..100 {
        fixture.append(&table, 0, std::iter::repeat_n(1, 1_024));
    }
    fixture.append(&table, 0, [2]);
    let (mut from, mut reads) = (0, 0);
    let found = loop {
        let delivery = read(&fixture, &even, from, (10, MIB)).unwrap();
        assert!(delivery.next_offset > from, "it moves on");
        (from, reads) = (delivery.next_offset, reads + 1);
        if delivery.batch.num_rows() > 0 {
            break shown(&delivery);
        }
    };
    assert_eq!(found, (vec![2], vec![102_400], 102_401));
    assert!(reads > 1, "in one go");
}

#[test]
fn rows_and_bytes_are_bounded_and_rows_of_one_offset_stay_together() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    let twice = fixture.topic("twice", &table, "twice", OnError::Stop);
    fixture.append(&table, 0, 0..100);
    let read = |from, limits| read(&fixture, &twice, from, limits).map(|delivery| shown(&delivery)).unwrap();
    assert_eq!(read(0, (4, MIB)), (vec![0, 0, 1, 1], vec![0, 0, 1, 1], 2));
    assert_eq!(read(0, (3, MIB)), (vec![0, 0], vec![0, 0], 1), "half of an offset is not given");
    assert_eq!(read(7, (1, MIB)), (vec![7, 7], vec![7, 7], 8), "but one offset at least");
    assert_eq!(read(7, (10, 1)), (vec![7, 7], vec![7, 7], 8));
    // Eight bytes a number, and eight of its offset.
    let (found, _, next) = read(50, (100, 10 * 16));
    assert_eq!((found.len(), next), (10, 55));
    assert_eq!(read(99, (10, MIB)).2, 100);
}

#[test]
fn offsets_that_are_not_there_are_told_apart() {
    let fixture = Fixture::new();
    let keep = TableOptions { retention_ms: Some(60_000), ..TableOptions::default() };
    let table = fixture.table_with("t", keep);
    let even = fixture.topic("even", &table, "even", OnError::Stop);
    fixture.append(&table, 0, 0..10);
    fixture.engine.cut_segments(&who(), table.id).unwrap();
    fixture.clock.advance(Duration::from_secs(3_600));
    fixture.append(&table, 0, 10..20);
    fixture.engine.maintain(&who()).unwrap();
    assert_eq!(fixture.engine.topic_offsets(&who(), even.id).unwrap(), [(10, 20)]);
    let limits = (100, MIB);
    for outside in [3, 21] {
        let error = read(&fixture, &even, outside, limits).unwrap_err();
        assert!(matches!(error, Error::OffsetOutOfRange { start: 10, end: 20, .. }), "{outside}: {error}");
    }
    assert_eq!(shown(&read(&fixture, &even, 10, limits).unwrap()).0, [10, 12, 14, 16, 18]);
    let missing = fixture.engine.read_topic(&who(), at(&even, 7), 0, 10, MIB).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
    let mut changes = fixture.engine.watch_topic(&who(), even.id).unwrap();
    changes.mark_unchanged();
    fixture.engine.drop_topic(&who(), "public", "even", false).unwrap();
    assert!(changes.has_changed().unwrap(), "whoever waits is told");
    assert_eq!(read(&fixture, &even, 10, limits).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn rows_before_a_fault_come_and_then_the_fault() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    let (stops, skips) = (
        fixture.topic("stops", &table, "fail 37", OnError::Stop),
        fixture.topic("skips", &table, "fail 37", OnError::Skip),
    );
    fixture.append(&table, 0, 30..40);
    let limits = (100, MIB);
    assert_eq!(shown(&read(&fixture, &stops, 0, limits).unwrap()), ((30..37).collect(), (0..7).collect(), 7));
    let error = read(&fixture, &stops, 7, limits).unwrap_err();
    let Error::Evaluation { topic, partition: 0, offset: 7, source } = &error else { panic!("{error}") };
    assert_eq!((topic.as_str(), source.kind), ("stops", FailureKind::Data));
    assert_eq!(shown(&read(&fixture, &stops, 8, limits).unwrap()), (vec![38, 39], vec![8, 9], 10), "behind it");
    assert_eq!(shown(&read(&fixture, &skips, 7, limits).unwrap()), (vec![38, 39], vec![8, 9], 10));
}

#[test]
fn rows_of_a_topic_have_the_places_of_their_source() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    let other = fixture.table("u", 1);
    let even = fixture.topic("even", &table, "even", OnError::Stop);
    fixture.append(&other, 0, [5]);
    fixture.append(&table, 0, 0..4);
    let engine = &fixture.engine;
    let lsn = engine.lsn_of(&who(), even.id, 0, 2).unwrap();
    assert_eq!(lsn, engine.lsn_of(&who(), TopicId(table.id.0), 0, 2).unwrap());
    let place = engine.topic_row_at(&who(), even.id, lsn).unwrap();
    assert_eq!((place.table, place.partition, place.offset), (table.id, 0, 2));
    let others = engine.lsn_of(&who(), TopicId(other.id.0), 0, 0).unwrap();
    assert_eq!(engine.topic_row_at(&who(), even.id, others).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(engine.offset_at(&who(), even.id, 0, i64::MAX).unwrap(), 4);
}
