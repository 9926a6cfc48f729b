//! Topics over windows in process, with their output and their state on the disk, beside DataFusion's answer to the same question over
//! the same batches, on one thread each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use millstream_engine::{Append, PartitionChoice, Principal, TableOptions, TableSpec};

use crate::report::{Figure, median};
use crate::store::Store;
use crate::{Result, Scale};

const ROUNDS: usize = 3;
const BATCH_ROWS: usize = 8_192;
/// Event time goes on by so much from row to row: windows of a minute have some 300,000 rows.
const STEP_US: i64 = 200;
const MINUTE_US: i64 = 60_000_000;
const BEGIN_US: i64 = 1_700_000_040_000_000;
const LIMIT: Duration = Duration::from_secs(600);
const AGGREGATES: &str = "count(*) AS n, sum(v) AS s, min(v) AS low, max(v) AS high, count(v) AS known";

/// Figures `windows_tumble_10k`, `windows_tumble_1m`, `windows_hop_100`.
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    let rows = scale.pick(400_000, 6_000_000);
    let tumble = "TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)";
    let hop = "HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '12' SECONDS, INTERVAL '1' MINUTE)";
    let mut figures = Vec::new();
    for (name, keys, target) in [("windows_tumble_10k", 10_000, 0.9), ("windows_tumble_1m", 1_000_000, 0.9)] {
        let batches = batches(rows, keys)?;
        let (own, datafusion) = (topics(&batches, tumble)?, median_of(|| batch_query(&batches))?);
        let note = format!(
            "{rows} rows of history, windows of a minute, {keys} keys, 5 aggregates, output on the disk; limit: DataFusion's batch query, \
             one thread, in memory"
        );
        figures
            .push(Figure::reported(name, rows as f64 / own, "rows/s", note).at_least(rows as f64 / datafusion, target));
    }
    let batches = batches(rows, 100)?;
    let (hop, tumble) = (topics(&batches, hop)?, topics(&batches, tumble)?);
    let note = "100 keys, windows of a minute every 12 s; limit: windows of a minute side by side";
    figures.push(
        Figure::reported("windows_hop_100", rows as f64 / hop, "rows/s", note).at_least(rows as f64 / tumble, 0.7),
    );
    Ok(figures)
}

fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![
        Field::new("ts", DataType::Timestamp(TimeUnit::Microsecond, None), false),
        Field::new("k", DataType::Int64, false),
        Field::new("v", DataType::Int64, false),
    ]))
}

fn batch(times: Vec<i64>, numbers: std::ops::Range<i64>, keys: i64) -> Result<RecordBatch> {
    // Each number once, in an order that has nothing to do with that of the keys.
    let mixed = |number: i64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.cast_signed()) >> 20;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from(times)),
        Arc::new(Int64Array::from_iter_values(numbers.clone().map(|number| mixed(number).rem_euclid(keys)))),
        Arc::new(Int64Array::from_iter_values(numbers.map(|number| mixed(number) % 1_000))),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}

fn batches(rows: usize, keys: i64) -> Result<Vec<RecordBatch>> {
    let rows = i64::try_from(rows)?;
    let starts = (0..rows).step_by(BATCH_ROWS);
    starts
        .map(|start| {
            let numbers = start..rows.min(start + BATCH_ROWS as i64);
            batch(numbers.clone().map(|number| BEGIN_US + number * STEP_US).collect(), numbers, keys)
        })
        .collect()
}

fn median_of(round: impl FnMut() -> Result<f64>) -> Result<f64> {
    Ok(median(std::iter::repeat_with(round).take(ROUNDS).collect::<Result<Vec<_>>>()?))
}

/// Seconds that a new topic takes for all windows of a table, read from history.
fn topics(batches: &[RecordBatch], windows: &str) -> Result<f64> {
    let store = Store::open(|options| {
        options.tail_bytes = 1 << 30;
        options.segment_threads = 0;
    })?;
    let who = Principal::anonymous();
    let options = TableOptions { retention_ms: None, time_column: Some("ts".to_owned()), ..TableOptions::default() };
    let spec = TableSpec { namespace: "public".to_owned(), name: "t".to_owned(), schema: schema(), options };
    let table = store.engine.create_table(&who, spec)?.id;
    let append = |batch: RecordBatch| {
        store.engine.append(&who, Append { table, partition: PartitionChoice::ByKey, batch }, None)
    };
    let pending: Vec<_> = batches.iter().map(|batch| append(batch.clone())).collect::<Result<_, _>>()?;
    for receipt in pending {
        receipt.wait()?;
    }
    // Of its own window: with it event time has come to the end of all others.
    let rows: i64 = batches.iter().map(|batch| batch.num_rows() as i64).sum();
    let last = BEGIN_US + rows * STEP_US + 10 * MINUTE_US;
    append(batch(vec![last], 0..1, 1)?)?.wait()?;
    let mut round = 0;
    median_of(|| {
        round += 1;
        let name = format!("w{round}");
        let start = Instant::now();
        store.sql(&format!(
            "CREATE TOPIC {name} WITH (idle = 'none', state_bytes = '2 GiB') AS \
             SELECT window_end, k, {AGGREGATES} FROM {windows} GROUP BY window_end, k"
        ))?;
        loop {
            let all = store.engine.continuous_topics(&who)?;
            let Some(status) = all.iter().find(|status| status.info.name == name) else {
                return Err("the topic is gone".into());
            };
            if let Some(why) = &status.stopped {
                return Err(why.clone().into());
            }
            if status.lag == 0 && status.watermark_us >= Some(last) {
                break;
            }
            if start.elapsed() > LIMIT {
                return Err(format!("the topic is {} rows behind after {LIMIT:?}", status.lag).into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let seconds = start.elapsed().as_secs_f64();
        store.sql(&format!("DROP TOPIC {name} FORCE"))?;
        Ok(seconds)
    })
}

/// Seconds that DataFusion takes for the same groups.
fn batch_query(batches: &[RecordBatch]) -> Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
        context.register_table("t", Arc::new(MemTable::try_new(schema(), vec![batches.to_vec()])?))?;
        let select = format!(
            "SELECT date_bin(INTERVAL '1 minute', ts) AS w, k, {AGGREGATES} FROM t GROUP BY date_bin(INTERVAL '1 minute', ts), k"
        );
        let start = Instant::now();
        let found = context.sql(&select).await?.collect().await?;
        let seconds = start.elapsed().as_secs_f64();
        match found.iter().map(RecordBatch::num_rows).sum::<usize>() {
            0 => Err("DataFusion found no groups".into()),
            _ => Ok(seconds),
        }
    })
}
