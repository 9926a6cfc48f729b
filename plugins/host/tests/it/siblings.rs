//! Examples of other kinds than filters in other languages than Rust: what they answer is what the Rust ones do.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, RecordBatch, StringArray};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema};
use millstream_engine::{BatchConsumer, Consumed, FailureKind, PluginLimits, RowMap, Verdict};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::harness::{Kept, assert_failure, guest, somewhere};
use crate::languages::host;

/// The flights in batches, with the columns that a plugin reads.
fn flights(parameters: &[(String, DataType)]) -> Vec<RecordBatch> {
    example("flights.parquet", parameters)
}

/// A file of examples/data in batches, with these columns.
pub(crate) fn example(file: &str, parameters: &[(String, DataType)]) -> Vec<RecordBatch> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/data").join(file);
    let file = File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|b| b.with_batch_size(8_192).build());
    let fields = parameters.iter().map(|(name, data_type)| Field::new(name, data_type.clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let batches = reader.expect("a Parquet file").map(|batch| {
        let batch = batch.expect("a batch");
        let columns = parameters.iter().map(|(name, data_type)| {
            cast(batch.column_by_name(name).expect(name), data_type).unwrap_or_else(|e| panic!("{name}: {e}"))
        });
        RecordBatch::try_new(schema.clone(), columns.collect::<Vec<ArrayRef>>()).expect("a batch")
    });
    batches.collect()
}

/// The first instance of an interpreter compiled without optimisation may take its time.
pub(crate) fn limits() -> PluginLimits {
    PluginLimits { call_timeout_ms: 60_000, ..PluginLimits::default() }
}

#[test]
fn a_transform_in_c() {
    let load = |name| host().load_transform(&guest(name), "", &limits()).unwrap_or_else(|e| panic!("{name}: {e}"));
    let (rust, c) = (load("flight-events"), load("flight-events-c"));
    assert_eq!((c.parameters(), c.output_schema()), (rust.parameters(), rust.output_schema()));
    let mut events = 0;
    for batch in flights(rust.parameters()) {
        let [expected, found] =
            [&rust, &c].map(|plugin| plugin.transform(batch.columns(), batch.num_rows()).expect("rows"));
        assert_eq!(found.batch, expected.batch);
        match (found.rows, expected.rows) {
            (RowMap::Indices(found), RowMap::Indices(expected)) => assert_eq!(found, expected),
            others => panic!("{others:?} do not say where rows come from"),
        }
        events += found.batch.num_rows();
    }
    assert!(events > 600_000, "{events} events");
}

#[test]
fn a_function_in_python() {
    let load = |name, config| host().load(&guest(name), config, &limits()).unwrap_or_else(|e| panic!("{name}: {e}"));
    for config in ["", "km/h"] {
        let (rust, python) = (load("ground-speed", config), load("ground-speed-python", config));
        assert_eq!(python.signature(), rust.signature());
        let parameters = [("distance".to_owned(), DataType::Float64), ("air_time".to_owned(), DataType::Float64)];
        for batch in flights(&parameters).iter().step_by(7) {
            let [expected, found] =
                [&rust, &python].map(|plugin| plugin.call(batch.columns(), batch.num_rows()).expect("speeds"));
            assert_eq!(&found, &expected, "{config:?}");
        }
    }
    let refused = host().load(&guest("ground-speed-python"), "knots", &limits()).expect_err("knots").to_string();
    assert!(refused.contains("not 'knots'"), "{refused}");
}

#[test]
fn a_consumer_in_javascript() {
    let load = |name| host().load_consumer(&guest(name), "", &limits()).unwrap_or_else(|e| panic!("{name}: {e}"));
    let (rust, javascript) = (load("hourly-delays"), load("hourly-delays-javascript"));
    assert_eq!((javascript.parameters(), javascript.outputs()), (rust.parameters(), rust.outputs()));
    let (mut kept, mut hours) = ([Kept::default(), Kept::default()], 0);
    for batch in flights(rust.parameters()) {
        let consume = |plugin: &Arc<dyn BatchConsumer>, kept: &mut Kept| {
            let consumed = plugin.consume(&batch, &somewhere(), kept.state(1 << 24)).expect("rows");
            let Consumed { outputs, verdict, exceptions, state } = consumed;
            assert_eq!((verdict, exceptions.len()), (Verdict::Done, 0));
            kept.apply(state.into_writes());
            outputs
        };
        let [of_rust, of_javascript] = &mut kept;
        let (expected, found) = (consume(&rust, of_rust), consume(&javascript, of_javascript));
        assert_eq!(found, expected);
        hours += found.iter().map(|(_, batch)| batch.num_rows()).sum::<usize>();
    }
    assert!(hours > 5_000, "{hours} rows");
    assert_eq!(kept[0].0.len(), kept[1].0.len());
    // What the state refuses is told in its own words.
    let late = &flights(rust.parameters())[0].slice(151, 1);
    let airport: ArrayRef = Arc::new(StringArray::from(vec!["X".repeat(2_000)]));
    let columns = vec![late.column(0).clone(), airport, Arc::new(Float32Array::from(vec![90.0]))];
    let late = RecordBatch::try_new(late.schema(), columns).expect("a batch");
    for plugin in [&rust, &javascript] {
        let error = plugin.consume(&late, &somewhere(), Kept::default().state(1 << 20)).expect_err("a long key");
        assert_failure(&error, FailureKind::Data, "keys have 1 to 1024");
    }
}
