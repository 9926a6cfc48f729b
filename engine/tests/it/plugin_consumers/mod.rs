//! Consumers that are plugins: what they do, what they refuse, how they fail.

mod crash;
pub(crate) mod host;
mod letters;
pub(crate) mod store;
mod versions;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use millstream_engine::{
    AutoOffsetReset, ConsumerReload, Error, ErrorKind, OffsetReset, OnError, PluginConsumerSettings,
    PluginConsumerSpec, SeekTo, TableInfo,
};

use self::host::Words;
use self::store::{create_plugin, create_sums, expected, put_plugin, spec, totals, until, until_done};
use crate::fixture::{Fixture, manual, who};

/// A store with the tables `t` and `sums`, and the plugin `p` of the given module.
fn store(module: &str) -> (Fixture, Arc<TableInfo>, Arc<Words>) {
    let fixture = Fixture::new();
    let host = Arc::new(Words::default());
    fixture.engine.set_plugin_host(host.clone());
    let table = fixture.table("t", 3);
    create_sums(&fixture.engine).unwrap();
    create_plugin(&fixture.engine, "p", module).unwrap();
    (fixture, table, host)
}

fn create(fixture: &Fixture, spec: PluginConsumerSpec) {
    fixture.engine.create_plugin_consumer(&who(), spec).expect("it is created");
}

fn with(spec: PluginConsumerSpec, change: impl Fn(&mut PluginConsumerSettings)) -> PluginConsumerSpec {
    let mut settings = spec.settings;
    change(&mut settings);
    PluginConsumerSpec { settings, ..spec }
}

/// Appends numbers to a partition, and notes them.
fn append(
    fixture: &Fixture,
    table: &TableInfo,
    sent: &mut Vec<(u32, i64)>,
    partition: u32,
    numbers: std::ops::Range<i64>,
) {
    fixture.append(table, partition, numbers.clone());
    sent.extend(numbers.map(|number| (partition, number)));
}

#[test]
fn every_row_counts_once_over_pauses_and_reopening() {
    let (mut fixture, table, _) = store("sums");
    let mut sent = Vec::new();
    append(&fixture, &table, &mut sent, 0, 0..100);
    create(&fixture, spec("t", "p"));
    append(&fixture, &table, &mut sent, 2, 50..60);
    // Figures follow the commits that they count.
    let status = until(&fixture.engine, "the end", |status| (status.lag, status.figures.rows_in) == (0, 110));
    assert_eq!(totals(&fixture.engine), expected(&sent));
    assert_eq!((status.state, status.figures.rows_skipped), ("running", 0));
    assert!(status.state_bytes > 0);

    fixture.engine.pause_plugin_consumer(&who(), "public", "c", true).unwrap();
    append(&fixture, &table, &mut sent, 1, 0..30);
    assert_eq!(until(&fixture.engine, "a pause", |status| status.state == "paused").lag, 30);
    fixture = fixture.reopen();
    fixture.engine.set_plugin_host(Arc::new(Words::default()));
    assert_eq!(until(&fixture.engine, "a pause", |status| status.state == "paused").lag, 30);
    fixture.engine.pause_plugin_consumer(&who(), "public", "c", false).unwrap();
    until_done(&fixture.engine);
    assert_eq!(totals(&fixture.engine), expected(&sent));

    // State of before the reopening, and of a checkpoint, is what later sums stand on.
    append(&fixture, &table, &mut sent, 0, 100..200);
    until_done(&fixture.engine);
    fixture = fixture.reopen();
    fixture.engine.set_plugin_host(Arc::new(Words::default()));
    append(&fixture, &table, &mut sent, 0, 200..210);
    until_done(&fixture.engine);
    assert_eq!(totals(&fixture.engine), expected(&sent));
}

