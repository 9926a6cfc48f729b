//! What a continuous topic is, and what it can't be.

use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Int64Type, TimeUnit};
use millstream_engine::{ContinuousPlan, ContinuousRun, FailureKind, InputColumn, Judged, LatePolicy, StateKey};

use super::*;
use crate::continuous::pieces::{Assembly, encode};

fn table() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, None);
    Arc::new(Schema::new(vec![
        Field::new("ts", time, true),
        Field::new("k", DataType::Int64, true),
        Field::new("text", DataType::Utf8, true),
    ]))
}

fn defined(sql: &str, change: impl FnOnce(&mut Over<'_>)) -> ContinuousDefinition {
    let schema = table();
    let mut over = Over { late: LatePolicy::Drop, ..over(&schema) };
    change(&mut over);
    try_define(sql, over, &state()).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

const MINUTES: &str = "TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)";

/// Rows for a plan that drops late ones: seconds, keys, texts.
fn rows(plan: &dyn ContinuousPlan, rows: &[(i64, i64, &str)]) -> RecordBatch {
    let (mut fields, mut columns) = (Vec::new(), Vec::<ArrayRef>::new());
    for input in &plan.sources()[0].inputs {
        let InputColumn::Field(index) = input else { panic!("{input:?} is not asked for") };
        fields.push(table().field(*index).clone());
        columns.push(match index {
            0 => Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.0 * 1_000_000))),
            1 => Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))),
            _ => Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.2))),
        });
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn push(run: &mut dyn ContinuousRun, batch: &RecordBatch, watermark_us: i64) -> u64 {
    run.push(0, batch, &[Judged { rows: batch.num_rows(), watermark_us }]).unwrap().late
}

#[test]
fn what_is_refused_names_the_clause_its_place_and_a_way_out() {
    let state = state();
    let cases = [
        ("SELECT count(*) AS n FROM {}", "an aggregate over several windows", "add window_start or window_end"),
        ("SELECT k, count(*) AS n FROM {} GROUP BY k", "an aggregate over several windows", "add window_start"),
        ("SELECT DISTINCT k FROM {}", "DISTINCT over several windows", "select window_start or window_end, too"),
        (
            "SELECT k, window_end, row_number() OVER (ORDER BY k) AS n FROM {}",
            "a window function over several windows",
            "add window_start or window_end to its PARTITION BY",
        ),
        ("SELECT k, window_end FROM {} LIMIT 5", "LIMIT, OFFSET or FETCH", "QUALIFY row_number()"),
        ("SELECT a.k FROM {} a JOIN t b ON a.k = b.k", "JOIN", "joins of streams are not offered"),
        ("SELECT k, window_end FROM {}, t", "a join (several tables in FROM)", "joins of streams"),
        ("SELECT k, window_end FROM {} UNION ALL SELECT k, window_end FROM {}", "UNION", "a topic of each part"),
        ("SELECT k, window_end FROM {} WHERE k IN (SELECT 1)", "IN with a sub-query", "window functions"),
        ("SELECT k, window_end, (SELECT 1) AS n FROM {}", "a sub-query in an expression", "window functions"),
        ("SELECT k, window_end, now() AS n FROM {}", "now", "its answer is not determined by the rows"),
        ("SELECT k, window_end FROM {} WHERE k = $1", "a parameter", "write the value"),
        (
            "SELECT window_end, k, count(*) AS n FROM {} GROUP BY ROLLUP (window_end, k)",
            "GROUPING SETS, ROLLUP or CUBE",
            "a topic of each way to group",
        ),
        ("SELECT window_end, unnest([1, 2]) AS n FROM {}", "the table function unnest", "rows as they are"),
        (
            "WITH RECURSIVE r AS (SELECT 1 AS n) SELECT window_end, k FROM {}",
            "WITH RECURSIVE",
            "a window closes in one go",
        ),
        ("SELECT window_end, k FROM {} EMIT CHANGES", "EMIT CHANGES", "EMIT ON WINDOW CLOSE"),
    ];
    for (text, clause, way_out) in cases {
        let sql = text.replace("{}", MINUTES);
        let error = try_define(&sql, over(&table()), &state).unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with(&format!("{clause} is refused")), "{sql}: {message}");
        assert!(message.contains(way_out), "{sql}: {message}");
        assert!(error.position().is_some(), "{sql}: {message}");
    }
    let cumulate = "SELECT window_start, count(*) AS n FROM CUMULATE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE, \
                    INTERVAL '1' HOUR) GROUP BY window_start";
    let error = try_define(cumulate, over(&table()), &state).unwrap_err();
    assert!(error.to_string().contains("add window_end to what is grouped by"), "{error}");
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let state = state();
    let cases = [
        ("SELECT window_end, count(*) FROM {} GROUP BY window_end", "column 2 (count(*)) has no name; add AS and one"),
        ("SELECT window_end, k, text AS k FROM {}", "column k is selected twice"),
        ("SELECT nothing, window_end FROM {}", "nothing"),
        (
            "SELECT window_end, k FROM TUMBLE(TABLE t, DESCRIPTOR(nothing), INTERVAL '1' MINUTE)",
            "DESCRIPTOR names \"nothing\", and there is no column of that name",
        ),
        (
            "SELECT window_end, k FROM TUMBLE(TABLE t, DESCRIPTOR(k), INTERVAL '1' MINUTE)",
            "DESCRIPTOR names a column of type TIMESTAMP, and \"k\" is Int64; CAST it",
        ),
        (
            "SELECT window_end, k FROM TUMBLE((SELECT ts + INTERVAL '1' HOUR AS later, k FROM t), DESCRIPTOR(later), INTERVAL '1' DAY)",
            "watermarks are of the table's time_column, \"ts\"",
        ),
        (
            "SELECT window_end, n FROM TUMBLE((SELECT ts, count(*) AS n FROM t GROUP BY ts), DESCRIPTOR(ts), INTERVAL '1' DAY)",
            "GROUP BY is refused in a topic",
        ),
    ];
    for (text, expected) in cases {
        let sql = text.replace("{}", MINUTES);
        let error = try_define(&sql, over(&table()), &state).unwrap_err();
        assert!(error.to_string().contains(expected), "{sql}: {error}");
        assert!(error.position().is_some(), "{sql}: {error}");
    }
}

