//! `millstream topic`.

use clap::Subcommand;

use super::args::Listing;
use super::client::Client;
use super::exit::Failure;
use super::quote::name;

#[derive(Debug, Subcommand)]
pub(crate) enum TopicCommand {
    /// List topics
    #[command(after_help = "Examples:\n  millstream topic list\n  millstream topic list --format json")]
    List {
        #[command(flatten)]
        listing: Listing,
    },
    /// Create a topic from a SELECT over one table
    #[command(after_help = "\
Examples:
  millstream topic create late \"SELECT carrier, flight, dep_delay FROM flights WHERE dep_delay > 60\"
  millstream topic create clean \"SELECT cast(raw AS BIGINT) AS n FROM events\" --on-error skip")]
    Create {
        #[command(flatten)]
        listing: Listing,
        /// The topic
        topic: String,
        /// The SELECT
        select: String,
        /// What to do about a row that fails to evaluate: stop, skip or dead_letter
        #[arg(long, value_name = "POLICY")]
        on_error: Option<String>,
        /// Leave a topic of that name as it is
        #[arg(long)]
        if_not_exists: bool,
    },
    /// Drop a topic
    #[command(after_help = "Examples:\n  millstream topic drop late\n  millstream topic drop late --force")]
    Drop {
        #[command(flatten)]
        listing: Listing,
        /// The topic
        topic: String,
        /// Also if groups read it: their members are ended and their offsets forgotten
        #[arg(long)]
        force: bool,
    },
    /// Show a topic's definition
    #[command(after_help = "Examples:\n  millstream topic show late")]
    Show {
        #[command(flatten)]
        listing: Listing,
        /// The topic
        topic: String,
    },
}

pub(crate) async fn run(command: TopicCommand) -> Result<(), Failure> {
    let (listing, statement) = match command {
        TopicCommand::List { listing } => (listing, "SHOW TOPICS".to_owned()),
        TopicCommand::Create { listing, topic, select, on_error, if_not_exists } => {
            let exists = if if_not_exists { "IF NOT EXISTS " } else { "" };
            let with = on_error
                .map_or_else(String::new, |policy| format!(" WITH (on_error = {})", super::quote::text(&policy)));
            (listing, format!("CREATE TOPIC {exists}{}{with} AS {select}", name(&topic)))
        }
        TopicCommand::Drop { listing, topic, force } => {
            (listing, format!("DROP TOPIC {}{}", name(&topic), if force { " FORCE" } else { "" }))
        }
        TopicCommand::Show { listing, topic } => (listing, format!("SHOW CREATE TOPIC {}", name(&topic))),
    };
    Client::connect(&listing.connection).await?.print(&statement, listing.format).await
}
