//! `millstream plugin`.

mod bisect;
mod guest;
mod project;
mod sign;
mod trial;
mod watch;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use millstream_engine::{MAX_MODULE_BYTES, PluginHost, PluginLimits};
use millstream_plugin_host::{HostOptions, WasmHost};

use super::Failure;
use super::args::Listing;
use super::client::{Client, print_done};
use super::quote::{name, text};

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// List plugins
    #[command(after_help = "Examples:\n  millstream plugin list")]
    List {
        #[command(flatten)]
        listing: Listing,
    },
    /// Load a component from a file of this machine
    #[command(after_help = "\
A filter is then a function in the WHERE of a topic or a query.

Examples:
  millstream plugin load late late_departures.wasm
  millstream plugin load late late_departures.wasm --replace --config '{\"minutes\": 90}' --memory-bytes 33554432
  millstream sql -c \"CREATE TOPIC late_departures AS SELECT * FROM flights WHERE late(dep_delay)\"")]
    Load {
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
        /// Memory of one instance
        #[arg(long, value_name = "BYTES")]
        memory_bytes: Option<u64>,
        /// Time of one call
        #[arg(long, value_name = "MS")]
        call_timeout_ms: Option<u64>,
        /// Instances that may run at once
        #[arg(long, value_name = "N")]
        concurrency: Option<u32>,
    },
    /// Drop a plugin that no topic calls
    #[command(after_help = "Examples:\n  millstream plugin drop late")]
    Drop {
        #[command(flatten)]
        listing: Listing,
        /// The plugin
        plugin: String,
    },
    /// Show what calls of plugins have come to
    Stats(watch::StatsArguments),
    /// Show what a plugin has logged
    Logs(watch::LogsArguments),
    /// Let a plugin that was suspended be called again
    Resume(watch::ResumeArguments),
    /// Make a key to sign components with
    Key(sign::KeyArguments),
    /// Sign a component
    Sign(sign::SignArguments),
    /// Make a project that builds and passes its own test
    New(project::NewArguments),
    /// Build a project's component
    Build(project::BuildArguments),
    /// Run a component against the rows of a file, or a project's tests, without a server
    Test(trial::TestArguments),
    /// Say what a component file is, without a server
    #[command(after_help = "Examples:\n  millstream plugin inspect late_departures.wasm")]
    Inspect {
        /// The component, a .wasm file
        file: PathBuf,
    },
}

pub(crate) async fn run(command: PluginCommand) -> Result<(), Failure> {
    let (listing, statement) = match command {
        PluginCommand::List { listing } => (listing, "SHOW PLUGINS".to_owned()),
        PluginCommand::Load { listing, plugin, file, replace, config, memory_bytes, call_timeout_ms, concurrency } => {
            let options = [
                config.map(|config| format!("config = {}", text(&config))),
                memory_bytes.map(|bytes| format!("memory = {bytes}")),
                call_timeout_ms.map(|ms| format!("timeout = {ms}")),
                concurrency.map(|n| format!("concurrency = {n}")),
            ];
            let options: Vec<String> = options.into_iter().flatten().collect();
            let client = Client::connect(&listing.connection).await?;
            let statement = load(&plugin, replace, &options);
            let message = client.inner().create_plugin(&statement, read(&file)?.into()).await?;
            return print_done(message, listing.format);
        }
        PluginCommand::Drop { listing, plugin } => (listing, format!("DROP PLUGIN {}", name(&plugin))),
        PluginCommand::Stats(arguments) => return watch::stats(arguments).await,
        PluginCommand::Logs(arguments) => return watch::logs(arguments).await,
        PluginCommand::Resume(arguments) => return watch::resume(arguments).await,
        PluginCommand::Key(arguments) => return sign::make_key(&arguments),
        PluginCommand::Sign(arguments) => return sign::sign(&arguments),
        PluginCommand::New(arguments) => return project::new(&arguments),
        PluginCommand::Build(arguments) => return project::build(&arguments),
        PluginCommand::Test(arguments) => return trial::run(&arguments),
        PluginCommand::Inspect { file } => return inspect(&file),
    };
    let Listing { connection, format } = listing;
    Client::connect(&connection).await?.print(&statement, format).await
}

/// Loads a component of this machine; gives what the server says.
pub(crate) async fn load_file(
    client: &millstream_client::Client,
    plugin: &str,
    file: &Path,
    options: &[(&str, &str)],
) -> Result<String, Failure> {
    let options: Vec<String> = options.iter().map(|(option, value)| format!("{option} = {}", text(value))).collect();
    let statement = load(plugin, false, &options);
    Ok(client.create_plugin(&statement, read(file)?.into()).await?)
}

/// The statement; the module goes beside it, because the server need not see this machine's files.
fn load(plugin: &str, replace: bool, options: &[String]) -> String {
    let or_replace = if replace { "OR REPLACE " } else { "" };
    let with = if options.is_empty() { String::new() } else { format!(" WITH ({})", options.join(", ")) };
    format!("CREATE {or_replace}PLUGIN {} FROM UPLOAD{with}", name(plugin))
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |reason: String| Failure::failed(format!("{}: {reason}", file.display()));
    let length = std::fs::metadata(file).map_err(|error| failed(error.to_string()))?.len();
    if length > MAX_MODULE_BYTES as u64 {
        return Err(failed(format!("has {length} bytes; a plugin's module may have {MAX_MODULE_BYTES}")));
    }
    std::fs::read(file).map_err(|error| failed(error.to_string()))
}

fn inspect(file: &Path) -> Result<(), Failure> {
    let module = read(file)?;
    // A cache of its own: the server's belongs to the server.
    let cache = tempfile::tempdir().map_err(|error| Failure::failed(format!("cannot make a directory: {error}")))?;
    let host = WasmHost::new(HostOptions::new(cache.path())).map_err(Failure::failed)?;
    let limits = PluginLimits::default();
    let about =
        host.inspect(&module, &limits).map_err(|error| Failure::failed(format!("{}: {error}", file.display())))?;
    let parameters: Vec<String> =
        about.parameters.iter().map(|(name, data_type)| format!("{name} {data_type}")).collect();
    super::say(&format!(
        "kind        {:?}\ncontract    {}\nparameters  {}\nreturns     {}\nvolatility  {:?}\nbytes       {}\n",
        about.kind,
        about.contract,
        parameters.join(", "),
        about.returns,
        about.volatility,
        module.len(),
    ))
}
