//! What goes through while producers fill the writer's queue and the disk is slow.

#![expect(clippy::disallowed_methods, reason = "threads of a test, which joins them")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use millstream_engine::disk::GatedDisk;
use millstream_engine::{
    Append, CheckVerdict, Engine, Error, MessageKind, OffsetReset, PartitionChoice, PendingReceipt, SeekTo, TableInfo,
    Ticket, Tickets,
};

use crate::fixture::{
    Fixture, LIMIT, MIB, NO_WAIT, NOW_US, at, automatic, manual, numbers, polled, schema, until, who,
};
use crate::messages::transactions::begin;
use crate::messages::{create, delayed, message, send};

const PRODUCERS: usize = 16;
/// A commit holds two batches, and the queue eight.
const BATCH_ROWS: i64 = 3_500;
const COMMIT_BYTES: usize = 64 << 10;
const QUEUE_BYTES: usize = 256 << 10;
/// What lies in front of a control submission at most: the commit under way and the one already taken.
const SYNCS: u64 = 3;
/// What calls that submit several times have; behind the producers are 14.
const ALL_SYNCS: u64 = 3 * SYNCS;
/// What is done by a call in between takes less.
const A_WHILE: Duration = Duration::from_millis(250);

/// Producers that fill the queue of a gated disk.
struct Jam {
    fixture: Fixture,
    disk: GatedDisk,
    table: Arc<TableInfo>,
    stop: Arc<AtomicBool>,
    producers: Vec<JoinHandle<()>>,
    /// Bytes of the producers in the queue; what is more are submissions without rows.
    full: u64,
}

impl Jam {
    fn new() -> Jam {
        let disk = GatedDisk::default();
        let fixture = Fixture::with(|options| {
            options.disk = Arc::new(disk.clone());
            options.max_commit_bytes = COMMIT_BYTES;
            options.queue_bytes = QUEUE_BYTES;
        });
        let table = fixture.table("t", 2);
        Jam { fixture, disk, table, stop: Arc::default(), producers: Vec::new(), full: 0 }
    }

    /// From here on nothing is synced but what the test lets pass, and every producer waits for room.
    fn fill(&mut self) {
        let first = self.hold_the_writer();
        for _ in 0..PRODUCERS {
            let (engine, append, stop) = (self.fixture.engine.clone(), self.append_of(BATCH_ROWS), self.stop.clone());
            self.producers.push(std::thread::spawn(move || {
                let mut receipts: Vec<PendingReceipt> = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    receipts.push(engine.append(&who(), append.clone(), None).expect("it is queued"));
                }
                receipts.into_iter().for_each(|receipt| drop(receipt.wait().expect("it is durable")));
            }));
        }
        until(|| self.fixture.engine.stats(&who()).unwrap().queue_waiting == PRODUCERS as u64);
        self.full = self.fixture.engine.stats(&who()).unwrap().queue_bytes;
        drop(first);
    }

    /// From here on the writer is at a commit that is not synced.
    fn hold_the_writer(&self) -> PendingReceipt {
        self.disk.let_pass(Some(0));
        let receipt = self.fixture.engine.append(&who(), self.append_of(BATCH_ROWS), None).expect("it is queued");
        until(|| self.fixture.engine.stats(&who()).unwrap().queue_bytes == 0);
        receipt
    }

    fn append_of(&self, rows: i64) -> Append {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        let batch = RecordBatch::try_new(schema(), vec![column]).expect("a batch");
        Append { table: self.table.id, partition: PartitionChoice::Named(1), batch }
    }

    /// Makes a call on a thread of its own. Each time that something of it is queued so many syncs may pass, and one more where it
    /// may have been taken before that was seen.
    fn within<T: Send + 'static>(&self, syncs: u64, what: &str, call: impl FnOnce(&Engine) -> T + Send + 'static) -> T {
        let stats = || self.fixture.engine.stats(&who()).unwrap();
        if syncs > 0 {
            until(|| stats().queue_waiting >= PRODUCERS as u64);
        }
        let engine = self.fixture.engine.clone();
        let caller = std::thread::spawn(move || call(&engine));
        let (finished, queued) = (|| caller.is_finished(), || stats().queue_bytes > self.full);
        let mut spare = ALL_SYNCS;
        loop {
            wait(A_WHILE, || finished() || syncs > 0 && queued());
            if syncs == 0 || finished() {
                break;
            }
            let pass = if queued() { syncs } else { 1 };
            assert!(pass <= spare, "{what} waits behind the producers");
            spare -= pass;
            self.disk.let_pass(Some(pass));
            wait(LIMIT, || finished() || self.disk.left() == Some(0));
        }
        assert!(wait(LIMIT, finished), "{what} waits behind the producers");
        self.disk.let_pass(Some(0));
        caller.join().expect("it has answered")
    }
}