#[test]
fn topics_are_filtered_and_groups_say_where_to_begin() {
    let (fixture, table, _) = store("sums");
    fixture.append(&table, 0, 0..10);
    fixture.topic("even", &table, "even", OnError::Stop);
    create(&fixture, PluginConsumerSpec { from: AutoOffsetReset::Latest, ..spec("even", "p") });
    let mut sent = Vec::new();
    append(&fixture, &table, &mut sent, 0, 10..21);
    until_done(&fixture.engine);
    sent.retain(|(_, number)| number % 2 == 0);
    assert_eq!(totals(&fixture.engine), expected(&sent));
    assert_eq!(fixture.committed("c").into_values().sum::<u64>(), 21);

    fixture.engine.drop_plugin_consumer(&who(), "public", "c", false).unwrap();
    assert!(fixture.engine.group_offsets(&who(), "public", "c").is_err(), "its group is gone");
    let member = fixture.join(manual("g"), &["even"]);
    let taken = PluginConsumerSpec { group: Some("g".to_owned()), ..spec("even", "p") };
    let refused = fixture.engine.create_plugin_consumer(&who(), taken.clone()).unwrap_err();
    assert_eq!(refused.to_string(), "consumer group \"g\" is in use by live members; they must leave first");
    member.leave().unwrap();
    let to = OffsetReset { to: SeekTo::Offset(15), topic: Some("even".to_owned()), partition: Some(0) };
    fixture.engine.reset_offsets(&who(), "public", "g", to).unwrap();
    create(&fixture, taken);
    until(&fixture.engine, "16, 18 and 20", |status| (status.lag, status.figures.rows_in) == (0, 3));
    let refused = fixture.try_join(manual("g"), &["even"]).unwrap_err();
    assert!(refused.to_string().contains("in use by consumer \"c\", a plugin"), "{refused}");
}

#[test]
fn what_it_stands_on_can_not_be_dropped() {
    let (fixture, table, _) = store("sums");
    fixture.topic("even", &table, "even", OnError::Stop);
    create(&fixture, spec("even", "p"));
    let engine = &fixture.engine;
    let refused = [
        engine.drop_topic(&who(), "public", "even", true).unwrap_err(),
        engine.drop_table(&who(), "public", "t", true).unwrap_err(),
        engine.drop_table(&who(), "public", "sums", true).unwrap_err(),
        engine.drop_table(&who(), "public", "sums", false).unwrap_err(),
        engine.drop_plugin(&who(), "public", "p").unwrap_err(),
        engine.drop_group(&who(), "public", "c", true).unwrap_err(),
    ];
    for error in refused {
        assert!(matches!(&error, Error::InUse { by, .. } if by == "consumer \"c\""), "{error}");
    }
    engine.drop_plugin_consumer(&who(), "public", "c", false).unwrap();
    engine.drop_plugin(&who(), "public", "p").unwrap();
    engine.drop_table(&who(), "public", "sums", false).unwrap();
}

#[test]
fn what_does_not_fit_is_refused() {
    let (fixture, table, _) = store("sums");
    create_plugin(&fixture.engine, "f", "filter").unwrap();
    let refusal = |spec: PluginConsumerSpec| {
        let error = fixture.engine.create_plugin_consumer(&who(), spec).unwrap_err();
        (error.kind(), error.to_string())
    };
    let outputs = |outputs: &[(&str, &str)]| {
        let outputs = outputs.iter().map(|(name, table)| ((*name).to_owned(), (*table).to_owned())).collect();
        PluginConsumerSpec { outputs, ..spec("t", "p") }
    };
    let cases = [
        (spec("t", "f"), "plugin \"f\" is a filter, not a consumer"),
        (spec("t", "none"), "plugin \"none\" does not exist"),
        (spec("none", "p"), "topic \"none\" does not exist"),
        (spec("sums", "p"), "topic \"sums\" has no column \"n\", which the plugin reads"),
        (outputs(&[]), "plugin \"p\" writes to \"sums\": say which table that is"),
        (outputs(&[("sums", "sums"), ("other", "t")]), "plugin \"p\" has no output \"other\"; it has sums"),
        (outputs(&[("sums", "none")]), "table \"none\" does not exist"),
        (
            outputs(&[("sums", "t")]),
            "column \"n\" of table \"t\" is NOT NULL, and output \"sums\" of plugin \"p\" has no such",
        ),
        (with(spec("t", "p"), |settings| settings.retries = 1_000), "retries is at most 100, not 1000"),
        (with(spec("t", "p"), |settings| settings.batch_rows = 0), "batch_rows is 1 to 65536, not 0"),
    ];
    for (spec, expected) in cases {
        let (kind, message) = refusal(spec);
        assert!(message.contains(expected), "{message}");
        assert!(matches!(kind, ErrorKind::InvalidInput | ErrorKind::NotFound), "{kind:?}");
    }
    create(&fixture, spec("t", "p"));
    assert_eq!(refusal(spec("t", "p")).1, "consumer \"c\" already exists");
    let same_group = PluginConsumerSpec { name: "d".to_owned(), group: Some("c".to_owned()), ..spec("t", "p") };
    assert_eq!(refusal(same_group).1, "consumer group \"c\" is in use by consumer \"c\"");
    drop(table);
}

