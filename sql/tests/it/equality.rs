//! Invariant 6: a stateless topic equals its SELECT over the same offsets run as a batch query. The judge is the query above a
//! LIMIT, through which no condition and no column passes to the table's reader.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use millstream_engine::{Append, PartitionChoice, Principal, ScanRequest};
use millstream_sql::{Error, SqlOptions};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::support::{Store, format_rows, open};

const ROUNDS: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_equals_its_select() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random::<u64>);
    eprintln!("seed {seed}; set SEED to repeat");
    let mut random = StdRng::seed_from_u64(seed);
    let store = open(SqlOptions::default());
    fill(&store, &mut random).await;
    let mut compared = 0;
    for round in 0..ROUNDS {
        let columns: Vec<String> =
            (0..random.random_range(1..4)).map(|index| format!("{} AS c{index}", any(&mut random, 2))).collect();
        let condition = boolean(&mut random, 3);
        let select = format!("SELECT {} FROM t WHERE {condition}", columns.join(", "));
        let Ok(expected) = judge_rows(&store, &select).await else { continue };
        compared += 1;
        let name = format!("topic_{round}");
        store.run(&format!("CREATE TOPIC {name} AS {select}")).await;
        assert_eq!(scan_topic(&store, &name), expected, "seed {seed}, the topic's reader: {select}");
        let queried = store.rows(&format!("SELECT * FROM {name}")).await;
        assert_eq!(queried.unwrap(), expected, "seed {seed}, the topic as history: {select}");
        let queried = store.rows(&select).await;
        assert_eq!(queried.unwrap(), expected, "seed {seed}, the table as history: {select}");
        store.run(&format!("DROP TOPIC {name}")).await;
    }
    assert!(compared > ROUNDS / 2, "seed {seed}: only {compared} of {ROUNDS} selects were valid");
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("i", DataType::Int32, true),
        Field::new("b", DataType::Int64, false),
        Field::new("d", DataType::Float64, true),
        Field::new("s", DataType::Utf8, true),
        Field::new("f", DataType::Boolean, true),
        Field::new("ts", DataType::Timestamp(TimeUnit::Microsecond, None), false),
    ]))
}

/// Rows in several appends, some of them in segments.
async fn fill(store: &Store, random: &mut StdRng) {
    store
        .run(
            "CREATE TABLE t (i INT, b BIGINT NOT NULL, d DOUBLE, s VARCHAR, f BOOLEAN, ts TIMESTAMP NOT NULL) \
             WITH (time_column = 'ts', retention = 'forever')",
        )
        .await;
    let who = Principal::anonymous();
    let table = store.engine.table(&who, "public", "t").unwrap();
    for part in 0..6 {
        let batch = rows(random, 100 + part * 37, i64::try_from(part).unwrap());
        let append = Append { table: table.id, partition: PartitionChoice::ByKey, batch };
        store.engine.append(&who, append, None).unwrap().wait().unwrap();
        if part == 1 || part == 3 {
            store.engine.cut_segments(&who, table.id).unwrap();
        }
    }
}

fn rows(random: &mut StdRng, count: usize, part: i64) -> RecordBatch {
    let day = 86_400_000_000;
    let mut column = |null: f64| (0..count).map(|_| !random.random_bool(null)).collect::<Vec<_>>();
    let (has_i, has_d, has_s, has_f) = (column(0.1), column(0.2), column(0.1), column(0.3));
    let words = ["", "a", "UA", "UAL", "ü", "x%y", "long string that is not inlined"];
    let floats = [0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.5, -7.25];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from_iter(has_i.iter().map(|has| has.then(|| random.random_range(-20..20))))),
        Arc::new(Int64Array::from_iter_values((0..count).map(|_| part * 10 + random.random_range(0..15)))),
        Arc::new(Float64Array::from_iter(has_d.iter().map(|has| has.then(|| *floats.choose(random).unwrap())))),
        Arc::new(StringArray::from_iter(has_s.iter().map(|has| has.then(|| *words.choose(random).unwrap())))),
        Arc::new(BooleanArray::from_iter(has_f.iter().map(|has| has.then(|| random.random_bool(0.5))))),
        Arc::new(TimestampMicrosecondArray::from_iter_values(
            (0..count).map(|_| part * day + random.random_range(0..2 * day)),
        )),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

