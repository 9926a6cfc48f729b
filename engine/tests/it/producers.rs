use millstream_engine::{Error, ErrorKind, ProducerStamp, TableOptions};

use crate::support::{Store, places, rows};

fn stamp(epoch: u32, sequence: u64) -> Option<ProducerStamp> {
    Some(ProducerStamp { id: 77, epoch, sequence })
}

#[test]
fn a_repeat_is_answered_and_not_appended() {
    let store = Store::new();
    let options = TableOptions { partitions: 4, partition_key: vec!["id".to_owned()], ..TableOptions::default() };
    let table = store.table("t", options);
    let first = store.stamped(table.id, rows(0..50), stamp(0, 0)).unwrap();
    store.stamped(table.id, rows(50..60), stamp(0, 1)).unwrap();
    let repeat = store.stamped(table.id, rows(0..50), stamp(0, 0)).unwrap();
    assert!(repeat.duplicate);
    assert_eq!(repeat.appended, first.appended);
    let ends = store.offsets(table.id);
    assert_eq!(ends.iter().map(|(_, end)| end).sum::<u64>(), 60);

    // The same after opening again, from the checkpoint.
    let store = store.reopen();
    let repeat = store.stamped(table.id, rows(0..50), stamp(0, 0)).unwrap();
    assert!(repeat.duplicate);
    assert_eq!(repeat.appended, first.appended);
    assert_eq!(store.offsets(table.id), ends);
}

#[test]
fn gaps_and_older_epochs_are_refused() {
    let store = Store::new();
    let table = store.table("t", TableOptions::default());
    let append = |epoch, sequence| store.stamped(table.id, rows(0..1), stamp(epoch, sequence));
    assert_eq!(append(0, 3).unwrap_err().kind(), ErrorKind::FailedPrecondition);
    append(0, 0).unwrap();
    assert!(matches!(append(0, 2), Err(Error::SequenceGap { last: 0, got: 2 })));
    append(1, 0).unwrap();
    assert_eq!(append(0, 1).unwrap_err().kind(), ErrorKind::Fenced);
    append(1, 1).unwrap();
    assert_eq!(store.offsets(table.id), [(0, 3)]);
}

#[test]
fn streams_are_kept_apart_by_table_and_producer() {
    let store = Store::new();
    let (a, b) = (store.table("a", TableOptions::default()), store.table("b", TableOptions::default()));
    let other = Some(ProducerStamp { id: 78, epoch: 0, sequence: 0 });
    for (table, stamp) in [(a.id, stamp(0, 0)), (b.id, stamp(0, 0)), (a.id, other)] {
        assert!(!store.stamped(table, rows(0..1), stamp).unwrap().duplicate);
    }
    assert_eq!(store.offsets(a.id), [(0, 2)]);
    assert_eq!(store.offsets(b.id), [(0, 1)]);
}

#[test]
fn an_empty_batch_takes_its_place_in_the_stream() {
    let store = Store::new();
    let table = store.table("t", TableOptions::default());
    store.stamped(table.id, rows([]), stamp(0, 0)).unwrap();
    let next = store.stamped(table.id, rows(0..2), stamp(0, 1)).unwrap();
    assert_eq!(places(&next.appended), [(0, 0, 2)]);
    assert!(store.stamped(table.id, rows([]), stamp(0, 0)).unwrap().duplicate);
}

#[test]
fn repeats_in_flight_are_one_append() {
    let store = Store::new();
    let table = store.table("t", TableOptions::default());
    let append = || millstream_engine::Append {
        table: table.id,
        partition: millstream_engine::PartitionChoice::ByKey,
        batch: rows(0..5),
    };
    let me = millstream_engine::Principal::anonymous();
    let pending: Vec<_> = (0..8).map(|_| store.engine.append(&me, append(), stamp(0, 0)).unwrap()).collect();
    let receipts: Vec<_> = pending.into_iter().map(|pending| pending.wait().unwrap()).collect();
    assert_eq!(receipts.iter().filter(|receipt| !receipt.duplicate).count(), 1);
    assert!(receipts.iter().all(|receipt| places(&receipt.appended) == [(0, 0, 5)]));
    assert_eq!(store.offsets(table.id), [(0, 5)]);
}
