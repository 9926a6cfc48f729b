//! Whatever happens to a run, its windows are what the SELECT gives over the rows that were not late.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use millstream_engine::ContinuousPlan;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::queries::{Query, query};
use super::rows::{history, instants, kept, schema, seconds, time_type};
use super::*;

/// Histories, and queries over each.
const HISTORIES: u64 = 640;
const QUERIES: usize = 8;
const THREADS: usize = 2;

/// The windows that a second is in, by what they are.
fn windows_of(second: i64, (kind, step, size, offset): (&str, i64, i64, i64)) -> Vec<(i64, i64)> {
    let floor = |at: i64, length: i64| (at - offset).div_euclid(length) * length + offset;
    match kind {
        "TUMBLE" => vec![(floor(second, size), floor(second, size) + size)],
        "HOP" => {
            let starts = (0..).map(|n| floor(second, step) - n * step).take_while(|start| start + size > second);
            starts.map(|start| (start, start + size)).collect()
        }
        _ => {
            let start = floor(second, size);
            let ends = (1..=size / step).map(|n| start + n * step);
            ends.filter(|end| *end > second).map(|end| (start, end)).collect()
        }
    }
}

/// Rows with the windows that they are in and not too late for; and how many were too late.
fn rows_of_windows(
    table: &SchemaRef,
    commits: &[(RecordBatch, i64, i64)],
    window: (&str, i64, i64, i64),
) -> (SchemaRef, RecordBatch, u64) {
    let (mut places, mut starts, mut ends, mut late, mut first) = (Vec::new(), Vec::new(), Vec::new(), 0, 0_u32);
    for (rows, before, _) in commits {
        for (row, second) in seconds(rows).into_iter().enumerate() {
            for (start, end) in second.map(|second| windows_of(second, window)).unwrap_or_default() {
                if end * 1_000_000 <= *before {
                    late += 1;
                    continue;
                }
                places.push(first + row as u32);
                starts.push(start);
                ends.push(end);
            }
        }
        first += rows.num_rows() as u32;
    }
    let all = arrow::compute::concat_batches(table, commits.iter().map(|(rows, ..)| rows)).unwrap();
    let places = UInt32Array::from(places);
    let mut columns: Vec<ArrayRef> = all.columns().iter().map(|column| take(column, &places, None).unwrap()).collect();
    let time = table.field(1).data_type();
    let DataType::Timestamp(unit, _) = time else { panic!("a time") };
    let per_second = windows::per_second(*unit);
    let of = |seconds: &[i64], back: i64| {
        let ticks: ArrayRef = Arc::new(Int64Array::from_iter_values(seconds.iter().map(|at| at * per_second - back)));
        cast(&ticks, time).unwrap()
    };
    columns.extend([of(&starts, 0), of(&ends, 0), of(&ends, 1)]);
    let own = table.fields().iter().map(|field| field.as_ref().clone());
    let added = windows::COLUMNS.map(|name| Field::new(name, time.clone(), false));
    let schema = Arc::new(Schema::new(own.chain(added).collect::<Vec<_>>()));
    let rows = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    (schema, rows, late)
}

/// Windows come in the order of their ends.
fn check_order(output: &[RecordBatch], context: &str) {
    let Some(column) = output.first().and_then(|batch| batch.schema().index_of("window_end").ok()) else { return };
    let mut last = i64::MIN;
    for batch in output {
        let ends = cast(batch.column(column), &DataType::Int64).unwrap();
        for end in ends.as_primitive::<Int64Type>().values() {
            assert!(last <= *end, "{context}: windows come in order");
            last = *end;
        }
    }
}

#[test]
fn closed_windows_are_what_the_select_gives_over_the_rows_that_were_not_late() {
    let first = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let histories = if first.is_some() { 1 } else { HISTORIES };
    let first = first.unwrap_or_else(rand::random::<u64>);
    eprintln!("seed {first}; set SEED to repeat a history's own");
    let of_thread = |thread| (0..histories).skip(thread).step_by(THREADS).map(move |number| first.wrapping_add(number));
    let counts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || of_histories(of_thread(thread)))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).fold(Counts::default(), Counts::and)
    });
    eprintln!("{counts:?}");
    if histories > 1 {
        assert!(counts.pairs > 5_000 && counts.refused < counts.pairs / 20);
        assert!(counts.rows > 20_000 && counts.late > 2_000 && counts.crashes > 1_000);
        assert!(counts.partial > 400 && counts.partial < counts.pairs);
    }
}

