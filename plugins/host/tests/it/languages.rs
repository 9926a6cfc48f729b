//! One filter in four languages, each built from source: the same answer, on the flights and on rows of chance. What goes
//! wrong in them is told apart.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float32Type, Int16Type};
use arrow_array::{Array as _, ArrayRef, BooleanArray, Float32Array, StringArray};
use arrow_schema::DataType;
use millstream_engine::{FailureKind, PluginHost as _, PluginLimits};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::equivalence::{SIZES, column, seeded};
use crate::harness::{TestHost, assert_failure, describe, failure, function, guest, guests, no_tables, tight, values};

/// Late departures of United, as SQL counts them.
const LATE_OF_UNITED: usize = 3_824;

/// `carrier = 'UA' AND dep_delay > 60`.
fn plain_loop(columns: &[ArrayRef]) -> BooleanArray {
    let (carrier, delay) = (columns[0].as_string::<i32>(), columns[1].as_primitive::<Float32Type>());
    carrier.iter().zip(delay).map(|(c, d)| Some(c == Some("UA") && d.is_some_and(|d| d > 60.0))).collect()
}

fn flights() -> Vec<Vec<ArrayRef>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/data/flights.parquet");
    let file = File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|b| b.with_batch_size(8_192).build());
    let batches = reader.expect("a Parquet file").map(|batch| {
        let batch = batch.expect("a batch");
        let carrier = batch.column_by_name("carrier").expect("carrier").as_string::<i64>();
        let carrier: ArrayRef = Arc::new(carrier.iter().collect::<StringArray>());
        vec![carrier, batch.column_by_name("dep_delay").expect("dep_delay").clone()]
    });
    batches.collect()
}

/// Compiling an interpreter without optimisation takes a minute: it is done once for all runs.
pub(crate) fn host() -> &'static TestHost {
    static HOST: OnceLock<TestHost> = OnceLock::new();
    HOST.get_or_init(|| TestHost::with(|options| options.cache_dir = guests().join("compiled")))
}

#[track_caller]
fn check(name: &str) {
    let host = host();
    // The first instance of an interpreter compiled without optimisation may take its time.
    let limits = PluginLimits { call_timeout_ms: 60_000, ..PluginLimits::default() };
    let module = guest(name);
    let filter = host.load(&module, "UA", &limits).unwrap_or_else(|e| panic!("{name}: {e}"));
    let mut kept = 0;
    for columns in flights() {
        let answer = filter.call(&columns, columns[0].len()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(answer.as_boolean(), &plain_loop(&columns), "{name}");
        kept += answer.as_boolean().true_count();
    }
    assert_eq!(kept, LATE_OF_UNITED, "{name}");
    seeded(|rng| {
        for rows in SIZES {
            let delay = column(rng, &DataType::Int16, rows);
            let delay = delay.as_primitive::<Int16Type>().unary::<_, Float32Type>(|v| f32::from(v) / 64.0);
            let columns = vec![column(rng, &DataType::Utf8, rows), Arc::new(delay) as ArrayRef];
            let answer = filter.call(&columns, rows).unwrap_or_else(|e| panic!("{name}, {rows} rows: {e}"));
            assert_eq!(answer.as_boolean(), &plain_loop(&columns), "{name}, {rows} rows");
        }
    });
    // A configuration that is refused is a plain error, in the plugin's own words.
    let refused = host.load(&module, "", &limits).expect_err("a carrier is needed").to_string();
    assert!(refused.contains("must name a carrier"), "{name}: {refused}");
}

#[test]
fn rust() {
    check("carrier-filter");
}

#[test]
fn c() {
    check("carrier-filter-c");
}

#[test]
fn javascript() {
    check("carrier-filter-javascript");
}

#[test]
fn python() {
    check("carrier-filter-python");
}

/// Ways to fail, with what is said of each.
type Ways = [(&'static str, FailureKind, &'static str)];

#[track_caller]
fn fails(name: &str, ways: &Ways) {
    let module = guest(name);
    for (way, kind, text) in ways {
        // Memory is used up slower than loops are cut off.
        let call_timeout_ms = if *kind == FailureKind::Timeout { 300 } else { 60_000 };
        let limits = PluginLimits { call_timeout_ms, memory_bytes: 32 << 20, ..tight() };
        let misbehaves = host().load(&module, way, &limits).unwrap_or_else(|e| panic!("{name} {way}: {e}"));
        for _ in 0..2 {
            assert_failure(&failure(&misbehaves, &values(8), 8), *kind, text);
        }
    }
}

#[test]
fn what_goes_wrong_in_c_is_told_apart() {
    fails(
        "misbehaves-c",
        &[
            ("spin", FailureKind::Timeout, "took longer than its time limit"),
            ("error", FailureKind::Data, "these rows are not to my taste"),
            ("trap", FailureKind::Trap, "unreachable"),
            ("recurse", FailureKind::Trap, "filter trapped"),
            ("memory", FailureKind::Memory, "memory limit of 33554432 bytes"),
        ],
    );
}

#[test]
fn what_goes_wrong_in_javascript_is_told_apart() {
    fails(
        "misbehaves-javascript",
        &[
            ("spin", FailureKind::Timeout, "took longer than its time limit"),
            ("error", FailureKind::Data, "these rows are not to my taste"),
            ("throw", FailureKind::Data, "cannot read property 'nothing' of undefined"),
            ("recurse", FailureKind::Trap, "call stack exhausted"),
            ("memory", FailureKind::Memory, "memory limit of 33554432 bytes: out of memory"),
        ],
    );
}

/// With the filter of the others: one interpreter more takes a minute to compile.
#[test]
fn memory_that_python_is_refused_is_told() {
    let module = guest("carrier-filter-python");
    let batch = |carrier: &str, rows: usize| -> [ArrayRef; 2] {
        let delays = Float32Array::from(vec![100.0; rows]);
        [Arc::new(StringArray::from(vec![carrier; rows])), Arc::new(delays)]
    };
    let load = |memory_bytes| {
        let limits = PluginLimits { call_timeout_ms: 60_000, memory_bytes, ..PluginLimits::default() };
        let info = describe(&host().host, &module, "UA", &limits).expect("a description");
        (info.id, function(host().host.load(&info, &module, no_tables()).expect("a filter")))
    };
    let (id, filter) = load(64 << 20);
    assert_eq!(filter.call(&batch("UA", 8), 8).expect("an answer").as_boolean().true_count(), 8);
    let seen = host().host.calls().into_iter().find(|calls| calls.plugin == id).expect("it was called");
    // Enough to start with, and for small batches.
    let (_, filter) = load(seen.figures.memory_peak_bytes + (1 << 20));
    assert_eq!(filter.call(&batch("UA", 8), 8).expect("an answer").as_boolean().true_count(), 8);
    let error = failure(&filter, &batch(&"UA".repeat(30), 60_000), 60_000);
    assert_failure(&error, FailureKind::Memory, "filter needs more than the memory limit of");
    assert_eq!(filter.call(&batch("UA", 8), 8).expect("an answer").as_boolean().true_count(), 8);
}
