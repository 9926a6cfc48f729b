//! Random schedules of everything that happens to a group, against a model: what a partition's owner is handed is gapless
//! and in order, begins at the committed offset, and nobody else is handed it; committed offsets move by commits and resets
//! only; generations that have passed are refused; in the end every row was delivered. With automatic commit, what is
//! committed is what the polls before the last one gave, or, of those who leave, all that they were given.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use millstream_engine::{
    Assignment, Clock, ConsumerConfig, Error, Member, Offset, OffsetReset, PartitionId, SeekTo, TableInfo, TopicId,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::fixture::{Fixture, MIB, NO_WAIT, SECOND, manual, numbers, who};

const STEPS: usize = 400;
const SEEDS: u64 = 8;
const MOST_MEMBERS: usize = 4;

/// A member as the model has it.
struct Consumer {
    member: Member,
    /// By partition: what comes next, `None` until the first delivery of this ownership.
    next: BTreeMap<PartitionId, Option<Offset>>,
    /// What it could commit, and the generation it was handed it in. With automatic commit, of the last poll.
    handed: BTreeMap<PartitionId, Offset>,
    generation: u64,
    /// With automatic commit, of the polls before.
    processed: BTreeMap<PartitionId, Offset>,
    last_commit: Duration,
}

struct Model {
    fixture: Fixture,
    /// How often members commit by themselves.
    automatic: Option<Duration>,
    table: Arc<TableInfo>,
    random: StdRng,
    live: Vec<Consumer>,
    /// Called no more; they expire when the clock moves.
    crashed: Vec<Consumer>,
    ends: Vec<Offset>,
    committed: BTreeMap<PartitionId, Offset>,
    delivered: BTreeSet<(PartitionId, Offset)>,
    /// Rows that a reset moved the committed offset past.
    passed_over: BTreeSet<(PartitionId, Offset)>,
    highest_generation: u64,
}

#[test]
fn random_schedules() {
    check(None);
}

#[test]
fn random_schedules_with_automatic_commit_in_every_poll() {
    check(Some(Duration::ZERO));
}

#[test]
fn random_schedules_with_automatic_commit_at_intervals() {
    check(Some(SECOND * 7));
}

fn check(automatic: Option<Duration>) {
    for _ in 0..SEEDS {
        let seed = rand::random();
        eprintln!("seed {seed}");
        run(seed, automatic);
    }
}

fn run(seed: u64, automatic: Option<Duration>) {
    let fixture = Fixture::new();
    let table = fixture.table("t", 3);
    for group in ["g", "another"] {
        fixture.join(manual(group), &["t"]).leave().expect("the group is recorded");
    }
    let mut model = Model {
        automatic,
        committed: (0..3).map(|partition| (partition, 0)).collect(),
        ends: vec![0; 3],
        fixture,
        table,
        random: StdRng::seed_from_u64(seed),
        live: Vec::new(),
        crashed: Vec::new(),
        delivered: BTreeSet::new(),
        passed_over: BTreeSet::new(),
        highest_generation: 0,
    };
    for _ in 0..STEPS {
        model.step();
        model.check();
    }
    model.drain();
}

impl Model {
    fn join(&mut self, max_poll_rows: usize) {
        let config = ConsumerConfig { max_poll_rows, ..manual("g") };
        let config = match self.automatic {
            None => config,
            Some(auto_commit_interval) => ConsumerConfig { enable_auto_commit: true, auto_commit_interval, ..config },
        };
        self.live.push(Consumer {
            member: self.fixture.join(config, &["t"]),
            next: BTreeMap::new(),
            handed: BTreeMap::new(),
            generation: 0,
            processed: BTreeMap::new(),
            last_commit: self.fixture.clock.monotonic(),
        });
    }

    /// Waits until the log has answered what members have committed by themselves: it does so in order.
    fn settle(&self) {
        if self.automatic.is_some() {
            let reset = OffsetReset { to: SeekTo::Start, topic: Some("t".to_owned()), partition: Some(0) };
            self.fixture.engine.reset_offsets(&who(), "public", "another", reset).expect("it is reset");
        }
    }

    fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..25 => self.append(),
            25..34 if self.live.len() < MOST_MEMBERS => {
                let rows = self.random.random_range(1..20);
                self.join(rows);
            }
            34..40 => {
                if let Some(consumer) = self.take() {
                    consumer.member.leave().expect("it leaves");
                    if self.automatic.is_some() {
                        self.committed.extend(consumer.processed.into_iter().chain(consumer.handed));
                    }
                }
            }
            40..44 => {
                if let Some(consumer) = self.take() {
                    self.crashed.push(consumer);
                }
            }
            44..50 => self.pass_time(),
            50..52 if self.ends.len() < 6 => {
                let partitions = u32::try_from(self.ends.len() + 1).expect("few");
                self.table = self.fixture.engine.set_partitions(&who(), "public", "t", partitions).expect("it grows");
                self.ends.push(0);
            }
            52..54 => self.reset(),
            54..56 => self.stale_commit(),
            56..72 if self.automatic.is_none() => self.commit(),
            _ => self.poll(),
        }
    }

    fn take(&mut self) -> Option<Consumer> {
        (!self.live.is_empty()).then(|| self.live.remove(self.random.random_range(0..self.live.len())))
    }

    fn append(&mut self) {
        let partition = self.random.random_range(0..self.ends.len());
        let end = self.ends.get_mut(partition).expect("it exists");
        let first = i64::try_from(*end).expect("few");
        *end += self.random.random_range(1..15_u64);
        let partition = u32::try_from(partition).expect("few");
        self.fixture.append(&self.table, partition, first..i64::try_from(*end).expect("few"));
    }

    /// Live members are heard of in time; crashed ones expire.
    fn pass_time(&mut self) {
        for _ in 0..4 {
            self.fixture.clock.advance(SECOND * 5);
            for consumer in &self.live {
                consumer.member.heartbeat().expect("it was heard of in time");
            }
        }
        for Consumer { member, handed, processed, .. } in self.crashed.drain(..) {
            self.committed.extend(processed);
            let offsets: Vec<_> = handed.iter().map(|(partition, next)| (at(&self.table, *partition), *next)).collect();
            let error = member.commit(&offsets).map(drop).expect_err("it has expired");
            assert!(matches!(error, Error::Fenced(_)), "{error}");
        }
    }

    fn reset(&mut self) {
        let partition = self.random.random_range(0..self.ends.len());
        let offset = self.random.random_range(0..=*self.ends.get(partition).expect("it exists"));
        let partition = u32::try_from(partition).expect("few");
        let reset = OffsetReset { to: SeekTo::Offset(offset), topic: Some("t".to_owned()), partition: Some(partition) };
        self.fixture.engine.reset_offsets(&who(), "public", "g", reset).expect("it is reset");
        let before = self.committed.insert(partition, offset).unwrap_or(0);
        self.passed_over.extend((before..offset).map(|offset| (partition, offset)));
        for consumer in self.live.iter_mut().chain(&mut self.crashed) {
            consumer.handed.remove(&partition);
            consumer.processed.remove(&partition);
            if let Some(next) = consumer.next.get_mut(&partition) {
                *next = None;
            }
        }
    }

    fn commit(&mut self) {
        let Some(mut consumer) = self.take() else { return };
        let current = consumer.generation == self.highest_generation;
        let owned: BTreeSet<_> = consumer.member.assignment().iter().map(|at| at.partition).collect();
        let offsets: Vec<_> = consumer.handed.iter().map(|(partition, next)| (*partition, *next)).collect();
        let asked: Vec<_> = offsets.iter().map(|(partition, next)| (at(&self.table, *partition), *next)).collect();
        let answer = consumer.member.commit_as_of(consumer.generation, &asked).and_then(|receipt| receipt.wait());
        let may = current && offsets.iter().all(|(partition, _)| owned.contains(partition));
        assert_eq!(answer.is_ok(), may, "generation {}, {owned:?}: {answer:?}", consumer.generation);
        if may {
            self.committed.extend(offsets);
            consumer.handed.clear();
        }
        self.live.push(consumer);
    }

    /// A generation that has passed commits nothing, whoever says it.
    fn stale_commit(&mut self) {
        let Some(consumer) = self.live.first() else { return };
        let Some(assigned) = consumer.member.assignment().first().copied() else { return };
        let error = consumer.member.commit_as_of(self.highest_generation - 1, &[(assigned, 0)]).map(drop);
        assert!(matches!(error, Err(Error::Fenced(_))), "{error:?}");
    }

    fn poll(&mut self) {
        let Some(mut consumer) = self.take() else { return };
        if let Some(interval) = self.automatic {
            let now = self.fixture.clock.monotonic();
            consumer.processed.append(&mut consumer.handed);
            if now >= consumer.last_commit + interval && !consumer.processed.is_empty() {
                self.committed.append(&mut consumer.processed);
                consumer.last_commit = now;
            }
        }
        for delivery in consumer.member.poll(MIB, NO_WAIT).expect("it polls") {
            let partition = delivery.partition;
            let next = consumer.next.get_mut(&partition).expect("it is handed only what it owns");
            let expected = next.unwrap_or_else(|| self.committed.get(&partition).copied().unwrap_or(0));
            assert_eq!(delivery.first_offset, expected, "partition {partition}: a gap or a repeat within an ownership");
            let offsets: Vec<Offset> = (expected..delivery.next_offset).collect();
            assert!(delivery.offsets.iter().eq(offsets.iter().copied()), "partition {partition}");
            let rows: Vec<i64> = offsets.iter().map(|offset| i64::try_from(*offset).expect("few")).collect();
            assert_eq!(numbers(&delivery), rows, "partition {partition}");
            *next = Some(delivery.next_offset);
            consumer.handed.insert(partition, delivery.next_offset);
            self.delivered.extend(offsets.into_iter().map(|offset| (partition, offset)));
        }
        consumer.generation = consumer.member.acknowledge();
        self.live.push(consumer);
    }

    /// Ownership, generations and committed offsets are as they must be.
    fn check(&mut self) {
        self.settle();
        let groups = self.fixture.engine.groups(&who()).expect("they are listed");
        let group = groups.iter().find(|group| group.group_id == "g").expect("it is recorded");
        assert!(group.members.is_empty() || group.generation >= self.highest_generation, "generations only rise");
        self.highest_generation = self.highest_generation.max(group.generation);
        let mut owners = BTreeSet::new();
        for member in &group.members {
            for (_, partition) in &member.assignment {
                assert!(owners.insert(*partition), "partition {partition} has two owners: {group:?}");
            }
        }
        let all: BTreeSet<PartitionId> = (0..u32::try_from(self.ends.len()).expect("few")).collect();
        assert!(group.members.is_empty() || owners == all, "partitions without an owner: {group:?}");
        for consumer in self.live.iter_mut().chain(&mut self.crashed) {
            let owned: BTreeSet<_> = consumer.member.assignment().iter().map(|at| at.partition).collect();
            consumer.next.retain(|partition, _| owned.contains(partition));
            consumer.handed.retain(|partition, _| owned.contains(partition));
            // What is taken away is committed as far as it is done.
            let lost = consumer.processed.extract_if(.., |partition, _| !owned.contains(partition));
            self.committed.extend(lost);
            for partition in owned {
                consumer.next.entry(partition).or_insert(None);
            }
        }
        for (partition, committed) in self.fixture.committed("g") {
            assert_eq!(Some(&committed), self.committed.get(&partition), "partition {partition} moved by itself");
        }
    }

    /// A last member reads to the end, and then nothing is missing but what resets passed over.
    fn drain(mut self) {
        self.pass_time();
        self.committed.extend(self.live.drain(..).flat_map(|consumer| consumer.processed));
        self.join(1_000_000);
        self.check();
        self.poll();
        for (partition, end) in (0..).zip(&self.ends) {
            for row in (0..*end).map(|offset| (partition, offset)) {
                assert!(
                    self.delivered.contains(&row) || self.passed_over.contains(&row),
                    "{row:?} was never delivered"
                );
            }
        }
    }
}

fn at(table: &TableInfo, partition: PartitionId) -> Assignment {
    Assignment { topic: TopicId(table.id.0), partition }
}