#[test]
fn a_failing_row_is_found_and_stops_its_partition_alone() {
    for deed in ["fail", "trap", "retry", "give_up", "null_key", "beyond"] {
        let (fixture, table, _) = store(&format!("sums {deed} 77"));
        let mut sent = Vec::new();
        append(&fixture, &table, &mut sent, 0, 40..77);
        fixture.append(&table, 0, 77..90);
        append(&fixture, &table, &mut sent, 1, 0..20);
        create(&fixture, spec("t", "p"));
        let status = until(&fixture.engine, deed, |status| status.state == "stopped" && status.lag == 13);
        let error = status.error.unwrap();
        assert!(error.starts_with("partition 0 offset 37: "), "{deed}: {error}");
        assert_eq!(status.stopped_partitions, [0], "{deed}");
        assert_eq!(totals(&fixture.engine), expected(&sent), "{deed}");
        assert_eq!(fixture.events("consumer_stopped"), 1, "{deed}");
    }
}

#[test]
fn no_row_is_blamed_for_the_machinery() {
    for deed in ["host", "panic"] {
        let (fixture, table, _) = store(&format!("sums {deed} 7"));
        fixture.append(&table, 0, 0..10);
        create(&fixture, with(spec("t", "p"), |settings| settings.on_error = OnError::Skip));
        let status = until(&fixture.engine, deed, |status| status.state == "stopped");
        assert_eq!((status.lag, status.figures.calls, status.figures.rows_skipped), (10, 6, 0), "{deed}");
    }
}

#[test]
fn a_failing_row_is_passed_over_under_skip() {
    for deed in ["fail", "retry", "give_up", "null_key"] {
        let (fixture, table, _) = store(&format!("sums {deed} 77"));
        let mut sent = Vec::new();
        append(&fixture, &table, &mut sent, 0, 40..90);
        create(&fixture, with(spec("t", "p"), |settings| settings.on_error = OnError::Skip));
        until(&fixture.engine, deed, |status| {
            let figures = status.figures;
            (status.lag, figures.rows_in, figures.rows_skipped, fixture.events("row_skipped")) == (0, 49, 1, 1)
        });
        sent.retain(|(_, number)| *number != 77);
        assert_eq!(totals(&fixture.engine), expected(&sent), "{deed}");
    }
}

#[test]
fn another_try_is_given_where_the_plugin_asks_for_it() {
    let (fixture, table, _) = store("sums later 5");
    let mut sent = Vec::new();
    append(&fixture, &table, &mut sent, 0, 0..10);
    create(&fixture, with(spec("t", "p"), |settings| settings.retries = 3));
    until_done(&fixture.engine);
    assert_eq!(totals(&fixture.engine), expected(&sent));
    let status = until(&fixture.engine, "the figures", |status| status.figures.rows_in == 10);
    assert_eq!((status.figures.calls, status.figures.failures), (3, 2));
}

#[test]
fn answers_too_large_for_a_commit_are_asked_for_in_parts() {
    let (fixture, table, host) = store("sums wide 100000");
    let mut sent = Vec::new();
    append(&fixture, &table, &mut sent, 0, 0..300);
    create(&fixture, spec("t", "p"));
    until_done(&fixture.engine);
    assert_eq!(totals(&fixture.engine), expected(&sent));
    assert_eq!(host.widest.load(Ordering::SeqCst), 300);
    assert!(host.calls.load(Ordering::SeqCst) > 4);
}

#[test]
fn a_new_version_goes_on_where_the_old_one_stopped() {
    let (fixture, table, _) = store("sums fail 77");
    let mut sent = Vec::new();
    append(&fixture, &table, &mut sent, 0, 70..85);
    create(&fixture, spec("t", "p"));
    let status = until(&fixture.engine, "a stop", |status| status.state == "stopped");
    assert_eq!((status.plugin_version, status.lag), (1, 8));
    put_plugin(&fixture.engine, "p", "sums", true).unwrap();
    assert_eq!(until(&fixture.engine, "no change", |_| true).plugin_version, 1);
    fixture.engine.reload_plugin_consumer(&who(), "public", "c", ConsumerReload::default()).unwrap();
    let status = until_done(&fixture.engine);
    assert_eq!(status.plugin_version, 2);
    assert_eq!(totals(&fixture.engine), expected(&sent), "sums go on from the old version's state");
    put_plugin(&fixture.engine, "p", "filter", true).unwrap();
    let refused = fixture.engine.reload_plugin_consumer(&who(), "public", "c", ConsumerReload::default()).unwrap_err();
    assert_eq!(refused.to_string(), "plugin \"p\" is a filter, not a consumer");
}