#[test]
fn what_lies_above_the_panes_does_not_change_what_is_saved() {
    let fingerprint = |text: &str| defined(&text.replace("{}", MINUTES), |_| {}).plan.fingerprint().to_owned();
    let counts = fingerprint("SELECT window_end, k, count(*) AS n FROM {} GROUP BY window_end, k");
    assert_eq!(
        counts,
        fingerprint("SELECT window_end, k, count(*) AS m FROM {} GROUP BY window_end, k HAVING count(*) > 1")
    );
    assert_eq!(
        counts,
        fingerprint("SELECT k + 1 AS k, window_end, count(*) AS n FROM {} GROUP BY window_end, k EMIT ON WINDOW CLOSE")
    );
    for other in [
        "SELECT window_end, k, count(*) AS n FROM {} WHERE k > 1 GROUP BY window_end, k",
        "SELECT window_end, text, count(*) AS n FROM {} GROUP BY window_end, text",
        "SELECT window_end, k, min(k) AS n FROM {} GROUP BY window_end, k",
        "SELECT window_end, k FROM {}",
    ] {
        assert_ne!(counts, fingerprint(other), "{other}");
    }
    let hours = counts.replace("60000000", "3600000000");
    let of_hours =
        "SELECT window_end, k, count(*) AS n FROM TUMBLE(t, DESCRIPTOR(ts), INTERVAL '1' HOUR) GROUP BY window_end, k";
    assert_eq!(hours, fingerprint(of_hours), "{counts}");
}

#[test]
fn state_and_time_of_what_is_given() {
    let windows = |text: &str| defined(&text.replace("{}", MINUTES), |_| {});
    let counts = windows("SELECT window_start, window_time, k, count(*) AS n, sum(k) AS s FROM {} GROUP BY ALL");
    assert_eq!(counts.plan.state(), "partial aggregates by group, 3 columns");
    assert_eq!(counts.output_time.as_deref(), Some("window_time"));
    let types: Vec<_> =
        counts.plan.output_schema().fields().iter().map(|field| field.data_type().to_string()).collect();
    assert_eq!(types, ["Timestamp(µs)", "Timestamp(µs)", "Int64", "Int64", "Int64"]);
    let lists = windows("SELECT window_end AS e, array_agg(k ORDER BY k) AS n FROM {} GROUP BY window_end");
    assert_eq!(lists.plan.state(), "rows of open windows: k");
    assert_eq!(lists.output_time.as_deref(), Some("e"));
    let late = defined(&format!("SELECT window_start AS s, k FROM {MINUTES}"), |over| over.late = LatePolicy::Keep);
    assert_eq!(late.output_time, None);
    let names: Vec<_> = late.plan.late_schema().unwrap().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(
        names,
        ["ts", "k", "text", "window_start", "window_end", "watermark", "source_partition", "source_offset"]
    );
    assert_eq!(counts.plan.late_schema(), None);
}

