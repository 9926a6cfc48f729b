//! Random schedules of a broadcast group, against a model: every client reads all partitions from its own committed offsets,
//! gapless and in order, whatever the others do; a client that joins again takes its own place, and nobody else's; generations
//! that have passed are refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_engine::{
    Assignment, ConsumerConfig, Error, GroupMode, Member, Offset, OffsetReset, PartitionId, SeekTo, TableInfo, TopicId,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::fixture::{Fixture, MIB, NO_WAIT, SECOND, manual, numbers, who};

const STEPS: usize = 300;
const SEEDS: u64 = 8;
const CLIENTS: [&str; 3] = ["a", "b", "c"];

struct Client {
    member: Member,
    next: BTreeMap<PartitionId, Offset>,
    /// Taken up with its last poll.
    generation: u64,
}

struct Model {
    fixture: Fixture,
    table: Arc<TableInfo>,
    random: StdRng,
    live: BTreeMap<&'static str, Client>,
    ends: Vec<Offset>,
    /// Of every client that was ever there.
    committed: BTreeMap<&'static str, BTreeMap<PartitionId, Offset>>,
}

#[test]
fn random_broadcast_schedules() {
    for _ in 0..SEEDS {
        let seed = rand::random();
        eprintln!("seed {seed}");
        let fixture = Fixture::new();
        let table = fixture.table("t", 2);
        let mut model = Model {
            fixture,
            table,
            random: StdRng::seed_from_u64(seed),
            live: BTreeMap::new(),
            ends: vec![0; 2],
            committed: BTreeMap::new(),
        };
        for _ in 0..STEPS {
            model.step();
            model.check();
        }
        model.drain();
    }
}

impl Model {
    fn step(&mut self) {
        let client = *CLIENTS.get(self.random.random_range(0..CLIENTS.len())).expect("there are three");
        match self.random.random_range(0..100) {
            0..25 => self.append(),
            25..37 => self.join(client),
            37..42 => {
                if let Some(client) = self.live.remove(client) {
                    client.member.leave().expect("it leaves");
                }
            }
            42..46 => self.expire(client),
            46..48 if self.ends.len() < 4 => {
                let partitions = u32::try_from(self.ends.len() + 1).expect("few");
                self.table = self.fixture.engine.set_partitions(&who(), "public", "t", partitions).expect("it grows");
                self.ends.push(0);
            }
            48..51 => self.reset(),
            51..68 => self.commit(client),
            _ => self.poll(client),
        }
    }

    fn append(&mut self) {
        let partition = self.random.random_range(0..self.ends.len());
        let end = self.ends.get_mut(partition).expect("it exists");
        let first = i64::try_from(*end).expect("few");
        *end += self.random.random_range(1..15_u64);
        let partition = u32::try_from(partition).expect("few");
        self.fixture.append(&self.table, partition, first..i64::try_from(*end).expect("few"));
    }

    /// Takes the place of the client's member, if it has one.
    fn join(&mut self, client: &'static str) {
        let max_poll_rows = self.random.random_range(1..20);
        let config = ConsumerConfig {
            mode: GroupMode::Broadcast,
            client_id: client.to_owned(),
            max_poll_rows,
            // Some clients poll seldom here.
            max_poll_interval: SECOND * 1_000_000,
            ..manual("g")
        };
        let member = self.fixture.join(config, &["t"]);
        let joined = Client { member, next: BTreeMap::new(), generation: 0 };
        if let Some(before) = self.live.insert(client, joined) {
            let error = before.member.heartbeat().expect_err("another has its place");
            assert!(matches!(error, Error::Fenced(_)), "{error}");
        }
        self.committed.entry(client).or_default();
    }

    /// One client falls silent and is expelled; the others are heard of.
    fn expire(&mut self, silent: &str) {
        let Some(silent) = self.live.remove(silent) else { return };
        for _ in 0..4 {
            self.fixture.clock.advance(SECOND * 5);
            for client in self.live.values() {
                client.member.heartbeat().expect("it was heard of in time");
            }
        }
        assert!(matches!(silent.member.heartbeat(), Err(Error::Fenced(_))), "it has expired");
    }

    /// Moves every client that was ever there.
    fn reset(&mut self) {
        if self.committed.is_empty() {
            return;
        }
        let partition = self.random.random_range(0..self.ends.len());
        let offset = self.random.random_range(0..=*self.ends.get(partition).expect("it exists"));
        let partition = u32::try_from(partition).expect("few");
        let reset = OffsetReset { to: SeekTo::Offset(offset), topic: Some("t".to_owned()), partition: Some(partition) };
        self.fixture.engine.reset_offsets(&who(), "public", "g", reset).expect("it is reset");
        for (client, committed) in &mut self.committed {
            committed.insert(partition, offset);
            if let Some(live) = self.live.get_mut(client) {
                live.next.insert(partition, offset);
            }
        }
    }

    fn commit(&mut self, client: &'static str) {
        let Some(live) = self.live.get(client) else { return };
        let asked: Vec<_> = live.next.iter().map(|(partition, next)| (at(&self.table, *partition), *next)).collect();
        let current = live.generation == live.member.generation();
        let answer = live.member.commit_as_of(live.generation, &asked).and_then(|receipt| receipt.wait());
        assert_eq!(answer.is_ok(), current, "generation {}: {answer:?}", live.generation);
        if current {
            self.committed.entry(client).or_default().extend(&live.next);
        }
    }

    fn poll(&mut self, client: &'static str) {
        let committed = self.committed.get(client).cloned().unwrap_or_default();
        let Some(live) = self.live.get_mut(client) else { return };
        for delivery in live.member.poll(MIB, NO_WAIT).expect("it polls") {
            let partition = delivery.partition;
            let from = || committed.get(&partition).copied().unwrap_or(0);
            let next = live.next.entry(partition).or_insert_with(from);
            assert_eq!(delivery.first_offset, *next, "client {client}, partition {partition}: a gap or a repeat");
            let rows: Vec<i64> = (*next..delivery.next_offset).map(|row| i64::try_from(row).expect("few")).collect();
            assert_eq!(numbers(&delivery), rows, "client {client}, partition {partition}");
            *next = delivery.next_offset;
        }
        live.generation = live.member.acknowledge();
    }

    /// Everybody has every partition, and what it has committed is its own.
    fn check(&self) {
        for (client, live) in &self.live {
            let offsets = live.member.offsets().expect("it is a member");
            assert_eq!(offsets.len(), self.ends.len(), "client {client} has every partition: {offsets:?}");
            for found in offsets {
                let known = self.committed.get(client).and_then(|committed| committed.get(&found.partition));
                let known = known.copied().unwrap_or(0);
                assert_eq!(found.committed.unwrap_or(0), known, "client {client}, partition {}", found.partition);
            }
        }
    }

    /// Every client comes once more and reads to the end.
    fn drain(mut self) {
        for client in CLIENTS {
            self.join(client);
            loop {
                let before = self.live.get(client).map(|live| live.next.clone());
                self.poll(client);
                if self.live.get(client).map(|live| live.next.clone()) == before {
                    break;
                }
            }
            let live = self.live.get(client).expect("it has joined");
            for (partition, end) in (0..).zip(&self.ends) {
                let from = self.committed.get(client).and_then(|committed| committed.get(&partition)).copied();
                let read = live.next.get(&partition).copied().or(from).unwrap_or(0);
                assert_eq!(read, *end, "client {client} has not read partition {partition} to its end");
            }
        }
    }
}

fn at(table: &TableInfo, partition: PartitionId) -> Assignment {
    Assignment { topic: TopicId(table.id.0), partition }
}
