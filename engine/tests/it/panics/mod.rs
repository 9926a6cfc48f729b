//! A panic in any thread of the engine is told, and is followed by nothing that stands on what it left half done.

mod trap;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millstream_engine::disk::WatchedDisk;
use millstream_engine::{
    Append, ConsumerConfig, Engine, EngineOptions, Error, ErrorKind, NamespaceLimit, NamespaceLimitChanges, OnError,
    PartitionChoice, ProducerStamp, TableInfo, TableOptions, TopicId, TopicSpec,
};
use tempfile::TempDir;

use self::trap::{Trap, TrapClock, TrapHost};
use crate::fixture::{Fixture, MIB, NO_WAIT, Words as Topics, manual, numbers, topic_spec, wait, who};
use crate::plugin_consumers::host::Words;
use crate::plugin_consumers::store::{create_plugin, create_sums, expected, put_plugin, spec, totals, until};
use crate::support::{self, rows};

/// An engine whose clock, disk and plugin host panic when the trap says so.
struct Store {
    dir: TempDir,
    engine: Engine,
    clock: Arc<TrapClock>,
    trap: Trap,
}

fn open(dir: &Path, trap: &Trap, change: impl Fn(&mut EngineOptions)) -> (Engine, Arc<TrapClock>) {
    let clock = Arc::new(TrapClock::new(trap));
    let mut options = support::options(dir);
    options.clock = clock.clone();
    options.disk = Arc::new(WatchedDisk::new(trap.clone()));
    options.maintenance_interval_ms = 5;
    change(&mut options);
    let engine = Engine::open_with(options).unwrap();
    engine.set_topic_compiler(Arc::new(Topics::default()));
    engine.set_plugin_host(Arc::new(TrapHost(trap.clone(), Words::default())));
    (engine, clock)
}

impl Store {
    fn new() -> Store {
        Store::with(|_| {})
    }

    fn with(change: impl Fn(&mut EngineOptions)) -> Store {
        let (dir, trap) = (tempfile::tempdir().unwrap(), Trap::default());
        let (engine, clock) = open(dir.path(), &trap, change);
        Store { dir, engine, clock, trap }
    }

    fn table(&self, name: &str) -> Arc<TableInfo> {
        self.engine.create_table(&who(), support::spec(name, TableOptions::default())).unwrap()
    }

    fn append(&self, table: &TableInfo, ids: std::ops::Range<i64>) -> Result<u64, Error> {
        let append = Append { table: table.id, partition: PartitionChoice::ByKey, batch: rows(ids) };
        Ok(self.engine.append(&who(), append, None)?.wait()?.appended[0].first_offset)
    }

    fn end(&self, table: &TableInfo) -> u64 {
        self.engine.table_offsets(&who(), table.id).unwrap()[0].1
    }

    /// What was told of panics.
    fn told(&self) -> Vec<String> {
        let events = self.engine.events(&who()).unwrap().into_iter();
        events.filter(|event| event.kind == "thread_panicked").map(|event| event.message).collect()
    }

    /// After a panic in one of the log's threads: nothing is written any more, neither rows nor a checkpoint, and it is said
    /// why. Gives the store opened again.
    fn poisoned(self, thread: &str, reason: &str, table: &TableInfo) -> Store {
        let told = wait(|| Some(self.told()).filter(|told| !told.is_empty()), "the event");
        let why = format!("the thread {thread:?} has panicked ({reason}); it stays down until the store is closed");
        assert!(told.len() == 1 && told[0].starts_with(&why), "{told:?}");
        let error = self.append(table, 0..1).unwrap_err();
        assert!(matches!(&error, Error::LogFailed { message, .. } if message.contains(reason)), "{error}");
        assert_eq!(self.engine.check_ready().unwrap_err().to_string(), error.to_string());
        let stats = self.engine.stats(&who()).unwrap();
        assert_eq!((stats.thread_panics, stats.threads_down), (1, 1));
        assert!(matches!(self.engine.close(), Err(Error::LogFailed { .. })));
        assert_eq!(self.engine.stats(&who()).unwrap().checkpoint_lsn, stats.checkpoint_lsn);
        let Store { dir, engine, trap, .. } = self;
        drop(engine);
        let (engine, clock) = open(dir.path(), &trap, |_| {});
        engine.check_ready().unwrap();
        Store { dir, engine, clock, trap }
    }
}

/// A table that a consumer will follow, whose threads panic so often.
fn consuming(panics: usize) -> (Fixture, Trap) {
    let (fixture, trap) = (Fixture::new(), Trap::default());
    fixture.engine.set_plugin_host(Arc::new(TrapHost(trap.clone(), Words::default())));
    let table = fixture.table("t", 1);
    create_sums(&fixture.engine).unwrap();
    create_plugin(&fixture.engine, "p", "sums").unwrap();
    trap.arm("load", "consumer", panics);
    fixture.engine.create_plugin_consumer(&who(), spec("t", "p")).unwrap();
    fixture.append(&table, 0, 0..100);
    (fixture, trap)
}

