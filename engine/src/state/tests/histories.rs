//! Invariant 10: replaying the log from any checkpoint gives the same state.

use arrow_schema::{DataType, Field};
use parking_lot::RwLock;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::*;
use crate::contract::PluginSuspension;
use crate::model::{
    Appended, EarlierVersion, GroupMode, GroupRetryChanges, NamespaceLimit, NamespaceLimits, PluginId, ProducerStamp,
    TransactionId, UpcomingVersion,
};
use crate::state::StateStore;
use crate::state::{
    DueEntry, DueKey, DueRecord, DueWhat, HalfBegun, HalfEntry, HalfRecord, OffsetsRecord, ProducerRecord, StateRecord,
};
use crate::state::{StreamLimits, StreamStamp};

pub(super) const DAY_US: i64 = 24 * 3600 * 1_000_000;

#[test]
fn replay_from_any_checkpoint_gives_the_same_state() {
    let first: u64 = rand::random();
    for seed in (0..12).map(|step| first.wrapping_add(step)) {
        eprintln!("seed {seed}");
        let history = random_history(seed, 400);
        let mut random = StdRng::seed_from_u64(!seed);
        let dir = tempfile::tempdir().unwrap();
        let store = StateStore::open(dir.path()).unwrap();
        let running = RwLock::new(State::default());
        let mut checkpoint = State::default();
        for (context, record) in &history.records {
            running.write().apply(*context, record).unwrap();
            if random.random_ratio(1, 40) {
                store.checkpoint(&running, || Lsn(u64::MAX)).unwrap();
                checkpoint = running.read().clone();
            }
        }
        assert_eq!(*running.read(), history.state, "the fold is not a function of the records");
        drop(store);
        let store = StateStore::open(dir.path()).unwrap();
        let mut loaded = store.load().unwrap();
        assert_eq!(loaded, checkpoint);
        // From the beginning: what the checkpoint holds is skipped.
        for (context, record) in &history.records {
            loaded.apply(*context, record).unwrap();
        }
        assert_eq!(loaded, history.state);
        // What is loaded is tracked: the next checkpoint writes what the replay changed.
        let loaded = RwLock::new(loaded);
        store.checkpoint(&loaded, || Lsn(u64::MAX)).unwrap();
        assert_eq!(store.load().unwrap(), history.state);
    }
}

#[test]
fn a_record_is_applied_once() {
    let history = random_history(7, 200);
    let mut again = history.state.clone();
    for (context, record) in &history.records {
        again.apply(*context, record).unwrap();
    }
    assert_eq!(again, history.state);
}

/// Records as a busy store has them; refused changes leave no record.
fn random_history(seed: u64, steps: usize) -> History {
    let mut random = StdRng::seed_from_u64(seed);
    let mut history = History::new();
    for _ in 0..steps {
        history.now_us += random.random_range(0..DAY_US / 8);
        match random.random_range(0..15) {
            0..4 => random_rows(&mut history, &mut random),
            4 | 5 => random_offsets(&mut history, &mut random),
            6 => random_producer(&mut history, &mut random),
            7 => random_segments(&mut history, &mut random),
            9 => random_state(&mut history, &mut random),
            8 => random_excess(&mut history),
            11 => random_due(&mut history, &mut random),
            12 => random_halves(&mut history, &mut random),
            13 | 14 => pops::random_pops(&mut history, &mut random),
            10 => {
                history.push(if random.random() { Record::CleanShutdown } else { Record::Sealed { first: Lsn(1) } });
            }
            _ => {}
        }
        let change = random_change(&history, &mut random);
        // Many are refused, by names that are taken or things in use.
        let _ = history.change(change);
    }
    history
}

pub(super) fn any_table(history: &History, random: &mut StdRng) -> Option<(TableId, u32)> {
    let tables: Vec<_> = history.state.catalog().tables().map(|info| (info.id, info.options.partitions)).collect();
    let (table, partitions) = *tables.choose(random)?;
    Some((table, random.random_range(0..partitions)))
}

fn any_topic(history: &History, random: &mut StdRng) -> Option<TopicInfo> {
    let topics: Vec<_> = history.state.catalog().topics().cloned().collect();
    topics.choose(random).map(|topic| topic.as_ref().clone())
}

fn random_rows(history: &mut History, random: &mut StdRng) {
    if let Some((table, partition)) = any_table(history, random) {
        history.rows(table, partition, random.random_range(1..50));
    }
}

