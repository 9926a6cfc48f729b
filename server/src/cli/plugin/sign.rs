//! `millstream plugin key` and `sign`.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use millstream_engine::{Clock as _, SystemClock};
use millstream_plugin_host::{SigningKey, Terms, canonical_grant};

use super::module::read;
use crate::cli::exit::Failure;
use crate::cli::output::say;
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
The signature becomes a part of the component, which is replaced. It holds for the name, the
release and the grants given here. A server's plugin_least_releases refuses lower releases.

Examples:
  millstream plugin sign late.wasm --key signing.key
  millstream plugin sign late.wasm --key signing.key --name late --release 7 --grant clock
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
    /// The only name that it may be loaded under
    #[arg(long)]
    name: Option<String>,
    /// Which release it is [default: the time in seconds, so that later ones are higher]
    #[arg(long, value_name = "N")]
    release: Option<u64>,
    /// All that it may be granted, with commas between: clock, random, state, table, http:HOST; or none
    #[arg(long = "grant", value_name = "GRANTS", value_delimiter = ',')]
    grants: Option<Vec<String>>,
}

impl SignArguments {
    fn terms(&self) -> Result<Terms, Failure> {
        let read = |grants: &Vec<String>| match &grants[..] {
            [none] if none == "none" => Ok(Default::default()),
            _ => grants.iter().map(|grant| canonical_grant(grant.trim())).collect::<Result<_, _>>(),
        };
        let grants = self.grants.as_ref().map(read).transpose().map_err(Failure::failed)?;
        let seconds = u64::try_from(SystemClock::default().wall_us() / 1_000_000).unwrap_or(0);
        Ok(Terms { release: self.release.unwrap_or(seconds), name: self.name.clone(), grants })
    }
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
    let SignArguments { file, key, output, .. } = arguments;
    let terms = arguments.terms()?;
    let text = fs::read_to_string(key).map_err(|error| at(key, error))?;
    let seed = hex::read::<32>(text.trim());
    let seed =
        seed.ok_or_else(|| at(key, "is not a key: 64 hexadecimal digits, as `millstream plugin key` writes them"))?;
    let key = SigningKey::from_seed(&seed).map_err(Failure::failed)?;
    let module = read(file)?;
    if !module.starts_with(b"\0asm") {
        return Err(at(file, "is not a Wasm component"));
    }
    let to = output.as_ref().unwrap_or(file);
    // Whole or not at all: the component may be the only copy.
    let unfinished = to.with_extension("unfinished");
    let signed = key.sign(&module, &terms).map_err(Failure::failed)?;
    let written = fs::write(&unfinished, signed).and_then(|()| fs::rename(&unfinished, to));
    written.map_err(|error| at(to, error))?;
    let (to, public) = (to.display(), hex::write(&key.public()));
    say(&format!("signed      {to}\nrelease     {}\npublic key  {public}\n", terms.release))
}

fn at(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
}