#[test]
fn a_writer_that_panics_is_not_begun_again() {
    for seam in ["clock", "write", "written"] {
        let store = Store::new();
        let table = store.table("t");
        store.append(&table, 0..10).unwrap();
        store.trap.arm(seam, "log-writer", 1);
        let error = store.append(&table, 10..20).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Reopen, "{error}");
        let store = store.poisoned("log-writer", &format!("{seam} of log-writer"), &table);
        // What was written before the panic was not acknowledged: it may be there or not, but whole.
        let end = store.end(&table);
        assert!(end == 10 || (seam == "written" && end == 20), "{seam}: {end} rows");
        assert_eq!(store.append(&table, 20..25).unwrap(), end);
    }
}

#[test]
fn an_applier_that_panics_poisons_log_and_checkpoints() {
    let store = Store::new();
    let table = store.table("t");
    store.append(&table, 0..10).unwrap();
    store.trap.arm("limits", "log-apply", 1);
    let limits: NamespaceLimitChanges = [(NamespaceLimit::PluginCount, Some(3))].into();
    let error = store.engine.limit_namespace(&who(), "public", limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Reopen, "{error}");
    let store = store.poisoned("log-apply", "limits of log-apply", &table);
    // The change was durable when the panic came.
    let limits = store.engine.namespace_limits(&who(), "public").unwrap();
    assert_eq!(limits.get(NamespaceLimit::PluginCount), Some(3));
    assert_eq!(store.append(&table, 10..20).unwrap(), 10);
}

#[test]
fn a_commit_that_is_half_applied_is_not_read() {
    let limit = |options: &mut EngineOptions| options.namespace_limits.set(NamespaceLimit::ProducerStreams, Some(1));
    let store = Store::with(limit);
    let table = store.table("t");
    let append = |id: u128, ids| {
        let append = Append { table: table.id, partition: PartitionChoice::ByKey, batch: rows(ids) };
        store.engine.append(&who(), append, Some(ProducerStamp { id, epoch: 0, sequence: 0 }))?.wait()
    };
    append(1, 0..10).unwrap();
    store.clock.clock.advance(Duration::from_secs(16 * 60));
    let member = store.engine.join(&who(), manual("g"), &["t".to_owned()]).unwrap();
    let poll = || member.poll(MIB, NO_WAIT).map(|handed| handed.iter().map(|part| part.batch.num_rows()).sum());
    assert_eq!(poll().unwrap(), 10_usize);
    // The rows come first; then the first producer loses its place to the second, which is told of as it is applied.
    store.trap.arm("clock", "log-apply", 1);
    assert_eq!(append(2, 10..2_000).unwrap_err().kind(), ErrorKind::Reopen);
    wait(|| store.trap.is_sprung().then_some(()), "the panic");
    let seen = [
        store.engine.table_offsets(&who(), table.id).map(|offsets| format!("{offsets:?}")),
        store.engine.offset_at(&who(), TopicId(table.id.0), 0, i64::MAX).map(|end| format!("{end}")),
        store.engine.groups(&who()).map(|groups| format!("{groups:?}")),
        store.engine.join(&who(), manual("h"), &["t".to_owned()]).map(|member| format!("{member:?}")),
        poll().map(|rows: usize| format!("{rows} rows")),
    ];
    for seen in seen {
        assert!(matches!(&seen, Err(Error::LogFailed { .. })), "{seen:?}");
    }
    drop(member);
    let store = store.poisoned("log-apply", "clock of log-apply", &table);
    // It was durable, and is seen whole.
    assert_eq!(store.end(&table), 2_000);
}

#[test]
fn maintenance_is_begun_again() {
    let store = Store::new();
    let options = TableOptions { retention_ms: Some(1_000), ..TableOptions::default() };
    let table = store.engine.create_table(&who(), support::spec("t", options)).unwrap();
    store.append(&table, 0..10).unwrap();
    store.trap.arm("suspensions", "maintenance", 2);
    wait(|| store.trap.is_sprung().then_some(()), "the panics");
    store.clock.clock.advance(Duration::from_secs(5));
    wait(|| (store.engine.table_offsets(&who(), table.id).unwrap()[0].0 == 10).then_some(()), "retention");
    store.engine.check_ready().unwrap();
    let told = store.told();
    let message = "the thread \"maintenance\" has panicked (suspensions of maintenance); it is begun again";
    assert_eq!(told, [message, message]);
    assert_eq!(
        (store.engine.stats(&who()).unwrap().thread_panics, store.engine.stats(&who()).unwrap().threads_down),
        (2, 0)
    );
}

