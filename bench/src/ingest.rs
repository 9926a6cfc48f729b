//! Columnar batches over Flight, durable.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::process::{PeakMemory, Server};
use crate::report::Figure;
use crate::{Result, Scale, data, limits, remote};

/// Figure `ingest_columnar`: segments paused.
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    let time = Duration::from_secs(scale.pick(3, 20));
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("data"), &["--segment-threads", "0"])?;
    let flights = data::flights()?;
    let (bytes, seconds) = remote::block_on(async {
        let client = remote::connect(&server.url).await?;
        remote::load(&client, "flights", &flights).await?;
        remote::drive_while(&client, "flights", &flights, |_, elapsed| elapsed < time, &AtomicBool::new(false)).await
    })?;
    let commit =
        server.metric("millstream_log_written_bytes_total")? / server.metric("millstream_log_commits_total")?.max(1.0);
    drop(server);
    let disk = limits::disk(dir.path(), commit as usize, time / 2)?;
    let loopback = limits::loopback(time / 5)?;
    let note = format!(
        "flights in batches of {} rows, one client, {:.0} MB in; limit: the lower of disk ({:.0} MB/s at the mean commit of {:.1} MB) and loopback ({:.0} MB/s)",
        data::BATCH_ROWS,
        bytes as f64 / 1e6,
        disk / 1e6,
        commit / 1e6,
        loopback / 1e6
    );
    Ok(vec![Figure::reported("ingest_columnar", bytes as f64 / seconds, "B/s", note).at_least(disk.min(loopback), 0.6)])
}

/// What waits to be turned into segments while the client holds back.
const BACKLOG_BYTES: f64 = 512e6;

/// Figure `ingest_columnar_with_segments`: default settings for a minute. The client holds back while the backlog is over
/// [`BACKLOG_BYTES`], so that the rate is one that segments keep up with.
pub(crate) fn run_with_segments(scale: Scale) -> Result<Vec<Figure>> {
    let third = Duration::from_secs(scale.pick(4, 20));
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("data"), &[])?;
    let flights = data::flights()?;
    let (mut bytes, mut seconds, mut backlogs) = (0, 0.0, Vec::new());
    let backlog = || server.metric("millstream_segment_backlog_bytes");
    let (hold, done) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                hold.store(backlog().is_ok_and(|bytes| bytes > BACKLOG_BYTES), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let driven = remote::block_on(async {
            let client = remote::connect(&server.url).await?;
            remote::load(&client, "flights", &flights).await?;
            for _ in 0..3 {
                let go_on = |_, elapsed| elapsed < third;
                let (more, took) = remote::drive_while(&client, "flights", &flights, go_on, &hold).await?;
                bytes += more;
                seconds += took;
                backlogs.push(backlog()? / 1e6);
            }
            Ok(())
        });
        done.store(true, Ordering::Relaxed);
        driven
    })?;
    let log = server.metric("millstream_log_written_bytes_total")?;
    let commit = log / server.metric("millstream_log_commits_total")?.max(1.0);
    let c = server.metric("millstream_segment_written_bytes_total")? / log;
    drop(server);
    let disk = limits::disk(dir.path(), commit as usize, third / 2)?;
    let note = format!(
        "default settings, a client that holds back over {:.0} MB of backlog; backlog after each third {backlogs:.0?} MB; \
         limit: disk {:.0} MB/s / (1 + c), c = {c:.2}",
        BACKLOG_BYTES / 1e6,
        disk / 1e6
    );
    let mut figure = Figure::reported("ingest_columnar_with_segments", bytes as f64 / seconds, "B/s", note);
    figure = figure.at_least(disk / (1.0 + c), 0.65);
    // A backlog that has grown by more than two segments over the last two thirds is not kept up with.
    if backlogs.last().zip(backlogs.first()).is_some_and(|(last, first)| last - first > 128.0) {
        figure.met = Some(false);
    }
    Ok(vec![figure])
}

/// Figure `memory_peak`: a large volume goes in while one consumer reads slowly.
pub(crate) fn run_memory(scale: Scale) -> Result<Vec<Figure>> {
    let total: u64 = scale.pick(512 << 20, 10 << 30);
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("data"), &[])?;
    let flights = data::flights()?;
    let peak = PeakMemory::of(server.pid());
    remote::block_on(async {
        let client = remote::connect(&server.url).await?;
        remote::load(&client, "flights", &flights).await?;
        let mut slow = JoinSet::new();
        slow.spawn(slow_consumer(server.url.clone()));
        remote::drive(&client, "flights", &flights, total).await?;
        drop(slow);
        Ok(())
    })?;
    let peak = peak.finish();
    drop(server);
    let note = format!(
        "peak RssAnon of the server while {:.1} GB go in, default settings, one slow consumer",
        total as f64 / 1e9
    );
    Ok(vec![Figure::reported("memory_peak", peak as f64 / f64::from(1 << 20), "MiB", note).value_at_most(512.0)])
}

async fn slow_consumer(url: String) -> Result<()> {
    use millstream_client::protocol::AutoOffsetReset;
    let client = remote::connect(&url).await?;
    let options = millstream_client::ConsumerOptions {
        auto_offset_reset: AutoOffsetReset::Earliest,
        ..millstream_client::ConsumerOptions::group("slow")
    };
    let mut consumer = client.consumer(options, &["flights"]).await?;
    loop {
        consumer.poll(Duration::from_secs(1)).await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
