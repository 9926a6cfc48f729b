//! `millstream transaction`.

use clap::Subcommand;

use super::args::Listing;
use super::client::Client;
use super::exit::Failure;
use super::quote::{name, text};

#[derive(Debug, Subcommand)]
pub(crate) enum TransactionCommand {
    /// List transactions that nobody has ended yet
    #[command(
        after_help = "Examples:\n  millstream transaction list\n  millstream transaction list orders --format json"
    )]
    List {
        #[command(flatten)]
        listing: Listing,
        /// Of this message table only
        table: Option<String>,
    },
    /// Make a half message visible
    #[command(after_help = "Examples:\n  millstream transaction commit orders 4711")]
    Commit {
        #[command(flatten)]
        listing: Listing,
        /// The message table
        table: String,
        /// The transaction, as the list has it
        id: String,
    },
    /// Throw a half message away
    #[command(after_help = "Examples:\n  millstream transaction rollback orders 4712")]
    Rollback {
        #[command(flatten)]
        listing: Listing,
        /// The message table
        table: String,
        /// The transaction, as the list has it
        id: String,
    },
}

pub(crate) async fn run(command: TransactionCommand) -> Result<(), Failure> {
    let ends = |how: &str, table: &str, id: &str| format!("{how} TRANSACTION {} ON {}", text(id), name(table));
    let (listing, statement) = match command {
        TransactionCommand::List { listing, table } => {
            let table = table.map_or_else(String::new, |table| format!(" AND table_name = {}", text(&table)));
            let namespace = text(&listing.connection.namespace);
            let statement = format!("SELECT * FROM system.transactions WHERE namespace = {namespace}{table}");
            (listing, statement)
        }
        TransactionCommand::Commit { listing, table, id } => (listing, ends("COMMIT", &table, &id)),
        TransactionCommand::Rollback { listing, table, id } => (listing, ends("ROLLBACK", &table, &id)),
    };
    Client::connect(&listing.connection).await?.print(&statement, listing.format).await
}
