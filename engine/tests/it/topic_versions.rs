//! Topics whose plugins change versions at an offset, while they are read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_schema::{DataType, Field, Schema};
use millstream_engine::{
    Error, ErrorKind, Handed, MAX_TOPIC_VERSIONS, Member, Offset, OnError, PartitionId, PluginId, Result, TableInfo,
    TopicInfo, TopicSpec, VersionStart,
};

use crate::fixture::{Fixture, MIB, NO_WAIT, manual, numbers, topic_spec, who};
use crate::plugin_consumers::host::Words;
use crate::plugin_consumers::store::put_plugin;

/// (partition, offset) to what came of the row.
type Rows = BTreeMap<(PartitionId, Offset), i64>;

/// The next version of the plugin `p`.
fn next_plugin(fixture: &Fixture) -> PluginId {
    let known = fixture.engine.plugin(&who(), "public", "p").is_ok();
    put_plugin(&fixture.engine, "p", "filter", known).expect("it is created");
    fixture.engine.plugin(&who(), "public", "p").expect("it is there").id
}

fn tagged(table: &TableInfo, plugin: PluginId, on_error: OnError) -> TopicSpec {
    TopicSpec { plugins: vec![plugin], ..topic_spec("tagged", table, "tag -1", on_error) }
}

/// A table of two partitions, and a topic over it that calls version 1.
fn tagged_topic(fixture: &Fixture, on_error: OnError) -> Arc<TableInfo> {
    fixture.engine.set_plugin_host(Arc::new(Words::default()));
    let table = fixture.table("t", 2);
    let spec = tagged(&table, next_plugin(fixture), on_error);
    fixture.engine.create_topic(&who(), spec).expect("it is created");
    table
}

fn go_on(fixture: &Fixture, table: &TableInfo, start: VersionStart) -> Result<Arc<TopicInfo>> {
    let spec = tagged(table, next_plugin(fixture), OnError::Stop);
    fixture.engine.replace_topic_from(&who(), &spec, start)
}

fn topic(fixture: &Fixture) -> Arc<TopicInfo> {
    fixture.engine.topic(&who(), "public", "tagged").expect("it is there")
}

/// What a poll gives, none of which may be there already.
fn take(member: &Member, rows: &mut Rows) -> usize {
    let deliveries = member.poll(MIB, NO_WAIT).expect("it polls");
    let before = rows.len();
    for delivery in &deliveries {
        for (offset, value) in delivery.offsets.iter().zip(numbers(delivery)) {
            let again = rows.insert((delivery.partition, offset), value);
            assert_eq!(again, None, "partition {} offset {offset} came twice", delivery.partition);
        }
    }
    rows.len() - before
}

fn read_all(fixture: &Fixture, group: &str) -> Rows {
    let member = fixture.join(manual(group), &["tagged"]);
    let mut rows = Rows::new();
    while take(&member, &mut rows) > 0 {}
    rows
}

/// Every row is what the version makes of it that the catalog has for its offset.
fn check(fixture: &Fixture, rows: &Rows) {
    let topic = topic(fixture);
    for ((partition, offset), value) in rows {
        let answers = topic.version_at(*partition, *offset);
        assert!(answers.offsets.contains(offset));
        // Here versions of the topic and of its plugin go together.
        assert_eq!(value % 10, i64::from(answers.version), "partition {partition} offset {offset}");
    }
}

