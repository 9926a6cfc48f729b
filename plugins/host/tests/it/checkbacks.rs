//! Plugins built from source that look rows up: a checkback handler, and a consumer.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float32Type, TimestampMillisecondType};
use arrow_array::{Array as _, ArrayRef, Float32Array, Int32Array, PrimitiveArray, RecordBatch, StringArray};
use arrow_schema::{Field, Schema};
use millstream_engine::{
    CheckVerdict, CheckbackHandler, LoadedPlugin, MemoryTables, PluginHost as _, PluginKind, PluginLimits, Verdict,
    check,
};

use crate::harness::{Kept, TestHost, guest, no_tables, somewhere};
use CheckVerdict::{Commit, Rollback, Unknown};

const HOUR: i64 = 3_600_000;

/// The table of a plugin that declares one, with rows of its key columns and the others.
fn table(host: &TestHost, module: &[u8], columns: Vec<ArrayRef>) -> Arc<MemoryTables> {
    let declared = host.host.inspect(module, &PluginLimits::default()).expect("a description").tables;
    let fields = declared.iter().flat_map(|used| used.key.fields().iter().chain(used.columns.fields())).cloned();
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let rows = RecordBatch::try_new(schema, columns).expect("rows");
    Arc::new(MemoryTables::new(&declared, vec![vec![rows]]).expect("a table"))
}

fn orders(host: &TestHost, config: &str) -> Arc<dyn CheckbackHandler> {
    let module = guest("seat-orders");
    let flights: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec!["UA", "UA", "AA", "UA"])),
        Arc::new(Int32Array::from(vec![1545, 1545, 1141, 1714])),
        Arc::new(Float32Array::from(vec![None, Some(2.0), None, Some(4.0)])),
    ];
    let tables = table(host, &module, flights);
    match host.load_over(&module, config, &PluginLimits::default(), tables) {
        Ok(LoadedPlugin::Checkback(handler)) => handler,
        other => panic!("{other:?}"),
    }
}

fn half_messages(rows: &[(Option<&str>, i32)]) -> RecordBatch {
    let keys: ArrayRef = Arc::new(rows.iter().map(|row| row.0).collect::<StringArray>());
    let checks: ArrayRef = Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.1)));
    RecordBatch::try_from_iter([("keys", keys), ("_checks", checks)]).expect("a batch")
}

#[test]
fn orders_stand_if_the_newest_row_of_their_flight_says_so() {
    let host = TestHost::new();
    let described = host.host.inspect(&guest("seat-orders"), &PluginLimits::default()).expect("a description");
    assert_eq!((described.kind, described.tables.len()), (PluginKind::Checkback, 1));
    let handler = orders(&host, "3");
    let rows = [
        (Some("UA 1545"), 0),
        (Some("AA 1141"), 0),
        (Some("UA 1"), 2),
        (Some("UA 1"), 3),
        (Some("nonsense"), 0),
        (None, 0),
        (Some("UA 1714"), 9),
    ];
    let checked = check(&handler, &half_messages(&rows)).expect("verdicts");
    assert_eq!(checked.verdicts, [Commit, Rollback, Unknown, Rollback, Rollback, Rollback, Commit]);
    assert!(checked.faults.is_empty(), "{:?}", checked.faults);
    // Many at once: more keys than a batch of the handler has.
    let many: Vec<_> = (0..20_000).map(|_| (Some("UA 1545"), 0)).collect();
    assert!(check(&handler, &half_messages(&many)).expect("verdicts").verdicts.iter().all(|v| *v == Commit));
}

#[test]
fn nothing_is_known_while_the_table_cant_be_read() {
    let host = TestHost::new();
    let loaded = host.load_over(&guest("seat-orders"), "0", &PluginLimits::default(), no_tables());
    let Ok(LoadedPlugin::Checkback(handler)) = loaded else { panic!("{loaded:?}") };
    let checked = check(&handler, &half_messages(&[(Some("UA 1545"), 99), (None, 0)])).expect("verdicts");
    assert_eq!(checked.verdicts, [Unknown, Unknown]);
    let error = host.load_over(&guest("seat-orders"), "often", &PluginLimits::default(), no_tables());
    assert!(error.expect_err("a config").to_string().contains("\"often\" is not a number of checks"));
}

#[test]
fn a_consumer_joins_its_rows_with_a_table() {
    let host = TestHost::new();
    let module = guest("windy-delays");
    let times = |hours: &[i64]| -> ArrayRef {
        let times = PrimitiveArray::<TimestampMillisecondType>::from_iter_values(hours.iter().map(|hour| hour * HOUR));
        Arc::new(times.with_timezone("UTC"))
    };
    let weather: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec!["EWR", "JFK", "EWR"])),
        times(&[5, 5, 6]),
        Arc::new(Float32Array::from(vec![Some(10.0), Some(12.5), None])),
    ];
    let tables = table(&host, &module, weather);
    let loaded = host.load_over(&module, "60", &PluginLimits::default(), tables);
    let Ok(LoadedPlugin::Consumer(consumer)) = loaded else { panic!("{loaded:?}") };
    let at = PrimitiveArray::<TimestampMillisecondType>::from_iter_values(
        [5 * HOUR + 1, 5 * HOUR, 6 * HOUR + 7, 5 * HOUR + 9, 9 * HOUR].map(|at| at),
    );
    let columns: Vec<ArrayRef> = vec![
        Arc::new(at.with_timezone("UTC")),
        Arc::new(StringArray::from(vec!["EWR", "EWR", "EWR", "JFK", "LGA"])),
        Arc::new(Float32Array::from(vec![61.0, 60.0, 90.0, 100.0, 70.0])),
    ];
    let fields = consumer.parameters().iter().map(|(name, data_type)| Field::new(name, data_type.clone(), true));
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns).expect("a batch");
    let consume = |consumer: &Arc<dyn millstream_engine::BatchConsumer>| {
        consumer.consume(&batch, &somewhere(), Kept::default().state(1 << 20)).unwrap_or_else(|e| panic!("{e}"))
    };
    let consumed = consume(&consumer);
    assert_eq!(consumed.verdict, Verdict::Done);
    let [(0, rows)] = &consumed.outputs[..] else { panic!("{:?}", consumed.outputs) };
    let origins: Vec<_> = rows.column(1).as_string::<i32>().iter().flatten().collect();
    assert_eq!(origins, ["EWR", "EWR", "JFK", "LGA"]);
    let winds: Vec<_> = rows.column(3).as_primitive::<Float32Type>().iter().collect();
    assert_eq!(winds, [Some(10.0), None, Some(12.5), None]);
    assert_eq!(rows.column(0).null_count(), 0);

    let loaded = TestHost::new().load_over(&module, "", &PluginLimits::default(), no_tables());
    let Ok(LoadedPlugin::Consumer(consumer)) = loaded else { panic!("{loaded:?}") };
    assert_eq!(consume(&consumer).verdict, Verdict::Retry("the table's rows were not given".to_owned()));
}
