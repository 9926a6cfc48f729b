//! Runs Millstream plugins: Wasm components of the contract in `plugins/wit`, compiled and sandboxed by wasmtime.
//!
//! This is the only room that knows wasmtime. It knows no SQL: what a plugin answers reaches the engine through the
//! engine's own traits. Nothing a module does may panic the process, hold a thread past its time or use memory past its
//! limit, and nothing it answers is used unchecked.
//!
//! The way of a call: [`WasmHost`] checks and compiles a module ([`module`], [`compile`], [`cache`]), finds which kind of
//! which version of the [`contract`] it is, and makes one of the [`kinds`] of it; its [`caller`] takes an [`instance`]
//! from the plugin's bounded [`pool`], hands it the arguments as one [`message`] and checks the [`answer`].

mod alone;
mod answer;
mod blame;
mod bucket;
mod cache;
mod caller;
mod calls;
mod compile;
mod compiling;
mod contract;
mod cpu;
mod deadline;
mod failure;
mod figures;
#[cfg(test)]
mod fuzz;
mod guest;
mod held;
mod host;
mod http;
mod imports;
mod instance;
mod kinds;
mod memory;
mod message;
mod module;
mod options;
mod panics;
mod parts;
mod pool;
mod reserve;
mod share;
mod signature;
mod sites;
mod suspension;
mod tables;
mod tenants;
mod turns;
mod uses;

pub use contract::CONTRACTS;
pub use figures::Figures;
pub use host::WasmHost;
pub use http::Networks;
pub use module::MAX_MODULE_BYTES;
pub use options::HostOptions;
pub use signature::{MAX_LEAST_RELEASES, PublicKey, SigningKey, Terms, Trust, canonical_grant};
