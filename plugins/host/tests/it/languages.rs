//! One filter in four languages, each built from source: the same answer, on the flights and on rows of chance.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float32Type, Int16Type};
use arrow_array::{Array as _, ArrayRef, BooleanArray, StringArray};
use arrow_schema::DataType;
use millstream_engine::PluginLimits;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::equivalence::{SIZES, column, seeded};
use crate::harness::{TestHost, guest, guests};

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
fn host() -> &'static TestHost {
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