fn random_offsets(history: &mut History, random: &mut StdRng) {
    let name = format!("g{}", random.random_range(0..4));
    let client = random.random_bool(0.3).then(|| format!("c{}", random.random_range(0..3)));
    let Some(topic) = any_topic(history, random) else { return };
    let entries = (0..random.random_range(1..4)).map(|partition| (topic.id, partition, random.random_range(0..90)));
    let entries = entries.collect();
    history.push(Record::Offsets(OffsetsRecord { group: group(&name, client.as_deref()), entries }));
}

fn random_producer(history: &mut History, random: &mut StdRng) {
    let Some((table, partition)) = any_table(history, random) else { return };
    let id = random.random_range(0..5);
    let before = history.state.families.producers.get((table, id)).unwrap();
    let before = before.map(|stream| (stream.epoch, stream.window.last()));
    let (epoch, sequence) = match before {
        Some((epoch, Some(last))) if random.random_bool(0.9) => (epoch, last + 1),
        Some((epoch, _)) => (epoch + 1, 0),
        None => (0, 0),
    };
    let appended = vec![Appended { table, partition, first_offset: 5, rows: 2 }];
    let stamp = ProducerStamp { id, epoch, sequence };
    history.push(Record::Producer(ProducerRecord { table, stamp, appended: appended.into() }));
}

/// As the writer does for a namespace that may have two streams.
fn random_excess(history: &mut History) {
    let tables: Vec<TableId> = history.state.catalog().tables().map(|info| info.id).collect();
    for table in tables {
        let stamp = StreamStamp { table, stamp: ProducerStamp { id: 0, epoch: 0, sequence: 0 } };
        let limits = StreamLimits { default: 2, append_us: history.now_us };
        if let Some(excess) = stamp.excess(&history.state, limits).unwrap() {
            history.push(Record::Change(Box::new(excess)));
        }
    }
}

/// As those do who have claimed the entries that they are done with.
fn random_due(history: &mut History, random: &mut StdRng) {
    let Some((table, _)) = any_table(history, random) else { return };
    let mut waiting = Vec::new();
    let each = |key: &DueKey, entry: &DueEntry| {
        waiting.extend((entry.what == DueWhat::Message && key.table == table).then_some((entry.what, *key)));
        Ok(true)
    };
    history.state.due().scan(DueKey::first_at(TableId(0), i64::MIN), each).unwrap();
    let done = waiting.into_iter().filter(|_| random.random_bool(0.3)).collect();
    let set = (0..random.random_range(0..4)).map(|number: u8| {
        let entry = DueEntry { what: DueWhat::Message, payload: vec![number; 3].into() };
        (history.now_us + random.random_range(-DAY_US..DAY_US), entry)
    });
    let set = set.collect();
    history.push(Record::Due(DueRecord { table, set, done }));
}

fn random_halves(history: &mut History, random: &mut StdRng) {
    let Some((table, _)) = any_table(history, random) else { return };
    let (mut asked, mut ended, mut done) = (Vec::new(), Vec::new(), Vec::new());
    let each = |id: TransactionId, entry: &HalfEntry| {
        match random.random_range(0..4) {
            0 => ended.push(id),
            1 => asked.push((id, random.random_bool(0.7).then_some(history.now_us + 1))),
            _ => return Ok(true),
        }
        done.extend(entry.due_key(table, id).map(|key| (DueWhat::Check, key)));
        Ok(true)
    };
    history.state.halves().scan(table, each).unwrap();
    let begun = (0..random.random_range(0..3)).map(|number: u8| HalfBegun {
        group: "g".into(),
        payload: vec![number; 3].into(),
        check_us: history.now_us + random.random_range(0..DAY_US),
    });
    let begun = begun.collect();
    history.push(Record::Due(DueRecord { table, set: Vec::new(), done }));
    history.push(Record::Half(HalfRecord { table, begun, asked, ended }));
    let counted = |entries: Vec<(TableId, u64)>| entries.iter().find(|(of, _)| *of == table).map_or(0, |of| of.1);
    let mut halves = 0;
    let each = |_: TransactionId, _: &HalfEntry| {
        halves += 1;
        Ok(true)
    };
    history.state.halves().scan(table, each).unwrap();
    assert_eq!(counted(history.state.half_counts().collect()), halves, "they are counted");
}

