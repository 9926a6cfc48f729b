//! Consumers with `on_error = 'dead_letter'`: rows that are given up, or at which the plugin fails, are kept, each once.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use millstream_engine::{ColumnSpec, ConsumerReload, Engine, Error, OnError, PluginConsumerSpec};

use super::store::{expected, put_plugin, spec, totals, until, until_done};
use super::{append, create, store, with};
use crate::fixture::{manual, polled, who};
use crate::table::{Columns, scan};

/// What a letter of the consumer `c` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) partition: u32,
    pub(crate) offset: i64,
    pub(crate) number: i64,
    pub(crate) topic: String,
    pub(crate) plugin: (String, i32),
    pub(crate) failure: String,
    pub(crate) message: String,
}

/// In the order of the table.
pub(crate) fn letters(engine: &Engine) -> Vec<Found> {
    let table = engine.table(&who(), "public", "c$dead_letter").expect("there is the table");
    let names = [
        "_source_partition",
        "_source_offset",
        "n",
        "_source_topic",
        "_plugin",
        "_plugin_version",
        "_failure",
        "_message",
    ];
    let columns = names.map(|name| table.schema().index_of(name).expect("the column"));
    let mut found = Vec::new();
    for part in scan(engine, Columns::of(&table, &columns), table.id, None).expect("they are read") {
        let int = |index: usize, row: usize| part.batch.column(index).as_primitive::<Int32Type>().value(row);
        let long = |index: usize, row: usize| part.batch.column(index).as_primitive::<Int64Type>().value(row);
        let text = |index: usize, row: usize| part.batch.column(index).as_string::<i32>().value(row).to_owned();
        found.extend((0..part.batch.num_rows()).map(|row| Found {
            partition: u32::try_from(int(0, row)).expect("a partition"),
            offset: long(1, row),
            number: long(2, row),
            topic: text(3, row),
            plugin: (text(4, row), int(5, row)),
            failure: text(6, row),
            message: text(7, row),
        }));
    }
    found
}

fn lettered(spec: PluginConsumerSpec) -> PluginConsumerSpec {
    with(spec, |settings| settings.on_error = OnError::DeadLetter)
}

#[test]
fn a_row_at_fault_is_kept_with_what_is_known_of_it() {
    let cases = [
        ("fail", "error", "no 77"),
        ("trap", "trap", "no 77"),
        ("retry", "error", "the plugin asks for another try: not now"),
        ("give_up", "given_up", "poison"),
        ("null_key", "bad_output", "rows for table \"sums\": "),
    ];
    for (deed, failure, message) in cases {
        let (mut fixture, table, _) = store(&format!("sums {deed} 77"));
        let mut sent = Vec::new();
        append(&fixture, &table, &mut sent, 1, 40..90);
        create(&fixture, lettered(spec("t", "p")));
        until(&fixture.engine, deed, |status| {
            let figures = status.figures;
            (status.lag, figures.rows_in, figures.rows_skipped, figures.dead_letters) == (0, 49, 0, 1)
        });
        sent.retain(|(_, number)| *number != 77);
        for _ in 0..2 {
            assert_eq!(totals(&fixture.engine), expected(&sent), "{deed}");
            let found = letters(&fixture.engine);
            assert!(found[0].message.contains(message), "{deed}: {found:?}");
            let message = found[0].message.clone();
            let (topic, plugin, failure) = ("t".to_owned(), ("p".to_owned(), 1), failure.to_owned());
            let letter = Found { partition: 1, offset: 37, number: 77, topic, plugin, failure, message };
            assert_eq!(found, [letter], "{deed}");
            fixture = fixture.reopen();
        }
    }
}

#[test]
fn the_next_version_takes_what_the_first_one_gave_up() {
    let (fixture, table, _) = store("sums poison 10");
    let mut sent = Vec::new();
    append(&fixture, &table, &mut sent, 0, 0..30);
    create(&fixture, lettered(spec("t", "p")));
    until_done(&fixture.engine);
    let numbers: Vec<i64> = letters(&fixture.engine).into_iter().map(|letter| letter.number).collect();
    assert_eq!(numbers, [0, 1, 10, 11, 20, 21]);
    put_plugin(&fixture.engine, "p", "sums", true).unwrap();
    let column = ColumnSpec { name: "note".to_owned(), data_type: arrow_schema::DataType::Utf8 };
    fixture.engine.add_columns(&who(), "public", "t", vec![column]).unwrap();
    fixture.engine.reload_plugin_consumer(&who(), "public", "c", ConsumerReload::default()).unwrap();
    let kept = fixture.engine.table(&who(), "public", "c$dead_letter").unwrap();
    assert!(kept.schema().field_with_name("note").is_ok(), "the topic's new column");
    append(&fixture, &table, &mut sent, 0, 30..50);
    until_done(&fixture.engine);
    assert_eq!(letters(&fixture.engine).len(), 6, "the new version takes 30, 31, 40 and 41");
    // What the old one gave up goes through the new one, at offsets of its own.
    let again = PluginConsumerSpec { name: "again".to_owned(), ..spec("c$dead_letter", "p") };
    create(&fixture, again);
    let begun = std::time::Instant::now();
    loop {
        let all = fixture.engine.plugin_consumers(&who()).unwrap();
        let again = all.iter().find(|status| status.info.name == "again").unwrap();
        if again.lag == 0 {
            break;
        }
        assert!(begun.elapsed().as_secs() < 30, "{again:?}");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert_eq!(fixture.committed("again").into_values().sum::<u64>(), 6);
}

#[test]
fn the_table_comes_and_goes_with_its_consumer() {
    let (fixture, table, _) = store("sums poison 10");
    fixture.append(&table, 0, 0..30);
    create(&fixture, lettered(spec("t", "p")));
    until_done(&fixture.engine);
    let engine = &fixture.engine;
    let refused = engine.drop_table(&who(), "public", "c$dead_letter", true).unwrap_err();
    assert!(refused.to_string().contains("consumer \"c\", whose dead letters it holds"), "{refused}");
    let letters = engine.table(&who(), "public", "c$dead_letter").unwrap();
    fixture.topic("over", &letters, "even", OnError::Stop);
    let refused = engine.drop_plugin_consumer(&who(), "public", "c", false).unwrap_err();
    assert!(matches!(&refused, Error::InUse { by, .. } if by.starts_with("topic \"over\"")), "{refused}");
    let member = fixture.join(manual("m"), &["c$dead_letter"]);
    assert_eq!(polled(&member).len(), 6);
    engine.drop_plugin_consumer(&who(), "public", "c", true).unwrap();
    for gone in ["c$dead_letter", "over"] {
        assert!(engine.topic(&who(), "public", gone).is_err(), "{gone}");
    }
    engine.topic(&who(), "public", "t").expect("its topic stays");
    // A name that is taken is refused, and nothing is left of the attempt.
    fixture.table("c$dead_letter", 1);
    let refused = engine.create_plugin_consumer(&who(), lettered(spec("t", "p"))).unwrap_err();
    assert_eq!(refused.to_string(), "table \"c$dead_letter\" already exists");
    assert!(engine.plugin_consumers(&who()).unwrap().is_empty());
    create(&fixture, spec("t", "p"));
}
