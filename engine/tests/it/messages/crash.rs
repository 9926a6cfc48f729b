//! Power is lost while messages wait and while they are delivered: each that was acknowledged comes once, and not early; half messages
//! whose commit was acknowledged come once, and others not unless somebody commits them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millstream_engine::disk::{Fault, SimDisk};
use millstream_engine::{
    CheckVerdict, Durability, Engine, EngineOptions, ManualClock, MessageKind, PopAcked, TableInfo, TableOptions,
    TableSpec, TransactionId,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::checkbacks::{Bodies, checkback};
use super::pops;
use super::transactions::begin;
use super::{create, delayed, lookups, message, send, visible};
use crate::crash::for_each_seed;
use crate::fixture::{NOW_US, Words, until, who};

const SEEDS: u64 = 60;
const SECOND_US: i64 = 1_000_000;

fn open(dir: &Path, disk: &SimDisk, clock: &Arc<ManualClock>) -> Engine {
    let mut options = EngineOptions::new(dir);
    options.disk = Arc::new(disk.clone());
    options.clock = clock.clone();
    options.segment_threads = 0;
    options.log_file_bytes = 16 << 10;
    options.maintenance_interval_ms = 3_600_000;
    Engine::open_with(options).expect("it opens")
}

/// What the producer was told.
#[derive(Default)]
struct Sent {
    /// By id, those that were acknowledged, and those of which nothing is known.
    acknowledged: BTreeMap<String, i64>,
    unknown: BTreeMap<String, i64>,
}

/// Sends and lets time pass until something fails, a number of times at most.
fn play(engine: &Engine, table: &TableInfo, clock: &ManualClock, chance: &mut StdRng, sent: &mut Sent) {
    for _ in 0..chance.random_range(5..40) {
        if chance.random_range(0..4) == 0 {
            clock.advance(Duration::from_millis(chance.random_range(100..4_000)));
            std::thread::sleep(Duration::from_millis(chance.random_range(0..30)));
            // Keys of what was appended are written, among others.
            if engine.maintain(&who()).is_err() {
                return;
            }
            continue;
        }
        let now_us = millstream_engine::Clock::wall_us(clock);
        let messages: Vec<_> = (0..chance.random_range(1..30))
            .map(|_| {
                let id = format!("{:016x}", chance.random::<u64>());
                delayed(&id, now_us + chance.random_range(-SECOND_US..10 * SECOND_US))
            })
            .collect();
        let named = messages.iter().map(|message| (message.id.clone().unwrap(), message.deliver_us.unwrap()));
        match send(engine, table, &messages) {
            Ok(_) => sent.acknowledged.extend(named),
            Err(_) => {
                sent.unknown.extend(named);
                return;
            }
        }
    }
}

#[test]
fn every_acknowledged_message_comes_once_and_not_early() {
    for_each_seed(SEEDS, |seed| {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(NOW_US));
        let mut chance = StdRng::seed_from_u64(seed);
        let mut disk = SimDisk::new(seed);
        let mut engine = open(dir.path(), &disk, &clock);
        let table = create(&engine, "orders", MessageKind::Delayed, 2);
        let mut sent = Sent::default();
        for _ in 0..3 {
            disk.fail_at(disk.operations() + chance.random_range(1..120), Fault::Crash);
            play(&engine, &table, &clock, &mut chance, &mut sent);
            // Nothing more reaches the disk, whether or not the fault has come.
            disk.power_off();
            let _ = engine.close();
            drop(engine);
            disk = disk.crash(seed);
            engine = open(dir.path(), &disk, &clock);
        }
        clock.advance(Duration::from_secs(60));
        until(|| engine.delayed_counts(&who()).unwrap().is_empty());
        lookups::check(&engine, &table);
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        for message in visible(&engine, &table) {
            let known = sent.acknowledged.get(&message.id).or_else(|| sent.unknown.get(&message.id));
            assert_eq!(known.copied(), message.deliver_us, "{message:?} was sent so");
            assert!(message.append_us >= message.deliver_us.unwrap(), "{message:?} is early");
            *times.entry(message.id).or_default() += 1;
        }
        let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "{twice:?}");
        let lost: Vec<_> = sent.acknowledged.keys().filter(|id| !times.contains_key(*id)).collect();
        assert!(lost.is_empty(), "{lost:?} of {} were acknowledged and did not come", sent.acknowledged.len());
    });
}

