//! `millstream consume`.

mod progress;
mod rows;

use std::time::Duration;

use clap::{Args, ValueEnum};
use millstream_client::protocol::AutoOffsetReset;
use millstream_client::{Batch, Consumer, ConsumerOptions, Error, ErrorKind};

use crate::cli::args::Connection;
use crate::cli::client::Client;
use crate::cli::exit::Failure;
use crate::cli::output::{output, unwritable};
use crate::format::{Format, RowSink};
use progress::Progress;

/// How long to wait for rows before looking whether the end is reached.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// How long to wait for rows when there is nothing else to look at.
const IDLE: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
#[command(after_help = "\
What is committed is exactly what was printed: after each batch, standard output is flushed and then its offsets are \
committed. Stop it at any time and start it again: it goes on behind the last committed row.

Examples:
  millstream consume late_departures --group dashboard --from earliest
  millstream consume flights --group audit --from earliest --until-end --format csv > flights.csv
  millstream consume flights --group peek --max-rows 10 --no-commit --offsets --format json")]
pub(crate) struct ConsumeArguments {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// The topic, or a table
    pub(crate) topic: String,
    /// The consumer group; made on first use
    #[arg(long, value_name = "NAME")]
    pub(crate) group: String,
    /// Where to begin if the group has no committed offset
    #[arg(long, value_enum, default_value_t = From::Latest)]
    pub(crate) from: From,
    /// How rows are written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    /// End after this many rows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_rows: Option<u64>,
    /// End at what were the end offsets when the command began
    #[arg(long)]
    pub(crate) until_end: bool,
    /// Leave the group's committed offsets as they are
    #[arg(long)]
    pub(crate) no_commit: bool,
    /// Add the columns _partition and _offset
    #[arg(long)]
    pub(crate) offsets: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum From {
    /// The oldest retained row
    Earliest,
    /// Rows to come
    Latest,
}

/// Reads until there is nothing left to read, or the process is told to end.
pub(crate) async fn run(arguments: ConsumeArguments) -> Result<(), Failure> {
    let client = Client::connect(&arguments.connection).await?;
    let options = ConsumerOptions {
        namespace: arguments.connection.namespace.clone(),
        client_id: format!("millstream-consume-{}", std::process::id()),
        auto_offset_reset: match arguments.from {
            From::Earliest => AutoOffsetReset::Earliest,
            From::Latest => AutoOffsetReset::Latest,
        },
        enable_auto_commit: false,
        ..ConsumerOptions::group(&arguments.group)
    };
    let consumer = client.inner().consumer(options, &[&arguments.topic]).await?;
    let mut reading = Reading::start(&arguments, consumer).await?;
    let told_to_end = tokio::signal::ctrl_c();
    tokio::pin!(told_to_end);
    let result = loop {
        if reading.is_done() {
            break Ok(());
        }
        // Only the wait for rows is given up when the process is told to end: rows at hand are printed and committed.
        let next = tokio::select! {
            _ = &mut told_to_end => break Ok(()),
            next = reading.next() => next,
        };
        match next {
            Ok(Some(batch)) => match reading.print(&batch).await {
                Ok(()) => {}
                Err(failure) => break Err(failure),
            },
            Ok(None) => match reading.look().await {
                Ok(()) => {}
                Err(failure) => break Err(failure),
            },
            Err(error) => break Err(error.into()),
        }
    };
    reading.end(result).await
}

/// One run of the command.
struct Reading<'a> {
    arguments: &'a ConsumeArguments,
    consumer: Consumer,
    sink: RowSink<std::io::BufWriter<std::io::StdoutLock<'static>>>,
    progress: Progress,
    rows_left: u64,
}

impl<'a> Reading<'a> {
    async fn start(arguments: &'a ConsumeArguments, consumer: Consumer) -> Result<Reading<'a>, Failure> {
        let schema = consumer.schema(&arguments.topic).ok_or_else(|| Failure::failed("the server gave no schema"))?;
        let schema = if arguments.offsets { rows::schema_with_offsets(&schema) } else { schema };
        let mut progress = Progress::default();
        if arguments.until_end {
            let offsets = consumer.offsets().await?;
            progress.end_at(
                offsets.into_iter().map(|((_, partition), offsets)| (partition, offsets.position, offsets.end)),
            );
        }
        let sink = RowSink::new(output(), arguments.format, &schema).map_err(unwritable)?;
        let rows_left = arguments.max_rows.unwrap_or(u64::MAX);
        Ok(Reading { arguments, consumer, sink, progress, rows_left })
    }

    fn is_done(&self) -> bool {
        self.rows_left == 0 || (self.arguments.until_end && self.progress.is_at_end())
    }

    async fn next(&mut self) -> Result<Option<Batch>, Error> {
        self.consumer.poll(if self.arguments.until_end { LOOK_INTERVAL } else { IDLE }).await
    }

    /// Prints the rows that are wanted, flushes them, then commits behind them.
    async fn print(&mut self, batch: &Batch) -> Result<(), Failure> {
        let offsets = batch.offsets();
        let wanted = self.progress.wanted(batch, &offsets, self.rows_left);
        if wanted.rows > 0 {
            let data = batch.data.slice(0, wanted.rows);
            let data = match self.arguments.offsets {
                true => rows::with_offsets(&data, batch.partition, &offsets).map_err(Failure::failed)?,
                false => data,
            };
            self.sink.write(&data).and_then(|()| self.sink.flush()).map_err(unwritable)?;
            self.rows_left -= wanted.rows as u64;
        }
        self.progress.printed(batch.partition, wanted.next_offset);
        self.commit().await
    }

    /// Nothing came for a while: positions may have moved past rows that the topic leaves out.
    async fn look(&mut self) -> Result<(), Failure> {
        for ((_, partition), offsets) in self.consumer.offsets().await? {
            self.progress.moved(partition, offsets.position, offsets.end, self.arguments.until_end);
        }
        self.commit().await
    }

    async fn commit(&mut self) -> Result<(), Failure> {
        if self.arguments.no_commit {
            return Ok(());
        }
        let topic = &self.arguments.topic;
        let due: Vec<_> = self.progress.due().map(|(partition, next)| ((topic.clone(), partition), next)).collect();
        if due.is_empty() {
            return Ok(());
        }
        match self.consumer.commit_offsets(&due).await {
            Ok(()) => self.progress.committed(),
            // The connection broke, or the partitions went to another member: the next commit, or that member, goes on
            // from what is committed, so rows may be printed twice and none is lost.
            Err(error) if error.is_retryable() => {}
            Err(error) if error.kind() == ErrorKind::Fenced => {
                eprintln!("warning: {error}; rows printed last may be read again by the group");
                let owned: Vec<u32> = self.consumer.assignment().into_iter().map(|(_, partition)| partition).collect();
                self.progress.keep(&owned);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Ends the output and leaves the group; the first thing that went wrong is told.
    async fn end(mut self, result: Result<(), Failure>) -> Result<(), Failure> {
        let committed = match result.is_ok() {
            true => self.commit().await,
            false => Ok(()),
        };
        let uncommitted = !self.arguments.no_commit && self.progress.due().next().is_some();
        let finished = self.sink.finish().map_err(unwritable);
        let left = self.consumer.close().await.map_err(Failure::from);
        result.and(committed).and(finished).and(left)?;
        match uncommitted {
            true => Err(Failure::unreachable("the last rows were printed but could not be committed")),
            false => Ok(()),
        }
    }
}
