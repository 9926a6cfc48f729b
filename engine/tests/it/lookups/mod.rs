//! Tables that plugins look rows up in, and checkback handlers.

mod checks;
mod host;

use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use millstream_engine::{
    Append, ColumnSpec, FoundRows, LookupUnavailable, PartitionChoice, PluginLimits, PluginSettings, PluginSpec,
    TableInfo, TableLookup, TableOptions, TableSpec,
};

use self::host::Words;
use crate::fixture::{Fixture, MIB, SECOND, who};

/// A table of prices by item and size, and a host.
struct Store {
    fixture: Fixture,
    prices: Arc<TableInfo>,
    host: Arc<Words>,
}

fn store(options: TableOptions) -> Store {
    let fixture = Fixture::new();
    let host = Arc::new(Words::default());
    fixture.engine.set_plugin_host(host.clone());
    let schema = Schema::new(vec![
        Field::new("item", DataType::Utf8, true),
        Field::new("size", DataType::Int64, true),
        Field::new("price", DataType::Int64, true),
    ]);
    let spec = TableSpec { namespace: "public".into(), name: "shop".into(), schema: Arc::new(schema), options };
    let prices = fixture.engine.create_table(&who(), spec).expect("the table is created");
    Store { fixture, prices, host }
}

fn one_partition() -> TableOptions {
    TableOptions { partitions: 1, ..TableOptions::default() }
}

type Row = (Option<&'static str>, Option<i64>, Option<i64>);

fn row(item: &'static str, size: i64, price: i64) -> Row {
    (Some(item), Some(size), Some(price))
}

impl Store {
    fn append(&self, partition: u32, rows: &[Row]) {
        self.append_at_once(&[(partition, rows)]);
    }

    /// In one commit: they have one time.
    fn append_at_once(&self, of: &[(u32, &[Row])]) {
        let appends = of.iter().map(|(partition, rows)| self.rows_of(*partition, rows)).collect();
        let pending = self.fixture.engine.append_all(&who(), appends, None).expect("it is queued");
        pending.wait().expect("it is durable");
    }

    fn rows_of(&self, partition: u32, rows: &[Row]) -> Append {
        let schema = self.prices.schema().clone();
        let items: ArrayRef = Arc::new(StringArray::from_iter(rows.iter().map(|row| row.0)));
        let sizes: ArrayRef = Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.1)));
        let prices: ArrayRef = Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.2)));
        let batch = RecordBatch::try_new(schema, vec![items, sizes, prices]).expect("a batch");
        Append { table: self.prices.id, partition: PartitionChoice::Named(partition), batch }
    }

    fn create(&self, module: &str, tables: &[(&str, &str)], lookup_bytes: u64) -> millstream_engine::Result<()> {
        let tables = tables.iter().map(|(name, table)| ((*name).to_owned(), (*table).to_owned())).collect();
        let limits = PluginLimits { lookup_bytes, ..PluginLimits::default() };
        let settings = PluginSettings { limits, tables, ..PluginSettings::default() };
        let (namespace, name) = ("public".to_owned(), "p".to_owned());
        let spec = PluginSpec { namespace, name, module: module.as_bytes().into(), settings };
        self.fixture.engine.create_plugin(&who(), spec, true).map(drop)
    }

    /// The tables of a plugin that reads `module`'s columns of `shop`, which it calls `prices`.
    fn tables(&self, module: &str, lookup_bytes: u64) -> Arc<dyn TableLookup> {
        self.create(module, &[("prices", "shop")], lookup_bytes).expect("it is created");
        let plugin = self.fixture.engine.plugin(&who(), "public", "p").expect("it is there");
        self.fixture.engine.load_plugin(&who(), plugin.id).expect("it is loaded");
        self.host.tables.lock().take().expect("tables were given")
    }
}

fn look(tables: &Arc<dyn TableLookup>, keys: &[(Option<&str>, Option<i64>)]) -> Result<FoundRows, LookupUnavailable> {
    look_within(tables, keys, SECOND * 30, MIB)
}

fn look_within(
    tables: &Arc<dyn TableLookup>,
    keys: &[(Option<&str>, Option<i64>)],
    time: Duration,
    max_bytes: usize,
) -> Result<FoundRows, LookupUnavailable> {
    let items: ArrayRef = Arc::new(StringArray::from_iter(keys.iter().map(|key| key.0)));
    let sizes: ArrayRef = Arc::new(Int64Array::from_iter(keys.iter().map(|key| key.1)));
    let keys = RecordBatch::try_from_iter([("item", items), ("size", sizes)]).expect("a batch");
    tables.lookup(0, &keys, time, max_bytes)
}

