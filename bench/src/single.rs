//! Rows that come one by one: 1,000 in flight, durable each; and how long one takes to reach a consumer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use millstream_engine::{
    Append, AutoOffsetReset, ConsumerConfig, Engine, PartitionChoice, PendingReceipt, Principal, TableId, TableOptions,
    TableSpec,
};

use crate::process::{self, Server};
use crate::report::{Figure, percentile};
use crate::store::Store;
use crate::{Result, Scale, data, limits, remote};

const IN_FLIGHT: usize = 1_000;

/// Figures `single_rows_in_process`, `single_rows_over_flight`, `bytes_written_per_row_byte`.
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    let time = Duration::from_secs(scale.pick(2, 15));
    Ok(vec![in_process(time)?, over_flight(time)?, amplification(time)?])
}

pub(crate) fn table(engine: &Engine, partitions: u32) -> Result<TableId> {
    let spec = TableSpec {
        namespace: "public".to_owned(),
        name: format!("rows_{partitions}"),
        schema: data::kilobyte_row(0)?.schema(),
        options: TableOptions { partitions, partition_key: vec!["key".to_owned()], ..TableOptions::default() },
    };
    Ok(engine.create_table(&Principal::anonymous(), spec)?.id)
}

/// Appends rows one by one for `time`, keeping `IN_FLIGHT` unanswered; gives rows and seconds.
pub(crate) fn drive(
    engine: &Engine,
    who: &Principal,
    table: TableId,
    time: Duration,
    keys: i64,
) -> Result<(u64, f64)> {
    let rows: Vec<_> = (0..keys).map(data::kilobyte_row).collect::<Result<_>>()?;
    let mut pending: VecDeque<PendingReceipt> = VecDeque::with_capacity(IN_FLIGHT);
    let start = Instant::now();
    let mut sent = 0_u64;
    while start.elapsed() < time {
        for row in &rows {
            if pending.len() == IN_FLIGHT {
                pending.pop_front().ok_or("nothing pending")?.wait()?;
            }
            let append = Append { table, partition: PartitionChoice::ByKey, batch: row.clone() };
            pending.push_back(engine.append(who, append, None)?);
            sent += 1;
        }
    }
    for receipt in pending {
        receipt.wait()?;
    }
    Ok((sent, start.elapsed().as_secs_f64()))
}

fn in_process(time: Duration) -> Result<Figure> {
    let store = Store::open(|options| options.segment_threads = 0)?;
    let table = table(&store.engine, 1)?;
    let before = store.engine.stats(&Principal::anonymous())?;
    let (rows, seconds) = drive(&store.engine, &Principal::anonymous(), table, time, 1_000)?;
    let after = store.engine.stats(&Principal::anonymous())?;
    let row_bytes = data::bytes_of(&data::kilobyte_row(0)?) as f64;
    let commits = (after.commits - before.commits).max(1);
    let commit_bytes = (after.log_bytes_written - before.log_bytes_written) / commits;
    let disk = limits::disk(&store.path(), commit_bytes as usize, time / 3)?;
    let note = format!(
        "{:.0} rows/s, {IN_FLIGHT} in flight; limit: append + fdatasync of {commit_bytes} bytes",
        rows as f64 / seconds
    );
    Ok(Figure::reported("single_rows_in_process", rows as f64 * row_bytes / seconds, "B/s", note).at_least(disk, 0.5))
}

fn over_flight(time: Duration) -> Result<Figure> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("data"), &["--segment-threads", "0"])?;
    let row = data::kilobyte_row(0)?;
    let (rows, seconds) = remote::block_on(async {
        let client = remote::connect(&server.url).await?;
        remote::load(&client, "rows", std::slice::from_ref(&row)).await?;
        remote::drive_single_rows(&client, "rows", &row, IN_FLIGHT, time).await
    })?;
    let note = format!("{:.0} rows/s from one client process, {IN_FLIGHT} in flight", rows as f64 / seconds);
    let bytes = data::bytes_of(&row) as f64;
    Ok(Figure::reported("single_rows_over_flight", rows as f64 * bytes / seconds, "B/s", note))
}

