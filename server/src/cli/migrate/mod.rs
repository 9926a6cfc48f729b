//! `millstream migrate`: what another system has, made here.

mod export;
mod plan;
mod report;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use self::plan::{Outcome, Step, plan};
use self::report::Report;
use super::args::Connection;
use super::client::Client;
use super::exit::Failure;
use crate::format::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum MigrateCommand {
    /// Make the topics and consumer groups of a RocketMQ cluster
    Rocketmq(RocketmqArguments),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Files are those that mqadmin exportMetadata writes, or config/topics.json and config/subscriptionGroup.json of a broker's \
store. Topics become message tables, consumer groups get their retry topics and attempts. What is there already stays as it is, and what \
can't be had as it was is told. With an item that failed the exit code is 1; the others are made all the same.

Examples:
  millstream migrate rocketmq metadata.json --dry-run
  millstream migrate rocketmq /store/config/topics.json /store/config/subscriptionGroup.json
  millstream migrate rocketmq metadata.json --namespace shop --format json")]
pub(crate) struct RocketmqArguments {
    /// Where names without a namespace of their own (ns%name) go
    #[command(flatten)]
    connection: Connection,
    /// What the cluster has
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// How the list of what was done is written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(crate) async fn run(command: MigrateCommand) -> Result<(), Failure> {
    let MigrateCommand::Rocketmq(RocketmqArguments { connection, files, dry_run, format }) = command;
    let exported = export::read(&files)?;
    let client = Client::connect(&connection).await?;
    let there = plan::there(&client).await?;
    let steps = plan(&exported, &connection.namespace, &there);
    let mut report = Report::begin(steps.len());
    for Step { item, outcome, statements } in steps {
        let outcome = match outcome {
            Outcome::Made if dry_run => Outcome::WouldMake,
            Outcome::Made => made(&client, &statements).await?,
            other => other,
        };
        report.add(item, outcome);
    }
    report.finish(format)
}

/// Executes the statements of one item. A server that is gone ends the whole.
async fn made(client: &Client, statements: &[String]) -> Result<Outcome, Failure> {
    for statement in statements {
        if let Err(failure) = client.run(statement).await {
            if failure.is_unreachable() {
                return Err(failure);
            }
            return Ok(Outcome::Failed(failure.to_string()));
        }
    }
    Ok(Outcome::Made)
}
