//! Runs Millstream plugins: Wasm components of the contract in `plugins/wit`, compiled and sandboxed by wasmtime.
//!
//! This is the only crate that knows wasmtime. It knows no SQL: what a plugin answers reaches the engine through the
//! engine's own traits. Nothing a module does may panic the process, hold a thread past its time or use memory past its
//! limit, and nothing it answers is used unchecked.
//!
//! The way of a call: the [`host`] has a module checked ([`modules`]) and compiled ([`compile`]), finds which kind of which
//! version of the [`contract`] it is, and makes one of the [`kinds`] of it; its caller takes one of the [`instances`] from the
//! plugin's bounded pool, hands it the arguments as one of the [`messages`] and checks the answer. What a [`guest`] calls
//! meanwhile, [`http`] among it, and what it uses up is put down to its plugin's [`calls`] and to its namespace, one of the
//! [`tenants`].

mod calls;
mod compile;
mod contract;
mod failure;
mod figures;
#[cfg(test)]
mod fuzz;
mod guest;
mod host;
mod http;
mod instances;
mod kinds;
mod messages;
mod modules;
mod tenants;

pub use contract::CONTRACTS;
pub use figures::Figures;
pub use host::{HostOptions, WasmHost};
pub use http::Networks;
pub use modules::{MAX_LEAST_RELEASES, MAX_MODULE_BYTES, PublicKey, SigningKey, Terms, Trust, canonical_grant};
