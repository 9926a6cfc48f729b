//! Ten million entries of families that are paged: producer sequences, and what consumers keep.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use millstream_engine::{
    Append, AutoOffsetReset, Durability, Engine, EngineOptions, NamespaceLimit, NamespaceLimits, PartitionChoice,
    PendingReceipt, PluginConsumerSettings, PluginConsumerSpec, PluginSettings, PluginSpec, Principal, ProducerStamp,
    TableId, TableOptions, TableSpec,
};

use self::keeper::Keepers;
use crate::report::{Figure, percentile};
use crate::{Result, Scale, process};

mod keeper;

/// Appends in flight.
const WINDOW: usize = 20_000;
const PROBES: u64 = 20_000;
const ROWS_PER_BATCH: i64 = 50_000;

/// Figures `state_ten_million_*`.
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    let count = scale.pick(100_000, 10_000_000);
    let mut figures = producers(count)?;
    figures.extend(keyed(count)?);
    Ok(figures)
}

struct Store {
    engine: Engine,
    dir: tempfile::TempDir,
}

fn open(dir: &std::path::Path) -> Result<Engine> {
    let mut options = EngineOptions::new(dir);
    let mut limits = NamespaceLimits::default();
    limits.set(NamespaceLimit::ProducerStreams, Some(NamespaceLimits::UNLIMITED));
    options.namespace_limits = limits;
    let engine = Engine::open_with(options)?;
    engine.set_plugin_host(Arc::new(Keepers));
    Ok(engine)
}

impl Store {
    fn new() -> Result<Store> {
        let dir = tempfile::tempdir()?;
        Ok(Store { engine: open(dir.path())?, dir })
    }

    /// Closes and opens again, from the disk; gives the seconds that opening took.
    fn reopen(self) -> Result<(Store, f64)> {
        let Store { engine, dir } = self;
        engine.close()?;
        drop(engine);
        process::drop_cache(dir.path())?;
        let begun = Instant::now();
        let engine = open(dir.path())?;
        Ok((Store { engine, dir }, begun.elapsed().as_secs_f64()))
    }

    fn table(&self, durability: Durability) -> Result<TableId> {
        let options = TableOptions { durability, ..TableOptions::default() };
        let spec = TableSpec { namespace: "public".to_owned(), name: "t".to_owned(), schema: schema(), options };
        Ok(self.engine.create_table(&who(), spec)?.id)
    }

    fn append(&self, table: TableId, rows: RecordBatch, stamp: Option<ProducerStamp>) -> Result<PendingReceipt> {
        Ok(self.engine.append(&who(), Append { table, partition: PartitionChoice::ByKey, batch: rows }, stamp)?)
    }

    fn begin_streams(&self, table: TableId, ids: std::ops::Range<u128>) -> Result<()> {
        let mut pending: VecDeque<PendingReceipt> = VecDeque::with_capacity(WINDOW);
        for id in ids {
            if pending.len() == WINDOW
                && let Some(first) = pending.pop_front()
            {
                first.wait()?;
            }
            pending.push_back(self.append(table, rows(0..1)?, Some(stamp(id, 0)))?);
        }
        pending.into_iter().try_for_each(|pending| pending.wait().map(drop))?;
        Ok(())
    }

    /// The 99th percentile of the seconds from an append to its answer, each of another producer, spread over all of them. `sequence` is
    /// what they send next.
    fn probe(&self, table: TableId, streams: u128, sequence: u64) -> Result<f64> {
        let mut seconds = Vec::new();
        let step = (streams / u128::from(PROBES)).max(1);
        for probe in 0..PROBES.min(u64::try_from(streams)?) {
            let begun = Instant::now();
            self.append(table, rows(0..1)?, Some(stamp(spread(u128::from(probe) * step), sequence)))?.wait()?;
            seconds.push(begun.elapsed().as_secs_f64());
        }
        Ok(percentile(&mut seconds, 0.99))
    }
}

fn who() -> Principal {
    Principal::anonymous()
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
}

fn rows(numbers: std::ops::Range<i64>) -> Result<RecordBatch> {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers));
    Ok(RecordBatch::try_new(schema(), vec![column])?)
}

fn stamp(id: u128, sequence: u64) -> ProducerStamp {
    ProducerStamp { id, epoch: 0, sequence }
}

/// Producers choose ids at random.
fn spread(number: u128) -> u128 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)
}

fn rss() -> Result<f64> {
    let bytes = process::proc_value(std::process::id(), "status", "RssAnon")?;
    Ok(bytes as f64 / f64::from(1 << 20))
}

