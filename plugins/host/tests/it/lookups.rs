//! Look-ups and checkback handlers in other languages than Rust: what they answer is what the Rust ones do, and what goes
//! wrong in them is told apart.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray};
use arrow_schema::DataType;
use millstream_engine::{
    BatchConsumer, CheckVerdict, CheckbackHandler, FailureKind, LoadedPlugin, MemoryTables, PluginHost as _,
    PluginLimits, Verdict, check,
};

use crate::harness::{Kept, assert_failure, guest, no_tables, somewhere};
use crate::languages::host;
use crate::siblings::{example, limits};

/// The tables that a plugin declares, each with the rows of one file.
fn tables(module: &[u8], file: &str, batches: usize) -> Arc<MemoryTables> {
    let declared = host().host.inspect(module, &PluginLimits::default()).expect("a description").tables;
    let rows = declared.iter().map(|used| {
        let fields = used.key.fields().iter().chain(used.columns.fields());
        let columns: Vec<_> = fields.map(|field| (field.name().clone(), field.data_type().clone())).collect();
        example(file, &columns).into_iter().take(batches).collect()
    });
    Arc::new(MemoryTables::new(&declared, rows.collect()).expect("tables"))
}

fn handler(name: &str, config: &str, tables: Arc<MemoryTables>) -> Arc<dyn CheckbackHandler> {
    match host().load_over(&guest(name), config, &limits(), tables) {
        Ok(LoadedPlugin::Checkback(handler)) => handler,
        other => panic!("{name}: {other:?}"),
    }
}

/// Orders of the first flights and of those behind, which the table does not have, and keys that name none.
fn half_messages() -> RecordBatch {
    let columns = [("carrier".to_owned(), DataType::Utf8), ("flight".to_owned(), DataType::Int32)];
    let mut keys = Vec::new();
    for batch in example("flights.parquet", &columns).iter().take(4) {
        let (carriers, flights) = (batch.column(0).as_string::<i32>(), batch.column(1).as_primitive::<Int32Type>());
        keys.extend(carriers.iter().zip(flights).map(|(c, f)| Some(format!("{} {}", c.unwrap_or(""), f.unwrap_or(0)))));
    }
    let odd = [
        "nonsense",
        "",
        " ",
        "UA",
        "UA ",
        "UA  1545",
        "UA +1545",
        "UA -1",
        "UA 1545 ",
        "UA 0x1",
        "UA 2147483648",
        "ZÜ 1",
    ];
    keys.extend(odd.map(|odd| Some(odd.to_owned())));
    keys.push(None);
    let checks: ArrayRef =
        Arc::new((0..keys.len()).map(|row| (row % 5 > 0).then_some(row as i32 % 20)).collect::<Int32Array>());
    let keys: ArrayRef = Arc::new(keys.into_iter().collect::<StringArray>());
    RecordBatch::try_from_iter([("keys", keys), ("_checks", checks)]).expect("a batch")
}

#[test]
fn a_checkback_handler_in_c() {
    let (rust, c) = ("seat-orders", "seat-orders-c");
    let described = |name| host().host.inspect(&guest(name), &PluginLimits::default()).expect("a description");
    assert_eq!((described(c).parameters, described(c).tables), (described(rust).parameters, described(rust).tables));
    let half_messages = half_messages();
    for config in ["", "7"] {
        let [expected, found] = [rust, c].map(|name| {
            let checked = check(&handler(name, config, tables(&guest(name), "flights.parquet", 2)), &half_messages);
            let checked = checked.unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(checked.faults.is_empty(), "{name}: {:?}", checked.faults);
            checked.verdicts
        });
        assert_eq!(found, expected);
        for verdict in [CheckVerdict::Commit, CheckVerdict::Rollback, CheckVerdict::Unknown] {
            let count = found.iter().filter(|found| **found == verdict).count();
            assert!(count > 20, "{count} are {verdict:?}");
        }
    }
    let refused = host().load_over(&guest(c), "often", &limits(), no_tables()).expect_err("no number").to_string();
    assert!(refused.contains("is not a number of checks"), "{refused}");
    // While the table can't be read nothing is known, which is no fault.
    let Ok(LoadedPlugin::Checkback(blind)) = host().load_over(&guest(c), "0", &limits(), no_tables()) else {
        panic!("it has tables without rows")
    };
    let checked = check(&blind, &half_messages).expect("verdicts");
    assert!(checked.faults.is_empty(), "{:?}", checked.faults);
    assert!(checked.verdicts.iter().all(|verdict| *verdict == CheckVerdict::Unknown));
}

#[test]
fn a_consumer_that_looks_rows_up_in_javascript() {
    let names = ["windy-delays", "windy-delays-javascript"];
    let load = |name: &str, tables: Arc<MemoryTables>| match host().load_over(&guest(name), "", &limits(), tables) {
        Ok(LoadedPlugin::Consumer(consumer)) => consumer,
        other => panic!("{name}: {other:?}"),
    };
    // The table has the first half of the year.
    let [rust, javascript] = names.map(|name| load(name, tables(&guest(name), "weather.parquet", 2)));
    assert_eq!((javascript.parameters(), javascript.outputs()), (rust.parameters(), rust.outputs()));
    let consume = |plugin: &Arc<dyn BatchConsumer>, batch: &RecordBatch| {
        plugin.consume(batch, &somewhere(), Kept::default().state(1 << 20)).expect("an answer")
    };
    let flights = example("flights.parquet", rust.parameters());
    let (mut rows, mut winds) = (0, 0);
    for batch in flights.iter().step_by(3) {
        let (expected, found) = (consume(&rust, batch), consume(&javascript, batch));
        assert_eq!((&found.outputs, &found.verdict), (&expected.outputs, &Verdict::Done));
        for (_, batch) in found.outputs {
            rows += batch.num_rows();
            winds += batch.num_rows() - batch.column(3).null_count();
        }
    }
    assert!(rows > 5_000 && winds > 1_000 && winds < rows, "{winds} of {rows} rows have a wind");
    let blind = names.map(|name| match host().load_over(&guest(name), "", &limits(), no_tables()) {
        Ok(LoadedPlugin::Consumer(consumer)) => consume(&consumer, &flights[0]).verdict,
        other => panic!("{name}: {other:?}"),
    });
    assert_eq!(blind, [(); 2].map(|()| Verdict::Retry("the table's rows were not given".to_owned())));
}

#[test]
fn what_goes_wrong_in_a_handler_in_c_is_told_apart() {
    let ways = [
        ("error", FailureKind::Data, "these rows are not to my taste"),
        ("verdict", FailureKind::BadOutput, "check broke the contract"),
        ("columns", FailureKind::Data, "columns"),
        ("lacking", FailureKind::Data, "the columns of the keys have different numbers of rows"),
        ("keys", FailureKind::Data, "70000 keys, where 65536 are allowed"),
        ("table", FailureKind::Data, "table \"passengers\" is not declared"),
        ("trap", FailureKind::Trap, "unreachable"),
    ];
    let values: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0]));
    let batch = RecordBatch::try_from_iter([("value", values)]).expect("a batch");
    for (way, kind, text) in ways {
        let misjudges = handler("misjudges-c", way, tables(&guest("misjudges-c"), "flights.parquet", 1));
        for _ in 0..2 {
            assert_failure(&misjudges.check(&batch).expect_err(way), kind, text);
        }
    }
    let sound = handler("misjudges-c", "", tables(&guest("misjudges-c"), "flights.parquet", 1));
    assert_eq!(sound.check(&batch).expect("verdicts"), [CheckVerdict::Unknown; 2]);
}
