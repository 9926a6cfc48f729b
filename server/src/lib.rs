//! The `millstream` program: settings, wiring, shutdown, one module for each front door, and the command line.
//!
//! A door is a translator: wire types stop at it, errors map to its protocol in one table, and it calls the engine and
//! the SQL room by plain functions. The command line is a client: apart from `serve`, and `passwd`, which is there for a store
//! without a server, it knows the server only through the client library. Which module may use which is written in `ARCHITECTURE.md`.
//!
//! Start at [`serve::Server`] for the server, at `doors` for what it opens, and at [`cli::main`] for the program.

mod authenticator;
pub mod cli;
pub mod config;
mod credentials;
mod deadline;
mod door;
mod doors;
mod figures;
mod flight;
mod format;
#[cfg(test)]
mod fuzz;
mod hex;
mod http;
mod logins;
mod net;
mod oidc;
mod quotas;
mod rocketmq;
pub mod serve;
mod work;

pub use net::limits::NetLimits;
pub use net::tls::{ClientCertificates, TlsError, TlsMode, TlsRequired, TlsSettings, TlsVersion};
pub use oidc::OidcSettings;