fn amplification(time: Duration) -> Result<Figure> {
    let store = Store::open(|_| {})?;
    let table = table(&store.engine, 1_000)?;
    let pid = std::process::id();
    let before = process::proc_value(pid, "io", "write_bytes")?;
    let (rows, _) = drive(&store.engine, &Principal::anonymous(), table, time, 10_000)?;
    store.engine.cut_segments(&Principal::anonymous(), table)?;
    let written = process::proc_value(pid, "io", "write_bytes")? - before;
    let stats = store.engine.stats(&Principal::anonymous())?;
    let row_bytes = rows as f64 * data::bytes_of(&data::kilobyte_row(0)?) as f64;
    let note = format!(
        "{rows} rows of 1 KB over 1,000 partitions, to the block device, segments included (log {:.2}, segments {:.2} per row byte)",
        stats.log_bytes_written as f64 / row_bytes,
        stats.segment_bytes_written as f64 / row_bytes
    );
    Ok(Figure::reported("bytes_written_per_row_byte", written as f64 / row_bytes, "B/B", note).value_at_most(4.0))
}

/// Figures `latency_p50` and `latency_p99`: from append to delivery in the same process, at half the full load.
pub(crate) fn run_latency(scale: Scale) -> Result<Vec<Figure>> {
    let time = Duration::from_secs(scale.pick(2, 15));
    let store = Store::open(|options| options.segment_threads = 0)?;
    let table = table(&store.engine, 1)?;
    let (rows, seconds) = drive(&store.engine, &Principal::anonymous(), table, time / 3, 1_000)?;
    let interval = Duration::from_secs_f64(2.0 * seconds / rows as f64);
    let before = store.engine.stats(&Principal::anonymous())?;
    let mut latencies = paced(&store, table, interval, time)?;
    let after = store.engine.stats(&Principal::anonymous())?;
    let syncs_took = (after.sync_micros - before.sync_micros) as f64 / (after.syncs - before.syncs).max(1) as f64 / 1e3;
    let mut syncs = limits::fsync_times(&store.path(), 200)?;
    let (sync50, sync99) = (percentile(&mut syncs, 0.5) * 1e3, percentile(&mut syncs, 0.99) * 1e3);
    let note = format!(
        "produce to consume at half load, {} rows/s, the log's own syncs took {syncs_took:.2} ms on average; limit: 4 KiB append + fdatasync on the idle disk, same percentile",
        (1.0 / interval.as_secs_f64()) as u64
    );
    Ok(vec![
        Figure::reported("latency_p50", percentile(&mut latencies, 0.5) * 1e3, "ms", note.clone()).beside(sync50),
        Figure::reported("latency_p99", percentile(&mut latencies, 0.99) * 1e3, "ms", note).beside(sync99),
    ])
}

#[expect(clippy::disallowed_methods, reason = "it is joined")]
fn paced(store: &Store, table: TableId, interval: Duration, time: Duration) -> Result<Vec<f64>> {
    let who = Principal::anonymous();
    let first = store.engine.table_offsets(&who, table)?.first().ok_or("no partition")?.1;
    let total = (time.as_secs_f64() / interval.as_secs_f64()) as u64;
    let config = ConsumerConfig {
        group_id: "latency".to_owned(),
        auto_offset_reset: AutoOffsetReset::Latest,
        enable_auto_commit: false,
        ..ConsumerConfig::default()
    };
    let member = store.engine.join(&who, config, &["rows_1".to_owned()])?;
    let consumer = std::thread::spawn(move || -> Result<Vec<Instant>> {
        let mut seen = Vec::with_capacity(total as usize);
        while (seen.len() as u64) < total {
            for delivery in member.poll(8 << 20, Duration::from_secs(10))? {
                let now = Instant::now();
                seen.resize((delivery.next_offset - first) as usize, now);
            }
        }
        member.leave()?;
        Ok(seen)
    });
    let row = data::kilobyte_row(0)?;
    let start = Instant::now();
    let mut sent = Vec::with_capacity(total as usize);
    for number in 0..total {
        let due = start + interval.mul_f64(number as f64);
        // A sleep is too coarse for some 10 µs, and spinning would take the core the engine needs.
        if let Some(early) =
            due.checked_duration_since(Instant::now()).filter(|early| *early > Duration::from_millis(1))
        {
            std::thread::sleep(early);
        }
        sent.push(Instant::now());
        drop(store.engine.append(
            &who,
            Append { table, partition: PartitionChoice::ByKey, batch: row.clone() },
            None,
        )?);
    }
    let seen = consumer.join().map_err(|_| "the consumer panicked")??;
    Ok(sent.iter().zip(seen).map(|(sent, seen)| seen.saturating_duration_since(*sent).as_secs_f64()).collect())
}