/// Rows that power loss has taken had LSNs that others get: no file of keys may know of them.
#[test]
fn keys_are_found_of_what_power_loss_has_left_and_of_nothing_else() {
    for_each_seed(SEEDS, |seed| {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(NOW_US));
        let mut chance = StdRng::seed_from_u64(seed);
        let mut disk = SimDisk::new(seed);
        let mut engine = open(dir.path(), &disk, &clock);
        let options = TableOptions { partitions: 2, durability: Durability::Os, ..TableOptions::default() };
        let spec = TableSpec::of_messages("public", "orders", MessageKind::Any, options);
        let table = engine.create_table(&who(), spec).unwrap();
        for _ in 0..4 {
            disk.fail_at(disk.operations() + chance.random_range(1..120), Fault::Crash);
            for _ in 0..chance.random_range(5..60) {
                let ids: Vec<String> = (0..30).map(|_| format!("{:016x}", chance.random::<u64>())).collect();
                let messages: Vec<_> = ids.iter().take(chance.random_range(1..30)).map(|id| message(id)).collect();
                let failed = match chance.random_range(0..4) {
                    0 => engine.maintain(&who()).is_err(),
                    _ => send(&engine, &table, &messages).is_err(),
                };
                if failed {
                    break;
                }
            }
            disk.power_off();
            let _ = engine.close();
            drop(engine);
            disk = disk.crash(seed);
            engine = open(dir.path(), &disk, &clock);
            lookups::check(&engine, &table);
        }
    });
}

/// What is known of a half message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    Open,
    Committed,
    RolledBack,
    /// An end of it failed: it may be done or not.
    Unknown,
}

#[test]
fn half_messages_come_after_their_commit_or_never() {
    for_each_seed(SEEDS, |seed| {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(NOW_US));
        let mut chance = StdRng::seed_from_u64(seed);
        let mut disk = SimDisk::new(seed);
        let mut engine = open(dir.path(), &disk, &clock);
        let table = create(&engine, "orders", MessageKind::Transactional, 2);
        let mut known: BTreeMap<TransactionId, (String, Half)> = BTreeMap::new();
        for _ in 0..3 {
            disk.fail_at(disk.operations() + chance.random_range(1..80), Fault::Crash);
            for _ in 0..chance.random_range(10..60) {
                let open = known.iter().filter(|(_, (_, half))| *half == Half::Open).map(|(id, _)| *id);
                let open: Vec<TransactionId> = open.collect();
                match chance.random_range(0..3) {
                    0 => clock.advance(Duration::from_millis(chance.random_range(100..20_000))),
                    1 if !open.is_empty() => {
                        let id = open[chance.random_range(0..open.len())];
                        let (verdict, half) = match chance.random_range(0..2) {
                            0 => (CheckVerdict::Commit, Half::Committed),
                            _ => (CheckVerdict::Rollback, Half::RolledBack),
                        };
                        let ended = engine.end_transaction(&who(), table.id, id, verdict);
                        known.get_mut(&id).unwrap().1 = if ended.is_ok() { half } else { Half::Unknown };
                    }
                    _ => {
                        let name = format!("{:016x}", chance.random::<u64>());
                        if let Ok(id) = begin(&engine, &table, message(&name)) {
                            known.insert(id, (name, Half::Open));
                        }
                    }
                }
            }
            disk.power_off();
            let _ = engine.close();
            drop(engine);
            disk = disk.crash(seed);
            engine = open(dir.path(), &disk, &clock);
        }
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        for message in visible(&engine, &table) {
            *times.entry(message.id).or_default() += 1;
        }
        for (id, (name, half)) in &known {
            let (seen, waits) = (times.get(name).copied().unwrap_or(0), engine.half_message(&who(), *id).is_ok());
            let fits = match half {
                Half::Open => (seen, waits) == (0, true),
                Half::Committed => (seen, waits) == (1, false),
                Half::RolledBack => (seen, waits) == (0, false),
                Half::Unknown => (seen, waits) == (0, true) || (seen <= 1 && !waits),
            };
            assert!(fits, "{id} is {half:?}: seen {seen} times, waits: {waits}");
        }
    });
}

