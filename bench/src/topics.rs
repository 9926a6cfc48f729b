//! Topics read in process beside DataFusion running the same SELECT over the same batches, on one thread each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use millstream_engine::{
    Append, AutoOffsetReset, ConsumerConfig, Durability, Engine, PartitionChoice, Principal, TableOptions, TableSpec,
};

use crate::process::Server;
use crate::report::{Figure, median};
use crate::store::Store;
use crate::{Result, Scale, data, remote};

const ROUNDS: usize = 7;
const SELECT: &str = "SELECT * FROM flights WHERE dep_delay > 60";
const WASM: &str = "SELECT * FROM flights WHERE late(dep_delay)";
/// Rows of a small batch.
const FEW: usize = 16;

/// Figures `topic_sql_in_process`, `topic_wasm_in_process`, `topic_wasm_small_batches`, `topic_wasm_over_flight`.
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    let copies = scale.pick(1, 8);
    let batches = data::flights_times(copies)?;
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let store = Store::open(|options| {
        // Hot: everything stays in memory, nothing is turned into segments meanwhile.
        options.tail_bytes = 1 << 30;
        options.segment_threads = 0;
    })?;
    store.load("flights", &batches)?;
    store.sql(&format!("CREATE PLUGIN late FROM '{}'", crate::store::guest("late_departures")?.display()))?;

    // The rival by itself, which is when it is fastest; topics in turn, so that what the disk still has to do meets both.
    let datafusion = median_of(|_| datafusion_select(&batches))?;
    let (mut sql, mut wasm) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        sql.push(topic(&store, &format!("sql_{round}"), SELECT, rows)?);
        wasm.push(topic(&store, &format!("wasm_{round}"), WASM, rows)?);
    }
    // The first round is not counted: it fills caches and pools.
    let [sql, wasm] = [sql, wasm].map(|seconds| median(seconds.into_iter().skip(1).collect()));
    let rate = |seconds: f64| rows as f64 / seconds;
    let mut figures = vec![
        Figure::reported(
            "topic_sql_in_process",
            rate(sql),
            "rows/s",
            format!("{rows} flights, hot, one reader; limit: DataFusion on one thread"),
        )
        .at_least(rate(datafusion), 0.8),
        Figure::reported(
            "topic_wasm_in_process",
            rate(wasm),
            "rows/s",
            "the same rows by the Rust-guest filter; limit: the SQL topic",
        )
        .at_least(rate(sql), 0.5),
    ];
    figures.push(small_batches(&store, &batches, scale.pick(8_192, 65_536), rate(wasm))?);
    figures.push(over_flight(&batches, rows)?);
    Ok(figures)
}

/// Rows that came a few at a time, each batch a commit of its own, read later on.
fn small_batches(store: &Store, batches: &[RecordBatch], rows: usize, large: f64) -> Result<Figure> {
    let who = Principal::anonymous();
    let schema = batches.first().ok_or("no rows")?.schema();
    let options = TableOptions { retention_ms: None, durability: Durability::Os, ..TableOptions::default() };
    let spec = TableSpec { namespace: "public".to_owned(), name: "trickle".to_owned(), schema, options };
    let table = store.engine.create_table(&who, spec)?.id;
    let pieces = batches.iter().flat_map(|batch| {
        (0..batch.num_rows()).step_by(FEW).map(|from| batch.slice(from, FEW.min(batch.num_rows() - from)))
    });
    let mut loaded = 0;
    for batch in pieces {
        if loaded >= rows {
            break;
        }
        loaded += batch.num_rows();
        store.engine.append(&who, Append { table, partition: PartitionChoice::ByKey, batch }, None)?.wait()?;
    }
    let select = WASM.replace("FROM flights", "FROM trickle");
    let seconds = median_of(|round| topic(store, &format!("trickle_{round}"), &select, loaded))?;
    let note = format!("{loaded} flights that came {FEW} at a time (durability 'os'); limit: in batches of 8192 rows");
    Ok(Figure::reported("topic_wasm_small_batches", loaded as f64 / seconds, "rows/s", note).beside(large))
}

fn median_of(mut round: impl FnMut(usize) -> Result<f64>) -> Result<f64> {
    round(ROUNDS)?; // not counted, as above
    Ok(median((0..ROUNDS).map(round).collect::<Result<Vec<_>>>()?))
}

fn datafusion_select(batches: &[RecordBatch]) -> Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
        let schema = batches.first().ok_or("no rows")?.schema();
        context.register_table("flights", Arc::new(MemTable::try_new(schema, vec![batches.to_vec()])?))?;
        let start = Instant::now();
        let found = context.sql(SELECT).await?.collect().await?;
        let seconds = start.elapsed().as_secs_f64();
        assert!(found.iter().map(RecordBatch::num_rows).sum::<usize>() > 0, "DataFusion found no late flight");
        Ok(seconds)
    })
}

/// Seconds to read a new topic from start to end as the only member of a new group.
fn topic(store: &Store, name: &str, select: &str, rows: usize) -> Result<f64> {
    store.sql(&format!("CREATE TOPIC {name} AS {select}"))?;
    read_to_end(&store.engine, name, name, rows)
}

/// Reads a topic over a table of `rows` rows in one partition, in a group of its own.
pub(crate) fn read_to_end(engine: &Engine, topic: &str, group: &str, rows: usize) -> Result<f64> {
    let config = ConsumerConfig {
        group_id: group.to_owned(),
        auto_offset_reset: AutoOffsetReset::Earliest,
        enable_auto_commit: false,
        ..ConsumerConfig::default()
    };
    let member = engine.join(&Principal::anonymous(), config, &[topic.to_owned()])?;
    let start = Instant::now();
    let mut position = 0;
    while position < rows as u64 {
        for delivery in member.poll(8 << 20, Duration::from_secs(10))? {
            position = delivery.next_offset;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    member.leave()?;
    Ok(seconds)
}

fn over_flight(batches: &[RecordBatch], rows: usize) -> Result<Figure> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("data"), &["--segment-threads", "0", "--tail-bytes", "1073741824"])?;
    let guest = crate::store::guest("late_departures")?;
    remote::block_on(async {
        let client = remote::connect(&server.url).await?;
        remote::load(&client, "flights", batches).await?;
        client.create_plugin("CREATE PLUGIN late FROM UPLOAD", std::fs::read(guest)?.into()).await?;
        let mut seconds: Vec<[f64; 2]> = Vec::new();
        for round in 0..=ROUNDS {
            let mut both = [0.0; 2];
            for (kind, select) in [SELECT, WASM].into_iter().enumerate() {
                let name = format!("t{kind}_{round}");
                remote::sql(&client, &format!("CREATE TOPIC {name} AS {select}")).await?;
                both[kind] = remote::read_to_end(&server.url, &name, &name, rows as u64).await?.seconds;
            }
            seconds.push(both);
        }
        let of = |kind: usize| median(seconds.iter().skip(1).map(|both| both[kind]).collect());
        let rate = |seconds: f64| rows as f64 / seconds;
        let note = "source rows/s to one Flight consumer; limit: the SQL topic to the same consumer";
        Ok(Figure::reported("topic_wasm_over_flight", rate(of(1)), "rows/s", note).at_least(rate(of(0)), 0.8))
    })
}