async fn judge_rows(store: &Store, select: &str) -> Result<Vec<String>, Error> {
    store.rows(&select.replacen("FROM t ", "FROM (SELECT * FROM t LIMIT 1000000) AS t ", 1)).await
}

/// The topic as consumers read it: its operator through the cursor.
fn scan_topic(store: &Store, name: &str) -> Vec<String> {
    let who = Principal::anonymous();
    let topic = store.engine.topic(&who, "public", name).unwrap();
    let operator = store.engine.topic_operator(&who, topic.id).unwrap();
    let request = ScanRequest { topic: topic.id, ranges: None, event_time_us: None, operator };
    store.engine.scan(&who, request).unwrap().flat_map(|chunk| format_rows(&chunk.unwrap().batch)).collect()
}

fn pick(random: &mut StdRng, choices: &[&str]) -> String {
    (*choices.choose(random).unwrap()).to_owned()
}

fn any(random: &mut StdRng, depth: usize) -> String {
    match random.random_range(0..4) {
        0 => integer(random, depth),
        1 => float(random, depth),
        2 => text(random, depth),
        _ => boolean(random, depth),
    }
}

fn integer(random: &mut StdRng, depth: usize) -> String {
    if depth == 0 || random.random_bool(0.3) {
        return pick(random, &["i", "b", "0", "7", "-3", "25", "_offset", "_partition"]);
    }
    let (a, b) = (integer(random, depth - 1), integer(random, depth - 1));
    match random.random_range(0..6) {
        0 => format!("({a} + {b})"),
        1 => format!("({a} - {b})"),
        2 => format!("({a} * 2)"),
        3 => format!("abs({a})"),
        4 => format!("coalesce({a}, {b})"),
        _ => format!("CASE WHEN {} THEN {a} ELSE {b} END", boolean(random, depth - 1)),
    }
}

fn float(random: &mut StdRng, depth: usize) -> String {
    if depth == 0 || random.random_bool(0.4) {
        return pick(random, &["d", "0.5", "-7.25", "1e300"]);
    }
    let (a, b) = (float(random, depth - 1), float(random, depth - 1));
    pick(random, &[&format!("({a} + {b})"), &format!("({a} / 2.0)"), &format!("nullif({a}, {b})")])
}

fn text(random: &mut StdRng, depth: usize) -> String {
    if depth == 0 || random.random_bool(0.4) {
        return pick(random, &["s", "'UA'", "''", "'x%y'"]);
    }
    let a = text(random, depth - 1);
    pick(
        random,
        &[&format!("upper({a})"), &format!("({a} || s)"), &format!("substr({a}, 1, 2)"), &format!("trim({a})")],
    )
}

fn boolean(random: &mut StdRng, depth: usize) -> String {
    if depth == 0 {
        return pick(random, &["f", "true", "i > 3", "s IS NULL", "b < 20", "d > 1.0", "d <> d"]);
    }
    let operator = pick(random, &["=", "<>", "<", "<=", ">", ">="]);
    match random.random_range(0..10) {
        0 => format!("({} AND {})", boolean(random, depth - 1), boolean(random, depth - 1)),
        1 => format!("({} OR {})", boolean(random, depth - 1), boolean(random, depth - 1)),
        2 => format!("(NOT {})", boolean(random, depth - 1)),
        3 => format!("({} {operator} {})", integer(random, depth - 1), integer(random, depth - 1)),
        4 => format!("({} {operator} {})", float(random, depth - 1), float(random, depth - 1)),
        5 => format!("({} {operator} {})", text(random, depth - 1), text(random, depth - 1)),
        6 => format!("{} IS NOT NULL", any(random, depth - 1)),
        7 => format!("({} IN (1, 5, 12, NULL))", integer(random, depth - 1)),
        8 => format!("(s LIKE {})", pick(random, &["'U%'", "'%A%'", "''", "'_A'"])),
        _ => format!("(ts {operator} TIMESTAMP '1970-01-0{}T12:00:00')", random.random_range(1..8)),
    }
}
