//! Opening after SIGKILL in mid-load must not depend on how much has been written.

use std::time::Instant;

use crate::process::{self, Server};
use crate::report::Figure;
use crate::{Result, Scale, data, remote};

/// Figures `open_after_kill_small` and `open_after_kill_large`.
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    let small = scale.pick(64 << 20, 1 << 30);
    let large = scale.pick(256 << 20, 10 << 30);
    Ok(vec![figure("open_after_kill_small", small)?, figure("open_after_kill_large", large)?])
}

fn figure(name: &'static str, bytes: u64) -> Result<Figure> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("data");
    let mut server = Server::start(&path, &[])?;
    let flights = data::flights()?;
    let url = server.url.clone();
    remote::block_on(async {
        let client = remote::connect(&url).await?;
        remote::load(&client, "flights", &flights).await?;
        // The kill comes while batches are still in flight.
        let driven = remote::drive_and(&client, "flights", &flights, bytes, || server.kill());
        driven.await
    })?;
    process::drop_cache(&path)?;
    let start = Instant::now();
    let server = Server::start(&path, &[])?;
    let seconds = start.elapsed().as_secs_f64();
    let rows = server.metric("millstream_log_durable_lsn")?;
    let note = format!(
        "SIGKILL with batches in flight after {} MB, page cache dropped, until the ready line; durable LSN {rows}",
        bytes >> 20
    );
    Ok(Figure::reported(name, seconds, "s", note).value_at_most(2.0))
}