/// A plugin decides while power is lost: what it commits comes once, and what it rolls back never does.
#[test]
fn what_a_plugin_decides_happens_once() {
    for_each_seed(SEEDS, |seed| {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(NOW_US));
        let mut chance = StdRng::seed_from_u64(seed);
        let mut disk = SimDisk::new(seed);
        let mut engine = open(dir.path(), &disk, &clock);
        engine.set_plugin_host(Arc::new(Bodies::default()));
        engine.set_topic_compiler(Arc::new(Words::default()));
        let table = create(&engine, "orders", MessageKind::Transactional, 2);
        checkback(&engine, "orders");
        let mut begun: Vec<String> = Vec::new();
        for _ in 0..3 {
            disk.fail_at(disk.operations() + chance.random_range(1..60), Fault::Crash);
            for _ in 0..chance.random_range(10..60) {
                if chance.random_range(0..4) == 0 {
                    clock.advance(Duration::from_millis(chance.random_range(100..12_000)));
                    std::thread::sleep(Duration::from_millis(chance.random_range(0..10)));
                    continue;
                }
                let verdict = ["commit", "rollback", "later", "what"][chance.random_range(0..4)];
                let name = format!("{verdict} {:016x}", chance.random::<u64>());
                if begin(&engine, &table, message(&name)).is_ok() {
                    begun.push(name);
                }
            }
            disk.power_off();
            let _ = engine.close();
            drop(engine);
            disk = disk.crash(seed);
            engine = open(dir.path(), &disk, &clock);
            engine.set_plugin_host(Arc::new(Bodies::default()));
            // What is due by now is asked about when there is SQL, and not before.
            std::thread::sleep(Duration::from_millis(chance.random_range(0..5)));
            engine.set_topic_compiler(Arc::new(Words::default()));
        }
        let waits = || {
            let mut open = Vec::new();
            let each = |half: millstream_engine::HalfMessage| {
                open.push((half.message_id, half.check_us));
                true
            };
            engine.half_messages(&who(), table.id, each).unwrap();
            open
        };
        // Until all that is not known is parked.
        until(|| {
            clock.advance(Duration::from_secs(20));
            waits().iter().all(|(name, check_us)| name.starts_with("what") && check_us.is_none())
        });
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        for message in visible(&engine, &table) {
            *times.entry(message.id).or_default() += 1;
        }
        let parked: Vec<String> = waits().into_iter().map(|(name, _)| name).collect();
        for name in &begun {
            let seen = times.get(name).copied().unwrap_or(0);
            let wanted = usize::from(name.starts_with("commit") || name.starts_with("later"));
            assert_eq!((seen, parked.contains(name)), (wanted, name.starts_with("what")), "{name}");
        }
        assert!(times.values().all(|times| *times == 1), "{times:?}");
    });
}

/// What a consumer knows of a message.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    /// How often it has got it.
    times: u32,
    /// Pops that failed after it was sent: each may have handed it out once more.
    unsure: u32,
    acknowledged: bool,
    /// An acknowledgement failed: it may have been taken.
    may_be_acknowledged: bool,
}