fn producers(count: u64) -> Result<Vec<Figure>> {
    let few = 1_000;
    let store = Store::new()?;
    let table = store.table(Durability::Os)?;
    (0..few).try_for_each(|number| store.begin_streams(table, spread(number)..spread(number) + 1))?;
    let p99_of_few = store.probe(table, few, 1)?;
    let idle = rss()?;
    let begun = Instant::now();
    let mut pending: VecDeque<PendingReceipt> = VecDeque::with_capacity(WINDOW);
    for number in few..u128::from(count) {
        if pending.len() == WINDOW
            && let Some(first) = pending.pop_front()
        {
            first.wait()?;
        }
        pending.push_back(store.append(table, rows(0..1)?, Some(stamp(spread(number), 0)))?);
    }
    pending.into_iter().try_for_each(|pending| pending.wait().map(drop))?;
    let rate = (u128::from(count) - few) as f64 / begun.elapsed().as_secs_f64();
    let written = rss()? - idle;
    // Those of the first thousand that are among them send a repeat.
    let p99 = store.probe(table, u128::from(count), 1)?;
    let (store, seconds) = store.reopen()?;
    let cold = store.probe(table, u128::from(count), 2)?;
    let reopened = rss()? - idle;
    let memory = format!(
        "RssAnon above idle once {count} producers have begun a stream each, {rate:.0} a second; {reopened:.0} MiB after opening \
         again and {PROBES} appends of theirs"
    );
    Ok(vec![
        Figure::reported("state_ten_million_producers_memory", written.max(reopened), "MiB", memory)
            .value_at_most(300.0),
        Figure::reported(
            "state_ten_million_producers_open",
            seconds,
            "s",
            "page cache dropped, until the engine is open",
        )
        .value_at_most(2.0),
        Figure::reported(
            "state_ten_million_producers_p99",
            p99 * 1e6,
            "µs",
            format!("append of a row to its answer, durability 'os', of producers all over; limit: with {few} of them"),
        )
        .at_most(p99_of_few * 1e6, 1.5),
        Figure::reported(
            "state_ten_million_producers_p99_cold",
            cold * 1e6,
            "µs",
            "the same after opening again, the page cache dropped before it",
        ),
    ])
}

fn keyed(count: u64) -> Result<Vec<Figure>> {
    let store = Store::new()?;
    let table = store.table(Durability::Os)?;
    let (namespace, name) = ("public".to_owned(), "keeper".to_owned());
    let plugin =
        PluginSpec { namespace, name, module: b"keeper".as_slice().into(), settings: PluginSettings::default() };
    store.engine.create_plugin(&who(), plugin, false)?;
    store.engine.create_plugin_consumer(
        &who(),
        PluginConsumerSpec {
            namespace: "public".to_owned(),
            name: "c".to_owned(),
            topic: "t".to_owned(),
            plugin: "keeper".to_owned(),
            group: None,
            outputs: Vec::new(),
            from: AutoOffsetReset::Earliest,
            settings: PluginConsumerSettings { state_bytes: u64::MAX, ..PluginConsumerSettings::default() },
        },
    )?;
    let idle = rss()?;
    let (begun, count) = (Instant::now(), i64::try_from(count)?);
    let mut written = 0.0_f64;
    for first in (0..count).step_by(usize::try_from(ROWS_PER_BATCH)?) {
        store.append(table, rows(first..(first + ROWS_PER_BATCH).min(count))?, None)?.wait()?;
        written = written.max(rss()? - idle);
    }
    let mut kept = 0;
    while kept < count {
        let all = store.engine.plugin_consumers(&who())?;
        let status = all.first().ok_or("no consumer")?;
        if let Some(error) = status.error.as_ref() {
            return Err(format!("the consumer has stopped: {error}").into());
        }
        kept = count - i64::try_from(status.lag)?;
        written = written.max(rss()? - idle);
        std::thread::sleep(Duration::from_millis(50));
    }
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    let bytes = store.engine.plugin_consumers(&who())?.first().map_or(0, |status| status.state_bytes);
    let (_store, seconds) = store.reopen()?;
    let note =
        format!("peak RssAnon above idle while a consumer keeps {count} keys ({bytes} bytes), {rate:.0} rows a second");
    Ok(vec![
        Figure::reported("state_ten_million_keyed_memory", written, "MiB", note).value_at_most(300.0),
        Figure::reported("state_ten_million_keyed_open", seconds, "s", "page cache dropped, until the engine is open")
            .value_at_most(2.0),
    ])
}