#[derive(Debug, Default)]
struct Counts {
    pairs: usize,
    /// Queries that DataFusion can't carry out.
    refused: usize,
    rows: usize,
    late: u64,
    crashes: usize,
    /// With partial aggregates.
    partial: usize,
}

impl Counts {
    fn and(self, other: Counts) -> Counts {
        Counts {
            pairs: self.pairs + other.pairs,
            refused: self.refused + other.refused,
            rows: self.rows + other.rows,
            late: self.late + other.late,
            crashes: self.crashes + other.crashes,
            partial: self.partial + other.partial,
        }
    }
}

fn of_histories(seeds: impl Iterator<Item = u64>) -> Counts {
    let (batch, state) = (Batch::new(), state());
    let mut counts = Counts::default();
    for seed in seeds {
        let mut random = StdRng::seed_from_u64(seed);
        let table = schema(&time_type(&mut random));
        let commits = history(&table, &mut random);
        for _ in 0..QUERIES {
            let query = query(&mut random);
            counts = counts.and(pair(&query, &table, &commits, (&batch, &state), seed, &mut random));
        }
    }
    counts
}

fn pair(
    query: &Query,
    table: &SchemaRef,
    commits: &[(RecordBatch, i64, i64)],
    (batch, state): (&Batch, &SessionState),
    seed: u64,
    random: &mut StdRng,
) -> Counts {
    let sql = query.sql();
    let context = format!("seed {seed}: {sql}");
    let defined = match try_define(&sql, over(table), state) {
        Ok(defined) => defined,
        Err(error) => {
            let answer = batch.try_answer(&sql, table, &[RecordBatch::new_empty(Arc::clone(table))]);
            assert_eq!(answer.unwrap_err().to_string(), error.to_string(), "{context}");
            return Counts { refused: 1, ..Counts::default() };
        }
    };
    let plan = &defined.plan;
    if random.random_bool(0.1) {
        // What is stored is the same topic.
        let again = try_define(&defined.text, over(table), state).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!((&again.text, again.plan.fingerprint()), (&defined.text, plan.fingerprint()), "{context}");
    }
    let durable = engine::run(plan, &instants(commits, plan), &context, random);
    let output = plan.output_schema();
    for part in &durable.output {
        assert_eq!(part.schema(), *output, "{context}");
    }
    check_order(&durable.output, &context);
    let ours = sorted_texts(durable.output.iter().map(|part| typed(part, output)).collect::<Vec<_>>().iter());
    let (windowed, in_windows, late) = rows_of_windows(table, commits, query.window);
    let expected = batch.answer(&query.over_rows_of_windows(), &windowed, &[in_windows], output);
    assert_eq!(ours, sorted_texts(&expected), "{context}");
    if query.window.0 == "TUMBLE" || late == 0 {
        let window = query.window;
        let in_time = kept(table, commits, |second, before| {
            windows_of(second, window).iter().any(|(_, end)| end * 1_000_000 > before)
        });
        let expected = batch.answer(&sql, table, &[in_time], output);
        assert_eq!(ours, sorted_texts(&expected), "{context}: the same text");
    }
    check_late(&durable, query, (table, commits), &context);
    let partial = usize::from(plan.state().starts_with("partial"));
    Counts { pairs: 1, refused: 0, rows: ours.len(), late: durable.late, crashes: durable.crashes, partial }
}

/// Without WHERE every row is in a window or late, and late ones are kept once for each window.
fn check_late(
    durable: &engine::Durable,
    query: &Query,
    (table, commits): (&SchemaRef, &[(RecordBatch, i64, i64)]),
    context: &str,
) {
    let kept: usize = durable.late_rows.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(kept as u64, durable.late, "{context}: late rows are kept");
    if query.text.contains("WHERE ") {
        return;
    }
    let (_, _, late) = rows_of_windows(table, commits, query.window);
    assert_eq!(durable.late, late, "{context}: late rows");
    for batch in &durable.late_rows {
        let ids = batch.column_by_name("id").unwrap().as_primitive::<Int64Type>();
        assert_eq!(ids, batch.column_by_name("source_offset").unwrap().as_primitive::<Int64Type>());
        let us = |name: &str| cast(batch.column_by_name(name).unwrap(), &DataType::Int64).unwrap();
        let (ends, watermarks) = (us("window_end"), us("watermark"));
        let pairs =
            ends.as_primitive::<Int64Type>().values().iter().zip(watermarks.as_primitive::<Int64Type>().values());
        assert!(pairs.into_iter().all(|(end, watermark)| end <= watermark), "{context}");
    }
}