#[test]
fn whoever_reads_a_row_and_whenever_its_version_is_the_one_that_is_recorded() {
    for cache_bytes in [0, 32 << 20] {
        let fixture = Fixture::with(|options| options.evaluation_cache_bytes = cache_bytes);
        let table = tagged_topic(&fixture, OnError::Stop);
        let done = AtomicBool::new(false);
        let (read, sent) = std::thread::scope(|scope| {
            let readers: Vec<_> = (0..2)
                .map(|group| {
                    let member = fixture.join(manual(&format!("live{group}")), &["tagged"]);
                    let done = &done;
                    scope.spawn(move || {
                        let mut rows = Rows::new();
                        // One more look after the end was told.
                        while {
                            let ended = done.load(Ordering::SeqCst);
                            take(&member, &mut rows) > 0 || !ended
                        } {}
                        rows
                    })
                })
                .collect();
            let writers: Vec<_> = (0..2)
                .map(|partition| {
                    let (fixture, table, done) = (&fixture, &table, &done);
                    scope.spawn(move || {
                        let mut sent = 0;
                        while !done.load(Ordering::SeqCst) {
                            fixture.append(table, partition, 0..10);
                            sent += 10;
                        }
                        sent
                    })
                })
                .collect();
            for version in 2..=8 {
                std::thread::sleep(std::time::Duration::from_millis(20));
                let went_on = go_on(&fixture, &table, VersionStart::Latest).expect("it goes on");
                assert_eq!((went_on.version, went_on.base_version()), (version, 1));
            }
            done.store(true, Ordering::SeqCst);
            let sent: usize = writers.into_iter().map(|writer| writer.join().expect("it writes")).sum();
            (readers.into_iter().map(|reader| reader.join().expect("it reads")).collect::<Vec<_>>(), sent)
        });
        let versions: std::collections::BTreeSet<u32> = (0..2)
            .flat_map(|partition| topic(&fixture).versions_of(partition).collect::<Vec<_>>())
            .map(|range| range.version)
            .collect();
        assert!(versions.len() > 2, "rows were written meanwhile: {versions:?}");
        let all = read_all(&fixture, "late");
        assert_eq!(all.len(), sent);
        check(&fixture, &all);
        for mut live in read {
            // What was sent after its last look.
            live.extend(
                all.iter()
                    .filter(|(at, _)| !live.contains_key(at))
                    .map(|(at, value)| (*at, *value))
                    .collect::<Vec<_>>(),
            );
            let other = all.iter().find(|(at, value)| live.get(at) != Some(value));
            assert_eq!((live.len(), other), (all.len(), None), "a live reader was given another version's");
        }
        let fixture = fixture.reopen();
        fixture.engine.set_plugin_host(Arc::new(Words::default()));
        assert!(read_all(&fixture, "after") == all, "rows are others after a restart");
    }
}

#[test]
fn a_version_may_begin_at_rows_that_are_still_to_come() {
    let fixture = Fixture::new();
    let table = tagged_topic(&fixture, OnError::Stop);
    let member = Arc::new(fixture.join(manual("live"), &["tagged"]));
    let id = member.topics().first().expect("it has a topic").id;
    let mut subscription = member.subscription(id).expect("it subscribes");
    fixture.append(&table, 0, 0..10);
    go_on(&fixture, &table, VersionStart::Offset(15)).expect("it goes on");
    assert!(matches!(subscription.next(0), Ok(Handed::Assigned { .. })), "columns are as they were");
    for partition in [0, 1] {
        // One chunk of the log, and two versions.
        fixture.append(&table, partition, 10..30);
    }
    let mut rows = Rows::new();
    while take(&member, &mut rows) > 0 {}
    check(&fixture, &rows);
    let of =
        |partition, version| rows.iter().filter(|((at, _), value)| (*at, **value % 10) == (partition, version)).count();
    assert_eq!((of(0, 1), of(0, 2), of(1, 1), of(1, 2)), (15, 15, 15, 5));
    // A partition that comes later is the newest version's from its start.
    fixture.engine.set_partitions(&who(), "public", "t", 3).expect("a partition is added");
    fixture.append(&table, 2, 0..5);
    assert!(topic(&fixture).versions_of(2).map(|range| range.version).eq([2]));
    let rows = read_all(&fixture, "late");
    check(&fixture, &rows);
    assert_eq!(rows.len(), 55);
}

