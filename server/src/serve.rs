//! Opens the store, opens the doors, and closes both in order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use millstream_engine::Engine;
use millstream_plugin_host::{HostOptions, WasmHost};
use millstream_sql::{ShownSetting, SqlEngine, SqlOptions};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};

use crate::authenticator::Authenticator;
use crate::config::{Config, ConfigError, SETTINGS};
use crate::door::{Door, Opening, Rooms};
use crate::doors::{DOORS, Entry};
use crate::net::accept::Listener;
use crate::net::budgets::Net;
use crate::net::exposure;
use crate::net::stop::Stop;
use crate::net::tls::{Tls, TlsError};
use crate::oidc::Oidc;
use crate::work::Work;

/// Where compiled plugins are kept, under the data directory.
const COMPILED_PLUGINS: &str = "plugins/compiled";

/// Why a server did not start, or did not end in order.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(
        "other machines can reach {address} ({door}), and it has no {lacks}: listen on a loopback address such as 127.0.0.1, or \
         say --insecure (insecure = true) if everybody who reaches it may do, and read, everything"
    )]
    Exposed { door: &'static str, address: SocketAddr, lacks: &'static str },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot take tokens of an OpenID Connect provider: {0}")]
    Oidc(String),
    #[error("{root} (file_roots): {message}")]
    FileRoot { root: String, message: String },
    #[error("cannot listen on {address} ({door}): {source}")]
    Listen { door: &'static str, address: SocketAddr, source: io::Error },
    #[error("cannot open the store in {dir}: {source}")]
    Open { dir: String, source: millstream_engine::Error },
    #[error("cannot make the administrator (MILLSTREAM_INIT_ADMIN_PASSWORD): {0}")]
    Administrator(millstream_engine::Error),
    #[error("cannot set up SQL: {0}")]
    Sql(#[from] millstream_sql::Error),
    #[error("cannot set up plugins: {0}")]
    Plugins(millstream_engine::Error),
    #[error("cannot start threads: {0}")]
    Threads(io::Error),
    #[error("the store did not close in order: {0}; the next start recovers it")]
    Close(millstream_engine::Error),
    #[error("the door {door} failed: {message}")]
    Door { door: &'static str, message: String },
}

/// A running server. Dropping it without [`Server::stop`] ends it as a crash would.
#[derive(Debug)]
pub struct Server {
    engine: Engine,
    stop: watch::Sender<bool>,
    doors: Vec<OpenDoor>,
    tls: Option<Arc<Tls>>,
    shutdown_timeout: Duration,
    network: Runtime,
    queries: Runtime,
    readers: Runtime,
}

/// A door that listens.
#[derive(Debug)]
struct OpenDoor {
    name: &'static str,
    address: SocketAddr,
    task: JoinHandle<io::Result<()>>,
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
    /// Doors listen while the store is still being opened; that of HTTP answers `/healthz` and `/readyz` meanwhile.
    pub fn start(config: &Config) -> Result<Server, ServeError> {
        // Whether there are users is known once the store is open; here, whether there may be.
        if !config.insecure {
            check_exposure(config, config.engine.dir.exists() || config.init_admin_password.is_some())?;
        }
        check_roots(config)?;
        let tls = Tls::open(&config.tls, &config.engine.dir, &names(config))?;
        let oidc = Oidc::open(&config.oidc).map_err(ServeError::Oidc)?;
        let network = runtime("millstream-net", config.network_threads)?;
        let queries = runtime("millstream-query", config.query_threads)?;
        let reading = Work::readers(config.net.egress_bytes);
        let readers = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(reading)
            .thread_name("millstream-read")
            .build()
            .map_err(ServeError::Threads)?;
        let (sender, stop) = Stop::new();
        let net = Net::new(config.net);
        let rooms = Rooms::default();
        let listening = DOORS.iter().map(|door| Ok((door, listen(&network, &net, tls.clone(), door, config)?)));
        let doors =
            listening.collect::<Result<Vec<_>, ServeError>>()?.into_iter().map(|(door, (listener, address))| {
                let opening = Opening { listener, rooms: rooms.clone(), stop: stop.clone() };
                OpenDoor { name: door.name, address, task: network.spawn((door.serve)(config, opening)) }
            });
        let doors = doors.collect();
        // It ends with the doors, when the server is told to stop.
        let (of_all, stopping) = (Arc::clone(&net), stop.clone());
        network.spawn(async move { of_all.watched.run(stopping).await });

        let (engine, sql) = open(config)?;
        if let Some(tls) = tls.clone() {
            let (clock, told, stopping) = (engine.clone(), engine.clone(), stop.clone());
            let now_s = move || u64::try_from(clock.now_us() / 1_000_000).unwrap_or(0);
            network.spawn(tls.watch(stopping, now_s, move |kind, message| told.report(kind, message)));
        }
        if let Some(oidc) = oidc.clone() {
            let told = engine.clone();
            network.spawn(oidc.keep(stop.clone(), move |kind, message| told.report(kind, message)));
            if !engine.has_users() {
                tracing::warn!(
                    "there are no users, so that nobody has to log in, and tokens of {} count for nothing",
                    config.oidc.issuer
                );
            }
        }
        rooms.open(Door {
            authenticator: Authenticator { engine: engine.clone(), oidc },
            engine: engine.clone(),
            sql,
            queries: queries.handle().clone(),
            work: Work::new(queries.handle().clone(), readers.handle().clone(), reading),
            stop,
            net,
            statement_timeout: config.statement_timeout,
            figures: Arc::default(),
        });
        let shutdown_timeout = config.shutdown_timeout;
        Ok(Server { engine, stop: sender, doors, tls, shutdown_timeout, network, queries, readers })
    }

    /// The doors, and where they listen.
    pub fn addresses(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        self.doors.iter().map(|door| (door.name, door.address))
    }

    /// Where a door listens.
    pub fn address(&self, door: &str) -> Option<SocketAddr> {
        self.addresses().find(|(name, _)| *name == door).map(|(_, address)| address)
    }

    /// The fingerprint of the certificate that the doors show, if they have TLS: `SHA256:` and 64 hexadecimal digits.
    pub fn tls_fingerprint(&self) -> Option<String> {
        self.tls.as_ref().map(|tls| tls.fingerprint())
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
            let failed = futures::future::select_all(doors.iter_mut().map(|door| &mut door.task));
            tokio::select! {
                _ = signals.terminate.recv() => tracing::info!(signal = "SIGTERM", "stopping"),
                _ = signals.interrupt.recv() => tracing::info!(signal = "SIGINT", "stopping"),
                (ended, index, _) = failed => {
                    let door = doors.remove(index).name;
                    return Err(ServeError::Door { door, message: describe(ended) });
                }
            }
            Ok(())
        })
    }

    /// Stops accepting, ends streams, waits for them at most the shutdown time-out, then closes the store with a
    /// clean-shutdown record.
    pub fn stop(self) -> Result<(), ServeError> {
        let Server { engine, stop, doors, tls: _, shutdown_timeout, network, queries, readers } = self;
        stop.send_replace(true);
        network.block_on(async {
            let all = doors.into_iter().map(|door| async move { (door.name, door.task.await) });
            match tokio::time::timeout(shutdown_timeout, futures::future::join_all(all)).await {
                Ok(ended) => {
                    ended.into_iter().filter(|(_, ended)| !matches!(ended, Ok(Ok(())))).for_each(|(door, ended)| {
                        tracing::warn!(door, error = describe(ended), "a door did not end in order");
                    })
                }
                Err(_) => tracing::warn!("some streams did not end in time and are cut off"),
            }
        });
        // The network goes first, so that nobody is told of an end of his stream that is only ours.
        network.shutdown_timeout(Duration::from_millis(100));
        queries.shutdown_timeout(Duration::from_secs(1));
        readers.shutdown_timeout(Duration::from_secs(1));
        engine.close().map_err(ServeError::Close)?;
        tracing::info!("closed in order");
        Ok(())
    }
}

