//! Members on threads of their own that come and go while rows are appended: nothing is lost, nothing hangs.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millstream_engine::{Assignment, ErrorKind, OnError};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::fixture::{Fixture, MIB, SECOND, manual, numbers};

const THREADS: u64 = 4;
const BATCHES: i64 = 150;
const ROWS: i64 = 20;
const PARTITIONS: u32 = 5;

#[test]
fn members_come_and_go_while_rows_are_appended() {
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let fixture = Fixture::new();
    let table = fixture.table("t", PARTITIONS);
    fixture.topic("even", &table, "even", OnError::Stop);
    fixture.join(manual("g"), &["even"]).leave().expect("the group is recorded");
    let delivered = Mutex::new(BTreeSet::new());
    let appended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (fixture, delivered, appended) = (&fixture, &delivered, &appended);
            scope.spawn(move || {
                let mut random = StdRng::seed_from_u64(seed.wrapping_add(thread));
                while !appended.load(Ordering::SeqCst) {
                    consume(fixture, &mut random, delivered);
                }
            });
        }
        for batch in 0..BATCHES {
            let partition = u32::try_from(batch).expect("few") % PARTITIONS;
            fixture.append(&table, partition, batch * ROWS..(batch + 1) * ROWS);
        }
        appended.store(true, Ordering::SeqCst);
    });
    let last = fixture.join(manual("g"), &["even"]);
    let rest: Vec<i64> = last.poll(64 * MIB, Duration::ZERO).expect("it polls").iter().flat_map(numbers).collect();
    let mut delivered = delivered.into_inner().expect("no thread panicked");
    delivered.extend(rest);
    assert_eq!(delivered, (0..BATCHES * ROWS).step_by(2).collect::<BTreeSet<_>>());
}

/// One membership of a few polls, most of them committed.
fn consume(fixture: &Fixture, random: &mut StdRng, delivered: &Mutex<BTreeSet<i64>>) {
    let member = fixture.join(manual("g"), &["even"]);
    for _ in 0..random.random_range(1..12) {
        let deliveries = member.poll(4_096, SECOND / 50).expect("it polls");
        delivered.lock().expect("no thread panicked").extend(deliveries.iter().flat_map(numbers));
        if random.random_bool(0.3) {
            continue;
        }
        let offsets: Vec<_> = deliveries
            .iter()
            .map(|delivery| (Assignment { topic: delivery.topic, partition: delivery.partition }, delivery.next_offset))
            .collect();
        if let Err(error) = member.commit(&offsets).and_then(|receipt| receipt.wait()) {
            assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
        }
    }
    match random.random_bool(0.5) {
        true => member.leave().expect("it leaves"),
        false => drop(member),
    }
}
