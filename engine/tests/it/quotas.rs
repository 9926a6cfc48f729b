//! Limits of rates and counts, of namespaces and of users.

use std::sync::Arc;
use std::time::Duration;

use millstream_engine::{
    Append, AutoOffsetReset, ConsumerConfig, Credentials, Engine, ErrorKind, GroupRetryChanges, ManualClock,
    MessageKind, NamespaceLimit, NamespaceLimitChanges, PartitionChoice, Principal, QuotaOwner, Right, Rights, Scope,
    TableOptions, TableSpec, UserChanges, UserOptions, UserSpec,
};

use crate::support::{Store, me, options, rows, spec};

const PASSWORD: &str = "a long password";

fn limited(store: &Store, limits: &[(NamespaceLimit, u64)]) {
    let limits: NamespaceLimitChanges = limits.iter().map(|(limit, value)| (*limit, Some(*value))).collect();
    store.engine.limit_namespace(&me(), "public", limits).unwrap();
}

fn with_clock() -> (Store, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let of_store = clock.clone();
    (Store::with(move |options| options.clock = of_store), clock)
}

fn append(table: millstream_engine::TableId, count: i64) -> Append {
    Append { table, partition: PartitionChoice::ByKey, batch: rows(0..count) }
}

fn consumer(group: &str) -> ConsumerConfig {
    let auto_offset_reset = AutoOffsetReset::Earliest;
    ConsumerConfig { group_id: group.to_owned(), auto_offset_reset, ..ConsumerConfig::default() }
}

fn kind<T>(result: millstream_engine::Result<T>) -> ErrorKind {
    result.err().expect("it is refused").kind()
}

#[test]
fn an_append_is_refused_while_there_was_too_much_and_nothing_of_it_is_lost() {
    let (store, clock) = with_clock();
    let table = store.table("t", TableOptions::default()).id;
    limited(&store, &[(NamespaceLimit::RowsInPerSecond, 10)]);
    // More than there is in a second goes, and is waited for afterwards.
    store.append(table, rows(0..40)).unwrap();
    let refused = store.append(table, rows(0..1)).unwrap_err();
    assert_eq!((refused.kind(), refused.retry_after()), (ErrorKind::Throttled, Some(Duration::from_secs(3))));
    assert_eq!(store.engine.append_pause(&me(), "public"), Some(Duration::from_secs(3)));
    // Who waits by himself is told, and not refused.
    store.engine.enqueue_paced(&me(), append(table, 10), None).unwrap().wait().unwrap().wait().unwrap();
    assert_eq!(store.engine.append_pause(&me(), "public"), Some(Duration::from_secs(4)));
    clock.advance(Duration::from_secs(4));
    store.append(table, rows(0..1)).unwrap();
    assert_eq!(store.offsets(table), [(0, 51)]);

    // Another namespace is not held back, and neither are definitions, groups and commits of this one.
    store.engine.create_namespace(&me(), "other", &NamespaceLimitChanges::new()).unwrap();
    let spec = TableSpec { namespace: "other".to_owned(), ..spec("t", TableOptions::default()) };
    let other = store.engine.create_table(&me(), spec).unwrap().id;
    clock.advance(Duration::from_secs(1));
    store.append(table, rows(0..100)).unwrap();
    assert_eq!(kind(store.append(table, rows(0..1))), ErrorKind::Throttled);
    store.append(other, rows(0..100)).unwrap();
    store.append(other, rows(0..100)).unwrap();
    let member = store.engine.join(&me(), consumer("g"), &["t".to_owned()]).unwrap();
    assert!(!member.poll(1 << 20, Duration::ZERO).unwrap().is_empty());
    member.heartbeat().unwrap();
    member.commit_positions().unwrap();

    let quotas = store.engine.quotas(&me()).unwrap();
    assert_eq!((quotas.len(), quotas[0].limit, quotas[0].value), (1, NamespaceLimit::RowsInPerSecond, 10));
    assert!(quotas[0].throttled >= 1 && quotas[0].owner == QuotaOwner::Namespace, "{quotas:?}");
    assert!(store.engine.stats(&me()).unwrap().quota_throttled[1] >= 1);
    store.engine.limit_namespace(&me(), "public", [(NamespaceLimit::RowsInPerSecond, None)].into()).unwrap();
    store.append(table, rows(0..1)).unwrap();
    assert_eq!(store.engine.quotas(&me()).unwrap(), []);
}