#[test]
fn a_sub_query_below_the_windows_is_part_of_the_reading() {
    let sql = "SELECT window_end, sum(twice) AS s FROM TUMBLE((SELECT ts AS at, k * 2 AS twice FROM t WHERE text <> 'no'), \
               DESCRIPTOR(at), INTERVAL '1' MINUTE) GROUP BY window_end";
    let topic = defined(sql, |_| {});
    let mut run = topic.plan.begin(None).unwrap();
    push(run.as_mut(), &rows(&topic.plan, &[(1, 3, "yes"), (2, 5, "no"), (3, 7, "yes")]), i64::MIN);
    let closed = run.close(i64::MAX, 1 << 20).unwrap().unwrap();
    assert_eq!(texts(&closed.rows), ["1970-01-01T00:01:00 | 20"]);
}

#[test]
fn windows_that_begin_before_the_start_are_left_out_and_nothing_is_late_for_them() {
    let sql = format!("SELECT window_end, count(*) AS n FROM {MINUTES} GROUP BY window_end");
    let topic = defined(&sql, |over| over.begins_us = Some(90_000_000));
    let mut run = topic.plan.begin(None).unwrap();
    assert_eq!(
        push(run.as_mut(), &rows(&topic.plan, &[(89, 1, ""), (100, 1, ""), (120, 1, ""), (130, 1, "")]), i64::MAX - 1),
        2
    );
    let mut run = topic.plan.begin(None).unwrap();
    assert_eq!(push(run.as_mut(), &rows(&topic.plan, &[(89, 1, ""), (100, 1, ""), (120, 1, ""), (130, 1, "")]), 0), 0);
    assert_eq!(run.next_close_us(), Some(180_000_000));
    let closed = run.close(180_000_000, 1 << 20).unwrap().unwrap();
    assert_eq!(texts(&closed.rows), ["1970-01-01T00:03:00 | 2"]);
    assert_eq!(run.next_close_us(), None);
}

#[test]
fn a_window_that_is_too_large_closes_in_parts_that_a_new_run_goes_on_with() {
    let topic = defined(&format!("SELECT window_end, k FROM {MINUTES}"), |_| {});
    let all: Vec<(i64, i64, &str)> = (0..1000).map(|n| (n % 60, (n * 7919) % 1000, "")).collect();
    let mut run = topic.plan.begin(None).unwrap();
    push(run.as_mut(), &rows(&topic.plan, &all), i64::MIN);
    let saved = run.save().unwrap();
    let first = run.close(60_000_000, 4000).unwrap().unwrap();
    assert!(first.rows.num_rows() < 1000 && first.dropped.is_empty());
    let mut run = topic.plan.begin(first.cursor.as_deref()).unwrap();
    for (key, piece) in saved {
        run.restore(key, &piece.unwrap()).unwrap();
    }
    let mut keys = first.rows.column(1).as_primitive::<Int64Type>().values().to_vec();
    while let Some(part) = run.close(60_000_000, 4000).unwrap() {
        keys.extend(part.rows.column(1).as_primitive::<Int64Type>().values());
    }
    assert_eq!(keys, (0..1000).collect::<Vec<_>>());
    assert_eq!(run.open().windows, 0);
}

#[test]
fn what_is_saved_is_in_pieces_of_a_bounded_size_whatever_a_row_takes() {
    let topic = defined(&format!("SELECT window_end, text FROM {MINUTES}"), |_| {});
    let long = "x".repeat(700_000);
    let mut run = topic.plan.begin(None).unwrap();
    push(run.as_mut(), &rows(&topic.plan, &[(1, 0, &long)]), i64::MIN);
    let saved = run.save().unwrap();
    assert!(saved.len() > 2 && saved.iter().all(|(_, piece)| piece.as_ref().unwrap().len() <= 256 << 10));
    assert!(run.save().unwrap().is_empty(), "there is nothing new");
    let mut again = topic.plan.begin(None).unwrap();
    for (key, piece) in &saved {
        again.restore(*key, piece.as_ref().unwrap()).unwrap();
    }
    assert_eq!(again.open(), run.open());
    let closed = again.close(i64::MAX, 4 << 20).unwrap().unwrap();
    assert_eq!(closed.rows.column(1).as_string::<i32>().value(0), long);
    assert_eq!(closed.dropped, [(0, 0)]);
    // A part of what was saved is no state.
    let mut torn = topic.plan.begin(None).unwrap();
    torn.restore(saved[0].0, saved[0].1.as_ref().unwrap()).unwrap();
    let rows = rows(&topic.plan, &[(1, 0, "")]);
    let error = torn.push(0, &rows, &[Judged { rows: 1, watermark_us: 0 }]).unwrap_err();
    assert!(error.to_string().contains("lacks its end"), "{error}");
}

