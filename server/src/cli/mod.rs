//! The command line: `serve`, and clients of a running server.

mod args;
mod backup;
mod client;
mod command;
mod consume;
mod demo;
mod doctor;
mod exit;
mod export;
mod files;
mod group;
mod import;
mod login;
mod message;
mod migrate;
mod output;
mod passwd;
mod plugin;
mod produce;
mod quote;
mod reading;
mod secrets;
mod serve;
mod sql;
mod statements;
mod table;
mod topic;
mod transaction;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use command::{Cli, Command};
use exit::Failure;
use output::say;

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not errors. A failure to print either has nowhere to go.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(exit::USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Passwd(arguments) => passwd::run(&arguments),
        Command::Sql(arguments) => on_runtime(sql::run(arguments)),
        Command::Import(arguments) => on_runtime(import::run(arguments)),
        Command::Export(arguments) => on_runtime(export::run(arguments)),
        Command::Produce(arguments) => on_runtime(produce::run(arguments)),
        Command::Consume(arguments) => on_runtime(consume::run(arguments)),
        Command::Topic(command) => on_runtime(topic::run(command)),
        Command::Group(command) => on_runtime(group::run(command)),
        Command::Message(command) => on_runtime(message::run(command)),
        Command::Transaction(command) => on_runtime(transaction::run(command)),
        Command::Plugin(command) => on_runtime(plugin::run(command)),
        Command::Migrate(command) => on_runtime(migrate::run(command)),
        Command::Backup(arguments) => on_runtime(backup::backup(arguments)),
        Command::Restore(arguments) => backup::restored(&arguments),
        Command::Doctor(arguments) => on_runtime(doctor::run(arguments)),
        Command::Demo(arguments) => on_runtime(demo::run(arguments)),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "millstream", &mut script);
            say(&String::from_utf8_lossy(&script))
        }
    }
}

fn on_runtime(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start threads: {error}")))?;
    let result = runtime.block_on(command);
    // A read of standard input can't be interrupted; it must not keep the process.
    runtime.shutdown_background();
    result
}
