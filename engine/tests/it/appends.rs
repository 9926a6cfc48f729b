use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use millstream_engine::{Append, ColumnSpec, Durability, ErrorKind, PartitionChoice, TableOptions, TableSpec};

use crate::support::{Store, me, message, places, rows, spec};

fn keyed(partitions: u32) -> TableOptions {
    TableOptions { partitions, partition_key: vec!["id".to_owned()], ..TableOptions::default() }
}

#[test]
fn keyed_rows_go_where_their_hash_says() {
    let store = Store::new();
    let table = store.table("t", keyed(4));
    let receipt = store.append(table.id, rows(0..16)).unwrap();
    // Recorded once; a change here would send the keys of existing tables elsewhere.
    assert_eq!(places(&receipt.appended), GOLDEN);
    let again = store.append(table.id, rows(0..16)).unwrap();
    let sums: Vec<_> =
        receipt.appended.iter().zip(&again.appended).map(|(a, b)| (a.partition, b.first_offset)).collect();
    let expected: Vec<_> = receipt.appended.iter().map(|run| (run.partition, run.rows)).collect();
    assert_eq!(sums, expected);
}

const GOLDEN: [(u32, u64, u64); 4] = [(0, 0, 1), (1, 0, 7), (2, 0, 1), (3, 0, 7)];

#[test]
fn rows_without_a_key_take_turns_by_batch() {
    let store = Store::new();
    let table = store.table("t", TableOptions { partitions: 3, ..TableOptions::default() });
    let other = store.table("u", TableOptions { partitions: 3, ..TableOptions::default() });
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.extend(places(&store.append(table.id, rows(0..2)).unwrap().appended));
        store.append(other.id, rows(0..2)).unwrap();
    }
    assert_eq!(seen, [(0, 0, 2), (1, 0, 2), (2, 0, 2), (0, 2, 2)]);
}

#[test]
fn a_partition_can_be_named_if_it_is_there() {
    let store = Store::new();
    let table = store.table("t", keyed(2));
    let append = |partition| {
        let append = Append { table: table.id, partition: PartitionChoice::Named(partition), batch: rows(0..3) };
        store.engine.append(&me(), append, None)?.wait()
    };
    assert_eq!(places(&append(1).unwrap().appended), [(1, 0, 3)]);
    assert_eq!(message(append(2)), "table \"t\" has 2 partitions, there is no 2");
}

#[test]
fn no_rows_need_no_record() {
    let store = Store::new();
    let table = store.table("t", TableOptions::default());
    let receipt = store.append(table.id, rows([])).unwrap();
    assert!(receipt.appended.is_empty());
    assert_eq!(store.offsets(table.id), [(0, 0)]);
    let none = store.engine.append_all(&me(), Vec::new(), None).unwrap().wait().unwrap();
    assert!(none.appended.is_empty());
}

#[test]
fn several_appends_are_one_submission() {
    let store = Store::new();
    let (a, b) = (store.table("a", TableOptions::default()), store.table("b", TableOptions::default()));
    let append = |table, batch| Append { table, partition: PartitionChoice::ByKey, batch };
    let both = vec![append(a.id, rows(0..2)), append(b.id, rows(0..3))];
    let receipt = store.engine.append_all(&me(), both, None).unwrap().wait().unwrap();
    assert_eq!(places(&receipt.appended), [(0, 0, 2), (0, 0, 3)]);

    // One of them can't be: then none is.
    let both = vec![append(a.id, rows(0..2)), append(millstream_engine::TableId(u64::MAX), rows(0..3))];
    assert_eq!(store.engine.append_all(&me(), both, None).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(store.offsets(a.id), [(0, 2)]);

    store.engine.create_namespace(&me(), "other", &Default::default()).unwrap();
    let foreign = TableSpec { namespace: "other".to_owned(), ..spec("c", TableOptions::default()) };
    let foreign = store.engine.create_table(&me(), foreign).unwrap();
    let both = vec![append(a.id, rows(0..2)), append(foreign.id, rows(0..3))];
    assert_eq!(
        message(store.engine.append_all(&me(), both, None)),
        "one submission can't append to tables of two namespaces"
    );
}

#[test]
fn durability_is_the_strictest_of_the_tables() {
    let store = Store::new();
    let os = store.table("os", TableOptions { durability: Durability::Os, ..TableOptions::default() });
    let sync = store.table("sync", TableOptions::default());
    assert_eq!(store.append(os.id, rows(0..1)).unwrap().durability, Durability::Os);
    assert_eq!(store.append(sync.id, rows(0..1)).unwrap().durability, Durability::Sync);
}

#[test]
fn columns_are_found_by_name_and_cast() {
    let store = Store::new();
    let table = store.table("t", TableOptions::default());
    let batch = |columns: Vec<(&str, ArrayRef)>| RecordBatch::try_from_iter(columns).unwrap();
    let ids = || -> ArrayRef { Arc::new(Int32Array::from(vec![1, 2])) };
    let names: ArrayRef = Arc::new(StringArray::from(vec![None, Some("b")]));
    store.append(table.id, batch(vec![("name", names.clone()), ("id", ids())])).unwrap();
    store.append(table.id, batch(vec![("id", ids())])).unwrap();
    assert_eq!(store.offsets(table.id), [(0, 4)]);

    let check = |columns, expected: &str| assert_eq!(message(store.append(table.id, batch(columns))), expected);
    check(vec![("name", names.clone())], "column \"id\" is NOT NULL and missing from the batch");
    check(vec![("id", ids()), ("nme", names.clone())], "the table has no column \"nme\"; it has id, name");
    check(vec![("id", names)], "column \"id\" of the batch is Utf8, the table has Int64");
    let nulls: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    check(vec![("id", nulls)], "column \"id\" is NOT NULL, but row 1 of the batch has no value");
}

#[test]
fn rows_of_older_schema_versions_go_on() {
    let store = Store::new();
    let table = store.table("t", TableOptions::default());
    store.append(table.id, rows(0..2)).unwrap();
    let columns = vec![ColumnSpec { name: "extra".to_owned(), data_type: arrow_schema::DataType::Float64 }];
    let wider = store.engine.add_columns(&me(), "public", "t", columns).unwrap();
    assert_eq!((wider.schema_version(), wider.schema().fields().len()), (2, 3));
    store.append(table.id, rows(2..4)).unwrap();
    let store = store.reopen();
    assert_eq!(store.engine.table(&me(), "public", "t").unwrap(), wider);
    assert_eq!(store.offsets(table.id), [(0, 4)]);
}

#[test]
fn a_batch_of_many_frames_is_one_append() {
    let store = Store::new();
    let table = store.table("t", TableOptions::default());
    let receipt = store.append(table.id, rows(0..150_000)).unwrap();
    let total: u64 = receipt.appended.iter().map(|run| run.rows).sum();
    assert_eq!(total, 150_000);
    let mut next = 0;
    for run in &receipt.appended {
        assert_eq!(run.first_offset, next);
        next += run.rows;
    }
    assert_eq!(store.reopen().offsets(table.id), [(0, 150_000)]);
}

#[test]
fn what_no_commit_can_hold_is_refused_and_can_be_split() {
    let store = Store::new();
    let table = store.table("t", keyed(3));
    let large = rows(0..1_000_000);
    let error = store.append(table.id, large.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{error}");
    assert!(error.to_string().contains("cut the batch"), "{error}");
    let mut appended = 0;
    for piece in store.engine.split_for_append(&large) {
        appended += store.append(table.id, piece).unwrap().appended.iter().map(|run| run.rows).sum::<u64>();
    }
    assert_eq!(appended, 1_000_000);
}
