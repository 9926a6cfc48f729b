//! `millstream migrate`: what another system has, made here.

mod contents;
mod copy;
mod export;
mod live;
mod merge;
mod plan;
mod report;
mod target;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use self::contents::{Wanted, carry};
use self::plan::{Kinds, Outcome, Step, plan};
use self::report::Report;
use super::args::Connection;
use super::client::Client;
use super::exit::Failure;
use crate::format::Format;
use crate::rocketmq::AccessKey;

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

With --from a cluster that is alive is asked, and nothing of it is changed. --messages copies what its topics hold now, into tables that \
have no messages yet; --offsets has groups go on here where they are there.

Examples:
  millstream migrate rocketmq metadata.json --dry-run
  millstream migrate rocketmq /store/config/topics.json /store/config/subscriptionGroup.json
  millstream migrate rocketmq metadata.json --namespace shop --format json
  millstream migrate rocketmq --from 10.0.0.5:9876 --messages --offsets")]
pub(crate) struct RocketmqArguments {
    /// Where names without a namespace of their own (ns%name) go
    #[command(flatten)]
    connection: Connection,
    /// What the cluster has
    #[arg(required_unless_present = "from", conflicts_with = "from", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A name server of the cluster
    #[arg(long, value_name = "ADDR")]
    from: Option<String>,
    /// An access key of the cluster, where that has ACL on
    #[arg(long, env = "ROCKETMQ_ACCESS_KEY", requires = "secret_key", value_name = "KEY")]
    access_key: Option<String>,
    /// Its secret
    #[arg(long, env = "ROCKETMQ_SECRET_KEY", hide_env_values = true, requires = "access_key", value_name = "SECRET")]
    secret_key: Option<String>,
    /// Copy messages too
    #[arg(long, requires = "from", conflicts_with = "files")]
    messages: bool,
    /// Have groups go on where they are
    #[arg(long, requires = "from", conflicts_with = "files")]
    offsets: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// How the list of what was done is written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(crate) async fn run(command: MigrateCommand) -> Result<(), Failure> {
    let MigrateCommand::Rocketmq(arguments) = command;
    let RocketmqArguments { connection, files, from, access_key, secret_key, messages, offsets, dry_run, format } =
        arguments;
    let key = access_key.zip(secret_key).map(|(id, secret)| AccessKey { id, secret });
    let (mut brokers, exported) = match from {
        Some(name_server) => live::read(&name_server, key.as_ref()).await?,
        None => (Vec::new(), export::read(&files)?),
    };
    let client = Client::connect(&connection).await?;
    let there = plan::there(&client).await?;
    let kinds = if messages { Kinds::TakeCopies } else { Kinds::AsTheyAre };
    let steps = plan(&exported, &connection.namespace, &there, kinds);
    let mut report = Report::begin(steps.len());
    for Step { item, outcome, statements } in steps {
        let outcome = match outcome {
            Outcome::Made if dry_run => Outcome::WouldMake,
            Outcome::Made => made(&client, &statements).await?,
            other => other,
        };
        report.add(item, outcome);
    }
    let carried = match messages || offsets {
        true => {
            let wanted = Wanted { messages, offsets, dry_run };
            carry(&client, &mut brokers, &exported, &connection.namespace, wanted, &mut report).await
        }
        false => Ok(()),
    };
    // What was done is told, also where the rest could not be.
    let listed = report.finish(format);
    carried.and(listed)
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
