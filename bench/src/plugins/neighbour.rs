//! What a topic's consumer notices of a guest beside it that never ends by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arrow_array::{Float64Array, RecordBatch};
use millstream_engine::{
    Append, AutoOffsetReset, ConsumerConfig, Durability, Member, PartitionChoice, Principal, TableId, TableOptions,
    TableSpec,
};

use crate::report::{Figure, median, percentile};
use crate::store::{self, Store};
use crate::{Result, Scale, data};

const ROUNDS: usize = 9;

/// Figure `plugin_neighbour_p99`.
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    let trips = scale.pick(200, 4_000);
    let store = Store::open(|options| options.segment_threads = 0)?;
    let values = Arc::new(Float64Array::from(vec![1.0; 100]));
    store.load("spun", &[RecordBatch::try_from_iter([("value", values as _)])?])?;
    let guest = store::guest("spins")?;
    store.sql(&format!("CREATE PLUGIN spins FROM '{}' WITH (timeout = '200ms', concurrency = 1)", guest.display()))?;
    let table = table(&store)?;
    store.sql("CREATE TOPIC neighbour AS SELECT * FROM rows WHERE key >= 0")?;
    let config = ConsumerConfig {
        group_id: "neighbour".to_owned(),
        auto_offset_reset: AutoOffsetReset::Latest,
        enable_auto_commit: false,
        ..ConsumerConfig::default()
    };
    let member = store.engine.join(&Principal::anonymous(), config, &["neighbour".to_owned()])?;
    round_trips(&store, table, &member, trips)?;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        // A plugin that only fails is suspended in the end.
        store.sql("ALTER PLUGIN spins RESUME")?;
        alone.push(percentile(&mut round_trips(&store, table, &member, trips)?, 0.99));
        let mut times = while_spinning(&store, || round_trips(&store, table, &member, trips))?;
        beside.push(percentile(&mut times, 0.99));
    }
    member.leave()?;
    let note = format!(
        "p99 from append to delivery by a SQL topic, {trips} rows one after the other, page-cache durability, while a query \
         calls a guest that spins; median of {ROUNDS} rounds; limit: without it, in turn"
    );
    let figure = Figure::reported("plugin_neighbour_p99", median(beside) * 1e6, "µs", note);
    Ok(vec![figure.at_most(median(alone) * 1e6, 1.2)])
}

fn table(store: &Store) -> Result<TableId> {
    let spec = TableSpec {
        namespace: "public".to_owned(),
        name: "rows".to_owned(),
        schema: data::kilobyte_row(0)?.schema(),
        // The disk's own stalls would hide what is looked for.
        options: TableOptions { durability: Durability::Os, ..TableOptions::default() },
    };
    Ok(store.engine.create_table(&Principal::anonymous(), spec)?.id)
}

/// Seconds that each row took, appended when the one before had arrived.
fn round_trips(store: &Store, table: TableId, member: &Member, count: usize) -> Result<Vec<f64>> {
    let who = Principal::anonymous();
    let row = data::kilobyte_row(0)?;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        let append = Append { table, partition: PartitionChoice::ByKey, batch: row.clone() };
        drop(store.engine.append(&who, append, None)?);
        let mut rows = 0;
        while rows == 0 {
            let deliveries = member.poll(1 << 20, Duration::from_secs(10))?;
            if deliveries.is_empty() {
                return Err("a row did not arrive within 10 s".into());
            }
            rows = deliveries.len();
        }
        times.push(start.elapsed().as_secs_f64());
    }
    Ok(times)
}

/// Runs `work` while another thread queries through a guest that is stopped by its time limit, again and again.
fn while_spinning<T>(store: &Store, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let spinner = scope.spawn(|| {
            let mut stopped = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                stopped += u32::from(store.sql("SELECT count(*) FROM spun WHERE spins(value)").is_err());
            }
            stopped
        });
        let done = work();
        stop.store(true, Ordering::Relaxed);
        match spinner.join() {
            Ok(0) => Err("the guest does not spin".into()),
            Ok(_) => done,
            Err(_) => Err("the spinning thread panicked".into()),
        }
    })
}
