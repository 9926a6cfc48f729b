//! `millstream plugin key` and `sign`.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use millstream_plugin_host::SigningKey;

use crate::cli::{Failure, say};
use crate::hex;

#[derive(Debug, Args)]
#[command(after_help = "\
The public key goes into the server's plugin_trusted_keys; the file stays with whoever signs.

Examples:
  millstream plugin key signing.key
  millstream serve --data /var/lib/millstream --plugin-trusted-keys 4f0c…")]
pub(crate) struct KeyArguments {
    /// Where the secret key goes, readable by this user alone; it must not be there yet
    file: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The signature becomes a part of the component, which is replaced.

Examples:
  millstream plugin sign late.wasm --key signing.key
  millstream plugin sign late.wasm --key signing.key --output late-signed.wasm")]
pub(crate) struct SignArguments {
    /// The component, a .wasm file
    file: PathBuf,
    /// The secret key, made by `millstream plugin key`
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where the signed component goes, instead of where it was
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn make_key(arguments: &KeyArguments) -> Result<(), Failure> {
    let file = &arguments.file;
    let seed = SigningKey::random_seed().map_err(Failure::failed)?;
    let key = SigningKey::from_seed(&seed).map_err(Failure::failed)?;
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let written = opened.and_then(|mut opened| writeln!(opened, "{}", hex::write(&seed)));
    written.map_err(|error| at(file, error))?;
    say(&format!("public key  {}\n", hex::write(&key.public())))
}

pub(crate) fn sign(arguments: &SignArguments) -> Result<(), Failure> {
    let SignArguments { file, key, output } = arguments;
    let text = fs::read_to_string(key).map_err(|error| at(key, error))?;
    let seed = hex::read::<32>(text.trim());
    let seed =
        seed.ok_or_else(|| at(key, "is not a key: 64 hexadecimal digits, as `millstream plugin key` writes them"))?;
    let key = SigningKey::from_seed(&seed).map_err(Failure::failed)?;
    let module = super::read(file)?;
    if !module.starts_with(b"\0asm") {
        return Err(at(file, "is not a Wasm component"));
    }
    let to = output.as_ref().unwrap_or(file);
    // Whole or not at all: the component may be the only copy.
    let unfinished = to.with_extension("unfinished");
    let written = fs::write(&unfinished, key.sign(&module)).and_then(|()| fs::rename(&unfinished, to));
    written.map_err(|error| at(to, error))?;
    say(&format!("signed      {}\npublic key  {}\n", to.display(), hex::write(&key.public())))
}

fn at(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
}
