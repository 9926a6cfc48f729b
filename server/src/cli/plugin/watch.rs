//! `millstream plugin stats`, `logs` and `resume`.

use clap::Args;

use crate::cli::args::Listing;
use crate::cli::client::Client;
use crate::cli::exit::Failure;
use crate::cli::quote::{name, text};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  millstream plugin stats\n  millstream plugin stats late --uses")]
pub(crate) struct StatsArguments {
    #[command(flatten)]
    listing: Listing,
    /// One plugin; all without it
    plugin: Option<String>,
    /// By what the calls were made for: topics, consumers, queries
    #[arg(long)]
    uses: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  millstream plugin logs late\n  millstream plugin logs late --lines 10")]
pub(crate) struct LogsArguments {
    #[command(flatten)]
    listing: Listing,
    /// The plugin
    plugin: String,
    /// How many of the newest lines
    #[arg(long, value_name = "N", default_value_t = 100)]
    lines: u32,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  millstream plugin resume late")]
pub(crate) struct ResumeArguments {
    #[command(flatten)]
    listing: Listing,
    /// The plugin
    plugin: String,
}

pub(crate) async fn stats(arguments: StatsArguments) -> Result<(), Failure> {
    let StatsArguments { listing, plugin, uses } = arguments;
    let one = plugin.map_or_else(String::new, |plugin| format!("WHERE name = {}", text(&plugin)));
    let of_uses = format!(
        "SELECT namespace, name, version, used_for, used_by, calls, rows_in, rows_out, p50_us, p99_us, max_us, cpu_us, \
         queued_us, throttled, throttled_us, bytes_in, bytes_out, memory_peak_bytes, errors, traps, timeouts, \
         memory_failures, bad_outputs, host_failures FROM system.plugin_uses {one} \
         ORDER BY namespace, name, version, used_for, used_by"
    );
    let of_versions = format!(
        "SELECT namespace, name, version, calls, rows_in, rows_out, p50_us, p99_us, max_us, cpu_us, throttled, bytes_in, \
         bytes_out, memory_peak_bytes, instances, waiting, errors, traps, timeouts, memory_failures, bad_outputs, host_failures, \
         suspended FROM system.plugin_calls {one} ORDER BY namespace, name, version"
    );
    let statement = if uses { of_uses } else { of_versions };
    Client::connect(&listing.connection).await?.print(&statement, listing.format).await
}

pub(crate) async fn logs(arguments: LogsArguments) -> Result<(), Failure> {
    let LogsArguments { listing, plugin, lines } = arguments;
    let statement = format!(
        "SELECT * FROM (SELECT at, version, level, topic, \"partition\", \"offset\", line FROM system.plugin_logs \
         WHERE plugin = {} ORDER BY at DESC LIMIT {lines}) ORDER BY at",
        text(&plugin)
    );
    Client::connect(&listing.connection).await?.print(&statement, listing.format).await
}

pub(crate) async fn resume(arguments: ResumeArguments) -> Result<(), Failure> {
    let ResumeArguments { listing, plugin } = arguments;
    let statement = format!("ALTER PLUGIN {} RESUME", name(&plugin));
    Client::connect(&listing.connection).await?.print(&statement, listing.format).await
}
