//! `millstream plugin load`.

use std::path::{Path, PathBuf};

use clap::Args;
use millstream_engine::PluginLimits;

use super::module::read;
use super::tables::pair;
use crate::cli::args::Listing;
use crate::cli::client::{Client, print_done};
use crate::cli::exit::Failure;
use crate::cli::quote::{name, text};

#[derive(Debug, Args)]
#[command(after_help = "\
A filter or function is then a function in SQL, a transform is what a topic is made with, and a consumer is what CREATE \
CONSUMER runs. What a plugin asks for beside its rows is granted by name; `plugin inspect` says what it asks for.

Examples:
  millstream plugin load late late_departures.wasm
  millstream plugin load late late_departures.wasm --replace --config '{\"minutes\": 90}' --memory-bytes 33554432
  millstream plugin load hourly_delays hourly_delays.wasm --grant state
  millstream plugin load delay_alerts delay_alerts.wasm --http hooks.example.com --config https://hooks.example.com/late
  millstream plugin load seat_orders seat_orders.wasm --table flights=flights
  millstream sql -c \"CREATE TOPIC late_departures AS SELECT * FROM flights WHERE late(dep_delay)\"")]
pub(crate) struct LoadArguments {
    #[command(flatten)]
    listing: Listing,
    /// What it is called in SQL
    plugin: String,
    /// The component, a .wasm file
    file: PathBuf,
    /// Make the next version of a plugin that is there
    #[arg(long)]
    replace: bool,
    /// Text handed to the guest when it is opened
    #[arg(long, value_name = "TEXT")]
    config: Option<String>,
    /// What it may use, such as state, clock or random; repeated, or with commas between
    #[arg(long, value_name = "CAPABILITY", value_delimiter = ',')]
    grant: Vec<String>,
    /// A table that it may look rows up in, by what the plugin calls it, and which one that is; repeated for several
    #[arg(long = "table", value_name = "NAME=TABLE", value_parser = pair)]
    tables: Vec<(String, String)>,
    /// A host that it may send requests to, such as api.example.com or api.example.com:8443; repeated, or with commas
    /// between
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    http: Vec<String>,
    #[command(flatten)]
    limits: LimitArguments,
    /// Instances that may run at once
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// The share of one core that its calls may take, such as 0.5 or 2
    #[arg(long, value_name = "CORES")]
    cpu: Option<f64>,
    /// Log lines a second
    #[arg(long, value_name = "LINES")]
    log: Option<u32>,
}

/// Limits of one call and instance.
#[derive(Debug, Args)]
pub(super) struct LimitArguments {
    /// Memory of one instance
    #[arg(long, value_name = "BYTES")]
    memory_bytes: Option<u64>,
    /// Time of one call
    #[arg(long, value_name = "MS")]
    call_timeout_ms: Option<u64>,
    /// What one call may answer with
    #[arg(long, value_name = "BYTES")]
    output_bytes: Option<u64>,
}

impl LimitArguments {
    /// What is not given is as a server has it.
    pub(super) fn limits(&self) -> PluginLimits {
        let default = PluginLimits::default();
        PluginLimits {
            memory_bytes: self.memory_bytes.unwrap_or(default.memory_bytes),
            call_timeout_ms: self.call_timeout_ms.unwrap_or(default.call_timeout_ms),
            output_bytes: self.output_bytes.unwrap_or(default.output_bytes),
            ..default
        }
    }
}

pub(super) async fn run(arguments: LoadArguments) -> Result<(), Failure> {
    let LoadArguments { listing, plugin, file, replace, config, grant, tables, http, limits, concurrency, cpu, log } =
        arguments;
    let granted = (!grant.is_empty()).then(|| grant.join(", "));
    let http = (!http.is_empty()).then(|| http.join(", "));
    let options = [
        config.map(|config| format!("config = {}", text(&config))),
        granted.map(|granted| format!("grant = {}", text(&granted))),
        http.map(|hosts| format!("http = {}", text(&hosts))),
        limits.memory_bytes.map(|bytes| format!("memory = {bytes}")),
        limits.call_timeout_ms.map(|ms| format!("timeout = {ms}")),
        limits.output_bytes.map(|bytes| format!("output = {bytes}")),
        concurrency.map(|n| format!("concurrency = {n}")),
        cpu.map(|cores| format!("cpu = '{cores}'")),
        log.map(|lines| format!("log = {lines}")),
    ];
    let tables = tables.iter().map(|(used, table)| format!("table.{} = {}", name(used), text(table)));
    let options: Vec<String> = options.into_iter().flatten().chain(tables).collect();
    let client = Client::connect(&listing.connection).await?;
    let statement = statement(&plugin, replace, &options);
    let message = client.inner().create_plugin(&statement, read(&file)?.into()).await?;
    print_done(message, listing.format)
}

/// Loads a component of this machine; gives what the server says.
pub(crate) async fn load_file(
    client: &millstream_client::Client,
    plugin: &str,
    file: &Path,
    options: &[(&str, &str)],
) -> Result<String, Failure> {
    let options: Vec<String> = options.iter().map(|(option, value)| format!("{option} = {}", text(value))).collect();
    let statement = statement(plugin, false, &options);
    Ok(client.create_plugin(&statement, read(file)?.into()).await?)
}

/// The module goes beside it, because the server need not see this machine's files.
fn statement(plugin: &str, replace: bool, options: &[String]) -> String {
    let or_replace = if replace { "OR REPLACE " } else { "" };
    let with = if options.is_empty() { String::new() } else { format!(" WITH ({})", options.join(", ")) };
    format!("CREATE {or_replace}PLUGIN {} FROM UPLOAD{with}", name(plugin))
}
