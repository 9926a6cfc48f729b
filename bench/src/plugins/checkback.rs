//! Half messages that a plugin decides on by a table, each batch synced.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, BinaryArray, Float32Array, Int32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use millstream_engine::{
    Append, CheckbackOrder, CheckbackSettings, CheckbackSpec, Clock, Engine, EngineOptions, ManualClock, MessageKind,
    PartitionChoice, PluginSettings, PluginSpec, Principal, SystemClock, TableOptions, TableSpec,
};
use millstream_sql::{SqlEngine, SqlOptions};

use super::{host, module};
use crate::report::{Figure, median};
use crate::{Result, Scale};

const ROUNDS: usize = 3;
/// Half messages of one append.
const BATCH: usize = 1_000;
/// Flights that the table knows: the others' orders are rolled back.
const KNOWN: i32 = 900;
const BODY: &[u8] = &[b'x'; 100];
const TIMEOUT: Duration = Duration::from_secs(300);

/// Figure `plugin_checkback`.
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    let count = scale.pick(10_000, 100_000);
    let rates = (0..ROUNDS).map(|_| round(count)).collect::<Result<Vec<f64>>>()?;
    let note = format!(
        "{count} half messages of {} bytes whose time has come, looked up in a table of {KNOWN} rows by a checkback handler in \
         Wasm; nine of ten are committed, every batch synced",
        BODY.len()
    );
    Ok(vec![Figure::reported("plugin_checkback", median(rates), "messages/s", note).value_at_least(20_000.0)])
}

fn who() -> Principal {
    Principal::anonymous()
}

fn round(count: usize) -> Result<f64> {
    let dir = tempfile::tempdir()?;
    let clock = Arc::new(ManualClock::new(SystemClock::default().wall_us()));
    let mut options = EngineOptions::new(dir.path().join("data"));
    options.clock = clock.clone();
    let engine = Engine::open_with(options)?;
    engine.set_plugin_host(host(&dir.path().join("cache"))?);
    // What handlers read is converted by SQL's rule; without it nothing is asked.
    let _sql = SqlEngine::new(engine.clone(), SqlOptions::default())?;
    let orders = define(&engine)?;
    for first in (0..count).step_by(BATCH) {
        let append = Append { table: orders, partition: PartitionChoice::ByKey, batch: halves(first..first + BATCH)? };
        engine.begin_transactions(&who(), &append, "shop", None)?.wait()?.wait()?;
    }
    let begun = Instant::now();
    clock.advance(Duration::from_secs(6));
    while !engine.half_counts(&who())?.is_empty() {
        if begun.elapsed() > TIMEOUT {
            return Err(format!("{:?} are not decided", engine.half_counts(&who())?).into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let seconds = begun.elapsed().as_secs_f64();
    let committed: u64 = engine.table_offsets(&who(), orders)?.iter().map(|(_, end)| end).sum();
    if committed != (count as u64) * 9 / 10 {
        return Err(format!("{committed} of {count} are committed").into());
    }
    Ok(count as f64 / seconds)
}

fn define(engine: &Engine) -> Result<millstream_engine::TableId> {
    let name = |name: &str| name.to_owned();
    let columns = [("carrier", DataType::Utf8), ("flight", DataType::Int32), ("dep_delay", DataType::Float32)];
    let fields = columns.map(|(name, of)| Field::new(name, of, true));
    let schema = Arc::new(Schema::new(fields.to_vec()));
    let options = TableOptions::default();
    let spec = TableSpec { namespace: name("public"), name: name("flights"), schema: schema.clone(), options };
    let flights = engine.create_table(&who(), spec)?.id;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values((0..KNOWN).map(|_| "UA"))),
        Arc::new(Int32Array::from_iter_values(0..KNOWN)),
        Arc::new(Float32Array::from_iter_values((0..KNOWN).map(|_| 1.0))),
    ];
    let append =
        Append { table: flights, partition: PartitionChoice::ByKey, batch: RecordBatch::try_new(schema, columns)? };
    engine.append(&who(), append, None)?.wait()?;
    let settings = PluginSettings {
        // Flights that are not in the table are given up at once.
        config: name("0"),
        tables: vec![(name("flights"), name("flights"))],
        ..PluginSettings::default()
    };
    let plugin =
        PluginSpec { namespace: name("public"), name: name("seats"), module: module("seat_orders")?.into(), settings };
    engine.create_plugin(&who(), plugin, false)?;
    let options = TableOptions { partitions: 4, ..TableOptions::default() };
    let spec = TableSpec::of_messages("public", "orders", MessageKind::Transactional, options);
    let orders = engine.create_table(&who(), spec)?.id;
    let settings = CheckbackSettings { order: CheckbackOrder::PluginOnly, ..CheckbackSettings::default() };
    let [namespace, checkback, table, plugin] = ["public", "seats", "orders", "seats"].map(name);
    let spec = CheckbackSpec { namespace, name: checkback, table, plugin, settings };
    engine.create_checkback(&who(), spec)?;
    Ok(orders)
}

fn halves(numbers: std::ops::Range<usize>) -> Result<RecordBatch> {
    let mut keys = ListBuilder::new(StringBuilder::new());
    numbers.clone().for_each(|number| keys.append_value([Some(format!("UA {}", number % 1_000))]));
    let bodies = BinaryArray::from_iter_values(numbers.map(|_| BODY));
    let columns: [(&str, ArrayRef); 2] = [("keys", Arc::new(keys.finish())), ("body", Arc::new(bodies))];
    Ok(RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, name == "keys")),
    )?)
}
