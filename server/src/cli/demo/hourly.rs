//! A consumer that is a plugin keeps an hourly table of late departures, through two kills of the server.

use std::path::Path;
use std::time::{Duration, Instant};

use super::check::{grouped, same};
use super::crash::between;
use super::hours::equal_hours;
use super::process::ServerProcess;
use super::source::{LATE_MINUTES, Source};
use super::told::tell;
use crate::cli::exit::Failure;

/// Rows of one call: few, so that there are many commits for a kill to fall between.
const BATCH_ROWS: u32 = 100;
const TIMEOUT: Duration = Duration::from_secs(180);
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// The newest row of each airport and hour is what the plugin says of it.
const KEPT: &str = "SELECT origin, hour, last_value(late ORDER BY _offset) AS late, \
                    last_value(delay_minutes ORDER BY _offset) AS minutes FROM late_hours GROUP BY origin, hour";

/// Creates the consumer over a table that is partitioned by airport, kills the server twice while it works, and compares
/// its sums with a query over all rows at once.
pub(super) async fn keep_hours(server: &mut ServerProcess, plugin: &Path, source: &Source) -> Result<(), Failure> {
    server
        .sql(
            "CREATE TABLE flights_by_airport (ts TIMESTAMP(3) WITH TIME ZONE NOT NULL, origin VARCHAR, dep_delay REAL) \
         WITH (time_column = 'ts', partitions = 3, partition_key = (origin))",
        )
        .await?;
    server.sql("INSERT INTO flights_by_airport SELECT ts, origin, dep_delay FROM flights").await?;
    server.sql(
        "CREATE TABLE late_hours (origin VARCHAR, hour TIMESTAMP(3) WITH TIME ZONE, late BIGINT, delay_minutes DOUBLE) \
         WITH (partition_key = (origin), partitions = 3)",
    )
    .await?;
    server.load_plugin("hourly_delays", plugin, &[("grant", "state")]).await?;
    server
        .sql(&format!(
            "CREATE CONSUMER hourly ON flights_by_airport USING PLUGIN hourly_delays \
         WITH (output.hours = 'late_hours', batch_rows = {BATCH_ROWS})"
        ))
        .await?;
    let all = usize::try_from(source.rows()).unwrap_or(usize::MAX);
    for (low, high) in [(all * 6 / 10, all * 9 / 10), (all / 10, all * 4 / 10)] {
        let kill_at = between(low, high) as u64;
        let left = until(server, kill_at).await?;
        if left == 0 {
            return Err(Failure::failed("the consumer was done before it could be killed"));
        }
        server.kill()?;
        tell(&format!("killed with SIGKILL while the consumer had {} rows to go", grouped(left)))?;
        server.restart()?;
    }
    until(server, 0).await?;
    tell("the consumer went on at its committed offset, with its state")?;
    let batch = format!(
        "SELECT origin, CAST(date_trunc('hour', ts) AS TIMESTAMP(3) WITH TIME ZONE) AS hour, count(*) AS late, \
         CAST(sum(dep_delay) AS DOUBLE) AS minutes FROM flights_by_airport WHERE dep_delay > {LATE_MINUTES} GROUP BY 1, 2"
    );
    let late = equal_hours(server, "consumer", KEPT, &batch).await?;
    same("late departures in the hourly table", late, source.late.len() as u64)
}

/// Waits until the consumer has at most so many rows to go; gives how many it has.
async fn until(server: &ServerProcess, rows: u64) -> Result<u64, Failure> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let left = server.number("SELECT lag FROM system.plugin_consumers WHERE name = 'hourly'").await?;
        if left <= rows {
            return Ok(left);
        }
        if Instant::now() > deadline {
            let error =
                server.text("SELECT coalesce(error, state) FROM system.plugin_consumers WHERE name = 'hourly'").await?;
            return Err(Failure::failed(format!("the consumer has {left} rows to go: {error}")));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