#[test]
fn half_messages_count_as_appended() {
    let (store, _clock) = with_clock();
    let options = TableOptions { partitions: 1, ..TableOptions::default() };
    let table =
        store.engine.create_table(&me(), TableSpec::of_messages("public", "m", MessageKind::Any, options)).unwrap();
    limited(&store, &[(NamespaceLimit::RowsInPerSecond, 1)]);
    let half = || {
        let body: arrow_array::ArrayRef = Arc::new(arrow_array::BinaryArray::from_vec(vec![b"x", b"y", b"z"]));
        let batch = arrow_array::RecordBatch::try_from_iter([("body", body)]).unwrap();
        let append = Append { table: table.id, partition: PartitionChoice::Named(0), batch };
        store.engine.begin_transactions(&me(), &append, "g", None)?.wait()?.wait()
    };
    half().unwrap();
    assert_eq!(kind(half()), ErrorKind::Throttled);
}

#[test]
fn there_are_only_so_many_topics_groups_and_partitions_and_names_are_so_long() {
    let store = Store::new();
    store.table("early", TableOptions { partitions: 5, ..TableOptions::default() });
    limited(&store, &[(NamespaceLimit::Topics, 3), (NamespaceLimit::Groups, 1), (NamespaceLimit::Partitions, 4)]);
    limited(&store, &[(NamespaceLimit::NameLengthMin, 3), (NamespaceLimit::NameLengthMax, 8)]);
    let create = |name: &str, partitions| {
        store.engine.create_table(&me(), spec(name, TableOptions { partitions, ..TableOptions::default() }))
    };
    for (name, partitions) in [("ab", 1), ("abcdefghi", 1), ("abcd", 5)] {
        assert_eq!(kind(create(name, partitions)), ErrorKind::InvalidInput, "{name}");
    }
    create("äöüäöüäö", 4).unwrap();
    create("abc", 1).unwrap();
    assert_eq!(kind(store.engine.set_partitions(&me(), "public", "abc", 5)), ErrorKind::InvalidInput);
    let error = create("abcd", 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    assert!(error.to_string().contains("has 3 topics, and topics of it is 3"), "{error}");
    // Groups keep theirs beside, but not without end.
    for name in ["%DLQ%a-group-of-a-long-name", "%RETRY%a", "%DLQ%b", "%RETRY%b", "%DLQ%c"] {
        create(name, 1).unwrap();
    }
    assert_eq!(kind(create("%DLQ%d", 1)), ErrorKind::FailedPrecondition);

    let group = |name: &str| store.engine.create_group(&me(), "public", name, GroupRetryChanges::default());
    assert_eq!(kind(group("gg")), ErrorKind::InvalidInput);
    group("ggg").unwrap();
    assert_eq!(kind(group("hhh")), ErrorKind::FailedPrecondition);
    let join = |name: &str| store.engine.join(&me(), consumer(name), &["early".to_owned()]);
    assert_eq!(kind(join("hhh")), ErrorKind::FailedPrecondition);
    assert_eq!(kind(store.engine.commit_unowned(&me(), "public", "hhh", "early", 0, 0)), ErrorKind::FailedPrecondition);
    drop(join("ggg").unwrap());

    store.engine.drop_table(&me(), "public", "abc", false).unwrap();
    create("abcd", 1).unwrap();
    let used: Vec<_> = store.engine.quotas(&me()).unwrap().into_iter().map(|quota| (quota.limit, quota.used)).collect();
    assert_eq!(
        used[..3],
        [(NamespaceLimit::Topics, Some(3)), (NamespaceLimit::Groups, Some(1)), (NamespaceLimit::Partitions, None)]
    );
}

/// However many try at once.
#[test]
fn the_number_of_topics_holds_for_those_who_come_together() {
    let store = Store::new();
    limited(&store, &[(NamespaceLimit::Topics, 3)]);
    let made = std::thread::scope(|scope| {
        let engine = &store.engine;
        let threads: Vec<_> = (0..8)
            .map(|n| {
                scope.spawn(move || engine.create_table(&me(), spec(&format!("t{n}"), TableOptions::default())).is_ok())
            })
            .collect();
        threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum::<usize>()
    });
    assert_eq!((made, store.engine.tables(&me()).unwrap().len()), (3, 3));
}

#[test]
fn a_namespace_that_is_full_takes_no_more_until_something_goes() {
    let (store, clock) = with_clock();
    let (table, other) = (store.table("t", TableOptions::default()).id, store.table("u", TableOptions::default()).id);
    limited(&store, &[(NamespaceLimit::RetainedBytes, 10_000)]);
    let mut appends = 0;
    let full = loop {
        match store.append(table, rows(0..100)) {
            Ok(_) => appends += 1,
            Err(error) => break error,
        }
        assert!(appends < 20);
    };
    assert_eq!(full.kind(), ErrorKind::ResourceExhausted);
    assert!(full.to_string().contains("retained_bytes is 10000") && appends > 2, "{appends}: {full}");
    let paced = store.engine.enqueue_paced(&me(), append(other, 1), None);
    assert_eq!(kind(paced), ErrorKind::ResourceExhausted, "waiting would not help");
    store.engine.drop_table(&me(), "public", "t", false).unwrap();
    clock.advance(Duration::from_secs(1));
    store.append(other, rows(0..1)).unwrap();
}

fn users(store: &Store) -> Principal {
    store.engine.init_administrator(PASSWORD).unwrap();
    let admin = logged_in(&store.engine, "admin");
    let mut options = UserOptions::default();
    options.limits.set(NamespaceLimit::RowsInPerSecond, Some(1));
    for (name, options) in [("ann", options), ("bob", UserOptions::default())] {
        store.engine.create_user(&admin, UserSpec { name: name.to_owned(), options }, Some(PASSWORD)).unwrap();
        store.engine.grant(&admin, name, &Scope::namespace("public"), Rights::NONE.with(Right::Produce)).unwrap();
    }
    admin
}

fn logged_in(engine: &Engine, user: &str) -> Principal {
    engine.authenticate(Some(Credentials::Password { user, password: PASSWORD }), None).unwrap()
}

#[test]
fn limits_of_users_hold_for_them_alone_and_survive() {
    let (store, clock) = with_clock();
    let table = store.table("t", TableOptions::default()).id;
    let admin = users(&store);
    let (ann, bob) = (logged_in(&store.engine, "ann"), logged_in(&store.engine, "bob"));
    let add = |engine: &Engine, who: &Principal| engine.append(who, append(table, 5), None)?.wait();
    add(&store.engine, &ann).unwrap();
    assert_eq!(kind(add(&store.engine, &ann)), ErrorKind::Throttled);
    add(&store.engine, &bob).unwrap();
    add(&store.engine, &bob).unwrap();
    // He sees his own, and bob none.
    assert_eq!(store.engine.quotas(&ann).unwrap().len(), 1);
    assert_eq!(store.engine.quotas(&bob).unwrap(), []);
    for limit in [NamespaceLimit::Topics, NamespaceLimit::PluginCount] {
        let limits = [(limit, Some(1))].into();
        let changes = UserChanges { limits, ..UserChanges::default() };
        assert_eq!(kind(store.engine.alter_user(&admin, "ann", changes)), ErrorKind::InvalidInput);
    }
    let limits = [(NamespaceLimit::Connections, Some(1))].into();
    store.engine.alter_user(&admin, "ann", UserChanges { limits, ..UserChanges::default() }).unwrap();
    assert_eq!(
        kind(store.engine.limit_namespace(&admin, "public", [(NamespaceLimit::Connections, Some(1))].into())),
        ErrorKind::InvalidInput
    );

    store.engine.close().unwrap();
    let Store { dir, engine } = store;
    drop(engine);
    let mut again = options(dir.path());
    again.clock = clock.clone();
    let engine = Engine::open_with(again).unwrap();
    let ann = logged_in(&engine, "ann");
    add(&engine, &ann).unwrap();
    assert_eq!(kind(add(&engine, &ann)), ErrorKind::Throttled);
    let set: Vec<_> = engine.quotas(&ann).unwrap().into_iter().map(|quota| (quota.limit, quota.value)).collect();
    assert_eq!(set, [(NamespaceLimit::RowsInPerSecond, 1), (NamespaceLimit::Connections, 1)]);
    let limits = [(NamespaceLimit::RowsInPerSecond, None)].into();
    engine.alter_user(&admin, "ann", UserChanges { limits, ..UserChanges::default() }).unwrap();
    add(&engine, &ann).unwrap();
}

#[test]
fn strangers_use_nothing_of_a_namespace_up_and_learn_nothing_of_it() {
    let (store, _clock) = with_clock();
    store.table("t", TableOptions::default());
    let admin = users(&store);
    let limits = [(NamespaceLimit::RequestsPerSecond, Some(1)), (NamespaceLimit::RowsOutPerSecond, Some(1))];
    store.engine.create_namespace(&admin, "secret", &limits.into()).unwrap();
    let bob = logged_in(&store.engine, "bob");
    for _ in 0..100 {
        store.engine.admit_requests(&bob, "secret", 1).unwrap();
        store.engine.delivered(&bob, "secret", 1_000, 1_000);
    }
    assert_eq!(store.engine.delivery_pause(&admin, "secret"), None);
    store.engine.admit_requests(&admin, "secret", 5).unwrap();
    store.engine.delivered(&admin, "secret", 5, 1);
    assert_eq!(kind(store.engine.admit_requests(&admin, "secret", 1)), ErrorKind::Throttled);
    assert_eq!(store.engine.delivery_pause(&bob, "secret"), None);
    assert!(store.engine.delivery_pause(&admin, "secret").is_some());
    store.engine.admit_requests(&bob, "secret", 1).unwrap();
    assert_eq!(store.engine.quotas(&bob).unwrap(), []);
}
