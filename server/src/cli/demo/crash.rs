//! Kills processes in the middle of their work, and checks what is there afterwards.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use millstream_client::ProducerOptions;

use super::check::{Seen, is_the_source, same};
use super::process::{ServerProcess, cannot, own_program};
use super::source::Source;
use super::told::tell;
use super::worker;
use crate::cli::exit::Failure;

/// How long the consumer may take.
const CONSUMER_TIMEOUT: Duration = Duration::from_secs(120);
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// Batches on their way to the server when it is killed.
const IN_FLIGHT: usize = 16;

/// Kills the server while an idempotent producer sends; the producer goes on with the next server.
pub(super) async fn kill_server(server: &mut ServerProcess, source: &Source) -> Result<(), Failure> {
    server.sql(&source.create_table("flights_again")?).await?;
    let options = ProducerOptions {
        max_in_flight: IN_FLIGHT,
        reconnect_interval: Duration::from_millis(50),
        ..Default::default()
    };
    let mut producer = server.client().await?.producer("flights_again", options);
    let batches = source.batches();
    let kill_at = between(batches.len() / 10, batches.len() * 9 / 10);
    let mut pending = Vec::new();
    let mut acknowledged = 0;
    for (sent, batch) in batches.iter().enumerate() {
        if sent == kill_at {
            server.kill()?;
            tell(&format!("killed with SIGKILL while batch {sent} of {} was on its way", batches.len()))?;
            server.restart()?;
        }
        pending.push(producer.send(batch).await?);
    }
    let mut repeated = 0;
    for ack in pending {
        let ack = ack.await?;
        acknowledged += ack.appended.iter().map(|run| run.rows).sum::<u64>();
        repeated += usize::from(ack.duplicate);
    }
    tell(&format!(
        "the producer connected again and sent again what had no answer; {repeated} of these batches were there already"
    ))?;
    same("rows acknowledged", acknowledged, source.rows())?;
    is_the_source(server, "flights_again", source).await
}

/// Kills a consumer process and starts it again.
pub(super) async fn kill_consumer(server: &ServerProcess, source: &Source, dir: &Path) -> Result<(), Failure> {
    let output = dir.join("late_departures.jsonl");
    let rows = source.late.len();
    let kill_at = between(rows / 10, rows * 6 / 10);
    let mut child = consumer(server, &output)?;
    let deadline = Instant::now() + CONSUMER_TIMEOUT;
    while rows_stored(&output)? < kill_at {
        let ended = child.try_wait().map_err(cannot("wait for the consumer"))?;
        if ended.is_some() || Instant::now() > deadline {
            let _ = child.kill();
            return Err(Failure::failed("the consumer did not get half way"));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    child.kill().and_then(|()| child.wait()).map_err(cannot("kill the consumer"))?;
    tell(&format!("killed with SIGKILL after about {} rows", rows_stored(&output)?))?;
    let status = consumer(server, &output)?.wait().map_err(cannot("wait for the consumer"))?;
    if !status.success() {
        return Err(Failure::failed(format!("the second consumer ended with {status}")));
    }
    tell("the next one went on at the stored offset")?;
    let mut seen = Seen::default();
    for stored in worker::read_stored(&output)?.batches {
        seen.add(stored.partition, &stored.offsets, &stored.distances);
    }
    seen.is_exactly("the output of both", &source.late)
}

fn consumer(server: &ServerProcess, output: &Path) -> Result<std::process::Child, Failure> {
    Command::new(own_program()?)
        .args(["demo", "worker", "--url", &server.url(), "--topic", "late_departures", "--group", "worker", "--output"])
        .arg(output)
        .stdin(Stdio::null())
        .spawn()
        .map_err(cannot("start a consumer"))
}

fn rows_stored(output: &Path) -> Result<usize, Failure> {
    Ok(worker::read_stored(output)?.batches.iter().map(|batch| batch.offsets.len()).sum())
}

/// A number from `low` up to but without `high`, another one each time.
pub(super) fn between(low: usize, high: usize) -> usize {
    let random = uuid::Uuid::new_v4().as_u128() % (high.saturating_sub(low).max(1) as u128);
    low + usize::try_from(random).unwrap_or(0)
}
