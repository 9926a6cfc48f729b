//! A topic over hours of flights, on a server that is killed twice while rows come in.

use std::time::{Duration, Instant};

use millstream_client::ProducerOptions;

use super::check::{grouped, same};
use super::crash::between;
use super::hours::equal_hours;
use super::process::ServerProcess;
use super::source::{LATE_MINUTES, Source};
use super::told::tell;
use crate::cli::exit::Failure;

const TIMEOUT: Duration = Duration::from_secs(180);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// After the last flight of the file.
const AFTER_ALL: &str = "2014-01-02 00:00:00";

/// Makes the topic, sends the flights through two kills of the server, and compares its hours with the answer of its own SELECT.
pub(super) async fn late_by_hour(server: &mut ServerProcess, source: &Source) -> Result<(), Failure> {
    server.sql(&source.create_table("departures")?).await?;
    let select = format!(
        "SELECT window_start, window_end, origin, count(*) AS departures, count(*) FILTER (WHERE dep_delay > {LATE_MINUTES}) AS late, \
         sum(dep_delay) FILTER (WHERE dep_delay > {LATE_MINUTES}) AS minutes \
         FROM TUMBLE(TABLE departures, DESCRIPTOR(ts), INTERVAL '1' HOUR) GROUP BY window_start, window_end, origin"
    );
    server.sql(&format!("CREATE TOPIC late_by_hour AS {select} EMIT ON WINDOW CLOSE")).await?;
    let options = ProducerOptions { reconnect_interval: Duration::from_millis(50), ..ProducerOptions::default() };
    let mut producer = server.client().await?.producer("departures", options);
    let batches = source.batches();
    let all = batches.len();
    let kills = [between(all / 10, all * 4 / 10), between(all * 6 / 10, all * 9 / 10)];
    for (sent, batch) in batches.iter().enumerate() {
        if kills.contains(&sent) {
            let closed = server.number("SELECT count(*) FROM late_by_hour").await?;
            server.kill()?;
            tell(&format!(
                "killed with SIGKILL after batch {sent} of {all}, when {} rows of closed windows were there",
                grouped(closed)
            ))?;
            server.restart()?;
        }
        producer.append(batch).await?;
    }
    // No flight comes any more that would close the last hours.
    server.sql(&format!("ALTER TABLE departures ADVANCE WATERMARK TO TIMESTAMP '{AFTER_ALL}'")).await?;
    let departures = closed(server, source.rows()).await?;
    same("departures in closed windows", departures, source.rows())?;
    let hours = |from: &str| {
        format!("SELECT origin, window_start AS hour, late, CAST(minutes AS DOUBLE) AS minutes FROM {from}")
    };
    let late = equal_hours(server, "topic", &hours("late_by_hour"), &hours(&format!("({select})"))).await?;
    same("late departures in the topic", late, source.late.len() as u64)
}

/// Waits until so many rows are in windows that have closed, and gives how many are.
async fn closed(server: &ServerProcess, rows: u64) -> Result<u64, Failure> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let found = server.number("SELECT CAST(coalesce(sum(departures), 0) AS BIGINT) FROM late_by_hour").await?;
        if found >= rows || Instant::now() > deadline {
            return Ok(found);
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
