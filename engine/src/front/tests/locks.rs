//! How many locks a delivery takes.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::store::{append, group, table_spec};
use crate::delivery::{Handed, LOCKED, Member};
use crate::front::Engine;
use crate::log::STATE_READS;
use crate::model::{ConsumerConfig, Principal, TableId, TableOptions, TableSpec, TopicId};
use crate::platform::EngineOptions;

const MIB: usize = 1 << 20;

struct Delivering {
    engine: Engine,
    who: Principal,
    table: TableId,
    _dir: TempDir,
}

impl Delivering {
    fn new() -> Delivering {
        let dir = tempfile::tempdir().expect("a directory");
        let options = EngineOptions { segment_threads: 0, ..EngineOptions::new(dir.path()) };
        let (engine, who) = (Engine::open_with(options).expect("it opens"), Principal::named("locks"));
        let spec = table_spec("t");
        let spec = TableSpec { options: TableOptions { partitions: 4, ..spec.options }, ..spec };
        let table = engine.create_table(&who, spec).expect("a table").id;
        Delivering { engine, who, table, _dir: dir }
    }

    /// One row.
    fn append(&self) {
        self.engine.append(&self.who, append(self.table), None).expect("queued").wait().expect("appended");
    }

    fn join(&self, config: ConsumerConfig) -> Member {
        self.engine.join(&self.who, config, &["t".to_owned()]).expect("it joins")
    }

    fn topic(&self) -> TopicId {
        TopicId(self.table.0)
    }
}

fn config(name: &str, auto_commit: bool) -> ConsumerConfig {
    let auto_commit_interval = Duration::ZERO;
    ConsumerConfig { enable_auto_commit: auto_commit, auto_commit_interval, ..group(name) }
}

/// The locks of groups that `call` takes, and its looks at the state.
fn taken<T>(call: impl FnOnce() -> T) -> (T, (u64, u64)) {
    let before = (LOCKED.get(), STATE_READS.get());
    let answer = call();
    (answer, (LOCKED.get() - before.0, STATE_READS.get() - before.1))
}

fn poll(member: &Member) -> (usize, (u64, u64)) {
    let (deliveries, taken) = taken(|| member.poll(MIB, Duration::ZERO).expect("it polls"));
    (deliveries.iter().map(|delivery| delivery.batch.num_rows()).sum(), taken)
}

#[test]
fn a_poll_that_finds_rows_in_memory_takes_each_lock_once() {
    let delivering = Delivering::new();
    for auto_commit in [false, true] {
        let member = delivering.join(config(&format!("auto {auto_commit}"), auto_commit));
        delivering.append();
        // Where reading begins has to be found out first.
        assert!(poll(&member).0 > 0);
        for rows in [1, 5, 50] {
            (0..rows).for_each(|_| delivering.append());
            assert_eq!(poll(&member), (rows, (1, 1)), "automatic commits: {auto_commit}");
        }
        assert_eq!(poll(&member), (0, (1, 1)), "that there is nothing costs no more");
    }
}

#[test]
fn so_does_a_subscription() {
    let delivering = Delivering::new();
    let member = Arc::new(delivering.join(config("g", false)));
    delivering.append();
    let mut subscription = member.subscription(delivering.topic()).expect("a subscription");
    let mut next = || taken(|| subscription.next(MIB).expect("it goes on"));
    while !matches!(next().0, Handed::Idle { .. }) {}
    for _ in 0..9 {
        delivering.append();
        let (handed, taken) = next();
        assert!(matches!(&handed, Handed::Rows { delivery, .. } if delivery.batch.num_rows() == 1), "{handed:?}");
        assert_eq!(taken, (1, 1));
    }
    let (handed, taken) = next();
    assert!(matches!(handed, Handed::Idle { due_in: None }), "{handed:?}");
    assert_eq!(taken, (1, 1));
}

/// Beside the look at the state that finds the topic by its name.
#[test]
fn so_does_a_poll_of_sql() {
    let delivering = Delivering::new();
    let poll = || {
        let begun = || {
            let poll = delivering.engine.begin_poll_named(&delivering.who, group("g"), "t", 100, Duration::ZERO);
            poll.expect("it begins")
        };
        let (poll, before) = taken(begun);
        let (deliveries, taken) = taken(|| poll.run().expect("it polls"));
        (deliveries.len(), before.0, taken)
    };
    delivering.append();
    assert_eq!(poll().0, 1);
    for _ in 0..3 {
        delivering.append();
        assert_eq!(poll(), (1, 0, (1, 1)));
    }
}
