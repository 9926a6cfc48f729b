//! What the command line understands. The help of each command shows it in use.

use clap::{Parser, Subcommand};

use super::serve::ServeArguments;

/// A stream and subscription engine: SQL topics over a durable columnar log, filters in Wasm, Arrow batches to consumers.
#[derive(Debug, Parser)]
#[command(name = "millstream", version, about, max_term_width = 100, propagate_version = true)]
#[command(after_help = "\
Start a server, put rows in, subscribe:
  millstream serve --data ./data
  millstream import flights flights.parquet --create
  millstream sql -c \"CREATE TOPIC late AS SELECT carrier, flight, dep_delay FROM flights WHERE dep_delay > 60\"
  millstream consume late --group dashboard --from earliest")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server
    Serve(ServeArguments),
}
