//! `millstream doctor`: what of a server is open to whom.

mod facts;
mod findings;

use clap::Args;

use self::facts::Facts;
use self::findings::{Level, findings};
use super::args::Connection;
use super::client::Client;
use super::exit::Failure;
use super::output::say;

#[derive(Debug, Args)]
#[command(after_help = "\
It asks a running server for its settings, users, grants and plugins, and says who can reach and do what. To be run by somebody with \
OPERATE and GRANT OPTION on the server. Each line begins with open (somebody can do what he most likely should not), look (it may be meant \
so) or fine. The exit code is 1 if a line begins with open.

Examples:
  millstream doctor
  millstream doctor --url grpc+tls://10.0.0.5:8081 --user admin --tls-ca ca.pem")]
pub(crate) struct DoctorArguments {
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(arguments: DoctorArguments) -> Result<(), Failure> {
    let client = Client::connect(&arguments.connection).await?;
    let found = findings(&Facts::ask(&client).await?);
    for finding in &found {
        say(&format!("{:<5} {}\n", finding.level.word(), finding.message))?;
    }
    match found.iter().filter(|finding| finding.level == Level::Open).count() {
        0 => Ok(()),
        1 => Err(Failure::failed("something is open")),
        open => Err(Failure::failed(format!("{open} things are open"))),
    }
}
