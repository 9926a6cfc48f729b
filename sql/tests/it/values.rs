//! Values and schemas of prepared statements, and errors that say where a row stands.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use millstream_engine::ErrorKind;
use millstream_sql::{Outcome, SqlOptions};

use crate::support::{collect, format_rows, open};

fn one(value: ArrayRef) -> RecordBatch {
    let schema = Schema::new(vec![Field::new("1", value.data_type().clone(), true)]);
    RecordBatch::try_new(Arc::new(schema), vec![value]).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_in_the_list_of_columns_give_the_announced_schema() {
    let store = open(SqlOptions::default());
    store.run("CREATE TABLE t (n INT, f DOUBLE, d DECIMAL(9, 2))").await;
    store.run("INSERT INTO t VALUES (1, 0.5, 8.20)").await;
    for (sql, parameter, expected) in [
        ("SELECT n + ? FROM t", Arc::new(Int64Array::from(vec![41])) as ArrayRef, "42"),
        ("SELECT f * ? FROM t", Arc::new(Float64Array::from(vec![3.0])), "1.5"),
        ("SELECT CASE WHEN n = 1 THEN n ELSE ? END FROM t", Arc::new(Int64Array::from(vec![7])), "1"),
        ("SELECT ? AS it, d FROM t", Arc::new(StringArray::from(vec!["x"])), "x|8.20"),
        ("SELECT ? AS it, d FROM t", Arc::new(Int64Array::from(vec![5])), "5|8.20"),
    ] {
        let prepared = store.session.prepare(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let parameters = one(parameter);
        let announced = prepared.result_schema_with(&parameters).await.unwrap();
        let Outcome::Rows { schema, stream } = prepared.execute(Some(parameters)).await.unwrap() else {
            panic!("{sql} gives rows");
        };
        assert_eq!(schema, announced, "{sql}");
        if !sql.contains("? AS it") && !sql.contains("ELSE ?") {
            assert_eq!(schema, prepared.result_schema, "{sql} is known before it is bound");
        }
        let batches = collect(Outcome::Rows { schema, stream }).await.unwrap();
        assert_eq!(batches.iter().flat_map(format_rows).collect::<Vec<_>>(), [expected], "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prepared_statements_outlast_their_tables() {
    let store = open(SqlOptions::default());
    store.run("CREATE TABLE t (n BIGINT)").await;
    store.run("INSERT INTO t VALUES (1)").await;
    let query = store.session.prepare("SELECT n FROM t").await.unwrap();
    let insert = store.session.prepare("INSERT INTO t VALUES (2)").await.unwrap();
    store.run("DROP TABLE t").await;
    let error = query.execute(None).await.unwrap_err();
    assert!(error.to_string().contains("\"t\"") || error.to_string().contains(".t"), "{error}");
    store.run("CREATE TABLE t (n BIGINT)").await;
    insert.execute(None).await.unwrap();
    let rows = collect(query.execute(None).await.unwrap()).await.unwrap();
    assert_eq!(rows.iter().flat_map(format_rows).collect::<Vec<_>>(), ["2"]);
    store.run("DROP TABLE t").await;
    store.run("CREATE TABLE t (n VARCHAR)").await;
    let error = query.execute(None).await.unwrap_err();
    assert!(error.to_string().contains("prepare the statement again"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn history_names_the_topic_and_the_offset_that_fails() {
    let store = open(SqlOptions::default());
    store.run("CREATE TABLE t (n BIGINT)").await;
    store.run("INSERT INTO t SELECT value FROM generate_series(1, 100)").await;
    store.run("INSERT INTO t VALUES (9223372036854775807), (5)").await;
    store.run("CREATE TOPIC next AS SELECT n + 1 AS m FROM t").await;
    let error = store.rows("SELECT sum(m) FROM next").await.unwrap_err().to_string();
    assert!(error.contains("topic \"next\" failed at partition 0 offset 100"), "{error}");
    assert!(error.contains("9223372036854775807 + 1 is out of range for BIGINT"), "{error}");
    assert_eq!(store.rows("SELECT m FROM next WHERE _offset = 101").await.unwrap(), ["6"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn recursion_ends() {
    let store = open(SqlOptions { max_recursions: 50, ..SqlOptions::default() });
    let count = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 40) SELECT count(*) FROM r";
    assert_eq!(store.rows(count).await.unwrap(), ["40"]);
    let endless = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n % 3 FROM r) SELECT max(n) FROM r";
    let error = store.rows(endless).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("has taken 50 steps"), "{error}");
    let cut = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n * 1.5 FROM r WHERE n < 10) SELECT max(n) FROM r";
    let error = store.rows(cut).await.unwrap_err().to_string();
    assert!(error.contains("which would cut values"), "{error}");
    let written = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT CAST(n * 1.5 AS BIGINT) FROM r WHERE n < 10) \
                   SELECT max(n) FROM r";
    assert_eq!(store.rows(written).await.unwrap(), ["12"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn negative_nans_that_are_stored_are_the_one() {
    let store = open(SqlOptions::default());
    store.run("CREATE TABLE m (f DOUBLE)").await;
    let values = Float64Array::from(vec![f64::NAN, -f64::NAN, f64::from_bits(f64::NAN.to_bits() | 7), 1.0]);
    let schema = Schema::new(vec![Field::new("1", DataType::Float64, true)]);
    let insert = store.session.prepare("INSERT INTO m VALUES (?)").await.unwrap();
    insert.execute(Some(RecordBatch::try_new(Arc::new(schema), vec![Arc::new(values)]).unwrap())).await.unwrap();
    let counts = store.batches("SELECT count(*) FROM m GROUP BY f ORDER BY f").await.unwrap();
    let counts: Vec<i64> =
        counts.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
    assert_eq!(counts, [1, 3]);
    store.run("CREATE TOPIC large AS SELECT f FROM m WHERE f > 2").await;
    assert_eq!(store.rows("SELECT count(*) FROM large").await.unwrap(), ["3"]);
}

/// `USING` against the same join written with `ON`, for tables whose names come in either order of the alphabet.
#[tokio::test]
async fn columns_that_outer_joins_have_in_common_are_there() {
    let store = open(SqlOptions::default());
    for table in ["a", "z"] {
        store.run(&format!("CREATE TABLE {table} (n BIGINT, x BIGINT)")).await;
    }
    store.run("CREATE TABLE m (n BIGINT, y BIGINT)").await;
    store.run("CREATE TABLE bare (n BIGINT)").await;
    store.run("INSERT INTO a VALUES (1, 10), (2, 20)").await;
    store.run("INSERT INTO z VALUES (1, 10), (2, 20)").await;
    store.run("INSERT INTO m VALUES (2, 200), (3, 300)").await;
    store.run("INSERT INTO bare VALUES (3), (4)").await;
    let same = async |using: &str, on: &str| {
        let (mut found, mut expected) =
            (store.rows(using).await.unwrap_or_else(|error| panic!("{using}: {error}")), store.rows(on).await.unwrap());
        if !using.contains("ORDER BY") {
            found.sort();
            expected.sort();
        }
        assert!(!expected.is_empty(), "{on}");
        assert_eq!(found, expected, "{using}");
    };
    for t in ["a", "z"] {
        let on = |join: &str, columns: &str| format!("SELECT {columns} FROM {t} {join} JOIN m ON {t}.n = m.n");
        let using = |join: &str, columns: &str| format!("SELECT {columns} FROM {t} {join} JOIN m USING (n)");
        let natural = |join: &str, columns: &str| format!("SELECT {columns} FROM {t} NATURAL {join} JOIN m");
        let both = format!("COALESCE({t}.n, m.n)");
        for (join, n) in [("LEFT", format!("{t}.n")), ("RIGHT", "m.n".to_owned()), ("FULL", both.clone())] {
            for written in [&using as &dyn Fn(&str, &str) -> String, &natural] {
                same(&written(join, "*"), &on(join, &format!("{n}, x, y"))).await;
                same(&written(join, "n, y"), &on(join, &format!("{n}, y"))).await;
                same(&written(join, "n + 1, n AS k"), &on(join, &format!("{n} + 1, {n}"))).await;
                // DataFusion takes no column in common in WHERE, where USING stays.
                if join != "LEFT" {
                    same(
                        &format!("{} WHERE n = 3 OR n = 1", written(join, "n")),
                        &format!("{} WHERE {n} = 3 OR {n} = 1", on(join, &n)),
                    )
                    .await;
                }
                same(
                    &format!("{} GROUP BY n ORDER BY n", written(join, "n, count(*)")),
                    &format!("{} GROUP BY {n} ORDER BY {n}", on(join, &format!("{n}, count(*)"))),
                )
                .await;
                same(
                    &format!("{} ORDER BY n DESC", written(join, "y")),
                    &format!("{} ORDER BY {n} DESC", on(join, "y")),
                )
                .await;
                same(
                    &format!("{} ORDER BY n DESC", written(join, "*")),
                    &format!("{} ORDER BY 1 DESC", on(join, &format!("{n}, x, y"))),
                )
                .await;
                let columns = format!("*, {t}._offset AS at");
                same(&written(join, &columns), &on(join, &format!("{n}, x, y, {t}._offset AS at"))).await;
            }
        }
        // Chains: what the first join has in common is what the next one joins on.
        for (second, n) in [("", "m.n"), ("LEFT", "m.n"), ("RIGHT", "bare.n"), ("FULL", "COALESCE(m.n, bare.n)")] {
            let on = format!("FROM {t} RIGHT JOIN m ON {t}.n = m.n {second} JOIN bare ON m.n = bare.n");
            let using = format!("FROM {t} RIGHT JOIN m USING (n) {second} JOIN bare USING (n)");
            same(&format!("SELECT * {using}"), &format!("SELECT {n}, x, y {on}")).await;
            same(&format!("SELECT n, y {using}"), &format!("SELECT {n}, y {on}")).await;
            same(&format!("SELECT *, m._offset AS at {using}"), &format!("SELECT {n}, x, y, m._offset AS at {on}"))
                .await;
        }
        let chain = format!("FROM {t} FULL JOIN m USING (n) FULL JOIN bare USING (n)");
        let on = format!("FROM {t} FULL JOIN m ON {t}.n = m.n FULL JOIN bare ON {both} = bare.n");
        same(&format!("SELECT * {chain}"), &format!("SELECT COALESCE({both}, bare.n), x, y {on}")).await;
    }
    let s = "(SELECT 300 AS y, 7 AS w) AS s";
    same(
        &format!("SELECT * FROM a RIGHT JOIN m USING (n) RIGHT JOIN {s} USING (y)"),
        &format!("SELECT s.y, m.n, a.x, s.w FROM a RIGHT JOIN m ON a.n = m.n RIGHT JOIN {s} ON m.y = s.y"),
    )
    .await;
    same("SELECT *, m._offset AS at FROM bare RIGHT JOIN m USING (n)", "SELECT n, y, _offset FROM m").await;
    for refused in [
        "SELECT n FROM (a JOIN z ON a.x = z.x) RIGHT JOIN m USING (n)",
        "SELECT * FROM (SELECT 1 AS n) LEFT JOIN m USING (n)",
        "SELECT * EXCEPT (y) FROM a LEFT JOIN m USING (n)",
        "SELECT * FROM a NATURAL FULL JOIN (SELECT 1 AS n) AS s",
    ] {
        let error = store.rows(refused).await.unwrap_err().to_string();
        assert!(error.contains("ON"), "{refused}: {error}");
    }
}

/// They are folded while a statement is planned.
#[tokio::test]
async fn arguments_of_table_functions_are_checked() {
    let store = open(SqlOptions::default());
    store.run("CREATE TABLE t (a BIGINT)").await;
    for (refused, word) in [
        ("generate_series(1, 9223372036854775807 + 1)", "9223372036854775807 + 1 is out of range for BIGINT"),
        ("generate_series(9223372036854775807 + 1, 9223372036854775807 + 4)", "is out of range for BIGINT"),
        ("range(0, -(-9223372036854775807 - 1))", "is out of range for BIGINT"),
        ("generate_series(1, abs(-9223372036854775807 - 1))", "is out of range for BIGINT"),
        ("generate_series(1, 10 / 0)", "divide by zero"),
        ("generate_series(0, CAST(1e30 AS BIGINT))", "does not fit BIGINT"),
        ("poll('t', 'g', 9223372036854775807 + 2, 0)", "is out of range for BIGINT"),
        ("generate_series(1, 2) WITH ORDINALITY", "WITH ORDINALITY"),
        ("t, LATERAL generate_series(1, 9223372036854775807 + 1)", "is out of range for BIGINT"),
    ] {
        let error = store.rows(&format!("SELECT count(*) FROM {refused}")).await.unwrap_err().to_string();
        assert!(error.contains(word), "{refused}: {error}");
    }
    for (series, rows) in [
        ("GENERATE_SERIES(1 + 1, abs(-2) * 3)", 5),
        ("generate_series(1, CAST(2.5 AS BIGINT))", 3),
        ("generate_series(1, CASE WHEN 2 > 1 THEN 3 END)", 3),
        ("generate_series(DATE '2024-01-30', DATE '2024-01-31' + INTERVAL '1 day', INTERVAL '1 day')", 3),
        ("range(1, NULL)", 0),
    ] {
        assert_eq!(
            store.rows(&format!("SELECT count(*) FROM {series}")).await.unwrap(),
            [rows.to_string()],
            "{series}"
        );
    }
}
