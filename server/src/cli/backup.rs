//! `millstream backup` and `millstream restore`.

use std::path::PathBuf;

use clap::Args;
use millstream_engine::restore;

use super::args::Connection;
use super::client::Client;
use super::exit::Failure;
use super::output::say;
use super::quote;
use crate::format::Format;

#[derive(Debug, Args)]
#[command(after_help = "\
The server goes on meanwhile, and all that was acknowledged before is in the backup. It writes it itself, so the directory is one of \
its machine: a new one, below one of those that its setting file_roots names. Whoever may OPERATE and READ ON SERVER may do so. A backup \
holds everything, passwords' hashes and the key of sealed secrets too; of segments in an object store it holds none.

Examples:
  millstream backup /srv/backups/monday
  millstream restore /srv/backups/monday --data /var/lib/millstream-restored")]
pub(crate) struct BackupArguments {
    /// Directory to be made, on the server's machine
    #[arg(value_name = "DIR")]
    into: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Each file is checked as it is copied; what is not as it was backed up is named, and nothing is left. The new directory is a store of its own, \
which millstream serve opens as after a crash: without what was not written yet when the backup was taken. Do not run it beside the original \
over the same object store without reading \"Who owns a prefix of an object store\" in docs/segments.md.

Examples:
  millstream restore /srv/backups/monday --data /var/lib/millstream
  millstream serve --data /var/lib/millstream")]
pub(crate) struct RestoreArguments {
    /// Directory of the backup
    #[arg(value_name = "DIR")]
    from: PathBuf,
    /// Data directory to be made; it must not be there, or be empty
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

pub(crate) async fn backup(arguments: BackupArguments) -> Result<(), Failure> {
    let client = Client::connect(&arguments.connection).await?;
    client.print(&format!("BACKUP TO {}", quote::text(&arguments.into)), Format::Table).await
}

pub(crate) fn restored(arguments: &RestoreArguments) -> Result<(), Failure> {
    let RestoreArguments { from, data } = arguments;
    let info = restore(from, data)
        .map_err(|error| Failure::failed(format!("{} was not restored: {error}", from.display())))?;
    let (files, bytes, lsn) = (info.files, info.bytes, info.lsn);
    let elsewhere = info.segments.map_or_else(String::new, |url| format!("; its segments are in {url}"));
    say(&format!("{files} files with {bytes} bytes are restored to {}, up to LSN {lsn}{elsewhere}\n", data.display()))
}
