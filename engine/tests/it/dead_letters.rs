//! Topics with `on_error = 'dead_letter'`: every row at fault has one letter, durable before a reader passes the row.

use std::sync::{Arc, Barrier};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use millstream_engine::{
    Append, ColumnSpec, Error, ErrorKind, OnError, PartitionChoice, SeekTo, TableInfo, TableOptions, TableSpec,
    TopicInfo,
};

use crate::fixture::{Fixture, MIB, NO_WAIT, at, manual, polled, schema, topic_spec, who};

/// (source partition, source offset, n, failure) of every letter, in the order of the table.
fn letters(fixture: &Fixture, group: &str, topic: &str) -> Vec<(i32, i64, i64, String)> {
    let member = fixture.join(manual(group), &[&format!("{topic}$dead_letter")]);
    let mut letters = Vec::new();
    loop {
        let deliveries = member.poll(MIB, NO_WAIT).expect("it polls");
        if deliveries.is_empty() {
            return letters;
        }
        letters.extend(deliveries.iter().flat_map(|delivery| rows(&delivery.batch)));
    }
}

fn rows(batch: &RecordBatch) -> Vec<(i32, i64, i64, String)> {
    let column = |name: &str| batch.column_by_name(name).expect("the column").clone();
    let partitions = column("_source_partition").as_primitive::<Int32Type>().values().to_vec();
    let offsets = column("_source_offset").as_primitive::<Int64Type>().values().to_vec();
    let numbers = column("n").as_primitive::<Int64Type>().values().to_vec();
    let failures: Vec<String> = column("_failure").as_string::<i32>().iter().flatten().map(str::to_owned).collect();
    assert!(column("_plugin").null_count() == batch.num_rows(), "no plugin has failed");
    (0..batch.num_rows()).map(|row| (partitions[row], offsets[row], numbers[row], failures[row].clone())).collect()
}

fn expression(partition: i32, offset: i64, number: i64) -> (i32, i64, i64, String) {
    (partition, offset, number, "expression".to_owned())
}

fn reload(fixture: &Fixture, topic: &TopicInfo, table: &TableInfo, words: &str) {
    let spec = topic_spec(&topic.name, table, words, OnError::DeadLetter);
    fixture.engine.replace_topic(&who(), spec).expect("it is replaced");
}

#[test]
fn rows_at_fault_are_left_out_and_kept_once_whoever_reads_them_however_often() {
    // A cache of nothing: every read evaluates anew.
    let mut fixture = Fixture::with(|options| options.evaluation_cache_bytes = 0);
    let table = fixture.table("t", 2);
    fixture.topic("odd", &table, "fail 7", OnError::DeadLetter);
    for partition in [0, 1, 0] {
        fixture.append(&table, partition, 0..10);
    }
    let kept: Vec<i64> = (0..30).map(|number| number % 10).filter(|number| *number != 7).collect();
    for round in 0..3 {
        for group in ["a", "b"] {
            let member = fixture.join(manual(&format!("{group}{round}")), &["odd"]);
            let mut rows = polled(&member);
            rows.extend(polled(&member));
            rows.sort_unstable();
            let mut kept = kept.clone();
            kept.sort_unstable();
            assert_eq!(rows, kept);
        }
        let mut found = letters(&fixture, &format!("letters{round}"), "odd");
        found.sort();
        assert_eq!(found, [expression(0, 7, 7), expression(0, 17, 7), expression(1, 7, 7)]);
        fixture = fixture.reopen();
    }
}

#[test]
fn a_reader_of_earlier_rows_finds_letters_that_later_readers_did_not_write() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    let topic = fixture.topic("odd", &table, "fail 7", OnError::DeadLetter);
    for _ in 0..4 {
        fixture.append(&table, 0, 0..10);
    }
    let member = fixture.join(manual("late"), &["odd"]);
    member.seek(at(&topic, 0), SeekTo::Offset(25)).expect("it seeks");
    polled(&member);
    assert_eq!(letters(&fixture, "l1", "odd"), [expression(0, 27, 7), expression(0, 37, 7)]);
    polled(&fixture.join(manual("early"), &["odd"]));
    let all = [27, 37, 7, 17].map(|offset| expression(0, offset, 7));
    assert_eq!(letters(&fixture, "l2", "odd"), all);
}

#[test]
fn readers_at_the_same_time_write_each_letter_once() {
    let fixture = Fixture::with(|options| options.evaluation_cache_bytes = 0);
    let table = fixture.table("t", 4);
    fixture.topic("odd", &table, "fail 7", OnError::DeadLetter);
    for round in 0..40 {
        fixture.append(&table, round % 4, 0..10);
    }
    let start = Barrier::new(8);
    std::thread::scope(|scope| {
        for group in 0..8 {
            let (fixture, start) = (&fixture, &start);
            scope.spawn(move || {
                let member = fixture.join(manual(&format!("g{group}")), &["odd"]);
                start.wait();
                let mut rows = 0;
                while rows < 40 * 9 {
                    rows += polled(&member).len();
                }
            });
        }
    });
    let mut found = letters(&fixture, "letters", "odd");
    assert_eq!(found.len(), 40);
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 40, "each is of another row");
}

