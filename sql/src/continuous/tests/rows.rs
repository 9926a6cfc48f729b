//! Random histories: rows of many types, out of order, late, with nulls.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use arrow::compute::{cast, concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use millstream_engine::{ContinuousPlan, InputColumn};
use rand::Rng;
use rand::rngs::StdRng;

use super::engine::Instant;

/// The table of a history; `id` says its rows apart.
pub(super) fn schema(time: &DataType) -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("ts", time.clone(), true),
        Field::new("k", DataType::Int32, true),
        Field::new("g", DataType::Utf8, true),
        Field::new("v", DataType::Int32, true),
        Field::new("b", DataType::Int64, false),
        Field::new("d", DataType::Float64, true),
        Field::new("m", DataType::Decimal128(10, 2), true),
        Field::new("f", DataType::Boolean, true),
    ]))
}

/// A type of event time.
pub(super) fn time_type(random: &mut StdRng) -> DataType {
    let unit = [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];
    let zone = random.random_bool(0.5).then(|| Arc::from("UTC"));
    DataType::Timestamp(unit[random.random_range(0..4)], zone)
}

fn maybe<T>(random: &mut StdRng, make: impl Fn(&mut StdRng) -> T) -> Option<T> {
    if random.random_bool(0.15) { None } else { Some(make(random)) }
}

/// The rows of one commit around a second.
fn rows(schema: &SchemaRef, first_id: i64, around: i64, random: &mut StdRng) -> RecordBatch {
    let count = random.random_range(0..12);
    let times: Vec<Option<i64>> =
        (0..count).map(|_| (!random.random_bool(0.05)).then(|| around + random.random_range(-25..8))).collect();
    let seconds: ArrayRef = Arc::new(Int64Array::from(times));
    let seconds = cast(&seconds, &DataType::Timestamp(TimeUnit::Second, None)).unwrap();
    let DataType::Timestamp(unit, zone) = schema.field(1).data_type() else { panic!("a time") };
    let times = cast(&seconds, &DataType::Timestamp(*unit, None)).unwrap();
    let times = match zone {
        Some(_) => cast(&cast(&times, &DataType::Int64).unwrap(), schema.field(1).data_type()).unwrap(),
        None => times,
    };
    let words = ["ant", "bee", "cat", "", "ümlaut"];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(first_id..first_id + i64::from(count))),
        times,
        Arc::new((0..count).map(|_| maybe(random, |random| random.random_range(0..4))).collect::<Int32Array>()),
        Arc::new((0..count).map(|_| maybe(random, |random| words[random.random_range(0..5)])).collect::<StringArray>()),
        Arc::new((0..count).map(|_| maybe(random, |random| random.random_range(-9..10))).collect::<Int32Array>()),
        Arc::new(Int64Array::from_iter_values((0..count).map(|_| random.random_range(0..1_000_000_007)))),
        // Sums of quarters are exact, whatever their order.
        Arc::new(
            (0..count)
                .map(|_| maybe(random, |random| f64::from(random.random_range(-40..40)) / 4.0))
                .collect::<Float64Array>(),
        ),
        Arc::new(
            (0..count)
                .map(|_| maybe(random, |random| i128::from(random.random_range(-9_999..9_999))))
                .collect::<Decimal128Array>()
                .with_precision_and_scale(10, 2)
                .unwrap(),
        ),
        Arc::new((0..count).map(|_| maybe(random, |random| random.random_bool(0.5))).collect::<BooleanArray>()),
    ];
    RecordBatch::try_new(Arc::clone(schema), columns).unwrap()
}

/// Commits of a table, each with how far event time had come before and after.
pub(super) fn history(schema: &SchemaRef, random: &mut StdRng) -> Vec<(RecordBatch, i64, i64)> {
    // Before and after 1970.
    let mut around = [-40, 0, 1_700_000_000, -2_000_000_000][random.random_range(0..4)];
    let delay = random.random_range(0..12);
    let (mut commits, mut watermark, mut id) = (Vec::new(), i64::MIN, 0);
    for _ in 0..random.random_range(3..14) {
        around += random.random_range(0..20);
        let rows = rows(schema, id, around, random);
        id += rows.num_rows() as i64;
        let before = watermark;
        if random.random_bool(0.8) && rows.num_rows() > 0 {
            watermark = watermark.max((around - delay) * 1_000_000 + random.random_range(0..1_000_000));
        }
        commits.push((rows, before, watermark));
    }
    commits
}

/// Commits as a plan's source has them.
pub(super) fn instants(commits: &[(RecordBatch, i64, i64)], plan: &dyn ContinuousPlan) -> Vec<Instant> {
    let instant = |(rows, before_us, after_us): &(RecordBatch, i64, i64)| {
        let (mut fields, mut columns) = (Vec::new(), Vec::<ArrayRef>::new());
        for input in &plan.sources()[0].inputs {
            let (field, column): (Field, ArrayRef) = match input {
                InputColumn::Field(index) => (rows.schema().field(*index).clone(), Arc::clone(rows.column(*index))),
                InputColumn::Partition => (
                    Field::new("_partition", DataType::Int32, false),
                    Arc::new(Int32Array::from(vec![3; rows.num_rows()])),
                ),
                InputColumn::Offset => {
                    (Field::new("_offset", DataType::Int64, false), cast(rows.column(0), &DataType::Int64).unwrap())
                }
                InputColumn::AppendTs => panic!("nothing asks for it"),
            };
            fields.push(field);
            columns.push(column);
        }
        let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        Instant { rows, before_us: *before_us, after_us: *after_us }
    };
    commits.iter().map(instant).collect()
}

/// The rows of all commits that `keep` wants, by their seconds and how far event time had come.
pub(super) fn kept(
    schema: &SchemaRef,
    commits: &[(RecordBatch, i64, i64)],
    keep: impl Fn(i64, i64) -> bool,
) -> RecordBatch {
    let batches = commits.iter().map(|(rows, before, _)| {
        let seconds = seconds(rows);
        let wanted: BooleanArray =
            seconds.iter().map(|second| Some(second.is_some_and(|second| keep(second, *before)))).collect();
        filter_record_batch(rows, &wanted).unwrap()
    });
    concat_batches(schema, &batches.collect::<Vec<_>>()).unwrap()
}

/// The event times of rows in whole seconds, as they all are.
pub(super) fn seconds(rows: &RecordBatch) -> Vec<Option<i64>> {
    use arrow::array::AsArray;
    let DataType::Timestamp(unit, _) = rows.column(1).data_type() else { panic!("a time") };
    let ticks = cast(rows.column(1), &DataType::Int64).unwrap();
    let per_second = crate::windows::per_second(*unit);
    ticks.as_primitive::<arrow::datatypes::Int64Type>().iter().map(|tick| tick.map(|tick| tick / per_second)).collect()
}
