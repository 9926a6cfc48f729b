use super::*;

fn change(history: &mut History, table: TableId, added: Vec<SegmentMeta>, removed: Vec<u64>) -> Result<Lsn> {
    for segment in &added {
        history.change(Change::SegmentBegun { id: segment.id, path: segment.path.clone() }).unwrap();
    }
    history.change(Change::SegmentsChanged { table, partition: 0, added, removed })
}

#[test]
fn the_manifest_stays_whole() {
    let mut history = History::new();
    let id = history.table("t", 1);
    history.rows(id, 0, 100);
    let refused = |history: &mut History, added, removed| {
        change(history, id, added, removed).unwrap_err().to_string().replace("segment manifest: ", "")
    };
    assert_eq!(refused(&mut history, vec![segment(1, 10, 20)], vec![]), "10..20 does not join 0..100");
    assert_eq!(refused(&mut history, vec![segment(1, 0, 101)], vec![]), "0..101 does not join 0..100");
    assert_eq!(refused(&mut history, vec![], vec![5]), "a segment to remove is not listed");
    change(&mut history, id, vec![segment(1, 0, 40), segment(2, 40, 60)], vec![]).unwrap();
    assert_eq!(refused(&mut history, vec![segment(3, 50, 70)], vec![]), "50..70 overlaps another segment");
    assert_eq!(refused(&mut history, vec![segment(3, 20, 50)], vec![1]), "20..50 overlaps another segment");
    change(&mut history, id, vec![segment(3, 0, 60)], vec![1, 2]).unwrap();
    let found = history.state.partition(id, 0).unwrap();
    assert_eq!(found.segments.keys().copied().collect::<Vec<_>>(), [0]);
    assert_eq!((found.segmented_to, found.segments_version, found.segment_bytes), (60, 2, 50));
}

#[test]
fn log_bytes_follow_what_only_the_log_holds() {
    let mut history = History::new();
    let id = history.table("t", 1);
    let bytes = |history: &History| history.state.partition(id, 0).unwrap().log_bytes;
    history.rows(id, 0, 10);
    history.rows(id, 0, 10);
    assert_eq!(bytes(&history), 400);
    assert_eq!(history.state.partition(id, 0).unwrap().oldest_unsegmented_append_us, Some(1_000_000));
    change(&mut history, id, vec![segment(1, 0, 10)], vec![]).unwrap();
    assert_eq!(bytes(&history), 300);
    change(&mut history, id, vec![segment(2, 10, 20)], vec![]).unwrap();
    let found = history.state.partition(id, 0).unwrap();
    // Whatever the segments said, nothing is left.
    assert_eq!((found.log_bytes, found.oldest_unsegmented_append_us, found.oldest_unsegmented_lsn), (0, None, None));
    history.rows(id, 0, 30);
    let all = bytes(&history);
    history.change(Change::StartMoved { table: id, partition: 0, start: 35, lsn: Lsn(0) }).unwrap();
    assert_eq!(bytes(&history), all / 2);
    let found = history.state.partition(id, 0).unwrap();
    assert_eq!((found.start, found.segmented_to, found.segments.len()), (35, 35, 2));
    history.change(Change::StartMoved { table: id, partition: 0, start: 50, lsn: Lsn(0) }).unwrap();
    assert_eq!(bytes(&history), 0);
}

#[test]
fn the_start_moves_forward_only() {
    let mut history = History::new();
    let id = history.table("t", 1);
    history.rows(id, 0, 10);
    let mut start_at = |start| history.change(Change::StartMoved { table: id, partition: 0, start, lsn: Lsn(0) });
    start_at(5).unwrap();
    assert_eq!(start_at(4).unwrap_err().to_string(), "start offset 4 is outside 5..=10");
    assert!(start_at(11).is_err());
    start_at(10).unwrap();
}

#[test]
fn segments_are_found_by_offset() {
    let mut history = History::new();
    let id = history.table("t", 1);
    history.rows(id, 0, 100);
    change(&mut history, id, vec![segment(1, 0, 40), segment(2, 40, 60), segment(3, 60, 100)], vec![]).unwrap();
    let found = history.state.partition(id, 0).unwrap();
    let check = |from: u64, expected: &[u64]| {
        assert_eq!(found.segments_from(from).map(|segment| segment.id).collect::<Vec<_>>(), expected);
    };
    check(0, &[1, 2, 3]);
    check(39, &[1, 2, 3]);
    check(40, &[2, 3]);
    check(99, &[3]);
    check(100, &[]);
}

#[test]
fn a_file_is_known_by_its_name_until_it_is_listed_or_deleted() {
    let mut history = History::new();
    let id = history.table("t", 1);
    history.rows(id, 0, 100);
    let unlisted = |history: &History| history.state.unlisted().iter().map(|(id, _)| id).collect::<Vec<_>>();
    let change_only = |added, removed| Change::SegmentsChanged { table: id, partition: 0, added, removed };
    let never_begun = history.change(change_only(vec![segment(1, 0, 40)], vec![])).unwrap_err();
    assert!(never_begun.to_string().contains("never begun"), "{never_begun}");
    history.change(Change::SegmentBegun { id: 1, path: "a".to_owned() }).unwrap();
    history.change(Change::SegmentBegun { id: 2, path: "b".to_owned() }).unwrap();
    assert_eq!(unlisted(&history), [1, 2]);
    history.change(change_only(vec![segment(1, 0, 40)], vec![])).unwrap();
    assert_eq!(unlisted(&history), [2]);
    history.change(Change::SegmentsDeleted { ids: vec![2] }).unwrap();
    assert!(unlisted(&history).is_empty());
    let deleted = history.change(change_only(vec![segment(2, 40, 60)], vec![])).unwrap_err();
    assert!(deleted.to_string().contains("is deleted"), "{deleted}");
    change(&mut history, id, vec![segment(3, 40, 60)], vec![]).unwrap();
    change(&mut history, id, vec![segment(4, 0, 60)], vec![1, 3]).unwrap();
    assert_eq!(unlisted(&history), [1, 3]);
    history.change(Change::TableDropped { table: id }).unwrap();
    assert_eq!(unlisted(&history), [1, 3, 4], "a dropped table's files too");
}
