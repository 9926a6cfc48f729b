use std::sync::Arc;
use std::time::Duration;

use millstream_engine::{
    Append, Durability, Engine, Error, ErrorKind, ManualClock, NamespaceLimit, PartitionChoice, ProducerStamp, Receipt,
    Result, TableId, TableOptions,
};

use crate::support::{Store, me, options, places, rows, spec};

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

/// A store whose namespaces may have 50 producer streams, and a clock for it.
fn small_store(dir: &std::path::Path, clock: &Arc<ManualClock>) -> Engine {
    let mut options = options(dir);
    options.clock = clock.clone();
    options.namespace_limits.set(NamespaceLimit::ProducerStreams, Some(50));
    Engine::open_with(options).unwrap()
}

fn append_as(engine: &Engine, table: TableId, id: u128, (epoch, sequence): (u32, u64)) -> Result<Receipt> {
    let append = Append { table, partition: PartitionChoice::ByKey, batch: rows(0..1) };
    engine.append(&me(), append, Some(ProducerStamp { id, epoch, sequence }))?.wait()
}

#[test]
fn producers_are_remembered_within_the_limit_and_never_take_a_batch_twice() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let engine = small_store(dir.path(), &clock);
    let table = engine.create_table(&me(), spec("t", TableOptions::default())).unwrap().id;
    let mut written = 0;
    for id in 0..50 {
        append_as(&engine, table, id, (0, 0)).unwrap();
        written += 1;
    }
    // No room while all of them are at work; the namespace may be given more of it.
    let full = append_as(&engine, table, 50, (0, 0)).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::Retry);
    engine.limit_namespace(&me(), "public", [(NamespaceLimit::ProducerStreams, Some(51))].into()).unwrap();
    append_as(&engine, table, 50, (0, 0)).unwrap();
    engine.limit_namespace(&me(), "public", [(NamespaceLimit::ProducerStreams, None)].into()).unwrap();
    written += 1;
    // With the limit lowered again, those of before must fall silent first.
    clock.advance(Duration::from_secs(15 * 60));
    for id in 51..300 {
        clock.advance(Duration::from_secs(30));
        append_as(&engine, table, id, (0, 0)).unwrap();
        written += 1;
    }
    let stats = engine.stats(&me()).unwrap();
    assert!(stats.producer_streams <= 50, "{} streams", stats.producer_streams);
    assert!(stats.producer_streams_forgotten >= 250, "{} forgotten", stats.producer_streams_forgotten);
    let told = engine.events(&me()).unwrap().into_iter().filter(|event| event.kind == "producers_forgotten").count();
    assert!((1..=3).contains(&told), "told {told} times");

    // Before and after a checkpoint and a replay: the newest is answered again, one that was forgotten is refused.
    let (mut engine, last) = (engine, 299);
    for reopened in [false, true, true] {
        if reopened {
            engine.close().unwrap();
            drop(engine);
            engine = small_store(dir.path(), &clock);
        }
        assert!(append_as(&engine, table, last, (0, 0)).unwrap().duplicate);
        for sequence in [0, 1] {
            let error = append_as(&engine, table, 230, (0, sequence)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error}");
        }
        assert_eq!(engine.table_offsets(&me(), table).unwrap(), [(0, written)]);
    }
    append_as(&engine, table, 230, (1, 0)).unwrap();
    assert!(append_as(&engine, table, 230, (1, 0)).unwrap().duplicate);
    assert_eq!(append_as(&engine, table, 230, (0, 0)).unwrap_err().kind(), ErrorKind::Fenced);

    engine.drop_table(&me(), "public", "t", false).unwrap();
    assert_eq!(engine.stats(&me()).unwrap().producer_streams, 0);
}

/// What is paged does not pile up in memory until the log rolls, whatever durability commits ask for.
#[test]
fn many_producers_bring_a_checkpoint_forward() {
    let store = Store::with(|options| options.log_file_bytes = 1 << 30);
    let options = TableOptions { durability: Durability::Os, ..TableOptions::default() };
    let table = store.table("t", options);
    let before = store.engine.stats(&me()).unwrap().checkpoint_lsn;
    let mut id = 0;
    while store.engine.stats(&me()).unwrap().checkpoint_lsn == before {
        assert!(id < 90_000, "no checkpoint has been taken");
        let pending: Vec<_> = (id..id + 1_000)
            .map(|id| {
                let append = Append { table: table.id, partition: PartitionChoice::ByKey, batch: rows(0..1) };
                let stamp = ProducerStamp { id, epoch: 0, sequence: 0 };
                store.engine.append(&me(), append, Some(stamp)).unwrap()
            })
            .collect();
        pending.into_iter().for_each(|pending| drop(pending.wait().unwrap()));
        id += 1_000;
    }
    assert_eq!(store.engine.stats(&me()).unwrap().log_files, 1);
    // What is in the store only answers as before.
    let again = |id| store.stamped(table.id, rows(0..1), Some(ProducerStamp { id, epoch: 0, sequence: 0 })).unwrap();
    assert!(again(0).duplicate && again(id / 2).duplicate && again(id - 1).duplicate);
    assert!(!again(id).duplicate);
    assert_eq!(u128::from(store.engine.stats(&me()).unwrap().producer_streams), id + 1);
}
