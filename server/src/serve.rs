//! Opens the store, opens the doors, and closes both in order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use millstream_engine::Engine;
use millstream_plugin_host::{HostOptions, WasmHost};
use millstream_sql::{SqlEngine, SqlOptions};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::{Config, ConfigError};
use crate::door::Door;
use crate::http::HttpDoor;
use crate::net::Net;
use crate::work::Work;

/// Where compiled plugins are kept, under the data directory.
const COMPILED_PLUGINS: &str = "plugins/compiled";

/// Why a server did not start, or did not end in order.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(
        "other machines can reach {address} ({door}), and there is no authentication yet: listen on a loopback address such \
         as 127.0.0.1, or say --insecure (insecure = true) if everybody who reaches it may do everything"
    )]
    Exposed { door: &'static str, address: SocketAddr },
    #[error("{root} (file_roots): {message}")]
    FileRoot { root: String, message: String },
    #[error("cannot listen on {address} ({door}): {source}")]
    Listen { door: &'static str, address: SocketAddr, source: io::Error },
    #[error("cannot open the store in {dir}: {source}")]
    Open { dir: String, source: millstream_engine::Error },
    #[error("cannot set up SQL: {0}")]
    Sql(#[from] millstream_sql::Error),
    #[error("cannot set up plugins: {0}")]
    Plugins(millstream_engine::Error),
    #[error("cannot start threads: {0}")]
    Threads(io::Error),
    #[error("the store did not close in order: {0}; the next start recovers it")]
    Close(millstream_engine::Error),
    #[error("a door failed: {0}")]
    Door(String),
}

/// A running server. Dropping it without [`Server::stop`] ends it as a crash would.
#[derive(Debug)]
pub struct Server {
    engine: Engine,
    grpc: SocketAddr,
    http: SocketAddr,
    stop: watch::Sender<bool>,
    doors: Vec<JoinHandle<io::Result<()>>>,
    shutdown_timeout: Duration,
    network: Runtime,
    queries: Runtime,
}

/// What tells the process to end.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Server {
    /// Opens everything; returns when all doors listen and the store is open. Blocks: not for async code.
    ///
    /// The HTTP door answers `/healthz` and `/readyz` while the store is still being opened.
    pub fn start(config: &Config) -> Result<Server, ServeError> {
        check_exposure(config)?;
        check_roots(config)?;
        let network = runtime("millstream-net", config.network_threads)?;
        let queries = runtime("millstream-query", config.query_threads)?;
        let grpc_listener = listen(&network, "grpc", config.grpc)?;
        let http_listener = listen(&network, "http", config.http)?;
        let (grpc, http) = (bound("grpc", &grpc_listener)?, bound("http", &http_listener)?);

        let (stop, stopping) = watch::channel(false);
        let net = Net::new(config.net);
        let http_door = Arc::new(HttpDoor::new(config, Arc::clone(&net)));
        let mut doors = vec![network.spawn(Arc::clone(&http_door).serve(http_listener, stopping.clone()))];
        // It ends with the doors, when the server is told to stop.
        network.spawn(crate::net::watch::run(Arc::clone(&net), stopping.clone()));

        let (engine, sql) = open(config)?;
        let door = Door {
            engine: engine.clone(),
            sql,
            queries: queries.handle().clone(),
            work: Work::new(queries.handle().clone()),
            stop: stopping,
            header_timeout: config.header_timeout,
            net,
            statement_timeout: config.statement_timeout,
            figures: Arc::default(),
        };
        http_door.open(door.clone());
        let limits = crate::flight::Limits { connections: config.grpc_connections, keepalive: config.grpc_keepalive };
        doors.push(network.spawn(crate::flight::serve(door, grpc_listener, limits)));
        Ok(Server { engine, grpc, http, stop, doors, shutdown_timeout: config.shutdown_timeout, network, queries })
    }

    /// The bound address of the Flight door.
    pub fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    /// The bound address of the HTTP door.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// The store behind the doors.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// From now on SIGTERM and SIGINT no longer end the process by themselves; [`Self::wait`] sees them. To be called
    /// before anyone is told that the server is ready.
    pub fn catch_signals(&self) -> Result<Signals, ServeError> {
        let _context = self.network.enter();
        let terminate = signal(SignalKind::terminate()).map_err(ServeError::Threads)?;
        let interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Threads)?;
        Ok(Signals { terminate, interrupt })
    }

    /// Blocks until one of the signals arrives, or a door fails.
    pub fn wait(&mut self, mut signals: Signals) -> Result<(), ServeError> {
        let doors = &mut self.doors;
        self.network.block_on(async {
            let failed = futures::future::select_all(doors.iter_mut());
            tokio::select! {
                _ = signals.terminate.recv() => tracing::info!(signal = "SIGTERM", "stopping"),
                _ = signals.interrupt.recv() => tracing::info!(signal = "SIGINT", "stopping"),
                (ended, index, _) = failed => {
                    doors.remove(index);
                    return Err(ServeError::Door(describe(ended)));
                }
            }
            Ok(())
        })
    }

    /// Stops accepting, ends streams, waits for them at most the shutdown time-out, then closes the store with a
    /// clean-shutdown record.
    pub fn stop(self) -> Result<(), ServeError> {
        let Server { engine, stop, doors, shutdown_timeout, network, queries, .. } = self;
        stop.send_replace(true);
        network.block_on(async {
            let all = futures::future::join_all(doors);
            match tokio::time::timeout(shutdown_timeout, all).await {
                Ok(ended) => ended.into_iter().filter(|ended| !matches!(ended, Ok(Ok(())))).for_each(|ended| {
                    tracing::warn!(error = describe(ended), "a door did not end in order");
                }),
                Err(_) => tracing::warn!("some streams did not end in time and are cut off"),
            }
        });
        // The network goes first, so that nobody is told of an end of his stream that is only ours.
        network.shutdown_timeout(Duration::from_millis(100));
        queries.shutdown_timeout(Duration::from_secs(1));
        engine.close().map_err(ServeError::Close)?;
        tracing::info!("closed in order");
        Ok(())
    }
}

