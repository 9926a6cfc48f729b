//! What a guest sees is what the host has: filters give what a plain loop over the Arrow arrays gives.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::cast::AsArray as _;
use arrow_array::types::*;
use arrow_array::{Array as _, ArrayRef, ArrowPrimitiveType, BooleanArray};
use arrow_schema::DataType;
use millstream_engine::ScalarFunction;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::harness::TestHost;

pub(crate) const SIZES: [usize; 9] = [0, 1, 7, 8, 9, 63, 65, 1_000, 8_192];

/// Runs `check` with a generator whose seed is told when it fails.
pub(crate) fn seeded(check: impl Fn(&mut StdRng)) {
    let seed = std::env::var("MILLSTREAM_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(rand::random);
    eprintln!("MILLSTREAM_SEED={seed}");
    check(&mut StdRng::seed_from_u64(seed));
}

fn primitive<T: ArrowPrimitiveType>(rng: &mut StdRng, rows: usize, nulls: f64) -> ArrayRef
where
    rand::distr::StandardUniform: rand::distr::Distribution<T::Native>,
{
    let mut builder = PrimitiveBuilder::<T>::new();
    for _ in 0..rows {
        builder.append_option((!rng.random_bool(nulls)).then(|| rng.random::<T::Native>()));
    }
    Arc::new(builder.finish())
}

fn texts(rng: &mut StdRng, rows: usize, nulls: f64) -> ArrayRef {
    let mut builder = StringBuilder::new();
    for _ in 0..rows {
        let text: String =
            (0..rng.random_range(0..6)).map(|_| ['U', 'A', 'é', '水', '𝄞'][rng.random_range(0..5)]).collect();
        builder.append_option((!rng.random_bool(nulls)).then_some(text));
    }
    Arc::new(builder.finish())
}

fn byte_strings(rng: &mut StdRng, rows: usize, nulls: f64) -> ArrayRef {
    let mut builder = BinaryBuilder::new();
    for _ in 0..rows {
        let bytes: Vec<u8> = (0..rng.random_range(0..9)).map(|_| rng.random()).collect();
        builder.append_option((!rng.random_bool(nulls)).then_some(bytes));
    }
    Arc::new(builder.finish())
}

fn truths(rng: &mut StdRng, rows: usize, nulls: f64) -> ArrayRef {
    let mut builder = BooleanBuilder::new();
    for _ in 0..rows {
        builder.append_option((!rng.random_bool(nulls)).then(|| rng.random()));
    }
    Arc::new(builder.finish())
}

/// A column of `data_type`, every second time a slice of a longer one.
pub(crate) fn column(rng: &mut StdRng, data_type: &DataType, rows: usize) -> ArrayRef {
    let nulls = [0.0, 0.1, 1.0][rng.random_range(0..3)];
    let (before, after) = if rng.random() { (rng.random_range(0..20), rng.random_range(0..20)) } else { (0, 0) };
    let all = before + rows + after;
    let array = match data_type {
        DataType::Boolean => truths(rng, all, nulls),
        DataType::Int8 => primitive::<Int8Type>(rng, all, nulls),
        DataType::Int16 => primitive::<Int16Type>(rng, all, nulls),
        DataType::Int32 => primitive::<Int32Type>(rng, all, nulls),
        DataType::Int64 => primitive::<Int64Type>(rng, all, nulls),
        DataType::UInt8 => primitive::<UInt8Type>(rng, all, nulls),
        DataType::UInt16 => primitive::<UInt16Type>(rng, all, nulls),
        DataType::UInt32 => primitive::<UInt32Type>(rng, all, nulls),
        DataType::UInt64 => primitive::<UInt64Type>(rng, all, nulls),
        DataType::Float32 => primitive::<Float32Type>(rng, all, nulls),
        DataType::Float64 => primitive::<Float64Type>(rng, all, nulls),
        DataType::Date32 => primitive::<Date32Type>(rng, all, nulls),
        DataType::Utf8 => texts(rng, all, nulls),
        DataType::Binary => byte_strings(rng, all, nulls),
        DataType::Decimal128(precision, scale) => {
            let array = primitive::<Decimal128Type>(rng, all, nulls);
            let array = array.as_primitive::<Decimal128Type>().clone();
            Arc::new(array.with_precision_and_scale(*precision, *scale).expect("a decimal type"))
        }
        DataType::Timestamp(_, zone) => {
            let array = primitive::<TimestampMicrosecondType>(rng, all, nulls);
            Arc::new(array.as_primitive::<TimestampMicrosecondType>().clone().with_timezone_opt(zone.clone()))
        }
        other => panic!("no column of {other}"),
    };
    array.slice(before, rows)
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(bytes.len() as u64, |sum, byte| sum + u64::from(*byte))
}

/// What the probe counts a value as.
fn count(array: &ArrayRef, row: usize) -> u64 {
    if array.is_null(row) {
        return 3;
    }
    macro_rules! bits {
        ($type:ty, $bits:expr) => {
            u64::from($bits(array.as_primitive::<$type>().value(row)).count_ones())
        };
    }
    match array.data_type() {
        DataType::Boolean => u64::from(array.as_boolean().value(row)),
        DataType::Int8 => bits!(Int8Type, |v| v),
        DataType::Int16 => bits!(Int16Type, |v| v),
        DataType::Int32 => bits!(Int32Type, |v| v),
        DataType::Int64 => bits!(Int64Type, |v| v),
        DataType::UInt8 => bits!(UInt8Type, |v| v),
        DataType::UInt16 => bits!(UInt16Type, |v| v),
        DataType::UInt32 => bits!(UInt32Type, |v| v),
        DataType::UInt64 => bits!(UInt64Type, |v| v),
        DataType::Float32 => bits!(Float32Type, f32::to_bits),
        DataType::Float64 => bits!(Float64Type, f64::to_bits),
        DataType::Date32 => bits!(Date32Type, |v| v),
        DataType::Decimal128(_, _) => bits!(Decimal128Type, |v| v as u64 ^ (v >> 64) as u64),
        DataType::Timestamp(_, _) => bits!(TimestampMicrosecondType, |v| v),
        DataType::Utf8 => sum(array.as_string::<i32>().value(row).as_bytes()),
        DataType::Binary => sum(array.as_binary::<i32>().value(row)),
        other => panic!("no count of {other}"),
    }
}

#[track_caller]
fn check(filter: &Arc<dyn ScalarFunction>, columns: &[ArrayRef], rows: usize, keep: impl Fn(usize) -> bool) {
    let answer = filter.call(columns, rows).unwrap_or_else(|e| panic!("{rows} rows: {e}"));
    let expected: BooleanArray = (0..rows).map(|row| Some(keep(row))).collect();
    assert_eq!(answer.as_boolean(), &expected, "{rows} rows");
}

#[test]
fn every_type_arrives_as_it_is() {
    let host = TestHost::new();
    let probe = host.filter("probe", "");
    let types: Vec<DataType> = probe.signature().parameters.iter().map(|(_, t)| t.clone()).collect();
    seeded(|rng| {
        for rows in SIZES.into_iter().chain((0..40).map(|_| rng.random_range(0..3_000)).collect::<Vec<_>>()) {
            let columns: Vec<ArrayRef> = types.iter().map(|data_type| column(rng, data_type, rows)).collect();
            check(&probe, &columns, rows, |row| columns.iter().map(|c| count(c, row)).sum::<u64>() % 2 == 1);
        }
    });
}

#[test]
fn the_batch_wise_forms_do_what_the_row_wise_ones_do() {
    let host = TestHost::new();
    seeded(|rng| {
        for name in ["int8", "int64", "float64", "boolean", "utf8", "binary", "not boolean"] {
            let probe = host.filter("probe", name);
            let parameters = probe.signature().parameters.clone();
            let tested = name.trim_start_matches("not ");
            let position = parameters.iter().position(|(n, _)| n == tested).expect("a parameter of that name");
            for rows in SIZES {
                let columns: Vec<ArrayRef> = parameters.iter().map(|(_, t)| column(rng, t, rows)).collect();
                let array = &columns[position];
                check(&probe, &columns, rows, |row| {
                    (array.is_valid(row) && count(array, row) % 2 == 1) != name.starts_with("not")
                });
            }
        }
    });
}

#[test]
fn a_filter_equals_a_plain_loop() {
    let host = TestHost::new();
    let late = host.filter("late-departures", "");
    let of_carrier = host.filter("carrier-filter", "UA");
    seeded(|rng| {
        for rows in SIZES {
            let delay = column(rng, &DataType::Int16, rows);
            let delay = delay.as_primitive::<Int16Type>().unary::<_, Float32Type>(|v| f32::from(v) / 64.0);
            let carrier = column(rng, &DataType::Utf8, rows);
            let is_late = |row| delay.is_valid(row) && delay.value(row) > 60.0;
            let delays: ArrayRef = Arc::new(delay.clone());
            check(&late, std::slice::from_ref(&delays), rows, is_late);
            let is_ua = |row| carrier.is_valid(row) && carrier.as_string::<i32>().value(row) == "UA";
            check(&of_carrier, &[carrier.clone(), delays], rows, |row| is_late(row) && is_ua(row));
        }
    });
}

#[test]
fn more_rows_than_one_message_holds_are_split_and_joined() {
    let host = TestHost::new();
    let late = host.filter("late-departures", "");
    let rows = 200_003;
    let delay: ArrayRef = Arc::new(arrow_array::Float32Array::from_iter_values((0..rows).map(|i| (i % 127) as f32)));
    check(&late, &[delay], rows, |row| row % 127 > 60);
    assert!(host.host.figures().calls > 1);
}

#[test]
fn the_example_plugins_find_the_late_departures_of_2013() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/data/flights.parquet");
    let file = File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|b| b.with_batch_size(8_192).build());
    let host = TestHost::new();
    let late = host.filter("late-departures", "");
    let united = host.filter("carrier-filter", "UA");
    let (mut rows, mut late_rows, mut united_rows, mut late_by_loop) = (0, 0, 0, 0);
    for batch in reader.expect("a Parquet file") {
        let batch = batch.expect("a batch");
        let delay = batch.column_by_name("dep_delay").expect("dep_delay").clone();
        let carrier = batch.column_by_name("carrier").expect("carrier").as_string::<i64>();
        let carrier: ArrayRef = Arc::new(carrier.iter().collect::<arrow_array::StringArray>());
        let kept = |filter: &Arc<dyn ScalarFunction>, columns: &[ArrayRef]| {
            filter.call(columns, batch.num_rows()).expect("an answer").as_boolean().true_count()
        };
        rows += batch.num_rows();
        late_rows += kept(&late, std::slice::from_ref(&delay));
        united_rows += kept(&united, &[carrier, delay.clone()]);
        late_by_loop += delay.as_primitive::<Float32Type>().iter().flatten().filter(|minutes| *minutes > 60.0).count();
    }
    assert_eq!((rows, late_rows, united_rows), (336_776, 26_581, 3_824));
    assert_eq!(late_rows, late_by_loop);
}
