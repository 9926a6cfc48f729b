//! `millstream group`.

use clap::Subcommand;

use super::args::Listing;
use super::client::Client;
use super::exit::Failure;
use super::quote::{name, text};

#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// List consumer groups
    #[command(after_help = "Examples:\n  millstream group list")]
    List {
        #[command(flatten)]
        listing: Listing,
    },
    /// Show a group's offsets and lag in each partition
    #[command(after_help = "Examples:\n  millstream group show dashboard")]
    Show {
        #[command(flatten)]
        listing: Listing,
        /// The group
        group: String,
    },
    /// Show a group's RocketMQ clients that are alive
    #[command(after_help = "Examples:\n  millstream group clients shop")]
    Clients {
        #[command(flatten)]
        listing: Listing,
        /// The group
        group: String,
    },
    /// Show what a group's RocketMQ consumers ask for, and whether they differ
    #[command(after_help = "Examples:\n  millstream group subscriptions shop")]
    Subscriptions {
        #[command(flatten)]
        listing: Listing,
        /// The group
        group: String,
    },
    /// Move a group's offsets
    #[command(after_help = "\
Members that are connected go on from the new place.

Examples:
  millstream group reset dashboard --to earliest
  millstream group reset dashboard --to 1000 --topic late --partition 0
  millstream group reset dashboard --to 2026-01-01T00:00:00Z")]
    Reset {
        #[command(flatten)]
        listing: Listing,
        /// The group
        group: String,
        /// earliest, latest, an offset, or a time at or after which rows were appended
        #[arg(long, value_name = "PLACE")]
        to: String,
        /// Of this topic only
        #[arg(long)]
        topic: Option<String>,
        /// Of this partition only
        #[arg(long, value_name = "P", requires = "topic")]
        partition: Option<u32>,
    },
    /// Drop a group and its committed offsets
    #[command(after_help = "Examples:\n  millstream group drop dashboard\n  millstream group drop dashboard --force")]
    Drop {
        #[command(flatten)]
        listing: Listing,
        /// The group
        group: String,
        /// Also if it has members, which are ended
        #[arg(long)]
        force: bool,
    },
}

pub(crate) async fn run(command: GroupCommand) -> Result<(), Failure> {
    let (listing, statement) = match command {
        GroupCommand::List { listing } => (listing, "SHOW CONSUMER GROUPS".to_owned()),
        GroupCommand::Show { listing, group } => of_group(listing, "offsets", &group, "topic, partition"),
        GroupCommand::Clients { listing, group } => of_group(listing, "message_clients", &group, "role, client_id"),
        GroupCommand::Subscriptions { listing, group } => {
            of_group(listing, "subscriptions", &group, "topic, client_id")
        }
        GroupCommand::Reset { listing, group, to, topic, partition } => {
            let topic = topic.map_or_else(String::new, |topic| format!(" ON {}", name(&topic)));
            let partition = partition.map_or_else(String::new, |partition| format!(" PARTITION {partition}"));
            let statement =
                format!("ALTER CONSUMER GROUP {} SET OFFSET TO {}{topic}{partition}", name(&group), place(&to));
            (listing, statement)
        }
        GroupCommand::Drop { listing, group, force } => {
            (listing, format!("DROP CONSUMER GROUP {}{}", name(&group), if force { " FORCE" } else { "" }))
        }
    };
    Client::connect(&listing.connection).await?.print(&statement, listing.format).await
}

/// What a system table has of a group.
fn of_group(listing: Listing, table: &str, group: &str, order: &str) -> (Listing, String) {
    let (namespace, group) = (text(&listing.connection.namespace), text(group));
    let of = format!("namespace = {namespace} AND group_id = {group}");
    (listing, format!("SELECT * FROM system.{table} WHERE {of} ORDER BY {order}"))
}

fn place(to: &str) -> String {
    match to.to_ascii_lowercase().as_str() {
        "earliest" => "EARLIEST".to_owned(),
        "latest" => "LATEST".to_owned(),
        number if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => number.to_owned(),
        _ => format!("TIMESTAMP {}", text(to)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        assert_eq!(place("Earliest"), "EARLIEST");
        assert_eq!(place("42"), "42");
        assert_eq!(place("2026-01-01T00:00:00Z"), "TIMESTAMP '2026-01-01T00:00:00Z'");
        assert_eq!(place("x' OR '1"), "TIMESTAMP 'x'' OR ''1'");
    }
}
