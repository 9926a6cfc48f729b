//! `millstream import`.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use millstream_client::{PendingAck, Producer, ProducerOptions};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::args::ImportArguments;
use super::client::{Client, DELIVERY_TIMEOUT, not_sent};
use super::exit::Failure;
use super::files::{Source, Wanted, time_column};
use super::output::say;
use super::quote::name;
use super::table::{create_table, fitted};

/// Batches read ahead of the network.
const READ_AHEAD: usize = 4;
/// How often a tick of the progress bar is due.
const TICK: Duration = Duration::from_millis(100);

pub(crate) async fn run(arguments: ImportArguments) -> Result<(), Failure> {
    let ImportArguments { connection, table, file, create, delimiter } = arguments;
    let client = Client::connect(&connection).await?;
    let source = if create {
        let source = Source::open(&file, Wanted::Inferred, delimiter)?;
        let statement = create_table(&table, source.schema(), time_column(&source)?.as_deref())
            .map_err(|reason| Failure::failed(format!("{}: {reason}", file.display())))?;
        client.run(&statement).await?;
        source
    } else {
        let columns = client.columns(&name(&table)).await?;
        Source::open(&file, Wanted::Table(&columns), delimiter)?
    };
    let options = ProducerOptions {
        namespace: connection.namespace.clone(),
        delivery_timeout: DELIVERY_TIMEOUT,
        ..ProducerOptions::default()
    };
    let producer = client.inner().producer(&table, options);
    let started = Instant::now();
    let rows = match send_or_interrupt(&source, producer).await {
        Err(failure) if create => return Err(undone(&client, &table, failure).await),
        rows => rows?,
    };
    let seconds = started.elapsed().as_secs_f64();
    say(&format!("{rows} rows into {table} in {seconds:.2} s, {:.0} rows/s\n", rows as f64 / seconds.max(1e-9)))
}

/// Ends, too, when the process is told to.
async fn send_or_interrupt(source: &Source, producer: Producer) -> Result<u64, Failure> {
    tokio::select! {
        rows = send_all(source, producer) => rows,
        _ = tokio::signal::ctrl_c() => Err(Failure::failed("interrupted")),
    }
}

/// Drops the table that was made for a file whose rows could not all be imported; the failure, which says so if that did not
/// work.
async fn undone(client: &Client, table: &str, failure: Failure) -> Failure {
    match client.run(&format!("DROP TABLE {}", name(table))).await {
        Ok(_) => failure,
        Err(error) => {
            failure.within(format!("table {table:?} stays, with some of the rows, because {error}; the import failed"))
        }
    }
}

async fn send_all(source: &Source, mut producer: Producer) -> Result<u64, Failure> {
    let progress = progress(source.rows());
    let (mut batches, reader) = read_ahead(source)?;
    let mut pending: VecDeque<(u64, PendingAck)> = VecDeque::new();
    let mut rows = 0;
    while let Some(batch) = batches.recv().await {
        let batch = batch?;
        pending.push_back((batch.num_rows() as u64, producer.send(&batch).await.map_err(not_sent)?));
        // The producer holds back at its own limit; what is answered by then is counted here.
        while let Some(count) = answered(&mut pending).await? {
            rows += count;
            progress.set_position(rows);
        }
    }
    // The end of the file and the end of a reader that broke off look the same from here.
    reader
        .await
        .map_err(|error| Failure::failed(format!("{}: reading it broke off: {error}", source.path().display())))?;
    for (count, ack) in pending {
        ack.await.map_err(not_sent)?;
        rows += count;
        progress.set_position(rows);
    }
    progress.finish_and_clear();
    Ok(rows)
}

/// The rows of the oldest batch if its answer has come.
async fn answered(pending: &mut VecDeque<(u64, PendingAck)>) -> Result<Option<u64>, Failure> {
    let Some((count, ack)) = pending.front_mut() else { return Ok(None) };
    let count = *count;
    match futures::poll!(ack) {
        std::task::Poll::Ready(answer) => {
            pending.pop_front();
            answer.map(|_| Some(count)).map_err(not_sent)
        }
        std::task::Poll::Pending => Ok(None),
    }
}

/// Batches that were read ahead.
type Ahead = mpsc::Receiver<Result<RecordBatch, Failure>>;

/// Reads on a thread of its own: decoding a file must not hold up the connection.
fn read_ahead(source: &Source) -> Result<(Ahead, JoinHandle<()>), Failure> {
    let (send, receive) = mpsc::channel(READ_AHEAD);
    let batches = source.batches(None)?;
    let path = source.path().display().to_string();
    let reader = tokio::task::spawn_blocking(move || {
        let mut rows = 0;
        for batch in batches {
            let batch = batch.map_err(|error| error.to_string()).and_then(|batch| fitted(&batch, rows));
            let batch = batch.map_err(|error| Failure::failed(format!("{path}: {error}")));
            rows += batch.as_ref().map_or(0, RecordBatch::num_rows);
            let failed = batch.is_err();
            if send.blocking_send(batch).is_err() || failed {
                return;
            }
        }
    });
    Ok((receive, reader))
}

/// A bar on standard error if a person watches.
fn progress(rows: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = match rows {
        Some(_) => "{wide_bar} {human_pos}/{human_len} rows, {per_sec}, {eta} left",
        None => "{spinner} {human_pos} rows, {per_sec}",
    };
    let bar = ProgressBar::with_draw_target(rows, ProgressDrawTarget::stderr());
    // The templates are ours; one that could not be read would only look plainer.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    bar.enable_steady_tick(TICK);
    bar
}