fn prices(found: &FoundRows) -> Vec<(u32, Option<i64>)> {
    let prices = found.batch.column(0).as_primitive::<Int64Type>();
    found.rows.iter().copied().zip(prices.iter()).collect()
}

#[test]
fn the_newest_row_of_each_key_is_found() {
    let store = store(one_partition());
    store.append(0, &[row("nut", 4, 10), row("nut", 5, 11), row("nut", 4, 12), (Some("nut"), None, Some(1))]);
    let tables = store.tables("price", 1 << 20);
    let keys = [(Some("nut"), Some(5)), (Some("nut"), Some(4)), (Some("bolt"), Some(4)), (Some("nut"), Some(4))];
    assert_eq!(prices(&look(&tables, &keys).unwrap()), [(0, Some(11)), (1, Some(12)), (3, Some(12))]);
    assert!(look(&tables, &[(Some("nut"), None), (None, None)]).unwrap().rows.is_empty(), "null is no key");
    // Rows that came since are seen, nulls among the columns too.
    store.append(0, &[(Some("nut"), Some(4), None), row("bolt", 4, 7)]);
    assert_eq!(prices(&look(&tables, &keys[1..3]).unwrap()), [(0, None), (1, Some(7))]);
    assert!(look(&tables, &[]).unwrap().rows.is_empty());
}

#[test]
fn over_partitions_the_row_appended_last_is_the_newest() {
    let store = store(TableOptions { partitions: 3, ..TableOptions::default() });
    let key = [(Some("nut"), Some(4))];
    let found = |tables: &Arc<dyn TableLookup>| prices(&look(tables, &key).unwrap())[0].1;
    store.append_at_once(&[(2, &[row("nut", 4, 2)]), (0, &[row("nut", 4, 1)]), (1, &[row("nut", 4, 0)])]);
    let tables = store.tables("price", 1 << 20);
    assert_eq!(found(&tables), Some(2), "of rows of one time that of the highest partition");
    store.append(1, &[row("nut", 4, 3)]);
    assert_eq!(found(&tables), Some(3), "each commit has a time of its own");
    store.fixture.clock.advance(SECOND);
    store.append(0, &[row("nut", 4, 4)]);
    assert_eq!(found(&tables), Some(4));
    let engine = &store.fixture.engine;
    engine.set_partitions(&who(), "public", "shop", 4).expect("it grows");
    store.fixture.clock.advance(SECOND);
    store.append(3, &[row("nut", 4, 5)]);
    assert_eq!(found(&tables), Some(5), "a partition that was added");
}

#[test]
fn rows_that_are_not_retained_are_not_there() {
    let options = TableOptions { retention_ms: Some(10_000), partitions: 2, ..TableOptions::default() };
    let store = store(options);
    let both = [(Some("nut"), Some(4)), (Some("bolt"), Some(4))];
    store.append(0, &[row("nut", 4, 1), row("bolt", 4, 2)]);
    let tables = store.tables("price", 1 << 20);
    assert_eq!(look(&tables, &both).unwrap().rows, [0, 1]);
    store.fixture.clock.advance(SECOND * 8);
    store.append(1, &[row("bolt", 4, 3)]);
    assert_eq!(prices(&look(&tables, &both).unwrap()), [(0, Some(1)), (1, Some(3))]);
    store.fixture.clock.advance(SECOND * 5);
    store.fixture.engine.cut_segments(&who(), store.prices.id).expect("rows are cut");
    store.fixture.engine.maintain(&who()).expect("retention");
    assert_eq!(prices(&look(&tables, &both).unwrap()), [(1, Some(3))]);
    // An index that is made now says the same.
    drop(tables);
    assert_eq!(prices(&look(&store.tables("price", 1 << 20), &both).unwrap()), [(1, Some(3))]);
}

