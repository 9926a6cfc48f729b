//! What the API promises beside the language: parameters, scripts, limits, cancellation.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use futures::StreamExt;
use millstream_engine::ErrorKind;
use millstream_sql::{Error, Outcome, SqlEngine, SqlOptions};

use crate::support::{collect, format_rows, open};

#[tokio::test(flavor = "multi_thread")]
async fn parameters_of_queries_and_inserts() {
    let store = open(SqlOptions::default());
    store.run("CREATE TABLE t (id BIGINT NOT NULL, name VARCHAR)").await;
    let insert = store.session.prepare("INSERT INTO t VALUES (?, upper(?))").await.unwrap();
    assert!(!insert.is_query);
    let types: Vec<_> = insert.parameter_schema.fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types.len(), 2, "{types:?}");
    let schema =
        Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Utf8, true)]));
    let ids = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let names = Arc::new(StringArray::from(vec![Some("one"), None, Some("three")]));
    let rows = RecordBatch::try_new(schema, vec![ids, names]).unwrap();
    match insert.execute(Some(rows)).await.unwrap() {
        Outcome::Done { rows, .. } => assert_eq!(rows, 3),
        Outcome::Rows { .. } => panic!("an insert gives no rows"),
    }
    assert_eq!(store.rows("SELECT * FROM t ORDER BY id").await.unwrap(), ["1|ONE", "2|NULL", "3|THREE"]);

    let query = store.session.prepare("SELECT name FROM t WHERE id > $1 ORDER BY id LIMIT 1").await.unwrap();
    assert!(query.is_query);
    assert_eq!(query.parameter_schema.field(0).data_type(), &DataType::Int64);
    let one = |value: i64| {
        let schema = Arc::new(Schema::new(vec![Field::new("x", DataType::Int64, true)]));
        RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(vec![value]))]).unwrap()
    };
    let batches = collect(query.execute(Some(one(2))).await.unwrap()).await.unwrap();
    assert_eq!(batches.iter().flat_map(format_rows).collect::<Vec<_>>(), ["THREE"]);
    let error = query.execute(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_that_do_not_fit_are_errors() {
    let store = open(SqlOptions::default());
    store.run("CREATE TABLE t (n INT, at TIMESTAMP, price DECIMAL(10, 2))").await;
    let one = |name: &str, column: ArrayRef| RecordBatch::try_from_iter([(name, column)]).unwrap();
    for (column, values, message) in [
        (
            "n",
            Arc::new(Int64Array::from(vec![1, 1 << 40])) as ArrayRef,
            "parameter $1, row 2: 1099511627776 does not fit into Int32",
        ),
        ("n", Arc::new(Float64Array::from(vec![1.5])), "parameter $1, row 1: \"1.5\" has a fraction, and INT has none"),
        (
            "at",
            Arc::new(StringArray::from(vec!["2013-01-01", "yesterday"])),
            "parameter $1, row 2: \"yesterday\" is no TIMESTAMP",
        ),
        (
            "price",
            Arc::new(StringArray::from(vec!["123456789"])),
            "parameter $1, row 1: \"123456789\" is out of the range of DECIMAL(10, 2)",
        ),
    ] {
        let insert = store.session.prepare(&format!("INSERT INTO t ({column}) VALUES (?)")).await.unwrap();
        let error = insert.execute(Some(one("p", values))).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::InvalidInput, message));
    }
    assert_eq!(store.rows("SELECT count(*) FROM t").await.unwrap(), ["0"]);
    let insert = store.session.prepare("INSERT INTO t (n, at, price) VALUES (?, ?, ?)").await.unwrap();
    let columns: [(&str, ArrayRef); 3] = [
        ("a", Arc::new(Float64Array::from(vec![2.0]))),
        ("b", Arc::new(StringArray::from(vec!["2013-01-01T10:00:00+01:00"]))),
        ("c", Arc::new(StringArray::from(vec!["-1.005"]))),
    ];
    insert.execute(Some(RecordBatch::try_from_iter(columns).unwrap())).await.unwrap();
    assert_eq!(store.rows("SELECT * FROM t").await.unwrap(), ["2|2013-01-01T09:00:00|-1.01"]);
    // Beside expressions that have no place for all rows at once.
    let query = store.session.prepare("SELECT count(*) FROM t WHERE n = ?").await.unwrap();
    let error = query.execute(Some(one("p", Arc::new(StringArray::from(vec!["x"]))))).await.unwrap_err();
    assert_eq!(error.to_string(), "parameter $1, row 1: \"x\" is no INT");
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_stop_at_the_first_error_and_need_all_of_the_text_to_parse() {
    let store = open(SqlOptions::default());
    let outcome = store
        .session
        .execute_script("CREATE TABLE t (a INT); INSERT INTO t VALUES (1), (2);; SELECT sum(a) FROM t;")
        .await
        .unwrap()
        .unwrap();
    let batches = collect(outcome).await.unwrap();
    assert_eq!(batches.iter().flat_map(format_rows).collect::<Vec<_>>(), ["3"]);
    assert!(store.session.execute_script(" ; ").await.unwrap().is_none());
    let error = store.session.execute_script("INSERT INTO t VALUES (3); SELEC").await.unwrap_err();
    assert!(matches!(error, Error::Syntax { .. }), "{error}");
    assert_eq!(store.rows("SELECT count(*) FROM t").await.unwrap(), ["2"]);
    store.session.execute_script("INSERT INTO t VALUES (3); DROP TABLE u; DROP TABLE t").await.unwrap_err();
    assert_eq!(store.rows("SELECT count(*) FROM t").await.unwrap(), ["3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_over_the_memory_limit_fails_clearly() {
    let store = open(SqlOptions { memory_limit_bytes: 256 << 10, ..SqlOptions::default() });
    let error = store
        .batches("SELECT value, count(*) FROM generate_series(1, 1000000) GROUP BY value ORDER BY value")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{error}");
    assert_eq!(store.rows("SELECT 1").await.unwrap(), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_stream_ends_its_scan() {
    let store = open(SqlOptions::default());
    store.run("CREATE TABLE t (a BIGINT)").await;
    for _ in 0..10 {
        store.run("INSERT INTO t SELECT value FROM generate_series(1, 10000)").await;
    }
    let Outcome::Rows { mut stream, .. } = store.session.execute("SELECT a FROM t").await.unwrap() else {
        panic!("a query gives rows")
    };
    stream.next().await.unwrap().unwrap();
    drop(stream);
    assert_eq!(store.rows("SELECT count(*) FROM t").await.unwrap(), ["100000"]);
    store.engine.close().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_share_nothing_but_the_store() {
    let store = open(SqlOptions::default());
    store.run("CREATE SCHEMA other").await;
    let clone = store.session.clone();
    store.run("USE other").await;
    assert_eq!(clone.namespace(), "other");
    let fresh = SqlEngine::new(store.engine.clone(), SqlOptions::default()).unwrap();
    let fresh = fresh.session(store.session.principal().clone(), "public");
    assert_eq!(fresh.namespace(), "public");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_an_error_and_never_a_panic() {
    use rand::seq::IndexedRandom;
    use rand::{Rng, SeedableRng};
    let seed = rand::random::<u64>();
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let store = open(SqlOptions::default());
    store.run("CREATE TABLE t (a INT)").await;
    let pieces = [
        "SELECT", "*", "FROM", "t", "WHERE", "a", "=", "1", "(", ")", ",", ";", "CREATE", "TOPIC", "AS", "TABLE",
        "WITH", "'x'", "\"", "'", "x'0g'", "$1", "?", "poll", "DROP", "ALTER", "CONSUMER", "GROUP", "SET", "OFFSET",
        "TO", "SHOW", "EXPLAIN", "COPY", "INSERT", "INTO", "VALUES", "NULL", "[", "]", "{", "}", "::", "INT",
        "STRUCT<", ">", "/*", "--", "\u{0}", "é", "😀", "1e999", "-", "COMMIT", "OFFSETS", "ON", "FOR", "PLUGIN",
        "RELOAD", "USE", ".", "=>",
    ];
    for _ in 0..2000 {
        let count = random.random_range(1..14);
        let text: Vec<&str> = (0..count).map(|_| *pieces.choose(&mut random).unwrap()).collect();
        let text = text.join(" ");
        if let Err(error) = store.session.prepare(&text).await {
            let kind = error.kind();
            assert!(kind != ErrorKind::Internal, "seed {seed}: {text:?}: {error}");
        }
    }
}
