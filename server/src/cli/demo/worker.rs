//! A consumer that keeps its next offset with its output, so that both are there or neither: delivery at least once
//! becomes exactly once in its file.
//!
//! The file holds one JSON line a batch. A line without its line feed was being written when the process died; it is cut.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use millstream_client::protocol::AutoOffsetReset;
use millstream_client::{Client, ConsumerOptions, SeekTo};
use serde::{Deserialize, Serialize};

use super::check::{distances, next};
use crate::cli::exit::Failure;

/// Rows in one batch: some dozens of batches, so that a kill falls between.
const POLL_ROWS: u32 = 500;
/// What it pretends to do with each batch.
const WORK: Duration = Duration::from_millis(10);

#[derive(Debug, Args)]
pub(super) struct WorkerArguments {
    #[arg(long)]
    url: String,
    #[arg(long)]
    topic: String,
    #[arg(long)]
    group: String,
    #[arg(long)]
    output: PathBuf,
}

/// One batch and where to go on.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredBatch {
    pub(super) partition: u32,
    pub(super) next_offset: u64,
    pub(super) offsets: Vec<u64>,
    pub(super) distances: Vec<i64>,
}

/// What the file holds.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) batches: Vec<StoredBatch>,
    /// Bytes of whole lines.
    whole_bytes: u64,
}

pub(super) fn read_stored(path: &Path) -> Result<Stored, Failure> {
    let failed = |error: String| Failure::failed(format!("{}: {error}", path.display()));
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Stored::default()),
        Err(error) => return Err(failed(error.to_string())),
    };
    let mut stored = Stored::default();
    for line in bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
        stored.batches.push(serde_json::from_slice(line).map_err(|error| failed(error.to_string()))?);
        stored.whole_bytes += line.len() as u64;
    }
    Ok(stored)
}

/// Goes on where the file ends, up to the end of the topic.
pub(super) async fn run(arguments: WorkerArguments) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::failed(format!("{}: {error}", arguments.output.display()));
    let stored = read_stored(&arguments.output)?;
    let mut file = File::options().create(true).append(true).open(&arguments.output).map_err(failed)?;
    file.set_len(stored.whole_bytes).map_err(failed)?;
    let go_on: BTreeMap<u32, u64> = stored.batches.iter().map(|batch| (batch.partition, batch.next_offset)).collect();

    let client = Client::connect(&arguments.url).await?;
    let options = ConsumerOptions {
        auto_offset_reset: AutoOffsetReset::Earliest,
        enable_auto_commit: false,
        max_poll_rows: POLL_ROWS,
        ..ConsumerOptions::group(&arguments.group)
    };
    // The group still has the killed member until its session times out, and with it the partitions.
    let mut consumer = client.consumer(options, &[&arguments.topic]).await?;
    while consumer.assignment().is_empty() {
        consumer.poll(Duration::from_millis(100)).await?;
    }
    for (_, partition) in consumer.assignment() {
        let to = go_on.get(&partition).map_or(SeekTo::Start, |offset| SeekTo::Offset(*offset));
        consumer.seek(&arguments.topic, partition, to).await?;
    }
    while let Some(batch) = next(&mut consumer).await? {
        tokio::time::sleep(WORK).await;
        let stored = StoredBatch {
            partition: batch.partition,
            next_offset: batch.next_offset,
            offsets: batch.offsets(),
            distances: distances(&batch)?,
        };
        let mut line = serde_json::to_vec(&stored).map_err(Failure::failed)?;
        line.push(b'\n');
        file.write_all(&line).and_then(|()| file.sync_data()).map_err(failed)?;
    }
    Ok(consumer.close().await?)
}
