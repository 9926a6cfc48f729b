//! Other versions of a consumer's plugin: at once, at offsets, and back.

use std::sync::Arc;

use millstream_engine::{
    ConsumerReload, Engine, Error, OffsetReset, OnError, PluginConsumerSettings, PluginConsumerSpec, Result, SeekTo,
};

use super::host::Words;
use super::letters::letters;
use super::store::{expected, put_plugin, spec, totals, until, until_done};
use super::{append, create, store, with};
use crate::fixture::who;

fn lettered() -> PluginConsumerSpec {
    with(spec("t", "p"), |settings| settings.on_error = OnError::DeadLetter)
}

fn reload(engine: &Engine, version: Option<u32>, at: Option<SeekTo>) -> Result<()> {
    engine.reload_plugin_consumer(&who(), "public", "c", ConsumerReload { version, at })
}

fn pause(engine: &Engine, paused: bool) {
    engine.pause_plugin_consumer(&who(), "public", "c", paused).expect("it is altered");
}

/// (partition, number) of every letter, sorted.
fn lettered_numbers(engine: &Engine) -> Vec<(u32, i64)> {
    let mut found: Vec<_> = letters(engine).into_iter().map(|letter| (letter.partition, letter.number)).collect();
    found.sort_unstable();
    found
}

#[test]
fn the_old_version_finishes_below_the_offset_and_the_new_one_begins_there() {
    let (mut fixture, table, _) = store("sums");
    let mut sent = Vec::new();
    create(&fixture, lettered());
    append(&fixture, &table, &mut sent, 0, 0..15);
    until_done(&fixture.engine);
    pause(&fixture.engine, true);
    append(&fixture, &table, &mut sent, 0, 15..25);
    put_plugin(&fixture.engine, "p", "sums poison 10", true).unwrap();
    reload(&fixture.engine, None, Some(SeekTo::End)).unwrap();
    append(&fixture, &table, &mut sent, 0, 25..45);
    append(&fixture, &table, &mut sent, 1, 0..15);
    for _ in 0..2 {
        let status = until(&fixture.engine, "both versions", |_| true);
        assert_eq!((status.plugin_version, status.next_version), (1, Some(2)));
        fixture = fixture.reopen();
        fixture.engine.set_plugin_host(Arc::new(Words::default()));
    }
    let engine = &fixture.engine;
    let refused = engine.drop_plugin(&who(), "public", "p").unwrap_err();
    assert!(matches!(&refused, Error::InUse { by, .. } if by == "consumer \"c\""), "{refused}");
    pause(engine, false);
    let status = until_done(engine);
    assert_eq!((status.plugin_version, status.next_version), (2, None));
    // 20 and 21 lie below the offset, all of partition 1 above it.
    let given_up = [(0, 30), (0, 31), (0, 40), (0, 41), (1, 0), (1, 1), (1, 10), (1, 11)];
    assert_eq!(lettered_numbers(engine), given_up);
    assert!(letters(engine).iter().all(|letter| letter.plugin == ("p".to_owned(), 2)));
    sent.retain(|row| !given_up.contains(row));
    assert_eq!(totals(engine), expected(&sent));
    // Whenever rows are read, they are the version's that their offset has.
    let to = OffsetReset { to: SeekTo::Start, topic: None, partition: Some(0) };
    engine.reset_offsets(&who(), "public", "c", to).unwrap();
    until_done(engine);
    let again = given_up[..4].iter().chain(&given_up).copied().collect::<Vec<_>>();
    let mut found = lettered_numbers(engine);
    found.sort_unstable();
    let mut again = again;
    again.sort_unstable();
    assert_eq!(found, again);
}

#[test]
fn changes_at_offsets_are_refused_where_they_come_too_late_or_in_between() {
    let (fixture, table, _) = store("sums");
    let mut sent = Vec::new();
    append(&fixture, &table, &mut sent, 0, 0..20);
    create(&fixture, lettered());
    until_done(&fixture.engine);
    let engine = &fixture.engine;
    put_plugin(engine, "p", "sums poison 10", true).unwrap();
    let refused = reload(engine, None, Some(SeekTo::Offset(19))).unwrap_err();
    let said = "consumer \"c\" has read partition 0 up to offset 20: a version can't begin at 19 there";
    assert_eq!(refused.to_string(), said);
    // Offsets may be named before they are there.
    reload(engine, None, Some(SeekTo::Offset(30))).unwrap();
    let refused = reload(engine, None, Some(SeekTo::End)).unwrap_err();
    assert!(refused.to_string().contains("partition 0 of topic \"t\" is below offset 30"), "{refused}");
    append(&fixture, &table, &mut sent, 0, 20..45);
    until_done(engine);
    assert_eq!(lettered_numbers(engine), [(0, 30), (0, 31), (0, 40), (0, 41)]);
    reload(engine, Some(1), None).unwrap();
    let status = until(engine, "the first version", |status| status.plugin_version == 1);
    assert_eq!(status.next_version, None);
    append(&fixture, &table, &mut sent, 0, 45..55);
    until_done(engine);
    assert_eq!(lettered_numbers(engine).len(), 4, "version 1 takes 50 and 51");
    let refused = reload(engine, Some(9), None).unwrap_err();
    assert_eq!(refused.to_string(), "plugin \"p\" has no version 9; it has versions 1 to 2");
}

#[test]
fn settings_that_two_alter_at_once_are_not_lost() {
    let (fixture, _, _) = store("sums");
    create(&fixture, spec("t", "p"));
    let engine = &fixture.engine;
    let found = engine.plugin_consumer(&who(), "public", "c").unwrap();
    let more = PluginConsumerSettings { retries: 7, ..found.settings };
    engine.alter_plugin_consumer(&who(), &found, more).unwrap();
    let other = PluginConsumerSettings { batch_rows: 10, ..found.settings };
    let refused = engine.alter_plugin_consumer(&who(), &found, other).unwrap_err();
    assert!(matches!(&refused, Error::Busy(_)), "{refused}");
    assert_eq!(engine.plugin_consumer(&who(), "public", "c").unwrap().settings, more);
}