fn describe(ended: Result<io::Result<()>, JoinError>) -> String {
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

/// Refuses addresses that other machines can reach where they are not protected, unless that is wanted.
fn check_exposure(config: &Config, authentication: bool) -> Result<(), ServeError> {
    for entry in DOORS {
        let (door, address) = (entry.name, (entry.address)(config));
        match exposure::lacks(address, authentication, config.tls.protects()) {
            None => {}
            Some(lacks) if config.insecure => {
                tracing::warn!(door, %address, "other machines can reach this address, and it has no {lacks}");
            }
            Some(lacks) => return Err(ServeError::Exposed { door, address, lacks }),
        }
    }
    Ok(())
}

/// What clients may know this server by, for a certificate that it makes for itself.
fn names(config: &Config) -> Vec<String> {
    let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    // Linux tells it so; elsewhere an operator names it in http_hosts.
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    names.push(host.trim().to_owned());
    let bound = DOORS.iter().map(|door| (door.address)(config)).chain(config.rocketmq.advertise);
    names.extend(bound.map(|address| address.ip()).filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string()));
    names.extend(config.http_name.iter().chain(&config.http_hosts).cloned());
    names.sort_unstable();
    names.dedup();
    names.retain(|name| !name.is_empty() && name.is_ascii());
    names
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

fn listen(
    network: &Runtime,
    net: &Arc<Net>,
    tls: Option<Arc<Tls>>,
    door: &Entry,
    config: &Config,
) -> Result<(Listener, SocketAddr), ServeError> {
    let (name, address) = (door.name, (door.address)(config));
    let failed = |source| ServeError::Listen { door: name, address, source };
    let bound = Listener::bind(net, tls, name, address, (door.capacity)(config));
    let listener = network.block_on(bound).map_err(failed)?;
    let address = listener.address().map_err(failed)?;
    Ok((listener, address))
}

fn open(config: &Config) -> Result<(Engine, SqlEngine), ServeError> {
    let options = config.engine_options()?;
    let dir = options.dir.display().to_string();
    let engine = Engine::open_with(options).map_err(|source| ServeError::Open { dir, source })?;
    if let Some(password) = &config.init_admin_password {
        match engine.init_administrator(password.told()).map_err(ServeError::Administrator)? {
            true => tracing::info!("made the user admin, with all rights: from now on callers have to log in"),
            false => {
                tracing::info!("there are users: MILLSTREAM_INIT_ADMIN_PASSWORD is ignored, and may be taken away")
            }
        }
    }
    check_exposure(config, engine.has_users())?;
    // Compiled plugins belong to this machine, and are made anew wherever they are missing.
    let mut options = HostOptions::new(config.engine.dir.join(COMPILED_PLUGINS));
    options.trust.clone_from(&config.plugin_trust);
    options.memory_bytes = config.plugin_memory_bytes;
    options.http_allow.clone_from(&config.plugin_http_allow);
    options.http_deny.clone_from(&config.plugin_http_deny);
    let host = WasmHost::new(options).map_err(ServeError::Plugins)?;
    engine.set_plugin_host(host);
    let settings = SETTINGS.iter().map(|setting| ShownSetting {
        name: setting.key,
        value: setting.show(config),
        description: setting.help,
    });
    let options = SqlOptions {
        threads: config.query_threads,
        own_dirs: vec![config.engine.dir.clone()],
        settings: settings.collect(),
        ..config.sql.clone()
    };
    let sql = SqlEngine::new(engine.clone(), options)?;
    Ok((engine, sql))
}