fn random_state(history: &mut History, random: &mut StdRng) {
    let consumers: Vec<_> = history.state.catalog().consumers().map(|consumer| consumer.id).collect();
    // One that is gone, or not yet there, is passed over.
    let consumer = consumers.choose(random).copied().unwrap_or(ConsumerId(1));
    let keys: BTreeSet<u8> = (0..random.random_range(1..5)).map(|_| random.random_range(0..9)).collect();
    let value = |random: &mut StdRng| random.random_bool(0.7).then(|| Arc::from(vec![7; random.random_range(0..40)]));
    let writes = keys.into_iter().map(|key| (Arc::from([key]), value(random))).collect();
    history.push(Record::State(StateRecord { consumer, partition: random.random_range(0..3), writes }));
}

fn random_segments(history: &mut History, random: &mut StdRng) {
    let Some((table, partition)) = any_table(history, random) else { return };
    let Some(found) = history.state.partition(table, partition) else { return };
    let (start, end, segmented_to) = (found.start, found.end, found.segmented_to);
    let listed: Vec<(u64, u64, u64)> =
        found.segments.values().map(|segment| (segment.id, segment.first_offset, segment.next_offset)).collect();
    let id = history.state.applied().0 + 1;
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    match (random.random_range(0..4), listed.as_slice()) {
        (0, [(a, first, _), (b, _, next), ..]) => {
            removed.extend([*a, *b]);
            added.push(segment(id, *first, *next));
        }
        (1, [(a, _, next), ..]) => {
            let _ = history.change(Change::StartMoved { table, partition, start: *next, lsn: Lsn(0) });
            removed.push(*a);
        }
        (2, _) if start < end => {
            let start = random.random_range(start..=end);
            let _ = history.change(Change::StartMoved { table, partition, start, lsn: Lsn(3) });
            return;
        }
        _ if segmented_to < end => added.push(segment(id, segmented_to, random.random_range(segmented_to + 1..=end))),
        _ => return,
    }
    for segment in &added {
        let _ = history.change(Change::SegmentBegun { id: segment.id, path: segment.path.clone() });
    }
    let _ = history.change(Change::SegmentsChanged { table, partition, added, removed });
    if random.random_bool(0.3) {
        let ids = history.state.unlisted().iter().map(|(id, _)| id).take(random.random_range(0..3)).collect();
        let _ = history.change(Change::SegmentsDeleted { ids });
    }
}

/// A topic anew, or from an offset of each partition on.
fn next_version(history: &History, random: &mut StdRng, found: TopicInfo, plugin: Option<PluginId>) -> TopicInfo {
    let mut next = TopicInfo { version: found.version + 1, base: None, earlier: Vec::new(), ..found.clone() };
    if let TopicSource::Select { plugins, .. } = &mut next.source {
        *plugins = plugin.into_iter().collect();
    }
    if random.random() {
        let partitions = history.state.table(found.table).map_or(0, |table| table.options.partitions);
        let until = (0..partitions).map(|partition| (partition, random.random_range(0..40))).collect();
        let plugins = found.plugins_of(found.version).to_vec();
        next.base = Some(found.base_version());
        next.earlier = found.earlier.clone();
        next.earlier.push(EarlierVersion { version: found.version, plugins, until });
    }
    next
}

