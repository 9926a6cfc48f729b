//! `millstream message`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::args::Listing;
use super::client::{Client, print_done};
use super::exit::Failure;
use super::quote::{name, text};

/// Columns of a message as people read them: its text, null where the body is none; and where the message lies.
const SHOWN: &str = "message_id, tag, keys, properties, TRY_CAST(body AS VARCHAR) AS text, body, message_group, born_ts, born_host, \
                     attempts, _partition, _offset, _append_ts";

#[derive(Debug, Subcommand)]
pub(crate) enum MessageCommand {
    /// Send a message
    #[command(after_help = "\
Prints the message's id once the message survives power loss.

Examples:
  millstream message send orders '{\"order\": 1}' --tag paid --key 4711 --property amount=120
  millstream message send orders --file order.bin --message-group customer-7
  millstream message send orders remind --delay '2 hours'")]
    Send(SendArguments),
    /// Show messages by their id
    #[command(after_help = "Examples:\n  millstream message get orders 7F0000010A2C18B4AAC27C2B8E3C0000")]
    Get {
        #[command(flatten)]
        listing: Listing,
        /// The message table
        table: String,
        /// What the producer calls the message
        id: String,
    },
    /// Find messages by key, tag and time, the newest first
    #[command(after_help = "\
Examples:
  millstream message query orders --key 4711
  millstream message query orders --tag paid --since 2026-01-01T00:00:00Z --limit 10 --format json")]
    Query(QueryArguments),
    /// Show what has become of a message: produced, stored, and each delivery
    #[command(after_help = "\
Deliveries are noted where the server was started with --message-trace.

Examples:
  millstream message trace orders 7F0000010A2C18B4AAC27C2B8E3C0000")]
    Trace {
        #[command(flatten)]
        listing: Listing,
        /// The message table
        table: String,
        /// What the producer calls the message
        id: String,
    },
    /// Take a delayed message back that is not visible yet
    #[command(after_help = "Examples:\n  millstream message recall orders 7F0000010A2C18B4AAC27C2B8E3C0000")]
    Recall {
        #[command(flatten)]
        listing: Listing,
        /// The message table
        table: String,
        /// What the producer calls the message
        id: String,
    },
    /// Send a group's dead letters to their topics again
    #[command(after_help = "\
Without --id and --where, all of them. They stay among the dead letters too.

Examples:
  millstream message resend shop
  millstream message resend shop --id 7F0000010A2C18B4AAC27C2B8E3C0000
  millstream message resend shop --where \"_append_ts > now() - INTERVAL '1 hour'\"")]
    Resend {
        #[command(flatten)]
        listing: Listing,
        /// The consumer group
        group: String,
        /// This message only
        #[arg(long, conflicts_with = "condition")]
        id: Option<String>,
        /// Those for which this is true, in SQL
        #[arg(long = "where", value_name = "CONDITION")]
        condition: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SendArguments {
    #[command(flatten)]
    listing: Listing,
    /// The message table
    table: String,
    /// The body; not with --file
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    body: Option<String>,
    /// Take the body from a file
    #[arg(long)]
    file: Option<PathBuf>,
    /// What the message is called; otherwise 32 random hexadecimal digits
    #[arg(long)]
    id: Option<String>,
    /// One word to filter by
    #[arg(long)]
    tag: Option<String>,
    /// What it is looked for by; may be repeated
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// What else is said of it; may be repeated
    #[arg(long = "property", value_name = "NAME=VALUE", value_parser = property)]
    properties: Vec<(String, String)>,
    /// Messages of one group are kept in order
    #[arg(long, value_name = "GROUP")]
    message_group: Option<String>,
    /// Visible after so long: an SQL interval
    #[arg(long, value_name = "INTERVAL", conflicts_with = "deliver_at")]
    delay: Option<String>,
    /// Visible at this time
    #[arg(long, value_name = "TIME")]
    deliver_at: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct QueryArguments {
    #[command(flatten)]
    listing: Listing,
    /// The message table
    table: String,
    /// One of the message's keys
    #[arg(long)]
    key: Option<String>,
    /// Its tag
    #[arg(long)]
    tag: Option<String>,
    /// Visible since this time, or later
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Visible before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// So many at most
    #[arg(long, default_value_t = 32)]
    limit: u32,
}

fn property(given: &str) -> Result<(String, String), String> {
    let (name, value) = given.split_once('=').ok_or("it is written NAME=VALUE")?;
    if name.is_empty() { Err("its name is empty".to_owned()) } else { Ok((name.to_owned(), value.to_owned())) }
}

pub(crate) async fn run(command: MessageCommand) -> Result<(), Failure> {
    let (listing, statement) = match command {
        MessageCommand::Send(arguments) => return send(arguments).await,
        MessageCommand::Get { listing, table, id } => {
            let statement = format!(
                "SELECT {SHOWN} FROM {} WHERE message_id = {} ORDER BY _append_ts, _partition, _offset",
                name(&table),
                text(&id)
            );
            (listing, statement)
        }
        MessageCommand::Trace { listing, table, id } => return trace(listing, &table, &id).await,
        MessageCommand::Query(arguments) => {
            let statement = arguments.statement();
            (arguments.listing, statement)
        }
        MessageCommand::Recall { listing, table, id } => {
            (listing, format!("RECALL MESSAGE {} FROM {}", text(&id), name(&table)))
        }
        MessageCommand::Resend { listing, group, id, condition } => {
            let letters = name(&format!("%DLQ%{group}"));
            let statement = match (id, condition) {
                (Some(id), _) => format!("RESEND MESSAGE {} FROM {letters}", text(&id)),
                (None, Some(condition)) => format!("RESEND MESSAGES FROM {letters} WHERE {condition}"),
                (None, None) => format!("RESEND MESSAGES FROM {letters}"),
            };
            (listing, statement)
        }
    };
    Client::connect(&listing.connection).await?.print(&statement, listing.format).await
}

async fn send(arguments: SendArguments) -> Result<(), Failure> {
    let SendArguments { listing, table, body, file, id, tag, keys, properties, message_group, delay, deliver_at } =
        arguments;
    let body = match (body, file) {
        (_, Some(file)) => {
            let read = std::fs::read(&file)
                .map_err(|error| Failure::failed(format!("cannot read {}: {error}", file.display())))?;
            format!("X'{}'", crate::hex::write(&read))
        }
        (body, None) => text(&body.unwrap_or_default()),
    };
    let id = id.unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string().to_uppercase());
    let mut columns = vec![("message_id", text(&id)), ("body", body)];
    columns.extend(tag.map(|tag| ("tag", text(&tag))));
    if !keys.is_empty() {
        columns.push(("keys", format!("[{}]", listed(keys.iter().map(|key| text(key))))));
    }
    if !properties.is_empty() {
        let pairs = properties.iter().map(|(name, value)| format!("{}: {}", text(name), text(value)));
        columns.push(("properties", format!("MAP {{{}}}", listed(pairs))));
    }
    columns.extend(message_group.map(|group| ("message_group", text(&group))));
    columns.extend(delay.map(|delay| ("deliver_ts", format!("now() + INTERVAL {}", text(&delay)))));
    columns.extend(deliver_at.map(|time| ("deliver_ts", text(&time))));
    let (names, values): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let statement = format!("INSERT INTO {} ({}) VALUES ({})", name(&table), names.join(", "), values.join(", "));
    Client::connect(&listing.connection).await?.run(&statement).await?;
    print_done(id, listing.format)
}

async fn trace(listing: Listing, table: &str, id: &str) -> Result<(), Failure> {
    let client = Client::connect(&listing.connection).await?;
    let of = format!("FROM {} WHERE message_id = {}", name(table), text(id));
    let lies = "_partition AS partition, _offset AS lies_at";
    let nobody = "'' AS group_id, '' AS client_id";
    let mut parts = vec![
        format!(
            "SELECT born_ts AS at, 'produced' AS step, {lies}, {nobody}, coalesce(born_host, '') AS client_address, \
             CAST(NULL AS BIGINT) AS attempt {of}"
        ),
        format!("SELECT _append_ts, 'stored', {lies}, {nobody}, '', CAST(NULL AS BIGINT) {of}"),
    ];
    let namespace = text(&listing.connection.namespace);
    let notes = format!("SELECT 1 FROM system.tables WHERE namespace = {namespace} AND name = 'message_trace'");
    // Nothing was noted yet where there is no table.
    if client.run(&notes).await?.iter().any(|batch| batch.num_rows() > 0) {
        parts.push(format!(
            "SELECT t.at, t.step, t.partition, m.lies_at, t.group_id, t.client_id, t.client_address, t.attempt \
             FROM message_trace AS t JOIN (SELECT {lies} {of}) AS m \
             ON t.partition = m.partition AND t.first_offset <= m.lies_at AND m.lies_at < t.first_offset + t.messages \
             WHERE t.table_name = {}",
            text(table)
        ));
    }
    let statement = format!(
        "SELECT at, step, partition, lies_at AS \"offset\", group_id, client_id, client_address, attempt FROM ({}) ORDER BY at",
        parts.join(" UNION ALL ")
    );
    client.print(&statement, listing.format).await
}

impl QueryArguments {
    fn statement(&self) -> String {
        let conditions = [
            self.key.as_ref().map(|key| format!("array_has(keys, {})", text(key))),
            self.tag.as_ref().map(|tag| format!("tag = {}", text(tag))),
            self.since.as_ref().map(|time| format!("_append_ts >= TIMESTAMP {}", text(time))),
            self.until.as_ref().map(|time| format!("_append_ts < TIMESTAMP {}", text(time))),
        ];
        let conditions: Vec<String> = conditions.into_iter().flatten().collect();
        let condition =
            if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        format!(
            "SELECT {SHOWN} FROM {}{condition} ORDER BY _append_ts DESC, _partition, _offset DESC LIMIT {}",
            name(&self.table),
            self.limit
        )
    }
}

fn listed(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}
