//! `millstream demo`: everything at work on real data, with processes that are killed in the middle. Every number is
//! computed from the source file by this program and compared with what comes out of the server.

mod check;
mod crash;
mod hourly;
mod hours;
mod process;
mod source;
mod told;
mod windows;
mod worker;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::exit::Failure;
use crate::cli::output::say;
use check::{Seen, same};
use process::ServerProcess;
use source::{LATE_MINUTES, Source};
use told::step;
use worker::WorkerArguments;

/// Whose late departures the second filter keeps.
const CARRIER: &str = "UA";

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
It runs servers of its own on free ports, in a directory that it removes. It exits with 1 if anything that comes out \
differs from the source file.

Examples:
  make demo
  millstream demo --data examples/data --plugins target/guests")]
pub(crate) struct DemoArguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// The directory that holds flights.parquet
    #[arg(long, value_name = "DIR", default_value = "examples/data")]
    data: PathBuf,
    /// The directory that scripts/build-guests fills
    #[arg(long, value_name = "DIR", env = "MILLSTREAM_GUESTS_DIR", default_value = "target/guests")]
    plugins: PathBuf,
}

/// Processes that the demo starts for itself.
#[derive(Debug, Subcommand)]
enum Part {
    #[command(hide = true)]
    Worker(WorkerArguments),
}

pub(crate) async fn run(arguments: DemoArguments) -> Result<(), Failure> {
    if let Some(Part::Worker(worker)) = arguments.part {
        return worker::run(worker).await;
    }
    tokio::select! {
        result = show(&arguments) => result,
        _ = tokio::signal::ctrl_c() => Err(Failure::failed("interrupted")),
    }
}

async fn show(arguments: &DemoArguments) -> Result<(), Failure> {
    let flights = arguments.data.join("flights.parquet");
    let plugin = |name: &str| {
        let path = arguments.plugins.join(name);
        match path.exists() {
            true => Ok(path),
            false => Err(Failure::failed(format!("{} is missing; scripts/build-guests makes it", path.display()))),
        }
    };
    let (late_plugin, carrier_plugin) = (plugin("late_departures.wasm")?, plugin("carrier_filter.wasm")?);
    let hourly_plugin = plugin("hourly_delays.wasm")?;
    let source = Source::read(&flights)?;
    let dir = tempfile::Builder::new().prefix("millstream-demo-").tempdir();
    let dir = dir.map_err(|error| Failure::failed(format!("cannot make a directory: {error}")))?;
    let mut server = ServerProcess::start(dir.path())?;
    let shown = async {
        step("Rows go into a durable table")?;
        rows_in(&server, &source).await?;
        step("A topic is a SELECT")?;
        sql_topic(&server, &source).await?;
        step("The same filter as a Wasm plugin, and one that is told which carrier to keep")?;
        server.load_plugin("late", &late_plugin, &[]).await?;
        server.load_plugin("carrier_late", &carrier_plugin, &[("config", CARRIER)]).await?;
        wasm_topics(&server, &source).await?;
        step("The server is killed while rows come in")?;
        crash::kill_server(&mut server, &source).await?;
        step("A consumer that stores its next offset with its output is killed half way")?;
        crash::kill_consumer(&server, &source, dir.path()).await?;
        step("A plugin keeps an hourly table of late departures; the server is killed twice meanwhile")?;
        hourly::keep_hours(&mut server, &hourly_plugin, &source).await?;
        step("A topic over windows of an hour gives each of them once; the server is killed twice meanwhile")?;
        windows::late_by_hour(&mut server, &source).await
    };
    let result = shown.await;
    if result.is_err() {
        server.show_log();
        return result;
    }
    server.stop()?;
    say("\nEverything that came out is what the source file says.\n")
}

async fn rows_in(server: &ServerProcess, source: &Source) -> Result<(), Failure> {
    let client = server.client().await?;
    client.sql(&source.create_table("flights")?).await?;
    let mut producer = client.producer("flights", Default::default());
    for batch in source.batches() {
        producer.append(batch).await?;
    }
    let stored = server.number("SELECT count(*) FROM flights").await?;
    same("rows in", stored, source.rows())
}

async fn sql_topic(server: &ServerProcess, source: &Source) -> Result<(), Failure> {
    server
        .sql(&format!("CREATE TOPIC late_departures AS SELECT * FROM flights WHERE dep_delay > {LATE_MINUTES}"))
        .await?;
    let seen = Seen::consume(server, "late_departures", "desk").await?;
    seen.is_exactly("topic late_departures", &source.late)
}

async fn wasm_topics(server: &ServerProcess, source: &Source) -> Result<(), Failure> {
    server.sql("CREATE TOPIC late_by_wasm AS SELECT * FROM flights WHERE late(dep_delay)").await?;
    let seen = Seen::consume(server, "late_by_wasm", "desk").await?;
    seen.is_exactly("topic late_by_wasm", &source.late)?;
    let united = format!("CREATE TOPIC late_{CARRIER} AS SELECT * FROM flights WHERE carrier_late(carrier, dep_delay)");
    server.sql(&united).await?;
    let topic = format!("late_{CARRIER}").to_ascii_lowercase();
    let seen = Seen::consume(server, &topic, "desk").await?;
    seen.is_exactly(&format!("topic {topic}"), &source.late_of(CARRIER))
}