#[test]
fn maintenance_that_panics_for_ever_makes_the_engine_unready_and_harms_nothing() {
    let store = Store::new();
    let table = store.table("t");
    store.trap.arm("suspensions", "maintenance", usize::MAX);
    let error = wait(|| store.engine.check_ready().err(), "the end of the thread");
    assert!(matches!(&error, Error::ThreadDown { thread, .. } if thread == "maintenance"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Reopen);
    store.engine.check_writable().unwrap();
    store.append(&table, 0..10).unwrap();
    store.engine.close().unwrap();
    let (engine, _) = open(store.dir.path(), &Trap::default(), |_| {});
    assert_eq!(engine.table_offsets(&who(), table.id).unwrap(), [(0, 10)]);
}

#[test]
fn a_segment_that_a_panic_cut_short_is_written_later() {
    let store = Store::with(|options| {
        options.segment_threads = 1;
        options.segment_bytes = 1;
        options.tail_bytes = 1;
    });
    store.trap.arm("read", "segments", 1);
    let options = TableOptions { retention_ms: None, ..TableOptions::default() };
    let table = store.engine.create_table(&who(), support::spec("t", options)).unwrap();
    for batch in 0..20 {
        store.append(&table, batch * 100..(batch + 1) * 100).unwrap();
    }
    wait(
        || (store.trap.is_sprung() && store.engine.stats(&who()).unwrap().segment_backlog_bytes == 0).then_some(()),
        "segments",
    );
    let told = store.told();
    assert_eq!(told, ["the thread \"segments-1\" has panicked (read of segments); it is begun again"]);
    store.engine.check_ready().unwrap();
    assert_eq!(store.end(&table), 2_000);
}

#[test]
fn members_expire_after_a_panic_of_their_thread() {
    let store = Store::new();
    store.table("t");
    let member = store.engine.join(&who(), manual("g"), &["t".to_owned()]).unwrap();
    store.trap.arm("clock", "groups", 1);
    wait(|| store.trap.is_sprung().then_some(()), "the panic");
    store.clock.clock.advance(ConsumerConfig::default().session_timeout + Duration::from_secs(1));
    wait(|| (store.engine.stats(&who()).unwrap().members == 0).then_some(()), "expiry");
    assert!(member.poll(MIB, NO_WAIT).is_err());
    assert_eq!(store.told(), ["the thread \"groups\" has panicked (clock of groups); it is begun again"]);
    store.engine.check_ready().unwrap();
}

#[test]
fn a_consumers_thread_is_begun_again_and_loses_nothing() {
    let (fixture, _trap) = consuming(2);
    until(&fixture.engine, "all rows", |status| (status.lag, status.figures.rows_in) == (0, 100));
    let sent: Vec<(u32, i64)> = (0..100).map(|number| (0, number)).collect();
    assert_eq!(totals(&fixture.engine), expected(&sent));
    assert_eq!(fixture.events("thread_panicked"), 2);
}

#[test]
fn a_consumer_that_has_lost_its_thread_says_so_and_the_engine_stays_ready() {
    let (fixture, trap) = consuming(usize::MAX);
    let status = until(&fixture.engine, "its end", |status| status.state == "stopped");
    assert_eq!(status.error.as_deref(), Some("a thread of the consumer has panicked: load of consumer"));
    fixture.engine.check_ready().unwrap();
    // Resuming begins with threads of its own.
    trap.arm("load", "nobody", 0);
    fixture.engine.pause_plugin_consumer(&who(), "public", "c", true).unwrap();
    fixture.engine.pause_plugin_consumer(&who(), "public", "c", false).unwrap();
    until(&fixture.engine, "all rows", |status| (status.lag, status.figures.rows_in) == (0, 100));
}

#[test]
fn a_shadow_that_panics_is_told_of_and_readers_see_nothing_of_it() {
    let (fixture, trap) = (Fixture::new(), Trap::default());
    fixture.engine.set_plugin_host(Arc::new(TrapHost(trap.clone(), Words::default())));
    let table = fixture.table("t", 1);
    put_plugin(&fixture.engine, "p", "filter", false).unwrap();
    let plugin = fixture.engine.plugin(&who(), "public", "p").unwrap().id;
    let topic = TopicSpec { plugins: vec![plugin], ..topic_spec("even", &table, "even", OnError::Stop) };
    fixture.engine.create_topic(&who(), topic).unwrap();
    put_plugin(&fixture.engine, "p", "filter 2", true).unwrap();
    fixture.engine.shadow_topic(&who(), "public", "even", ("p", 2)).unwrap();
    trap.arm("load", "shadow", usize::MAX);
    let member = fixture.join(manual("g"), &["even"]);
    let mut read = Vec::new();
    let error = wait(
        || {
            fixture.append(&table, 0, 0..4);
            read.extend(member.poll(MIB, NO_WAIT).unwrap().iter().flat_map(numbers));
            let shadows = fixture.engine.plugin_shadows(&who()).unwrap();
            shadows.into_iter().find_map(|shadow| shadow.error)
        },
        "the shadow's end",
    );
    assert_eq!(error, "its thread has panicked: load of shadow");
    let passed = fixture.engine.table_offsets(&who(), table.id).unwrap()[0].1 / 2;
    wait(
        || {
            read.extend(member.poll(MIB, NO_WAIT).unwrap().iter().flat_map(numbers));
            (read.len() as u64 == passed).then_some(())
        },
        "the rest of the rows",
    );
    assert!(read.iter().all(|number| number % 2 == 0));
    fixture.engine.check_ready().unwrap();
}