fn describe(ended: Result<io::Result<()>, tokio::task::JoinError>) -> String {
    match ended {
        Ok(Ok(())) => "it ended by itself".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    }
}

fn runtime(name: &str, threads: usize) -> Result<Runtime, ServeError> {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name(name)
        .enable_all()
        .build()
        .map_err(ServeError::Threads)
}

/// Whoever reaches a door may do everything, so that other machines reach none unless that is wanted.
fn check_exposure(config: &Config) -> Result<(), ServeError> {
    let exposed = [("grpc", config.grpc), ("http", config.http)].into_iter().find(|(_, address)| is_exposed(*address));
    match exposed {
        Some((door, address)) if !config.insecure => Err(ServeError::Exposed { door, address }),
        _ => Ok(()),
    }
}

fn is_exposed(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

/// Statements never reach the server's own files, so that a root among them is a mistake.
fn check_roots(config: &Config) -> Result<(), ServeError> {
    let data = config.engine.dir.canonicalize().ok();
    for root in &config.sql.file_roots {
        let failed = |message: String| ServeError::FileRoot { root: root.display().to_string(), message };
        let resolved = root.canonicalize().map_err(|error| failed(error.to_string()))?;
        if !resolved.is_dir() {
            return Err(failed("is not a directory".to_owned()));
        }
        if data.as_ref().is_some_and(|data| resolved.starts_with(data)) {
            return Err(failed("lies in the data directory, whose files statements do not reach".to_owned()));
        }
    }
    Ok(())
}

fn listen(network: &Runtime, door: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    if is_exposed(address) {
        tracing::warn!(door, %address, "this address is reachable from other machines, and there is no authentication yet");
    }
    network.block_on(TcpListener::bind(address)).map_err(|source| ServeError::Listen { door, address, source })
}

fn bound(door: &'static str, listener: &TcpListener) -> Result<SocketAddr, ServeError> {
    let unbound = SocketAddr::from(([0, 0, 0, 0], 0));
    listener.local_addr().map_err(|source| ServeError::Listen { door, address: unbound, source })
}

fn open(config: &Config) -> Result<(Engine, SqlEngine), ServeError> {
    let options = config.engine_options()?;
    let dir = options.dir.display().to_string();
    let engine = Engine::open_with(options).map_err(|source| ServeError::Open { dir, source })?;
    // Compiled plugins belong to this machine, and are made anew wherever they are missing.
    let mut options = HostOptions::new(config.engine.dir.join(COMPILED_PLUGINS));
    options.trust.clone_from(&config.plugin_trust);
    options.memory_bytes = config.plugin_memory_bytes;
    options.http_allow.clone_from(&config.plugin_http_allow);
    options.http_deny.clone_from(&config.plugin_http_deny);
    let host = WasmHost::new(options).map_err(ServeError::Plugins)?;
    engine.set_plugin_host(host);
    let options =
        SqlOptions { threads: config.query_threads, own_dirs: vec![config.engine.dir.clone()], ..config.sql.clone() };
    let sql = SqlEngine::new(engine.clone(), options)?;
    Ok((engine, sql))
}