/// Consumers pop and acknowledge while power is lost: what was acknowledged never comes again, all else does, and it is counted how often.
#[test]
fn what_is_acknowledged_never_comes_again() {
    for_each_seed(SEEDS, |seed| {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(NOW_US));
        let mut chance = StdRng::seed_from_u64(seed);
        let mut disk = SimDisk::new(seed);
        let mut engine = open(dir.path(), &disk, &clock);
        let table = create(&engine, "orders", MessageKind::Any, 2);
        let mut known: BTreeMap<String, Taken> = BTreeMap::new();
        let mut sent: BTreeMap<String, bool> = BTreeMap::new();
        let asked = |messages| pops::request_of(&table, messages);
        // The group begins before anything fails.
        assert!(pops::pop(&engine, &asked(1)).unwrap().is_empty());
        for _ in 0..3 {
            disk.fail_at(disk.operations() + chance.random_range(1..100), Fault::Crash);
            let mut held = Vec::new();
            for _ in 0..chance.random_range(10..60) {
                match chance.random_range(0..5) {
                    0 => clock.advance(Duration::from_secs(chance.random_range(1..90))),
                    1 => {
                        let ids: Vec<String> = (0..chance.random_range(1..8))
                            .map(|_| format!("{:016x}", chance.random::<u64>()))
                            .collect();
                        let messages: Vec<_> = ids.iter().map(|id| message(id)).collect();
                        let done = send(&engine, &table, &messages).is_ok();
                        sent.extend(ids.into_iter().map(|id| (id, done)));
                    }
                    2 | 3 => match pops::pop(&engine, &asked(chance.random_range(1..6))) {
                        Ok(popped) => {
                            for (id, receipt, attempts) in pops::messages(&popped) {
                                let taken = known.entry(id.clone()).or_default();
                                assert!(!taken.acknowledged, "{id} was acknowledged");
                                taken.times += 1;
                                let most = taken.times + taken.unsure;
                                assert!((taken.times..=most).contains(&attempts), "{id}: {attempts} of {taken:?}");
                                // What may have been is known now.
                                (taken.unsure, taken.times) = (0, attempts);
                                held.push((id, receipt));
                            }
                        }
                        Err(_) => sent.keys().for_each(|id| known.entry(id.clone()).or_default().unsure += 1),
                    },
                    _ if !held.is_empty() => {
                        let (id, receipt) = held.swap_remove(chance.random_range(0..held.len()));
                        let taken = known.get_mut(&id).unwrap();
                        match pops::ack(&engine, &table, &[receipt]) {
                            Ok(found) => taken.acknowledged |= found == [PopAcked::Done],
                            Err(_) => taken.may_be_acknowledged = true,
                        }
                    }
                    _ => {}
                }
            }
            disk.power_off();
            let _ = engine.close();
            drop(engine);
            disk = disk.crash(seed);
            engine = open(dir.path(), &disk, &clock);
        }
        let there: Vec<String> = super::ids(&engine, &table);
        clock.advance(Duration::from_secs(120));
        let mut last: BTreeMap<String, u32> = BTreeMap::new();
        loop {
            let popped = pops::messages(&pops::pop(&engine, &asked(100)).unwrap());
            if popped.is_empty() {
                break;
            }
            let receipts: Vec<_> = popped.iter().map(|(_, receipt, _)| *receipt).collect();
            assert!(pops::ack(&engine, &table, &receipts).unwrap().iter().all(|acked| *acked == PopAcked::Done));
            for (id, _, attempts) in popped {
                assert!(last.insert(id.clone(), attempts).is_none(), "{id} came twice");
            }
        }
        for id in &there {
            let taken = known.get(id).copied().unwrap_or_default();
            match last.get(id) {
                Some(attempts) => {
                    assert!(!taken.acknowledged, "{id} was acknowledged and came again");
                    let most = taken.times + taken.unsure + 1;
                    assert!((taken.times + 1..=most).contains(attempts), "{id}: {attempts} of {taken:?}");
                }
                None => assert!(taken.acknowledged || taken.may_be_acknowledged, "{id} did not come: {taken:?}"),
            }
        }
        let lost: Vec<_> = sent.iter().filter(|(id, done)| **done && !there.contains(id)).collect();
        assert!(lost.is_empty(), "{lost:?}");
        assert!(pops::in_flight(&engine, &table).is_empty());
    });
}