#[test]
fn rows_older_than_a_column_hold_null_in_it() {
    let store = store(one_partition());
    store.append(0, &[row("nut", 4, 1)]);
    let error = store.create("note", &[("prices", "shop")], 1 << 20).expect_err("no such column").to_string();
    assert!(error.contains("table \"shop\" has no column \"note\", which the plugin reads"), "{error}");
    let column = ColumnSpec { name: "note".to_owned(), data_type: DataType::Utf8 };
    store.fixture.engine.add_columns(&who(), "public", "shop", vec![column]).expect("it is added");
    let found = look(&store.tables("note price", 1 << 20), &[(Some("nut"), Some(4))]).unwrap();
    assert!(found.batch.column(0).is_null(0));
    assert_eq!(found.batch.column(1).as_primitive::<Int64Type>().value(0), 1);
}

#[test]
fn an_index_above_its_limit_says_so_and_answers_nothing_wrong() {
    let store = store(one_partition());
    let many: Vec<Row> = (0..100).map(|size| row("nut", size, size)).collect();
    store.append(0, &many);
    let tables = store.tables("price", 10_000);
    for _ in 0..2 {
        let error = look(&tables, &[(Some("nut"), Some(0))]).expect_err("over").to_string();
        assert!(error.contains("\"shop\" does not fit") && error.contains("10000 bytes"), "{error}");
    }
    // Keys that come again take no more room.
    let store = self::store(one_partition());
    for round in 0..20 {
        store.append(0, &(0..20).map(|size| row("nut", size, round)).collect::<Vec<_>>());
    }
    let found = look(&store.tables("price", 10_000), &[(Some("nut"), Some(7))]).unwrap();
    assert_eq!(prices(&found), [(0, Some(19))]);
}

#[test]
fn time_and_answers_are_bounded() {
    let store = store(one_partition());
    for size in 0..10 {
        store.append(0, &[row("nut", size, size)]);
    }
    let tables = store.tables("price", 1 << 20);
    let key = [(Some("nut"), Some(9))];
    let mut tries = 0;
    let found = loop {
        match look_within(&tables, &key, Duration::ZERO, MIB) {
            Ok(found) => break found,
            Err(LookupUnavailable(why)) => assert!(why.contains("is still being read"), "{why}"),
        }
        tries += 1;
        assert!(tries < 100, "each look-up goes on from the last");
    };
    assert_eq!((prices(&found), tries > 0), (vec![(0, Some(9))], true));
    let error = look_within(&tables, &[key[0]; 1_000], SECOND, 1_000).expect_err("too much").to_string();
    assert!(error.contains("more than 1000 bytes: look up fewer"), "{error}");
}

#[test]
fn a_table_that_a_plugin_reads_is_not_dropped() {
    let store = store(one_partition());
    for (tables, reason) in [
        (&[][..], "reads table \"prices\", which is not granted"),
        (&[("prices", "shop"), ("more", "shop")], "declares no table \"more\""),
        (&[("prices", "nowhere")], "nowhere"),
    ] {
        let error = store.create("price", tables, 1 << 20).expect_err(reason).to_string();
        assert!(error.contains(reason), "{error}");
    }
    let tables = store.tables("price", 1 << 20);
    let engine = &store.fixture.engine;
    for force in [false, true] {
        let error = engine.drop_table(&who(), "public", "shop", force).expect_err("it is read").to_string();
        assert!(error.contains("plugin \"p\""), "{error}");
    }
    engine.drop_plugin(&who(), "public", "p").expect("nobody calls it");
    engine.drop_table(&who(), "public", "shop", false).expect("nobody reads it");
    let error = look(&tables, &[(Some("nut"), Some(4))]).expect_err("it is gone").to_string();
    assert!(error.contains("table \"shop\" was dropped"), "{error}");
}

#[test]
fn tables_do_not_keep_an_engine_open() {
    let store = store(one_partition());
    store.append(0, &[row("nut", 4, 1)]);
    let tables = store.tables("price", 1 << 20);
    let Store { fixture, host, .. } = store;
    let fixture = fixture.reopen();
    let error = look(&tables, &[(Some("nut"), Some(4))]).expect_err("closed").to_string();
    assert!(error.contains("the engine is closed"), "{error}");
    // The catalog has kept which tables they are.
    fixture.engine.set_plugin_host(host.clone());
    let plugin = fixture.engine.plugin(&who(), "public", "p").expect("it is there");
    fixture.engine.load_plugin(&who(), plugin.id).expect("it is loaded");
    let tables = host.tables.lock().take().expect("tables were given");
    assert_eq!(prices(&look(&tables, &[(Some("nut"), Some(4))]).unwrap()), [(0, Some(1))]);
}
