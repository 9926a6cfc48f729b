//! Half messages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use millstream_engine::{
    Append, CheckVerdict, Engine, EngineOptions, ErrorKind, HalfMessage, Lsn, MessageKind, PartitionChoice, Result,
    TableInfo, TransactionChecks, TransactionId,
};

use super::{Message, batch, create, delayed, ids, message, send, visible};
use crate::fixture::{Fixture, NOW_US, SECOND, until, who};

pub(super) const WHILE: Duration = Duration::from_millis(400);

pub(crate) fn begin(engine: &Engine, table: &TableInfo, message: Message) -> Result<TransactionId> {
    let append = Append { table: table.id, partition: PartitionChoice::ByKey, batch: batch(&[message]) };
    let receipt = engine.begin_transactions(&who(), &append, "shop", None)?.wait()?.wait()?;
    Ok(TransactionId { lsn: receipt.lsn, index: 0 })
}

/// All in one append.
pub(super) fn begin_all(engine: &Engine, table: &TableInfo, messages: &[Message]) -> Result<Vec<TransactionId>> {
    let append = Append { table: table.id, partition: PartitionChoice::Named(0), batch: batch(messages) };
    let lsn = engine.begin_transactions(&who(), &append, "shop", None)?.wait()?.wait()?.lsn;
    Ok((0..u32::try_from(messages.len()).unwrap()).map(|index| TransactionId { lsn, index }).collect())
}

pub(super) fn halves(engine: &Engine, table: &TableInfo) -> Vec<HalfMessage> {
    let mut found = Vec::new();
    let each = |half| {
        found.push(half);
        true
    };
    engine.half_messages(&who(), table.id, each).unwrap();
    found
}

pub(super) fn end(engine: &Engine, table: &TableInfo, id: TransactionId, verdict: CheckVerdict) -> Result<bool> {
    Ok(engine.end_transaction(&who(), table.id, id, verdict)?.is_some())
}

fn few_checks(options: &mut EngineOptions) {
    options.transaction_checks = TransactionChecks { after_ms: 6_000, every_ms: 30_000, limit: 2 };
}

#[test]
fn a_half_message_is_seen_after_its_commit_or_never() {
    let store = Fixture::new();
    let engine = &store.engine;
    let table = create(engine, "orders", MessageKind::Any, 2);
    let [kept, dropped, open] = ["kept", "dropped", "open"].map(|id| begin(engine, &table, message(id)).unwrap());
    assert!(ids(engine, &table).is_empty());
    assert_eq!(engine.half_counts(&who()).unwrap(), [(table.id, 3)]);
    assert!(end(engine, &table, kept, CheckVerdict::Commit).unwrap());
    assert!(!end(engine, &table, dropped, CheckVerdict::Rollback).unwrap());
    assert!(!end(engine, &table, open, CheckVerdict::Unknown).unwrap());
    assert_eq!(ids(engine, &table), ["kept"]);
    for (id, verdict) in [(kept, CheckVerdict::Commit), (kept, CheckVerdict::Rollback), (dropped, CheckVerdict::Commit)]
    {
        assert_eq!(end(engine, &table, id, verdict).unwrap_err().kind(), ErrorKind::NotFound, "{id} {verdict:?}");
    }
    let left = halves(engine, &table);
    assert_eq!(left.iter().map(|half| (half.id, half.message_id.as_str())).collect::<Vec<_>>(), [(open, "open")]);
    assert_eq!((left[0].group.as_str(), left[0].checks, left[0].check_us), ("shop", 0, Some(NOW_US + 6_000_000)));

    let store = store.reopen();
    assert_eq!(halves(&store.engine, &table), left);
    assert!(end(&store.engine, &table, open, CheckVerdict::Commit).unwrap());
    let mut found = ids(&store.engine, &table);
    found.sort();
    assert_eq!(found, ["kept", "open"]);
    assert!(store.engine.half_counts(&who()).unwrap().is_empty());
}

#[test]
fn transactions_are_asked_about_and_at_last_wait_for_a_decision() {
    let store = Fixture::with(few_checks);
    let (engine, clock) = (&store.engine, &store.clock);
    let table = create(engine, "orders", MessageKind::Transactional, 1);
    let mut checks = engine.transaction_checks(&who()).unwrap();
    let ids_of = ["a", "b"].map(|id| begin(engine, &table, message(id)).unwrap());
    clock.advance(6 * SECOND - Duration::from_micros(1));
    std::thread::sleep(WHILE);
    assert!(checks.try_recv().is_err(), "it is too early");
    clock.advance(Duration::from_micros(1));
    let first = [checks.blocking_recv().unwrap(), checks.blocking_recv().unwrap()];
    assert_eq!(first.map(|check| (check.table, check.id)), ids_of.map(|id| (table.id, id)));
    let row = |id| engine.half_message_row(&who(), table.id, id).unwrap();
    let bodies = ids_of.map(|id| row(id).column(4).as_binary::<i32>().value(0).to_vec());
    assert_eq!(bodies, [b"a".to_vec(), b"b".to_vec()]);
    assert!(halves(engine, &table).iter().all(|half| half.checks == 1 && half.group == "shop"));
    assert!(end(engine, &table, ids_of[0], CheckVerdict::Commit).unwrap());

    clock.advance(30 * SECOND);
    let again = checks.blocking_recv().unwrap();
    assert_eq!((again.id, engine.half_message(&who(), again.id).unwrap().checks), (ids_of[1], 2));
    assert_eq!(engine.half_message_row(&who(), table.id, ids_of[0]).unwrap_err().kind(), ErrorKind::NotFound);
    clock.advance(30 * SECOND);
    until(|| halves(engine, &table).first().is_some_and(|half| half.check_us.is_none()));
    until(|| store.events("transaction_parked") == 1);
    clock.advance(3_600 * SECOND);
    std::thread::sleep(WHILE);
    assert!(checks.try_recv().is_err(), "nobody is asked any more");
    assert_eq!(halves(engine, &table)[0].checks, 2);
    assert!(end(engine, &table, ids_of[1], CheckVerdict::Commit).unwrap());
    assert_eq!(ids(engine, &table), ["a", "b"]);
    assert_eq!(store.events("due_failed"), 0);
}

