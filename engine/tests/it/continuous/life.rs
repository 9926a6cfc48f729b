//! What keeps a topic from going on, and what goes with it.

use std::sync::atomic::Ordering;

use millstream_engine::{ContinuousSettings, ContinuousSpec, ErrorKind, OnError, TableOptions, TopicSpec};

use super::plan::schema;
use super::store::{
    MINUTE, append, create, create_table, create_table_with, dropping, given, spec, status, until_closed,
};
use super::{Fixture, at};
use crate::fixture::{until, who};

fn stopped(fixture: &Fixture, topic: &str) -> String {
    until(|| status(&fixture.engine, topic).stopped.is_some());
    status(&fixture.engine, topic).stopped.expect("it has stopped")
}

#[test]
fn what_was_deleted_before_it_was_read_stops_it_by_name() {
    let fixture = Fixture::new();
    let engine = &fixture.engine;
    let options = TableOptions { retention_ms: Some(60_000), ..TableOptions::default() };
    create_table_with(engine, "t", options).expect("a table");
    create(engine, spec("per_minute", "t", "tumble 60000000"));
    fixture.append("t", 0, &[(at(1), Some(1), 1)]);
    fixture.append("t", 0, &[(at(61), Some(1), 1)]);
    until_closed(engine, "per_minute", "t", MINUTE, at(61));
    engine.pause_continuous_topic(&who(), "public", "per_minute").expect("it is paused");
    fixture.append("t", 0, &[(at(62), Some(2), 1)]);
    fixture.advance(3_600);
    fixture.append("t", 0, &[(at(3_700), Some(3), 1)]);
    engine.maintain(&who()).expect("retention");
    engine.resume_continuous_topic(&who(), "public", "per_minute").expect("it is resumed");
    let why = stopped(&fixture, "per_minute");
    assert!(why.contains("partition 0") && why.contains("RELOAD TOPIC per_minute REBUILD"), "{why}");
    engine.rebuild_continuous_topic(&who(), "public", "per_minute").expect("it is rebuilt");
    fixture.append("t", 0, &[(at(3_770), Some(3), 1)]);
    until_closed(engine, "per_minute", "t", MINUTE, at(3_720));
    assert_eq!(given(engine, "per_minute").len(), 1, "what is retained");
}

#[test]
fn state_of_another_release_is_not_read() {
    let fixture = Fixture::new();
    create_table(&fixture.engine, "t", 1).expect("a table");
    create(&fixture.engine, spec("per_minute", "t", "tumble 60000000"));
    fixture.append("t", 0, &[(at(1), Some(1), 1), (at(2), Some(2), 1)]);
    fixture.append("t", 0, &[(at(61), Some(1), 1)]);
    until_closed(&fixture.engine, "per_minute", "t", MINUTE, at(61));
    fixture.compiler.version.store(2, Ordering::SeqCst);
    let fixture = fixture.reopen();
    let why = stopped(&fixture, "per_minute");
    assert!(why.contains("windows 1 then, windows 2 now") && why.contains("RELOAD TOPIC per_minute REBUILD"), "{why}");
    assert_eq!(given(&fixture.engine, "per_minute").len(), 2, "what it gave stays");
    let anew = fixture.engine.rebuild_continuous_topic(&who(), "public", "per_minute").expect("it is rebuilt");
    assert_eq!(anew.fingerprint, "windows 2");
    until_closed(&fixture.engine, "per_minute", "t", MINUTE, at(61));
    assert_eq!(given(&fixture.engine, "per_minute").len(), 2);
}

#[test]
fn more_state_than_it_may_have_stops_it() {
    let fixture = Fixture::new();
    let engine = &fixture.engine;
    create_table(engine, "t", 1).expect("a table");
    let settings = ContinuousSettings { state_bytes: 200, ..ContinuousSettings::default() };
    create(engine, ContinuousSpec { settings, ..spec("per_minute", "t", "tumble 60000000") });
    fixture.append("t", 0, &[(at(1), Some(1), 1), (at(1), Some(2), 1), (at(1), Some(3), 1)]);
    fixture.append("t", 0, &[(at(1), Some(4), 1)]);
    let why = stopped(&fixture, "per_minute");
    assert!(why.contains("256 bytes") && why.contains("state_bytes is 200"), "{why}");
    assert!(
        fixture.engine.events(&who()).expect("events").iter().any(|event| event.kind == "continuous_topic_stopped")
    );
}

