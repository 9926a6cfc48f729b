//! What message tables take, and what is filled in.

use std::collections::BTreeSet;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampMicrosecondType};
use arrow_schema::DataType;
use millstream_engine::{
    ColumnSpec, ErrorKind, MAX_DELAY_US, MessageKind, PartitionChoice, TableOptions, TableSpec, message_schema,
};

use super::{Message, batch, create, delayed, ids, message, rows, send, send_to, visible};
use crate::fixture::{Fixture, NOW_US, who};

#[test]
fn what_the_producer_leaves_out_is_filled_in() {
    let store = Fixture::new();
    let table = create(&store.engine, "orders", MessageKind::Any, 1);
    let nameless = || Message::default();
    send(&store.engine, &table, &[nameless(), message("mine"), nameless()]).unwrap();
    let found = rows(&store.engine, &table);
    let (_, batch) = found.first().unwrap();
    let given: Vec<_> = batch.column(0).as_string::<i32>().iter().map(Option::unwrap).collect();
    assert_eq!(given[1], "mine");
    let made = |id: &str| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(made(given[0]) && made(given[2]) && given[0] != given[2], "{given:?}");
    assert!(batch.column(6).as_primitive::<TimestampMicrosecondType>().iter().all(|born| born == Some(NOW_US)));
    for column in [8, 9] {
        assert!(batch.column(column).as_primitive::<Int32Type>().iter().all(|number| number == Some(0)));
    }
    assert_eq!(batch.column(1).null_count(), 2, "there is no tag to make up");
}

/// A message, where it is sent, and whether it is taken.
type Case<'a> = (&'a Message, PartitionChoice, bool);

#[test]
fn kinds_are_kept_apart() {
    let store = Fixture::new();
    let engine = &store.engine;
    let (by_key, named) = (PartitionChoice::ByKey, PartitionChoice::Named(0));
    let plain = message("plain");
    let grouped = Message { group: Some("g"), ..message("grouped") };
    let later = delayed("later", NOW_US + 1_000_000);
    let both = Message { group: Some("g"), ..later.clone() };
    let cases: [(MessageKind, &[Case<'_>]); 4] = [
        (
            MessageKind::Any,
            &[(&plain, by_key, true), (&grouped, by_key, true), (&later, by_key, true), (&both, named, true)],
        ),
        (
            MessageKind::Normal,
            &[(&plain, by_key, true), (&plain, named, true), (&grouped, by_key, false), (&later, by_key, false)],
        ),
        (
            MessageKind::Ordered,
            &[(&plain, by_key, false), (&plain, named, true), (&grouped, by_key, true), (&both, by_key, false)],
        ),
        (
            MessageKind::Delayed,
            &[(&plain, by_key, false), (&later, by_key, true), (&both, by_key, false), (&later, named, true)],
        ),
    ];
    for (kind, sent) in cases {
        let table = create(engine, kind.name(), kind, 2);
        for (message, choice, taken) in sent {
            let answer = send_to(engine, &table, *choice, &[(*message).clone()]);
            match answer {
                Ok(_) => assert!(taken, "{kind:?} took {message:?} for {choice:?}"),
                Err(error) => {
                    assert!(!taken, "{kind:?} refused {message:?} for {choice:?}: {error}");
                    assert_eq!(error.kind(), ErrorKind::InvalidInput);
                    assert!(error.to_string().contains(kind.name()), "{error}");
                }
            }
        }
    }
    let table = engine.table(&who(), "public", "normal").unwrap();
    let error = send(engine, &table, &[plain.clone(), plain, grouped]).unwrap_err();
    assert!(error.to_string().contains("row 2"), "{error}");
    assert_eq!(ids(engine, &table).len(), 2, "of what is refused nothing is kept");
}

#[test]
fn groups_keep_to_their_partition_and_the_rest_goes_round() {
    let store = Fixture::new();
    let table = create(&store.engine, "orders", MessageKind::Any, 8);
    for round in 0..16 {
        let grouped = Message { group: Some("one"), ..message(&format!("grouped {round}")) };
        send(&store.engine, &table, &[grouped, message(&format!("plain {round}"))]).unwrap();
    }
    let found = visible(&store.engine, &table);
    let partitions = |prefix: &str| -> BTreeSet<_> {
        found.iter().filter(|message| message.id.starts_with(prefix)).map(|message| message.partition).collect()
    };
    assert_eq!((partitions("grouped").len(), partitions("plain").len()), (1, 8));
    let grouped: Vec<_> = found.iter().filter(|message| message.id.starts_with("grouped")).collect();
    assert!(grouped.iter().enumerate().all(|(round, message)| message.id == format!("grouped {round}")));
}

#[test]
fn columns_of_message_tables_are_fixed() {
    let store = Fixture::new();
    let engine = &store.engine;
    create(engine, "orders", MessageKind::Any, 1);
    let column = ColumnSpec { name: "more".to_owned(), data_type: DataType::Int64 };
    let error = engine.add_columns(&who(), "public", "orders", vec![column]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error}");
    let wrong = |schema, partition_key: Vec<String>| {
        let options = TableOptions { messages: Some(MessageKind::Any), partition_key, ..TableOptions::default() };
        let spec = TableSpec { namespace: "public".to_owned(), name: "wrong".to_owned(), schema, options };
        assert_eq!(engine.create_table(&who(), spec).unwrap_err().kind(), ErrorKind::InvalidInput);
    };
    wrong(batch(&[]).schema(), Vec::new());
    wrong(message_schema(), vec!["tag".to_owned()]);
}

#[test]
fn nothing_is_delayed_for_more_than_forty_days() {
    let store = Fixture::new();
    let table = create(&store.engine, "orders", MessageKind::Any, 1);
    let at = |delay_us: i64| [delayed("d", NOW_US + delay_us)];
    send(&store.engine, &table, &at(MAX_DELAY_US)).unwrap();
    let error = send(&store.engine, &table, &at(MAX_DELAY_US + 1)).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains("40 days"), "{error}");
    send(&store.engine, &table, &at(-MAX_DELAY_US * 100)).unwrap();
    assert_eq!(ids(&store.engine, &table), ["d"], "what is past is delivered at once");
}
