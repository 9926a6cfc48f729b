//! `millstream plugin new | build`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use millstream_componentize as componentize;
use millstream_componentize::{BuildOptions, Built, Kind, Language, Project};

use crate::cli::exit::Failure;
use crate::cli::output::say;

#[derive(Debug, Args)]
#[command(after_help = "\
The project has a plugin.toml, a source file that does something, and a test with rows in and rows out.

Examples:
  millstream plugin new late
  millstream plugin new events --kind transform
  millstream plugin new late --language javascript")]
pub(crate) struct NewArguments {
    /// What the plugin is called: lower-case letters, digits, - and _
    name: String,
    /// What it does
    #[arg(long, value_enum, default_value = "filter")]
    kind: KindArgument,
    /// What it is written in
    #[arg(long, value_enum, default_value = "rust")]
    language: LanguageArgument,
    /// Where the project's directory is made
    #[arg(long, value_name = "DIR", default_value = ".")]
    within: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KindArgument {
    /// Columns in, a selection of rows out
    Filter,
    /// Columns in, one column out
    Function,
    /// Rows in, rows of other columns out
    Transform,
    /// Rows of a topic in, rows for tables out, with state between
    Consumer,
    /// Half messages in, what becomes of their transactions out
    Checkback,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LanguageArgument {
    Rust,
    C,
    #[value(name = "javascript", alias = "js")]
    JavaScript,
    Python,
}

#[derive(Debug, Args)]
#[command(after_help = "\
A project is a directory with a plugin.toml, or a Cargo package or workspace whose cdylibs become plugins. Where the \
language's toolchain is missing, it says what to install.

Examples:
  millstream plugin build
  millstream plugin build late --out plugins")]
pub(crate) struct BuildArguments {
    /// The project's directory
    #[arg(default_value = ".")]
    project: PathBuf,
    /// Where the component is put; the project's directory if not given
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn new(arguments: &NewArguments) -> Result<(), Failure> {
    let kind = match arguments.kind {
        KindArgument::Filter => Kind::Filter,
        KindArgument::Function => Kind::Function,
        KindArgument::Transform => Kind::Transform,
        KindArgument::Consumer => Kind::Consumer,
        KindArgument::Checkback => Kind::Checkback,
    };
    let language = match arguments.language {
        LanguageArgument::Rust => Language::Rust,
        LanguageArgument::C => Language::C,
        LanguageArgument::JavaScript => Language::JavaScript,
        LanguageArgument::Python => Language::Python,
    };
    let dir = componentize::create(&arguments.within, &arguments.name, kind, language).map_err(Failure::failed)?;
    say(&format!("made {}; in it, `millstream plugin test` builds the plugin and runs its tests\n", dir.display()))
}

pub(super) fn build(arguments: &BuildArguments) -> Result<(), Failure> {
    let text: String = build_in(&arguments.project, arguments.out.as_deref())?
        .iter()
        .map(|built| {
            let state = if built.is_new { "" } else { ", up to date" };
            format!("{}  {} bytes{state}\n", built.component.display(), built.bytes)
        })
        .collect();
    say(&text)
}

/// The component of a project that makes one.
pub(super) fn build_one(dir: &Path) -> Result<PathBuf, Failure> {
    match &build_in(dir, None)?[..] {
        [built] => Ok(built.component.clone()),
        several => Err(Failure::usage(format!(
            "{} makes {} plugins; name one of their .wasm files",
            dir.display(),
            several.len()
        ))),
    }
}

fn build_in(dir: &Path, out: Option<&Path>) -> Result<Vec<Built>, Failure> {
    let project = Project::open(dir).map_err(Failure::failed)?;
    let options = BuildOptions { out: out.unwrap_or(dir).to_owned(), target: target(dir) };
    componentize::build(&project, &options).map_err(Failure::failed)
}

/// Where builds and tests keep what they need again.
pub(super) fn target(dir: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| dir.join("target"), PathBuf::from)
}
