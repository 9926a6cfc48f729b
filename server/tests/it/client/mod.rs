//! The Rust client against a running server: what breaks, what is refused, what moves.

mod breaks;
mod cut_off;
mod groups;
mod metadata;
mod parameters;
mod producer;
mod proxy;
mod reading;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use millstream_client::protocol::AutoOffsetReset;
use millstream_client::{Batch, Client, Consumer, ConsumerOptions, ProducerOptions};

use crate::program::Server;

const WAIT: Duration = Duration::from_secs(20);

/// Runs a test's future.
fn run<T>(test: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).thread_stack_size(8 << 20).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(120), test).await.expect("the test hangs") })
}

/// A server with a table `t (id BIGINT NOT NULL)`.
fn table(partitions: u32) -> Server {
    let server = Server::start();
    server.ok(&["sql", "-c", &format!("CREATE TABLE t (id BIGINT NOT NULL) WITH (partitions = {partitions})")]);
    server
}

fn sql(server: &Server, statement: &str) -> String {
    server.ok(&["sql", "-c", statement, "--format", "csv"])
}

fn ids(first: i64, count: i64) -> RecordBatch {
    let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]));
    RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from_iter_values(first..first + count))]).unwrap()
}

/// Appends to a partition of `t`.
async fn append(client: &Client, partition: u32, rows: &RecordBatch) {
    let mut producer = client.producer("t", ProducerOptions::default());
    producer.send_to(rows, Some(partition)).await.unwrap().await.unwrap();
}

/// A group that begins at the start, with commits by hand.
fn manual(group: &str) -> ConsumerOptions {
    ConsumerOptions {
        auto_offset_reset: AutoOffsetReset::Earliest,
        enable_auto_commit: false,
        reconnect_interval: Duration::from_millis(50),
        reconnect_max_interval: Duration::from_millis(50),
        reconnect_count: 200,
        ..ConsumerOptions::group(group)
    }
}

/// Takes batches until there are so many rows.
async fn take(consumer: &mut Consumer, rows: usize) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    let count = |batches: &[Batch]| batches.iter().map(|batch| batch.data.num_rows()).sum::<usize>();
    while count(&batches) < rows {
        let batch = consumer.poll(WAIT).await.unwrap();
        batches.push(batch.unwrap_or_else(|| panic!("{} of {rows} rows came", count(&batches))));
    }
    batches
}

/// The column `id` of all batches.
fn values(batches: &[Batch]) -> Vec<i64> {
    let column = |batch: &Batch| batch.data.column(0).as_primitive::<Int64Type>().values().to_vec();
    batches.iter().flat_map(column).collect()
}

async fn nothing_comes(consumer: &mut Consumer) {
    let batch = consumer.poll(Duration::from_millis(300)).await.unwrap();
    assert!(batch.is_none(), "{batch:?}");
}
