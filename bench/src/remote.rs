//! A server in another process, through the Rust client.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_schema::DataType;
use millstream_client::protocol::AutoOffsetReset;
use millstream_client::{Client, ConsumerOptions, PendingAck, Producer, ProducerOptions};

use crate::{Result, data};

/// Batches unacknowledged at once.
const IN_FLIGHT: usize = 64;

/// Runs a client on a runtime of its own.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(work)
}

pub(crate) async fn connect(url: &str) -> Result<Client> {
    Ok(Client::connect(url).await?)
}

pub(crate) async fn sql(client: &Client, statement: &str) -> Result<()> {
    client.sql(statement).await.map(drop).map_err(|error| format!("{statement}: {error}").into())
}

/// Creates a table of the batches' schema, with one partition.
pub(crate) async fn create(client: &Client, table: &str, batch: &RecordBatch) -> Result<()> {
    let schema = batch.schema();
    let columns = schema.fields().iter().map(|field| {
        let null = if field.is_nullable() { "" } else { " NOT NULL" };
        Ok(format!("{} {}{null}", field.name(), sql_type(field.data_type())?))
    });
    let columns = columns.collect::<Result<Vec<_>>>()?.join(", ");
    sql(client, &format!("CREATE TABLE {table} ({columns}) WITH (retention = 'forever')")).await
}

fn sql_type(data_type: &DataType) -> Result<&'static str> {
    Ok(match data_type {
        DataType::Int64 => "BIGINT",
        DataType::Int32 => "INT",
        DataType::Int16 => "SMALLINT",
        DataType::Float64 => "DOUBLE",
        DataType::Float32 => "REAL",
        DataType::Utf8 => "VARCHAR",
        DataType::Binary => "BYTEA",
        DataType::Timestamp(..) => "TIMESTAMP WITH TIME ZONE",
        other => return Err(format!("the benchmarks know no SQL name of {other}").into()),
    })
}

/// Creates a table and appends the batches.
pub(crate) async fn load(client: &Client, table: &str, batches: &[RecordBatch]) -> Result<()> {
    create(client, table, batches.first().ok_or("no rows")?).await?;
    let bytes = data::bytes_of_all(batches);
    drive(client, table, batches, bytes).await?;
    Ok(())
}

fn producer(client: &Client, table: &str, max_in_flight: usize) -> Producer {
    client.producer(table, ProducerOptions { max_in_flight, ..ProducerOptions::default() })
}

/// Appends the batches over and over until `bytes` have gone in, and waits for every answer; gives the seconds.
pub(crate) async fn drive(client: &Client, table: &str, batches: &[RecordBatch], bytes: u64) -> Result<f64> {
    let (_, seconds) = drive_while(client, table, batches, |sent, _| sent < bytes, &AtomicBool::new(false)).await?;
    Ok(seconds)
}

/// As [`drive`], for as long as it is told to go on by bytes and time, and sending nothing while `hold` is set; gives the
/// bytes and the seconds.
pub(crate) async fn drive_while(
    client: &Client,
    table: &str,
    batches: &[RecordBatch],
    go_on: impl Fn(u64, Duration) -> bool,
    hold: &AtomicBool,
) -> Result<(u64, f64)> {
    let mut producer = producer(client, table, IN_FLIGHT);
    let mut pending: VecDeque<PendingAck> = VecDeque::new();
    let start = Instant::now();
    let mut sent = 0;
    for batch in batches.iter().cycle() {
        while hold.load(Ordering::Relaxed) && go_on(sent, start.elapsed()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if !go_on(sent, start.elapsed()) {
            break;
        }
        sent += data::bytes_of(batch);
        pending.push_back(producer.send(batch).await?);
        while pending.len() > IN_FLIGHT {
            pending.pop_front().ok_or("nothing pending")?.await?;
        }
    }
    for ack in pending {
        ack.await?;
    }
    Ok((sent, start.elapsed().as_secs_f64()))
}

/// As [`drive`], and does something while the last batches are in flight; their answers are not waited for.
pub(crate) async fn drive_and(
    client: &Client,
    table: &str,
    batches: &[RecordBatch],
    bytes: u64,
    then: impl FnOnce() -> Result<()>,
) -> Result<()> {
    drive(client, table, batches, bytes).await?;
    let options = ProducerOptions { max_in_flight: IN_FLIGHT, reconnect_count: 0, ..ProducerOptions::default() };
    let mut producer = client.producer(table, options);
    let mut pending = Vec::new();
    for batch in batches.iter().take(IN_FLIGHT / 2) {
        pending.push(producer.send(batch).await?);
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    then()
}

/// Appends one row again and again, each a batch of its own; gives rows and seconds.
pub(crate) async fn drive_single_rows(
    client: &Client,
    table: &str,
    row: &RecordBatch,
    in_flight: usize,
    time: Duration,
) -> Result<(u64, f64)> {
    let mut producer = producer(client, table, in_flight);
    let mut pending: VecDeque<PendingAck> = VecDeque::new();
    let start = Instant::now();
    let mut rows = 0;
    while start.elapsed() < time {
        if pending.len() >= in_flight {
            pending.pop_front().ok_or("nothing pending")?.await?;
        }
        pending.push_back(producer.send(row).await?);
        rows += 1;
    }
    for ack in pending {
        ack.await?;
    }
    Ok((rows, start.elapsed().as_secs_f64()))
}

/// What a consumer took.
pub(crate) struct Taken {
    pub(crate) seconds: f64,
    /// Arrow buffer bytes.
    pub(crate) bytes: u64,
}

/// Reads a one-partition topic from its start to source offset `end`, in a group of its own.
pub(crate) async fn read_to_end(url: &str, topic: &str, group: &str, end: u64) -> Result<Taken> {
    read_all(&connect(url).await?, topic, group, end).await
}

/// The same over a connection that is there.
pub(crate) async fn read_all(client: &Client, topic: &str, group: &str, end: u64) -> Result<Taken> {
    let options = ConsumerOptions {
        auto_offset_reset: AutoOffsetReset::Earliest,
        enable_auto_commit: false,
        fetch_max_bytes: 64 << 20,
        ..ConsumerOptions::group(group)
    };
    let start = Instant::now();
    let mut consumer = client.consumer(options, &[topic]).await?;
    let (mut position, mut bytes) = (0, 0);
    while position < end {
        match consumer.poll(Duration::from_millis(100)).await? {
            Some(batch) => {
                position = batch.next_offset;
                bytes += data::bytes_of(&batch.data);
            }
            // The last rows may all have been filtered out.
            None => position = consumer.offsets().await?.values().map(|offsets| offsets.position).max().unwrap_or(0),
        }
        if start.elapsed() > Duration::from_secs(300) {
            return Err(format!("{topic} stands at {position} of {end}").into());
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    consumer.close().await?;
    Ok(Taken { seconds, bytes })
}