#[test]
fn a_version_that_can_not_begin_there_is_refused_and_changes_nothing() {
    let fixture = Fixture::new();
    let table = tagged_topic(&fixture, OnError::Stop);
    fixture.append(&table, 0, 0..10);
    let before = topic(&fixture);
    let refused = |message: &str, tried: Result<Arc<TopicInfo>>, kind: ErrorKind| {
        let error = tried.expect_err("it is refused");
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(error.kind(), kind);
    };
    refused(
        "partition 0 of topic \"tagged\" has rows up to offset 10: a version can't begin at 9",
        go_on(&fixture, &table, VersionStart::Offset(9)),
        ErrorKind::FailedPrecondition,
    );
    let plugin = next_plugin(&fixture);
    let wider = Arc::new(Schema::new(vec![Field::new("m", DataType::Int64, false)]));
    let spec = TopicSpec { output_schema: wider, ..tagged(&table, plugin, OnError::Stop) };
    let tried = fixture.engine.replace_topic_from(&who(), &spec, VersionStart::Latest);
    refused("would have other columns", tried, ErrorKind::InvalidInput);
    assert_eq!(topic(&fixture), before);

    // The same versions: nothing changes.
    let spec = tagged(&table, before.plugins_of(1)[0], OnError::Stop);
    let same = fixture.engine.replace_topic_from(&who(), &spec, VersionStart::Latest).expect("it is as it was");
    assert_eq!(same, before);

    go_on(&fixture, &table, VersionStart::Offset(20)).expect("it goes on");
    let message = "still to go on to its version 2 at offset 20 of partition 0, which ends at 10";
    refused(message, go_on(&fixture, &table, VersionStart::Latest), ErrorKind::FailedPrecondition);
    let tried = fixture.engine.drop_plugin(&who(), "public", "p").expect_err("it is in use");
    assert!(matches!(&tried, Error::InUse { by, .. } if by == "topic \"tagged\""), "{tried}");

    // All rows anew: nothing is left of the versions before.
    let spec = tagged(&table, next_plugin(&fixture), OnError::Stop);
    let anew = fixture.engine.replace_topic(&who(), spec).expect("it is replaced");
    assert_eq!((anew.version, anew.base_version(), anew.earlier.len()), (3, 3, 0));
    assert!(anew.versions_of(0).map(|range| (range.version, range.offsets)).eq([(3, 0..Offset::MAX)]));
}

#[test]
fn versions_are_bounded_in_number() {
    let fixture = Fixture::new();
    let table = tagged_topic(&fixture, OnError::Stop);
    for _ in 0..MAX_TOPIC_VERSIONS {
        fixture.append(&table, 0, 0..1);
        go_on(&fixture, &table, VersionStart::Latest).expect("it goes on");
    }
    fixture.append(&table, 0, 0..1);
    let refused = go_on(&fixture, &table, VersionStart::Latest).expect_err("it is full").to_string();
    assert!(refused.contains("RELOAD TOPIC without AT makes one version"), "{refused}");
}

#[test]
fn letters_of_rows_before_a_change_are_not_written_again_after_it() {
    let fixture = Fixture::with(|options| options.evaluation_cache_bytes = 0);
    let table = tagged_topic(&fixture, OnError::DeadLetter);
    let go_on = || {
        let spec = tagged(&table, next_plugin(&fixture), OnError::DeadLetter);
        fixture.engine.replace_topic_from(&who(), &spec, VersionStart::Latest).expect("it goes on")
    };
    // Version 1 takes -1, later ones fail at it.
    for version in 1..=3 {
        fixture.append(&table, 0, [5, -1, 6]);
        read_all(&fixture, &format!("g{version}"));
        go_on();
    }
    let rows = read_all(&fixture, "all");
    assert_eq!(rows.values().copied().collect::<Vec<_>>(), [51, -9, 61, 52, 62, 53, 63]);
    let letters = fixture.engine.table(&who(), "public", "tagged$dead_letter").expect("there are letters");
    let end = fixture.engine.table_offsets(&who(), letters.id).expect("it has offsets");
    assert_eq!(end, [(0, 2)], "one of each version that fails");
}
