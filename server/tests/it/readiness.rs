//! `/readyz` tells of threads that are down.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_engine::{
    Error, LoadedPlugin, PluginDescription, PluginHost, PluginId, PluginInfo, PluginLimits, PluginSettings,
    PluginSuspension, Result, TableLookup,
};
use millstream_server::config::Config;
use millstream_server::serve::Server;

const PATIENCE: Duration = Duration::from_secs(60);

/// Panics whenever maintenance asks it something.
#[derive(Debug)]
struct Panicking;

impl PluginHost for Panicking {
    fn inspect(&self, _: &[u8], _: &PluginLimits) -> Result<PluginDescription> {
        Err(Error::Unsupported("no plugins".to_owned()))
    }

    fn inspect_with(&self, _: &str, _: &str, module: &[u8], settings: &PluginSettings) -> Result<PluginDescription> {
        self.inspect(module, &settings.limits)
    }

    fn load(&self, _: &PluginInfo, _: &[u8], _: Arc<dyn TableLookup>) -> Result<LoadedPlugin> {
        Err(Error::Unsupported("no plugins".to_owned()))
    }

    fn suspensions(&self) -> Vec<(PluginId, PluginSuspension)> {
        assert_ne!(std::thread::current().name(), Some("maintenance"), "on purpose");
        Vec::new()
    }
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_thread_that_stays_down_makes_the_server_unready_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::new(dir.path());
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    (config.grpc, config.http, config.remoting) = (any, any, any);
    config.engine.maintenance_interval_ms = 1;
    let server = Server::start(&config).unwrap();
    let http = server.address("http").unwrap();
    assert!(get(http, "/readyz").starts_with("HTTP/1.1 200 "));
    server.engine().set_plugin_host(Arc::new(Panicking));
    let begun = Instant::now();
    let answer = loop {
        let answer = get(http, "/readyz");
        if !answer.starts_with("HTTP/1.1 200 ") {
            break answer;
        }
        assert!(begun.elapsed() < PATIENCE, "{answer}");
    };
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(
        answer.contains(r#"the thread \"maintenance\" has panicked ("#) && answer.contains("on purpose"),
        "{answer}"
    );
    assert!(get(http, "/healthz").starts_with("HTTP/1.1 200 "));
    let metrics = get(http, "/metrics");
    assert!(metrics.contains("\nmillstream_threads_down 1\n"), "{metrics}");
    assert!(metrics.contains("\nmillstream_thread_panics_total 9\n"), "{metrics}");
    server.stop().unwrap();
}