#[test]
fn another_version_of_the_topic_writes_its_own_letters_with_the_new_columns() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    let topic = fixture.topic("odd", &table, "fail 7", OnError::DeadLetter);
    fixture.append(&table, 0, 0..10);
    polled(&fixture.join(manual("a"), &["odd"]));
    let column = ColumnSpec { name: "note".to_owned(), data_type: DataType::Utf8 };
    let table = fixture.engine.add_columns(&who(), "public", "t", vec![column]).expect("a column is added");
    reload(&fixture, &topic, &table, "fail 8");
    polled(&fixture.join(manual("b"), &["odd"]));
    polled(&fixture.join(manual("c"), &["odd"]));
    assert_eq!(letters(&fixture, "l", "odd"), [expression(0, 7, 7), expression(0, 8, 8)]);
    let kept = fixture.engine.table(&who(), "public", "odd$dead_letter").expect("the table");
    assert!(kept.schema().field_with_name("note").is_ok());
}

#[test]
fn the_table_comes_and_goes_with_its_topic_and_is_nobody_elses() {
    let fixture = Fixture::new();
    let table = fixture.table("t", 1);
    fixture.topic("odd", &table, "fail 7", OnError::DeadLetter);
    let kept = fixture.engine.table(&who(), "public", "odd$dead_letter").expect("the table");
    assert_eq!(kept.options.partitions, 1);
    let append =
        Append { table: kept.id, partition: PartitionChoice::Named(0), batch: RecordBatch::new_empty(schema()) };
    let refused = fixture.engine.append(&who(), append, None).expect_err("it is refused");
    assert!(refused.to_string().contains("holds the dead letters of topic \"odd\""), "{refused}");
    let refused = fixture.engine.drop_table(&who(), "public", "odd$dead_letter", true).expect_err("it is refused");
    assert!(matches!(refused.kind(), ErrorKind::FailedPrecondition | ErrorKind::Retry), "{refused}");
    fixture.topic("again", &kept, "all", OnError::Stop);
    let refused = fixture.engine.drop_topic(&who(), "public", "odd", false).expect_err("it is refused");
    assert!(refused.to_string().contains("\"again\", which reads its dead letters"), "{refused}");
    fixture.engine.drop_topic(&who(), "public", "odd", true).expect("it is dropped");
    for name in ["odd", "odd$dead_letter", "again"] {
        let found = fixture.engine.topic(&who(), "public", name);
        assert!(matches!(found, Err(Error::NotFound { .. })), "{name} is still there");
    }
    // The names are free again, and the source can go with all that stands on it.
    fixture.topic("odd", &table, "fail 7", OnError::DeadLetter);
    fixture.engine.drop_table(&who(), "public", "t", true).expect("it is dropped");
    assert!(fixture.engine.table(&who(), "public", "odd$dead_letter").is_err());
}

#[test]
fn a_row_as_large_as_a_commit_has_a_letter_without_it() {
    let fixture = Fixture::with(|options| options.max_commit_bytes = 64 << 10);
    let fields = vec![Field::new("n", DataType::Int64, false), Field::new("s", DataType::Utf8, false)];
    let spec = TableSpec {
        namespace: "public".to_owned(),
        name: "t".to_owned(),
        schema: Arc::new(Schema::new(fields)),
        options: TableOptions::default(),
    };
    let table = fixture.engine.create_table(&who(), spec).expect("the table is created");
    fixture.topic("odd", &table, "fail 7", OnError::DeadLetter);
    let append = |bytes: usize| {
        let columns: Vec<ArrayRef> =
            vec![Arc::new(Int64Array::from(vec![7])), Arc::new(StringArray::from(vec!["x".repeat(bytes)]))];
        let batch = RecordBatch::try_new(table.schema().clone(), columns).expect("a batch");
        let append = Append { table: table.id, partition: PartitionChoice::Named(0), batch };
        fixture.engine.append(&who(), append, None).and_then(|pending| pending.wait())
    };
    let taken = (1..64 << 10).rev().step_by(16).find(|bytes| append(*bytes).is_ok());
    assert!(taken.is_some_and(|bytes| bytes > 48 << 10), "{taken:?}");
    append(10).expect("a small row");
    polled(&fixture.join(manual("g"), &["odd"]));
    let member = fixture.join(manual("l"), &["odd$dead_letter"]);
    let deliveries = member.poll(MIB, NO_WAIT).expect("it polls");
    let letters: Vec<(bool, String)> = deliveries
        .iter()
        .flat_map(|delivery| {
            let rows = delivery.batch.column_by_name("s").expect("the column").clone();
            let said = delivery.batch.column_by_name("_message").expect("the column").as_string::<i32>().clone();
            (0..rows.len()).map(move |row| (rows.is_null(row), said.value(row).to_owned()))
        })
        .collect();
    assert_eq!(letters, [(true, "no 7 (the row is too large to be kept here)".to_owned()), (false, "no 7".to_owned())]);
}