#[test]
fn a_row_that_fails_stops_it_and_nothing_of_its_step_is_there() {
    let fixture = Fixture::new();
    let engine = &fixture.engine;
    create_table(engine, "t", 1).expect("a table");
    create(engine, spec("per_minute", "t", "tumble 60000000 fail 666"));
    fixture.append("t", 0, &[(at(1), Some(1), 1)]);
    fixture.append("t", 0, &[(at(61), Some(1), 1)]);
    until_closed(engine, "per_minute", "t", MINUTE, at(61));
    fixture.append("t", 0, &[(at(130), Some(1), 666)]);
    let why = stopped(&fixture, "per_minute");
    assert!(why.contains("666 is not taken") && why.contains("RESUME"), "{why}");
    assert_eq!((given(engine, "per_minute").len(), status(engine, "per_minute").lag), (1, 1));
    engine.resume_continuous_topic(&who(), "public", "per_minute").expect("it is resumed");
    until(|| status(engine, "per_minute").info.version == 2 && status(engine, "per_minute").stopped.is_some());
}

#[test]
fn tables_of_a_topic_go_with_it_alone() {
    let fixture = Fixture::new();
    let engine = &fixture.engine;
    create_table(engine, "t", 1).expect("a table");
    create(engine, spec("per_minute", "t", "tumble 60000000"));
    create(engine, spec("per_five", "per_minute", "tumble 300000000"));
    let refused = |result: millstream_engine::Result<()>, by: &str| {
        let error = result.expect_err("it is refused");
        assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
        assert!(error.to_string().contains(by), "{error}");
    };
    refused(engine.drop_table(&who(), "public", "t", false), "continuous topic \"per_minute\"");
    for force in [false, true] {
        refused(engine.drop_table(&who(), "public", "per_minute", force), "continuous topic \"per_minute\"");
        refused(engine.drop_table(&who(), "public", "per_minute$late", force), "continuous topic \"per_minute\"");
    }
    refused(engine.drop_topic(&who(), "public", "per_minute", false), "continuous topic \"per_five\"");
    refused(append(engine, "per_minute$late", 0, &[(at(1), None, 1)]), "nothing else is appended");
    let names = || engine.tables(&who()).expect("a listing").iter().map(|table| table.name.clone()).collect::<Vec<_>>();
    engine.drop_topic(&who(), "public", "per_minute", true).expect("with what reads it");
    assert_eq!(names(), ["t"]);
    assert!(engine.continuous_topics(&who()).expect("a listing").is_empty());
    // With what a table is read by, in the end.
    create(engine, spec("per_minute", "t", "tumble 60000000"));
    let output = engine.table(&who(), "public", "per_minute").expect("a table");
    let over = TopicSpec {
        namespace: "public".to_owned(),
        name: "over".to_owned(),
        table: output.id,
        table_schema_version: 1,
        definition: "all".to_owned(),
        output_schema: schema(),
        plugins: Vec::new(),
        functions: Vec::new(),
        on_error: OnError::Stop,
    };
    engine.create_topic(&who(), over).expect("a topic over its rows");
    refused(engine.drop_topic(&who(), "public", "per_minute", false), "topic \"over\"");
    engine.drop_table(&who(), "public", "t", true).expect("all of it");
    assert!(names().is_empty() && engine.topics(&who()).expect("a listing").is_empty());
}

#[test]
fn a_thousand_topics_wait_and_one_that_has_rows_has_its_turn() {
    let fixture = Fixture::with(|options| options.log_file_bytes = 4 << 20);
    let engine = &fixture.engine;
    for table in 0..10 {
        create_table(engine, &format!("t{table}"), 1).expect("a table");
        for topic in 0..100 {
            create(engine, dropping(spec(&format!("w{table}_{topic}"), &format!("t{table}"), "tumble 60000000")));
        }
    }
    fixture.append("t3", 0, &[(at(1), Some(1), 1)]);
    fixture.append("t3", 0, &[(at(61), Some(1), 1)]);
    let closed = |table: u32| {
        let all = engine.continuous_topics(&who()).expect("a listing");
        let of = all.iter().filter(|status| status.info.name.starts_with(&format!("w{table}_")));
        of.filter(|status| status.rows_out == 1).count()
    };
    until(|| closed(3) == 100);
    assert_eq!(closed(4), 0);
    let fixture = fixture.reopen();
    fixture.append("t4", 0, &[(at(1), Some(1), 1)]);
    fixture.append("t4", 0, &[(at(61), Some(1), 1)]);
    let engine = &fixture.engine;
    until(|| {
        let all = engine.continuous_topics(&who()).expect("a listing");
        all.iter().filter(|status| status.rows_out == 1).count() == 200
    });
}