#[test]
fn what_is_no_saved_state_is_an_error() {
    let topic = defined(&format!("SELECT window_end, k FROM {MINUTES}"), |_| {});
    let key = StateKey { operator: 0, window_us: 0, sequence: 0 };
    let other = encode(&rows(&topic.plan, &[(1, 2, "")])).unwrap().remove(0);
    let mut wrong_version = other.clone();
    wrong_version[0] = 9;
    for piece in [Vec::new(), vec![1, 0, 0], wrong_version, other.clone(), other[..40].to_vec()] {
        let mut run = topic.plan.begin(None).unwrap();
        let error = run.restore(key, &piece).unwrap_err();
        assert!(error.to_string().contains("saved state of a continuous topic can't be read"), "{error}");
    }
    for cursor in [vec![], vec![2; 25], vec![1; 7]] {
        assert!(topic.plan.begin(Some(&cursor)).is_err());
    }
    let mut assembly = Assembly::default();
    let rows = rows(&topic.plan, &[(1, 2, &"x".repeat(600_000))]);
    assert!(rows.num_rows() == 1 && assembly.add(&[1, 2, 0, 0, 0, 7], &rows.schema()).unwrap().is_none());
    assert!(assembly.add(&[1, 0, 0, 0, 0, 7], &rows.schema()).unwrap_err().to_string().contains("lacks a chunk"));
}

#[test]
fn a_time_that_has_no_window_fails_as_the_row_that_it_is() {
    let topic = defined(&format!("SELECT window_end, k FROM {MINUTES}"), |_| {});
    let mut run = topic.plan.begin(None).unwrap();
    let mut batch = rows(&topic.plan, &[(1, 2, "")]);
    let place = topic.plan.sources()[0].inputs.iter().position(|input| *input == InputColumn::Field(0)).unwrap();
    let mut columns = batch.columns().to_vec();
    columns[place] = Arc::new(TimestampMicrosecondArray::from(vec![i64::MAX]));
    batch = RecordBatch::try_new(batch.schema(), columns).unwrap();
    let error = run.push(0, &batch, &[Judged { rows: 1, watermark_us: 0 }]).unwrap_err();
    assert_eq!(error.kind, FailureKind::Data);
    assert!(error.to_string().contains("is out of range"), "{error}");
}

/// What a step saves must fit into a commit, whatever is saved already: 8 MiB unless another limit is set.
#[test]
fn a_window_of_very_many_groups_is_saved_a_little_at_a_time() {
    const KEYS: i64 = 240_000;
    const STEP: i64 = 30_000;
    let sql = format!(
        "SELECT window_end, k, count(*) AS n, sum(k) AS s, min(k) AS low FROM {MINUTES} GROUP BY window_end, k"
    );
    let plan = defined(&sql, |_| {}).plan;
    let mut run = plan.begin(None).unwrap();
    let mut saved = std::collections::BTreeMap::new();
    for round in 0..3 {
        for first in (0..KEYS).step_by(STEP as usize) {
            let keys: Vec<(i64, i64, &str)> = (first..first + STEP).map(|key| (round, key, "")).collect();
            assert_eq!(push(run.as_mut(), &rows(&plan, &keys), i64::MIN), 0);
            let pieces = run.save().unwrap();
            let bytes: usize = pieces.iter().filter_map(|(_, piece)| piece.as_ref()).map(|piece| piece.len()).sum();
            assert!(bytes < 6 << 20, "{bytes} bytes for {STEP} rows");
            for (key, piece) in pieces {
                match piece {
                    Some(piece) => drop(saved.insert(key, piece)),
                    None => assert!(saved.remove(&key).is_some()),
                }
            }
        }
    }
    // What was saved is all that there is.
    let mut run = plan.begin(None).unwrap();
    saved.iter().for_each(|(key, piece)| run.restore(*key, piece).unwrap());
    let mut totals = (0, 0);
    while let Some(closed) = run.close(60_000_000, 1 << 20).unwrap() {
        let column = |name| closed.rows.column_by_name(name).unwrap().as_primitive::<Int64Type>().values().to_vec();
        totals = (totals.0 + closed.rows.num_rows() as i64, totals.1 + column("n").into_iter().sum::<i64>());
    }
    assert_eq!(totals, (KEYS, 3 * KEYS));
}
