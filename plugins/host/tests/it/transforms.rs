//! Transforms: every type comes back as it went in, and each row says where it comes from.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Decimal128Type, Float32Type, Int32Type, TimestampMillisecondType};
use arrow_array::{Array as _, ArrayRef, PrimitiveArray, RecordBatch, StringArray, UInt32Array};
use arrow_schema::DataType;
use arrow_select::take::take;
use millstream_engine::{BatchTransform, Evaluated, PluginHost as _, PluginKind, PluginLimits, RowMap};

use crate::equivalence::{SIZES, column, seeded};
use crate::harness::{TestHost, guest};

fn transform(host: &TestHost, name: &str, config: &str) -> Arc<dyn BatchTransform> {
    host.load_transform(&guest(name), config, &PluginLimits::default()).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// What comes out, and the row that each row comes from.
fn run(transform: &Arc<dyn BatchTransform>, columns: &[ArrayRef], rows: usize) -> (RecordBatch, Vec<u32>) {
    match transform.transform(columns, rows).unwrap_or_else(|e| panic!("{rows} rows: {e}")) {
        Evaluated { batch, rows: RowMap::Indices(origins) } => (batch, origins),
        other => panic!("{other:?} does not say where rows come from"),
    }
}

#[test]
fn every_type_comes_back_as_it_went() {
    let host = TestHost::new();
    let (echo, batch_wise) = (transform(&host, "echo", ""), transform(&host, "echo", "batch-wise"));
    let types: Vec<DataType> = echo.parameters().iter().map(|(_, data_type)| data_type.clone()).collect();
    seeded(|rng| {
        for rows in SIZES.into_iter().chain([70_000]) {
            let columns: Vec<ArrayRef> = types.iter().map(|data_type| within(column(rng, data_type, rows))).collect();
            let repeated: Vec<u32> =
                (0..u32::try_from(rows).expect("few rows")).flat_map(|row| vec![row; row as usize % 3]).collect();
            // Rows are counted anew in each call, which are cut where the host likes.
            let (batch, origins) = run(&echo, &columns, rows);
            if rows < 10_000 {
                assert_eq!(origins, repeated, "{rows} rows");
            }
            check(&batch, &columns, &origins);
            let (batch, origins) = run(&batch_wise, &columns, rows);
            assert_eq!(origins.len(), rows);
            check(&batch, &columns, &origins);
        }
    });
}

/// Random decimals pass their precision, and what passes it is not taken back.
fn within(column: ArrayRef) -> ArrayRef {
    match column.data_type().clone() {
        DataType::Decimal128(precision, scale) => {
            let halves = column.as_primitive::<Decimal128Type>().unary::<_, Decimal128Type>(|v| v >> 4);
            Arc::new(halves.with_precision_and_scale(precision, scale).expect("a decimal type"))
        }
        _ => column,
    }
}

fn check(batch: &RecordBatch, columns: &[ArrayRef], origins: &[u32]) {
    let origins = UInt32Array::from(origins.to_vec());
    for (given, column) in batch.columns().iter().zip(columns) {
        given.to_data().validate_full().expect("a sound column");
        let expected = take(column, &origins, None).expect("the rows are there");
        // Floats are compared by their bits, as NaN is among them.
        let same = given.to_data() == expected.to_data() || format!("{given:?}") == format!("{expected:?}");
        assert!(same, "{} rows of {}:\n{given:?}\n{expected:?}", given.len(), column.data_type());
    }
}

#[test]
fn the_columns_that_come_out_are_known_before_the_first_row() {
    let host = TestHost::new();
    let described = host.host.inspect(&guest("flight-events"), &PluginLimits::default()).expect("a description");
    assert_eq!(described.kind, PluginKind::Transform);
    let DataType::Struct(fields) = described.returns else { panic!("{:?}", described.returns) };
    let names: Vec<_> = fields.iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["at", "airport", "event", "carrier", "flight"]);
    let events = transform(&host, "flight-events", "");
    assert_eq!(events.output_schema().fields(), &fields);
}

#[test]
fn flights_become_what_happened_at_airports() {
    let host = TestHost::new();
    let events = transform(&host, "flight-events", "");
    let minute = 60_000;
    let texts = |texts: [&str; 3]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(
            PrimitiveArray::<TimestampMillisecondType>::from(vec![0, 10 * minute, 20 * minute]).with_timezone("UTC"),
        ),
        texts(["UA", "AA", "DL"]),
        Arc::new(PrimitiveArray::<Int32Type>::from(vec![1, 2, 3])),
        texts(["EWR", "LGA", "JFK"]),
        texts(["IAH", "MIA", "ATL"]),
        // The second was cancelled; the third never arrived.
        Arc::new(PrimitiveArray::<Float32Type>::from(vec![Some(5.0), None, Some(0.0)])),
        Arc::new(PrimitiveArray::<Float32Type>::from(vec![Some(200.0), None, None])),
    ];
    let (batch, origins) = run(&events, &columns, 3);
    assert_eq!(origins, [0, 0, 2]);
    let at = batch.column(0).as_any().downcast_ref::<PrimitiveArray<TimestampMillisecondType>>().expect("times");
    assert_eq!(at.values(), &[5 * minute, 205 * minute, 20 * minute]);
    let airports = batch.column(1).as_any().downcast_ref::<StringArray>().expect("texts");
    assert_eq!(airports.iter().flatten().collect::<Vec<_>>(), ["EWR", "IAH", "JFK"]);
    assert_eq!(run(&events, &columns.iter().map(|c| c.slice(0, 0)).collect::<Vec<_>>(), 0).0.num_rows(), 0);
}