#[test]
fn what_is_no_transaction_is_refused() {
    let store = Fixture::new();
    let engine = &store.engine;
    let refused = |result: Result<TransactionId>, of: &str| {
        let error = result.unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains(of), "{error}");
    };
    for kind in [MessageKind::Normal, MessageKind::Ordered, MessageKind::Delayed] {
        let table = create(engine, kind.name(), kind, 1);
        refused(begin(engine, &table, message("a")), kind.name());
    }
    let table = create(engine, "orders", MessageKind::Transactional, 1);
    assert!(send(engine, &table, &[message("a")]).unwrap_err().to_string().contains("half messages"));
    refused(begin(engine, &table, delayed("a", NOW_US + 1)), "deliver_ts");
    let plain = store.table("plain", 1);
    let append = Append { table: plain.id, partition: PartitionChoice::ByKey, batch: batch(&[message("a")]) };
    assert!(engine.begin_transactions(&who(), &append, "shop", None).is_err());
    let append = Append { table: table.id, ..append };
    let nobody = engine.begin_transactions(&who(), &append, "", None).unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::InvalidInput);
    let id = begin(engine, &table, message("a")).unwrap();
    let others = create(engine, "others", MessageKind::Any, 1);
    assert_eq!(engine.half_message(&who(), id).unwrap().table, table.id);
    let missing = end(engine, &others, id, CheckVerdict::Commit).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound, "ids are those of one table");
    engine.drop_table(&who(), "public", "orders", false).unwrap();
    assert!(end(engine, &table, id, CheckVerdict::Commit).is_err());
    assert!(engine.half_counts(&who()).unwrap().is_empty());
    store.clock.advance(60 * SECOND);
    std::thread::sleep(WHILE);
    assert_eq!(store.events("due_failed"), 0);
}

#[test]
fn ids_are_text_and_back() {
    for (id, text) in
        [(TransactionId { lsn: Lsn(42), index: 0 }, "42"), (TransactionId { lsn: Lsn(7), index: 3 }, "7.3")]
    {
        assert_eq!((id.to_string().as_str(), text.parse::<TransactionId>().unwrap()), (text, id));
    }
    for text in ["", "a", "1.", "1.a", "-1", "1.2.3"] {
        assert!(text.parse::<TransactionId>().is_err(), "{text:?}");
    }
}

/// Everybody ends everything at once, while it is asked about.
#[test]
fn each_transaction_ends_once_whoever_ends_it() {
    const EACH: usize = 300;
    let store = Fixture::with(|options| {
        options.transaction_checks = TransactionChecks { after_ms: 1, every_ms: 1, limit: u32::MAX };
    });
    let engine = &store.engine;
    let table = create(engine, "orders", MessageKind::Any, 1);
    let begun: Arc<Vec<TransactionId>> =
        Arc::new((0..EACH).map(|number| begin(engine, &table, message(&number.to_string())).unwrap()).collect());
    let stop = std::sync::atomic::AtomicBool::new(false);
    let ended: Vec<BTreeMap<TransactionId, CheckVerdict>> = std::thread::scope(|scope| {
        let clock = &store.clock;
        let ticks = scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                clock.advance(Duration::from_millis(1));
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let threads = [CheckVerdict::Commit, CheckVerdict::Rollback, CheckVerdict::Commit].map(|verdict| {
            let (begun, table) = (begun.clone(), &table);
            scope.spawn(move || {
                let mut mine = BTreeMap::new();
                for id in begun.iter() {
                    match engine.end_transaction(&who(), table.id, *id, verdict) {
                        Ok(_) => drop(mine.insert(*id, verdict)),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
                    }
                }
                mine
            })
        });
        let ended = threads.map(|thread| thread.join().unwrap()).into();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        ticks.join().unwrap();
        ended
    });
    assert_eq!(ended.iter().map(BTreeMap::len).sum::<usize>(), EACH, "each of them was ended by one");
    let mut expected: Vec<String> = Vec::new();
    for (number, id) in begun.iter().enumerate() {
        if ended.iter().any(|mine| mine.get(id) == Some(&CheckVerdict::Commit)) {
            expected.push(number.to_string());
        }
    }
    let mut found = ids(engine, &table);
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert!(halves(engine, &table).is_empty() && engine.half_counts(&who()).unwrap().is_empty());
    assert!(visible(engine, &table).iter().all(|message| message.deliver_us.is_none()));
}
