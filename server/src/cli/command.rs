//! What the command line understands. The help of each command shows it in use.

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use super::args::{ExportArguments, ImportArguments, ProduceArguments, SqlArguments};
use super::backup::{BackupArguments, RestoreArguments};
use super::consume::ConsumeArguments;
use super::demo::DemoArguments;
use super::doctor::DoctorArguments;
use super::group::GroupCommand;
use super::message::MessageCommand;
use super::migrate::MigrateCommand;
use super::passwd::PasswdArguments;
use super::plugin::PluginCommand;
use super::serve::ServeArguments;
use super::topic::TopicCommand;
use super::transaction::TransactionCommand;

/// A stream and subscription engine: SQL topics over a durable columnar log, filters in Wasm, Arrow batches to consumers.
#[derive(Debug, Parser)]
#[command(name = "millstream", version, about, max_term_width = 100)]
#[command(after_help = "\
Start a server, put rows in, subscribe:
  millstream serve --data ./data
  millstream import flights flights.parquet --create
  millstream topic create late \"SELECT carrier, flight, dep_delay FROM flights WHERE dep_delay > 60\"
  millstream consume late --group dashboard --from earliest

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the server can't be reached.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server
    Serve(ServeArguments),
    /// Set a user's password while the server does not run
    Passwd(PasswdArguments),
    /// Execute SQL statements
    Sql(SqlArguments),
    /// Put the rows of a file into a table
    Import(ImportArguments),
    /// Write a table, a topic or a query's rows to a file
    Export(ExportArguments),
    /// Put rows from standard input into a table, as they come
    Produce(ProduceArguments),
    /// Read a topic as a member of a consumer group
    Consume(ConsumeArguments),
    /// List, create, drop and show topics
    #[command(subcommand)]
    Topic(TopicCommand),
    /// List, show, reset and drop consumer groups
    #[command(subcommand)]
    Group(GroupCommand),
    /// Send, show, find, recall and resend messages
    #[command(subcommand)]
    Message(MessageCommand),
    /// List transactions of messages, and end them by hand
    #[command(subcommand)]
    Transaction(TransactionCommand),
    /// Make, build, test, load and watch plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Bring in what another system has
    #[command(subcommand)]
    Migrate(MigrateCommand),
    /// Copy all that the server has, while it runs
    Backup(BackupArguments),
    /// Make a data directory of a backup
    Restore(RestoreArguments),
    /// Say what of the server is open to whom
    Doctor(DoctorArguments),
    /// See it all at work on real flights, with crashes, in a minute
    Demo(DemoArguments),
    /// Print a completion script for a shell
    #[command(after_help = "\
Examples:
  millstream completions bash > /etc/bash_completion.d/millstream
  millstream completions zsh > ~/.zfunc/_millstream
  millstream completions fish > ~/.config/fish/completions/millstream.fish")]
    Completions { shell: Shell },
}
