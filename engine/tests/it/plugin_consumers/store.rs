//! A store with an input table, a table of sums, and a consumer between them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_schema::{DataType, Field, Schema};
use millstream_engine::{
    AutoOffsetReset, Engine, PluginConsumerSettings, PluginConsumerSpec, PluginConsumerStatus, PluginSettings,
    PluginSpec, Result, TableInfo, TableOptions, TableSpec,
};

use super::host::{KEYS, sums_schema};
use crate::fixture::who;
use crate::table::{Columns, scan};

const PATIENCE: Duration = Duration::from_secs(30);

/// (partition, key) to (sum, rows).
pub(crate) type Totals = BTreeMap<(i32, i64), (i64, i64)>;

pub(crate) fn create_sums(engine: &Engine) -> Result<Arc<TableInfo>> {
    let mut fields: Vec<Field> = sums_schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    fields[1] = Field::new("key", DataType::Int64, false);
    let schema = Arc::new(Schema::new(fields));
    let options = TableOptions { partitions: 2, partition_key: vec!["key".to_owned()], ..TableOptions::default() };
    engine.create_table(&who(), TableSpec { namespace: "public".into(), name: "sums".into(), schema, options })
}

pub(crate) fn create_plugin(engine: &Engine, name: &str, module: &str) -> Result<()> {
    put_plugin(engine, name, module, false)
}

/// As [`create_plugin`], or the next version of one.
pub(crate) fn put_plugin(engine: &Engine, name: &str, module: &str, replace: bool) -> Result<()> {
    let (namespace, name) = ("public".to_owned(), name.to_owned());
    let spec = PluginSpec { namespace, name, module: module.as_bytes().into(), settings: PluginSettings::default() };
    engine.create_plugin(&who(), spec, replace).map(drop)
}

pub(crate) fn spec(topic: &str, plugin: &str) -> PluginConsumerSpec {
    PluginConsumerSpec {
        namespace: "public".to_owned(),
        name: "c".to_owned(),
        topic: topic.to_owned(),
        plugin: plugin.to_owned(),
        group: None,
        outputs: vec![("sums".to_owned(), "sums".to_owned())],
        from: AutoOffsetReset::Earliest,
        settings: PluginConsumerSettings { retries: 0, ..PluginConsumerSettings::default() },
    }
}

/// How the consumer `c` fares, once it is as asked for.
pub(crate) fn until(
    engine: &Engine,
    what: &str,
    mut is: impl FnMut(&PluginConsumerStatus) -> bool,
) -> PluginConsumerStatus {
    let begun = Instant::now();
    loop {
        let all = engine.plugin_consumers(&who()).expect("they are listed");
        let found = all.into_iter().find(|status| status.info.name == "c").expect("there is a consumer c");
        if is(&found) {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited for {what}: {found:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn until_done(engine: &Engine) -> PluginConsumerStatus {
    until(engine, "the end", |status| status.lag == 0)
}

/// The newest row of each key. Fails if rows of a key do not count up: that one was written twice, or lost.
pub(crate) fn totals(engine: &Engine) -> Totals {
    let table = engine.table(&who(), "public", "sums").expect("there are sums");
    let mut totals = Totals::new();
    for found in scan(engine, Columns::of(&table, &[0, 1, 2, 3]), table.id, None).expect("they are read") {
        let column = |index: usize| found.batch.column(index).as_primitive::<Int64Type>();
        let partitions = found.batch.column(0).as_primitive::<Int32Type>();
        for row in 0..found.batch.num_rows() {
            let (sum, rows) = (column(2).value(row), column(3).value(row));
            let before = totals.insert((partitions.value(row), column(1).value(row)), (sum, rows));
            assert!(before.is_none_or(|(_, before)| before < rows), "{rows} rows follow {before:?}");
        }
    }
    totals
}

/// What the sums of numbers must be, by partition.
pub(crate) fn expected(numbers: &[(u32, i64)]) -> Totals {
    let mut totals = Totals::new();
    for (partition, number) in numbers {
        let (sum, rows) = totals.entry((*partition as i32, number.rem_euclid(KEYS))).or_default();
        (*sum, *rows) = (*sum + number, *rows + 1);
    }
    totals
}
