//! Settings of `millstream serve`: flag, then `MILLSTREAM_*` variable, then TOML file, then default.
//!
//! Every setting is one line of [`settings::SETTINGS`]; flags, variables, file keys, help and their checks all come from
//! there. An unknown variable or key is an error that names it and the known ones.

mod error;
mod forms;
#[cfg(test)]
mod fuzz;
mod lists;
mod namespace_limits;
mod oidc;
mod resolve;
mod rocketmq;
mod s3;
mod secret;
mod segment_store;
mod setting;
mod settings;
mod tls;
mod traces;
mod values;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use millstream_engine::EngineOptions;
use millstream_plugin_host::{Networks, Trust};
use millstream_sql::SqlOptions;

use crate::net::limits::NetLimits;
use crate::net::tls::TlsSettings;
use crate::oidc::OidcSettings;
pub use error::ConfigError;
pub use resolve::{Flags, resolve};
pub use rocketmq::RocketmqSettings;
pub use secret::Secret;
pub use setting::Setting;
pub use settings::SETTINGS;

/// Everything `serve` needs to know, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address of the Flight door.
    pub grpc: SocketAddr,
    /// The address of the HTTP door.
    pub http: SocketAddr,
    /// The address of the RocketMQ door.
    pub remoting: SocketAddr,
    /// What the RocketMQ door tells its clients, and makes for them.
    pub rocketmq: RocketmqSettings,
    /// The name that `http` was given by, if it was one.
    pub(crate) http_name: Option<String>,
    /// Whether the doors may listen where other machines reach them, while nobody is asked who he is.
    pub insecure: bool,
    /// The password of the administrator who is made where there is no user yet.
    pub init_admin_password: Option<Secret>,
    /// Which certificate the doors show, and to whom.
    pub tls: TlsSettings,
    /// Whose tokens are taken beside our own.
    pub oidc: OidcSettings,
    /// Names that HTTP requests may be sent to, beside localhost and the address.
    pub http_hosts: Vec<String>,
    /// A filter in the syntax of `tracing`: `info`, `millstream_engine=debug,warn`, …
    pub log_filter: String,
    pub engine: EngineOptions,
    pub sql: SqlOptions,
    pub(crate) segment_store: segment_store::SegmentStoreSettings,
    /// Threads that move bytes between sockets and queues.
    pub network_threads: usize,
    /// Threads that run queries, topics and plugins.
    pub query_threads: usize,
    /// Whose signatures plugins' modules must have.
    pub plugin_trust: Trust,
    /// Memory of all plugins' instances together.
    pub plugin_memory_bytes: u64,
    /// Networks that plugins' requests may go to beside the public internet.
    pub plugin_http_allow: Networks,
    /// Networks that they may not go to.
    pub plugin_http_deny: Networks,
    /// How long a statement may take, from its beginning to its last row; zero for as long as it likes.
    pub statement_timeout: Duration,
    /// What all connections together may hold, and for how long.
    pub net: NetLimits,
    /// A request body over HTTP may have at most this many bytes.
    pub http_body_limit_bytes: usize,
    /// How long requests and streams under way may take to end once the server was told to stop.
    pub shutdown_timeout: Duration,
}

/// Whether other machines can reach an address.
pub(crate) fn is_exposed(address: SocketAddr) -> bool {
    crate::net::exposure::is_exposed(address)
}

impl Config {
    /// The defaults over a data directory.
    pub fn new(data: impl Into<PathBuf>) -> Config {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Config {
            grpc: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
            http: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            remoting: SocketAddr::from((Ipv4Addr::LOCALHOST, 9876)),
            rocketmq: RocketmqSettings::default(),
            http_name: None,
            insecure: false,
            init_admin_password: None,
            tls: TlsSettings::default(),
            oidc: OidcSettings::default(),
            http_hosts: Vec::new(),
            log_filter: "info".to_owned(),
            engine: EngineOptions::new(data),
            sql: SqlOptions::default(),
            segment_store: segment_store::SegmentStoreSettings::default(),
            network_threads: cores.clamp(1, 4),
            query_threads: cores,
            plugin_trust: Trust::default(),
            plugin_memory_bytes: 2 << 30,
            plugin_http_allow: Networks::default(),
            plugin_http_deny: Networks::default(),
            statement_timeout: Duration::ZERO,
            net: NetLimits::default(),
            http_body_limit_bytes: 16 << 20,
            shutdown_timeout: Duration::from_secs(10),
        }
    }

    /// The engine's options, with the segment store opened.
    pub fn engine_options(&self) -> Result<EngineOptions, ConfigError> {
        Ok(EngineOptions { segment_store: self.segment_store.open()?, ..self.engine.clone() })
    }
}
