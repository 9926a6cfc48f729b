//! `millstream passwd`: a way back in for whoever has the data directory.

use std::path::PathBuf;

use clap::Args;
use millstream_engine::{Engine, Error};

use super::exit::Failure;
use super::output::say;
use super::secrets::{ask_new, read_file};
use super::serve::environment;
use crate::config::{Flags, resolve};

#[derive(Debug, Args)]
#[command(after_help = "\
For whoever has lost the password of an administrator, and for the first one: where there is no user yet, admin is made, with \
all rights, and from then on everybody has to log in. The server must not run meanwhile; over a running one ALTER USER sets \
passwords. The password is asked for without being shown, unless --password-file says where it is.

Examples:
  millstream passwd admin --data /var/lib/millstream
  millstream passwd ann --data /var/lib/millstream --password-file - < password.txt")]
pub(crate) struct PasswdArguments {
    /// The user
    user: String,
    /// Directory of the server's data
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// TOML file with the server's settings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A file that holds the password and nothing else, or - for standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

pub(crate) fn run(arguments: &PasswdArguments) -> Result<(), Failure> {
    let PasswdArguments { user, data, config, password_file } = arguments;
    let flags = Flags { data: data.clone(), config: config.clone(), ..Flags::default() };
    let config = resolve(&flags, environment()).map_err(Failure::usage)?;
    let dir = config.engine.dir.display();
    // Opening would make one.
    if !config.engine.dir.is_dir() {
        return Err(Failure::usage(format!("{dir} is no directory: --data names the one of the server")));
    }
    let engine = Engine::open_with(config.engine_options().map_err(Failure::failed)?).map_err(|error| match error {
        Error::Busy(_) => {
            Failure::failed(format!("a server runs on {dir}: stop it first, or set the password over it by ALTER USER"))
        }
        error => Failure::failed(format!("cannot open the store in {dir}: {error}")),
    })?;
    let password = match password_file {
        Some(path) => read_file(path),
        None => ask_new(user),
    };
    let set = password.and_then(|password| engine.recover(user, &password).map_err(refused));
    engine.close().map_err(Failure::failed)?;
    set?;
    say(&format!("the password of {user:?} is set\n"))
}

fn refused(error: Error) -> Failure {
    match error {
        Error::InvalidInput(_) => Failure::usage(error),
        error => Failure::failed(error),
    }
}
