//! A raw topic over Flight: what the log holds is sent on as it is.

use std::time::Duration;

use arrow_array::RecordBatch;

use crate::process::Server;
use crate::report::{Figure, median};
use crate::{Result, Scale, data, limits, remote};

const ROUNDS: usize = 5;

/// Figure `raw_topic_over_flight`.
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    let copies = scale.pick(1, 16);
    let batches = data::flights_times(copies)?;
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("data"), &["--segment-threads", "0", "--tail-bytes", "2147483648"])?;
    let mut rates = remote::block_on(async {
        let client = remote::connect(&server.url).await?;
        remote::load(&client, "flights", &batches).await?;
        let mut rates = Vec::new();
        for round in 0..=ROUNDS {
            let taken = remote::read_to_end(&server.url, "flights", &format!("raw{round}"), rows as u64).await?;
            rates.push(taken.bytes as f64 / taken.seconds);
        }
        Ok(rates)
    })?;
    rates.remove(0); // not counted: it warms up
    let loopback = limits::loopback(Duration::from_secs(scale.pick(1, 5)))?;
    let note = format!("{rows} flights, hot, one consumer in another process; limit: one loopback TCP stream");
    Ok(vec![Figure::reported("raw_topic_over_flight", median(rates), "B/s", note).at_least(loopback, 0.6)])
}
