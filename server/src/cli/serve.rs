//! `millstream serve`.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::builder::PathBufValueParser;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use tracing_subscriber::EnvFilter;

use super::exit::Failure;
use super::output::say;
use crate::config::{Config, ConfigError, Flags, SETTINGS, resolve};
use crate::serve::{ServeError, Server};

const EXAMPLES: &str = "\
Every setting is a flag, a variable (--tail-bytes is MILLSTREAM_TAIL_BYTES) or a key of the TOML file (tail_bytes), in this \
order of precedence. Sizes may be written 64MiB. When all doors listen, one line goes to standard output:
  ready grpc=127.0.0.1:8081 http=127.0.0.1:8080 remoting=127.0.0.1:9876
With TLS the certificate's fingerprint stands behind them, as tls=SHA256:... MILLSTREAM_INIT_ADMIN_PASSWORD makes the user admin where there is \
no user yet; from then on everybody has to log in. The log goes to standard error. SIGTERM or Ctrl-C ends the server in order.

Examples:
  millstream serve --data ./data
  millstream serve --data /var/lib/millstream --config /etc/millstream.toml
  millstream serve --data ./data --grpc 127.0.0.1:0 --http 127.0.0.1:0 --remoting 127.0.0.1:0
  millstream serve --data ./data --tls self-signed
  millstream serve --data ./data --segment-url s3://bucket/segments --s3-region eu-west-1";

/// The flags of `serve`, one for each of [`SETTINGS`].
#[derive(Debug, Clone, Default)]
pub(crate) struct ServeArguments(Flags);

impl Args for ServeArguments {
    fn augment_args(command: Command) -> Command {
        let defaults = Config::new(PathBuf::new());
        let path = |name: &'static str, form: &'static str, help: &'static str| {
            Arg::new(name).long(name).value_name(form).help(help).value_parser(PathBufValueParser::new())
        };
        let command = command
            .after_help(EXAMPLES)
            .arg(path("data", "DIR", "Directory of the log, the state and, by default, the segments; made if missing"))
            .arg(path("config", "FILE", "TOML file with settings"));
        SETTINGS.iter().fold(command, |command, setting| {
            let Some(flag) = setting.flag() else { return command };
            let shown = setting.default_text(&defaults);
            let help =
                if shown.is_empty() { setting.help.to_owned() } else { format!("{} [default: {shown}]", setting.help) };
            let argument = Arg::new(setting.key).long(flag).value_name(setting.form()).help(help);
            command.arg(match setting.form() {
                "BOOL" => argument.num_args(0..=1).default_missing_value("true"),
                _ => argument,
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServeArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut arguments = ServeArguments::default();
        arguments.update_from_arg_matches(matches)?;
        Ok(arguments)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let flags = &mut self.0;
        flags.data = matches.get_one::<PathBuf>("data").cloned();
        flags.config = matches.get_one::<PathBuf>("config").cloned();
        for setting in SETTINGS.iter().filter(|setting| setting.flag().is_some()) {
            if let Some(text) = matches.get_one::<String>(setting.key) {
                flags.values.insert(setting.key, text.clone());
            }
        }
        Ok(())
    }
}

/// Runs a server until it is told to stop.
pub(crate) fn run(arguments: &ServeArguments) -> Result<(), Failure> {
    let config = resolve(&arguments.0, environment()).map_err(Failure::usage)?;
    log_to_stderr(&config.log_filter);
    let mut server = Server::start(&config).map_err(failure)?;
    let signals = server.catch_signals().map_err(failure)?;
    announce(&server)?;
    let ended = server.wait(signals);
    server.stop().and(ended).map_err(failure)
}

/// Names and values that are not text can't be ours.
pub(super) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn failure(error: ServeError) -> Failure {
    match error {
        ServeError::Config(error @ (ConfigError::Unknown { .. } | ConfigError::Value { .. })) => Failure::usage(error),
        error @ (ServeError::Exposed { .. } | ServeError::FileRoot { .. } | ServeError::Tls(_)) => {
            Failure::usage(error)
        }
        ServeError::Administrator(error @ millstream_engine::Error::InvalidInput(_)) => {
            Failure::usage(ServeError::Administrator(error))
        }
        error => Failure::failed(error),
    }
}

/// The state store tells of every file it writes, and others of what clients have sent, passwords in it; whoever wants to know says so in
/// the filter.
const QUIET: &str =
    "fjall=warn,lsm_tree=warn,sqlparser=warn,datafusion=info,h2=info,hyper=info,hyper_util=info,tonic=info";

fn log_to_stderr(filter: &str) {
    let filter = EnvFilter::try_new(format!("{QUIET},{filter}")).unwrap_or_else(|_| EnvFilter::new("info"));
    let err = std::io::stderr;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(err().is_terminal()).with_writer(err);
    // It fails only if a program that embeds us has set its own, which then serves.
    let _ = subscriber.try_init();
}

fn announce(server: &Server) -> Result<(), Failure> {
    let doors: String = server.addresses().map(|(door, address)| format!(" {door}={address}")).collect();
    let tls = server.tls_fingerprint().map(|fingerprint| format!(" tls={fingerprint}")).unwrap_or_default();
    say(&format!("ready{doors}{tls}\n"))
}
