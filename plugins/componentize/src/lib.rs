//! Builds plugins from source, in any of the languages that there is help for: the one way that `millstream plugin build`
//! and `scripts/build-guests` share.
//!
//! A [`Project`] is a directory with a `plugin.toml`, or a Cargo package or workspace whose cdylibs become plugins.
//! [`build`] finds the language's toolchain, or says what to install, and makes components of the project; [`create`] makes a
//! new one. [`LANGUAGES`] is the table of what each language takes. Nothing here runs a plugin, and wasmtime is
//! not known.

mod build;
mod component;
mod create;
mod embedded;
mod error;
mod languages;
mod project;
mod tool;

pub use build::{BuildOptions, Built, build};
pub use component::componentize;
pub use create::create;
pub use error::{Error, Result};
pub use languages::{LANGUAGES, Toolchain};
pub use project::{Capability, Expect, Kind, Language, Manifest, Project, Test};