fn random_change(history: &History, random: &mut StdRng) -> Change {
    let name = format!("n{}", random.random_range(0..12));
    let namespace =
        if random.random_bool(0.7) { "public".to_owned() } else { format!("s{}", random.random_range(0..3)) };
    let (table, _) = any_table(history, random).unwrap_or((TableId(u64::MAX), 0));
    let any = any_topic(history, random);
    let plugins: Vec<_> = history.state.catalog().plugins().map(|plugin| plugin.id).collect();
    let some_plugin = plugins.choose(random).copied();
    let consumers: Vec<_> = history.state.catalog().consumers().cloned().collect();
    let some_consumer = consumers.choose(random);
    let checkbacks: Vec<_> = history.state.catalog().checkbacks().cloned().collect();
    match random.random_range(0..35) {
        34 => Change::GroupRetriesSet {
            namespace,
            group: format!("g{}", random.random_range(0..4)),
            retries: GroupRetryChanges {
                max_attempts: random.random_bool(0.7).then(|| random.random_range(0..3)),
                steps_ms: random.random_bool(0.7).then(|| vec![1_000; random.random_range(0..3)]),
            },
        },
        30 => message_table(&name),
        31 => {
            let newest = history.state.catalog().plugin_named("public", "judge").map_or(0, |plugin| plugin.version);
            judge("judge", newest + 1)
        }
        32 => checkback(&format!("k{}", random.random_range(0..3)), table, "judge"),
        33 => match checkbacks.choose(random) {
            Some(found) => Change::CheckbackDropped { checkback: found.id, table: found.table },
            None => Change::CheckbackDropped { checkback: CheckbackId(1), table },
        },
        0 => Change::NamespaceCreated { name: namespace, limits: NamespaceLimits::default() },
        28 | 29 => {
            let limit = *NamespaceLimit::of_namespaces().collect::<Vec<_>>().choose(random).unwrap();
            let value = random.random_bool(0.7).then(|| random.random_range(0..9));
            Change::NamespaceLimited { name: namespace, limits: [(limit, value)].into() }
        }
        1 => Change::NamespaceDropped { name: namespace },
        2..5 => super::table(&namespace, &name, random.random_range(1..5)),
        5 => Change::ColumnsAdded { table, fields: vec![Field::new(format!("c{name}"), DataType::Utf8, true)] },
        6 => Change::PartitionsAdded { table, partitions: random.random_range(2..9) },
        7 => Change::TableDropped { table },
        8 | 9 => {
            let mut made = topic(&namespace, &name, table, some_plugin.into_iter().collect());
            if let TopicSource::Select { plugins, functions, .. } = &mut made.source {
                let catalog = history.state.catalog();
                let plugin = plugins.first().and_then(|id| catalog.plugin(*id));
                let of_plugin = plugin.and_then(|found| catalog.functions_of_plugin("public", &found.name).next());
                functions.extend(of_plugin.map(|function| function.id));
            }
            Change::TopicCreated(made)
        }
        10 => match any {
            Some(found) => Change::TopicReplaced(next_version(history, random, found, some_plugin)),
            None => Change::TopicDropped { topic: TopicId(u64::MAX) },
        },
        11 => Change::TopicDropped { topic: any.map_or(TopicId(u64::MAX), |found| found.id) },
        12 => {
            let newest = history.state.catalog().plugin_named("public", &name).map_or(0, |plugin| plugin.version);
            plugin(&name, newest + 1)
        }
        13 => Change::PluginDropped { plugin: some_plugin.unwrap_or_default() },
        14 => Change::GroupCreated {
            namespace,
            group: format!("g{}", random.random_range(0..4)),
            mode: if random.random() { GroupMode::Broadcast } else { GroupMode::Shared },
        },
        15 => function(&format!("f{name}"), &name),
        16 => {
            let functions: Vec<_> = history.state.catalog().functions().map(|function| function.id).collect();
            Change::FunctionDropped { function: functions.choose(random).copied().unwrap_or_default() }
        }
        17 | 18 => {
            let first = random.random_range(0..40);
            Change::RowsLettered {
                topic: any.as_ref().map_or(TopicId(u64::MAX), |found| found.id),
                version: any.map_or(0, |found| found.version),
                partition: random.random_range(0..3),
                first,
                next: first + random.random_range(1..5),
            }
        }
        19 => {
            let newest = history.state.catalog().plugin_named("public", "consumer").map_or(0, |plugin| plugin.version);
            consumer_plugin("consumer", newest + 1)
        }
        20 | 21 => {
            let newest =
                history.state.catalog().plugin_named("public", "consumer").map_or(PluginId(0), |plugin| plugin.id);
            let topic = any.map_or(TopicId(u64::MAX), |topic| topic.id);
            consumer(&name, topic, newest, &format!("g{}", random.random_range(0..4)), table)
        }
        22 => match some_consumer {
            Some(found) => {
                let (paused, version) = (random.random(), found.version + 1);
                let from = [(0, random.random_range(0..40))].into();
                let next = UpcomingVersion { plugin: found.plugin, outputs: found.outputs.clone(), from };
                let upcoming = random.random_bool(0.5).then_some(next);
                Change::PluginConsumerReplaced(PluginConsumerInfo {
                    upcoming,
                    paused,
                    version,
                    ..found.as_ref().clone()
                })
            }
            None => Change::PluginConsumerDropped { consumer: ConsumerId(u64::MAX) },
        },
        23 => Change::PluginConsumerDropped { consumer: some_consumer.map_or(ConsumerId(1), |found| found.id) },
        24 | 25 => {
            let topic = any.map_or(TopicId(u64::MAX), |found| found.id);
            Change::TopicShadowed { topic, shadow: some_plugin.filter(|_| random.random_bool(0.8)) }
        }
        26 => {
            let why = PluginSuspension { since_us: 7, reason: "64 calls in a row failed".to_owned() };
            let suspended = random.random_bool(0.6).then_some(why);
            Change::PluginSuspended { plugin: some_plugin.unwrap_or_default(), suspended }
        }
        _ => Change::GroupDropped { namespace, group: format!("g{}", random.random_range(0..4)) },
    }
}
