//! `millstream plugin`.

mod bisect;
mod consumer;
mod expect;
mod guest;
mod inspect;
mod load;
mod module;
mod project;
mod report;
mod sign;
mod tables;
mod trial;
mod watch;

use std::path::PathBuf;

use clap::Subcommand;

use super::args::Listing;
use super::client::Client;
use super::exit::Failure;
use super::quote::name;
pub(crate) use load::load_file;

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// List plugins
    #[command(after_help = "Examples:\n  millstream plugin list")]
    List {
        #[command(flatten)]
        listing: Listing,
    },
    /// Load a component from a file of this machine
    Load(load::LoadArguments),
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
        PluginCommand::Load(arguments) => return load::run(arguments).await,
        PluginCommand::Drop { listing, plugin } => (listing, format!("DROP PLUGIN {}", name(&plugin))),
        PluginCommand::Stats(arguments) => return watch::stats(arguments).await,
        PluginCommand::Logs(arguments) => return watch::logs(arguments).await,
        PluginCommand::Resume(arguments) => return watch::resume(arguments).await,
        PluginCommand::Key(arguments) => return sign::make_key(&arguments),
        PluginCommand::Sign(arguments) => return sign::sign(&arguments),
        PluginCommand::New(arguments) => return project::new(&arguments),
        PluginCommand::Build(arguments) => return project::build(&arguments),
        PluginCommand::Test(arguments) => return trial::run(&arguments),
        PluginCommand::Inspect { file } => return inspect::run(&file),
    };
    let Listing { connection, format } = listing;
    Client::connect(&connection).await?.print(&statement, format).await
}