/// Whether it came in time.
fn wait(patience: Duration, condition: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while !condition() {
        if begun.elapsed() > patience {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

impl Drop for Jam {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.disk.let_pass(None);
        for producer in self.producers.drain(..) {
            assert!(producer.join().is_ok() || std::thread::panicking());
        }
    }
}

#[test]
fn consumers_do_not_wait_behind_producers() {
    let mut jam = Jam::new();
    jam.fixture.append(&jam.table, 0, 0..10);
    let one = Arc::new(jam.fixture.join(manual("g"), &["t"]));
    let other = Arc::new(jam.fixture.join(manual("g"), &["t"]));
    assert_eq!(polled(&one), (0..10).collect::<Vec<_>>());
    let topic = one.topics().first().cloned().expect("it has a topic");
    let mine = at(&topic, 0);
    jam.fill();

    // A commit that can't become durable keeps nobody else of the group from anything.
    let receipt = {
        let one = one.clone();
        jam.within(0, "queueing a commit", move |_| one.commit(&[(mine, 5)]).expect("it is queued"))
    };
    let member = other.clone();
    jam.within(0, "a heartbeat", move |_| member.heartbeat().map(drop).expect("it is a member"));
    let member = one.clone();
    jam.within(0, "a seek", move |_| assert_eq!(member.seek(mine, SeekTo::Offset(2)).expect("it seeks"), 2));
    let member = one.clone();
    let id = topic.id;
    let fetched =
        jam.within(0, "a fetch", move |_| member.fetch(id, MIB).expect("it fetches").expect("there are rows"));
    assert_eq!(numbers(&fetched), (2..10).collect::<Vec<_>>());
    let member = other.clone();
    jam.within(0, "a poll", move |_| drop(member.poll(MIB, NO_WAIT).expect("it polls")));

    jam.within(SYNCS, "a commit", move |_| drop(receipt.wait().expect("it commits")));
    assert_eq!(jam.fixture.committed("g").get(&0), Some(&5));
    jam.within(SYNCS, "a reset", |engine| {
        let to = SeekTo::Offset(1);
        engine
            .reset_offsets(&who(), "public", "g", OffsetReset { topic: None, partition: Some(0), to })
            .expect("it resets")
    });
    let joined = jam
        .within(SYNCS, "a join", |engine| engine.join(&who(), automatic("new"), &["t".to_owned()]).expect("it joins"));
    let joined = jam.within(SYNCS, "a first poll", move |_| {
        assert!(!joined.poll(MIB, NO_WAIT).expect("it polls").is_empty());
        joined
    });
    jam.within(SYNCS, "leaving", move |_| joined.leave().expect("it leaves"));
    assert_eq!(jam.fixture.committed("new").get(&0), Some(&10));
    jam.within(0, "leaving by being dropped", move |_| drop((one, other)));
    jam.within(SYNCS, "dropping a group", |engine| {
        engine.drop_group(&who(), "public", "g", false).expect("it is dropped");
    });
    until(|| jam.fixture.engine.stats(&who()).unwrap().queue_waiting == PRODUCERS as u64);
}

#[test]
fn nobody_waits_behind_a_commit_that_waits_for_room() {
    let jam = Jam::new();
    jam.fixture.append(&jam.table, 0, 0..10);
    let one = Arc::new(jam.fixture.join(manual("g"), &["t"]));
    let other = Arc::new(jam.fixture.join(manual("g"), &["t"]));
    let topic = one.topics().first().cloned().expect("it has a topic");
    let (mine, generation) = (at(&topic, 0), one.acknowledge());
    let first = jam.hold_the_writer();
    // Commits have much room, and there are more of them.
    let member = one.clone();
    let tickets = jam.within(0, "queueing commits", move |engine| {
        let mut tickets = Tickets::default();
        while engine.stats(&who()).unwrap().queue_waiting == 0 {
            tickets.push(member.enqueue_commit(generation, &[(mine, 5)]).expect("it is queued"));
        }
        tickets
    });
    let committing =
        std::thread::spawn(move || one.commit_as_of(generation, &[(mine, 6)]).expect("it is queued").wait());
    until(|| jam.fixture.engine.stats(&who()).unwrap().queue_waiting == 2);
    let member = other.clone();
    jam.within(0, "a heartbeat", move |_| member.heartbeat().map(drop).expect("it is a member"));
    let member = other.clone();
    jam.within(0, "a poll", move |_| drop(member.poll(MIB, NO_WAIT).expect("it polls")));
    jam.disk.let_pass(None);
    committing.join().expect("it does not panic").expect("it commits");
    assert_eq!(jam.fixture.committed("g").get(&0), Some(&6));
    drop((tickets, first));
}

#[test]
fn definitions_do_not_wait_behind_producers() {
    let mut jam = Jam::new();
    let other = jam.fixture.table("other", 1);
    jam.fill();
    jam.within(SYNCS, "creating a table", |engine| {
        let spec = millstream_engine::TableSpec {
            namespace: "public".to_owned(),
            name: "new".to_owned(),
            schema: schema(),
            options: millstream_engine::TableOptions::default(),
        };
        engine.create_table(&who(), spec).expect("it is created")
    });
    // Rows that wait for room come after the end of their table.
    let append = Append { table: other.id, ..jam.append_of(1) };
    let append = Append { partition: PartitionChoice::ByKey, ..append };
    let late: Ticket = jam.fixture.engine.enqueue(&who(), append.clone(), None).expect("it has a place");
    let dropped = {
        let engine = jam.fixture.engine.clone();
        std::thread::spawn(move || engine.drop_table(&who(), "public", "other", false))
    };
    jam.disk.let_pass(Some(SYNCS));
    dropped.join().expect("it does not panic").expect("it is dropped");
    jam.disk.let_pass(None);
    let refused = late.wait().expect("there is room").wait();
    assert!(matches!(refused, Err(Error::NotFound { .. })), "{refused:?}");
}

#[test]
fn recalls_and_rollbacks_do_not_wait_behind_producers() {
    let mut jam = Jam::new();
    let orders = create(&jam.fixture.engine, "orders", MessageKind::Any, 1);
    send(&jam.fixture.engine, &orders, &[delayed("later", NOW_US + 60_000_000)]).expect("it is sent");
    let half = begin(&jam.fixture.engine, &orders, message("half")).expect("it begins");
    jam.fill();
    jam.within(SYNCS, "a recall", |engine| {
        engine.recall_message(&who(), "public", "orders", "later", None).expect("it is recalled");
    });
    let table = orders.id;
    jam.within(SYNCS, "a rollback", move |engine| {
        engine.end_transaction(&who(), table, half, CheckVerdict::Rollback).expect("it is rolled back");
    });
    until(|| jam.fixture.engine.stats(&who()).unwrap().queue_waiting == PRODUCERS as u64);
}

#[test]
fn what_waits_for_room_can_be_taken_back() {
    let mut jam = Jam::new();
    jam.fill();
    let waits = jam.fixture.engine.enqueue(&who(), jam.append_of(7), None).expect("it has a place");
    assert_eq!(jam.fixture.engine.stats(&who()).unwrap().queue_waiting, PRODUCERS as u64 + 1);
    drop(waits);
    assert_eq!(jam.fixture.engine.stats(&who()).unwrap().queue_waiting, PRODUCERS as u64);
    jam.stop.store(true, Ordering::SeqCst);
    jam.disk.let_pass(None);
    jam.producers.drain(..).for_each(|producer| producer.join().expect("it ends"));
    let rows = jam.fixture.engine.table_offsets(&who(), jam.table.id).expect("the table is there");
    assert_eq!(
        rows.get(1).map(|(_, end)| end % BATCH_ROWS as u64),
        Some(0),
        "the row taken back is not there: {rows:?}"
    );
}

#[test]
fn closing_refuses_what_waits_for_room() {
    let jam = Jam::new();
    let first = jam.hold_the_writer();
    let engine = jam.fixture.engine.clone();
    let mut tickets = Vec::new();
    while engine.stats(&who()).unwrap().queue_waiting < 3 {
        tickets.push(engine.enqueue(&who(), jam.append_of(BATCH_ROWS), None).expect("it has a place"));
    }
    let last = tickets.split_off(tickets.len() - 3);
    let closing = std::thread::spawn(move || engine.close());
    for ticket in last {
        assert!(matches!(ticket.wait(), Err(Error::Closed)), "there is no room any more");
    }
    jam.disk.let_pass(None);
    closing.join().expect("it does not panic").expect("it closes");
    for ticket in tickets {
        ticket.wait().expect("it had room").wait().expect("it is durable");
    }
    first.wait().expect("it is durable");
}
