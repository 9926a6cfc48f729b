//! TLS at every door.

mod authority;
mod clients;
mod doors;
mod hostile;
mod own;
mod reload;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::version::{TLS12, TLS13};

use crate::program::{Server, code, millstream, stderr, stdout};
use authority::{Authority, Issued, trusting};

/// Where a test's certificates and data lie.
struct Home {
    dir: tempfile::TempDir,
    authority: Authority,
    certificate: PathBuf,
    key: PathBuf,
    ca: PathBuf,
}

impl Home {
    fn new() -> Home {
        let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new("tests"));
        let (certificate, key) = authority.server().write(dir.path(), "server");
        let ca = dir.path().join("ca.pem");
        std::fs::write(&ca, authority.pem()).unwrap();
        Home { dir, authority, certificate, key, ca }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A server with TLS by these files.
    fn serve(&self, options: &[&str]) -> Server {
        let own = ["--tls", "files", "--tls-cert", text(&self.certificate), "--tls-key", text(&self.key)];
        Server::over(self.path(), &[&own, options].concat())
    }

    /// A client that trusts its authority.
    fn client(&self, shown: Option<&Issued>) -> ClientConfig {
        trusting(&self.authority.pem(), shown, &[&TLS12, &TLS13])
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What the server has told of a kind of event.
fn events(server: &Server, kind: &str) -> String {
    server.ok(&["sql", "--format", "csv", "-c", &format!("SELECT message FROM system.log WHERE kind = '{kind}'")])
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A command against the Flight door by TLS: its exit code and what it says.
fn command(server: &Server, arguments: &[&str]) -> (i32, String) {
    at(&format!("grpc+tls://localhost:{}", server.grpc.port()), "SELECT 1 AS one", arguments)
}

/// The same with another statement, by another name.
fn at(url: &str, statement: &str, arguments: &[&str]) -> (i32, String) {
    let mut command = millstream();
    command.args(["sql", "--format", "csv", "-c", statement, "--url", url]).args(arguments);
    let output = command.output().unwrap();
    (code(&output), format!("{}{}", stdout(&output), stderr(&output)))
}