#[test]
fn state_has_a_limit_that_is_said() {
    let (fixture, table, _) = store("sums flood 0");
    fixture.append(&table, 0, 0..10);
    create(&fixture, with(spec("t", "p"), |settings| settings.state_bytes = 10_000));
    let status = until(&fixture.engine, "a stop", |status| status.state == "stopped");
    let error = status.error.unwrap();
    assert!(error.contains("the state would grow by") && error.contains("of its limit (state_bytes)"), "{error}");
    assert_eq!((status.state_bytes, status.lag), (0, 10), "nothing of it is kept");
}

#[test]
fn an_offset_below_the_start_stops_it_until_it_is_moved() {
    let (fixture, table, _) = store("sums");
    fixture.append(&table, 0, 0..10);
    create(&fixture, spec("t", "p"));
    until_done(&fixture.engine);
    let engine = &fixture.engine;
    engine.pause_plugin_consumer(&who(), "public", "c", true).unwrap();
    fixture.append(&table, 0, 10..20);
    let retention = std::time::Duration::from_secs(4 * 24 * 3600);
    fixture.clock.advance(retention);
    engine.maintain(&who()).unwrap();
    engine.pause_plugin_consumer(&who(), "public", "c", false).unwrap();
    let status = until(engine, "a stop", |status| status.state == "stopped");
    let error = status.error.unwrap();
    assert_eq!(error, "partition 0: offset 10 of partition 0 is out of range: retained are 20..20");
    let to = OffsetReset { to: SeekTo::Start, topic: None, partition: None };
    engine.reset_offsets(&who(), "public", "c", to).unwrap();
    engine.pause_plugin_consumer(&who(), "public", "c", false).unwrap();
    fixture.append(&table, 0, 20..25);
    until(engine, "going on", |status| status.state == "running" && status.lag == 0 && status.figures.rows_in == 5);
}

#[test]
fn partitions_added_later_are_read_from_their_start() {
    let (fixture, table, _) = store("sums");
    create(&fixture, PluginConsumerSpec { from: AutoOffsetReset::Latest, ..spec("t", "p") });
    let table = fixture.engine.set_partitions(&who(), "public", &table.name, 6).unwrap();
    let mut sent = Vec::new();
    for partition in 0..6 {
        append(&fixture, &table, &mut sent, partition, 0..i64::from(partition) + 1);
    }
    until_done(&fixture.engine);
    assert_eq!(totals(&fixture.engine), expected(&sent));
}

#[test]
fn a_consumer_that_is_slow_to_stop_keeps_no_other_from_beginning() {
    let (fixture, table, host) = store("sums gate");
    create(&fixture, PluginConsumerSpec { name: "slow".to_owned(), ..spec("t", "p") });
    fixture.append(&table, 0, 0..10);
    let gate = host.gate.clone();
    gate.wait_until_taken();
    create_plugin(&fixture.engine, "q", "sums").unwrap();
    fixture.engine.pause_plugin_consumer(&who(), "public", "slow", true).unwrap();
    create(&fixture, spec("t", "q"));
    // The slow one is still in its call.
    until(&fixture.engine, "the other's rows", |status| (status.lag, status.figures.rows_in) == (0, 10));
    assert_eq!(fixture.committed("slow").into_values().sum::<u64>(), 0);
    // Not before it has ended does it begin anew, and then with the same rows.
    fixture.engine.pause_plugin_consumer(&who(), "public", "slow", false).unwrap();
    gate.open();
    let begun = std::time::Instant::now();
    while fixture.committed("slow").into_values().sum::<u64>() < 10 {
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "the slow one does not go on");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[test]
fn a_plugin_over_its_share_is_called_later() {
    let (fixture, table, host) = store("sums");
    host.held.store(true, Ordering::SeqCst);
    create(&fixture, spec("t", "p"));
    fixture.append(&table, 0, 0..10);
    // The runner has rows to call about, and has asked more than once whether it may.
    let begun = std::time::Instant::now();
    while host.asked.load(Ordering::SeqCst) < 3 {
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "the runner does not ask");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert_eq!(host.calls.load(Ordering::SeqCst), 0);
    let [status] = fixture.engine.plugin_consumers(&who()).unwrap().try_into().expect("one consumer");
    assert_eq!((status.lag, status.figures.failures, status.error), (10, 0, None));
    host.held.store(false, Ordering::SeqCst);
    // Rows are counted once they are committed.
    let status = until(&fixture.engine, "the end", |status| status.lag == 0 && status.figures.rows_in > 0);
    assert_eq!((status.figures.rows_in, status.figures.failures), (10, 0));
}
