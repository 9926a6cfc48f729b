//! Server processes of the demo.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use millstream_client::Client;

use crate::cli::exit::Failure;
use crate::cli::plugin;

/// How long a server may take to end in order.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// What is shown of a server's log when something failed.
const LOG_LINES: usize = 20;

/// A server over a directory. Killed when dropped.
pub(super) struct ServerProcess {
    child: Child,
    data: PathBuf,
    log: PathBuf,
    grpc: String,
}

impl ServerProcess {
    /// Starts a server on free ports and waits until it is ready.
    pub(super) fn start(dir: &Path) -> Result<ServerProcess, Failure> {
        let (data, log) = (dir.join("data"), dir.join("server.log"));
        let (child, grpc) = spawn(&data, &log, "127.0.0.1:0")?;
        Ok(ServerProcess { child, data, log, grpc })
    }

    /// SIGKILL: nothing is flushed and nothing is said.
    pub(super) fn kill(&mut self) -> Result<(), Failure> {
        self.child.kill().and_then(|()| self.child.wait()).map_err(cannot("kill the server"))?;
        Ok(())
    }

    /// Starts it again over the same directory and on the same port.
    pub(super) fn restart(&mut self) -> Result<(), Failure> {
        (self.child, self.grpc) = spawn(&self.data, &self.log, &self.grpc)?;
        Ok(())
    }

    /// SIGTERM, and it must end in order.
    pub(super) fn stop(mut self) -> Result<(), Failure> {
        // The shell's own kill: there is no other way to send a signal without unsafe code.
        let pid = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &pid]).status();
        sent.map_err(cannot("signal the server"))?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().map_err(cannot("wait for the server"))? {
                return match status.success() {
                    true => Ok(()),
                    false => Err(Failure::failed(format!("the server ended with {status}"))),
                };
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        Err(Failure::failed("the server did not end in order"))
    }

    pub(super) fn url(&self) -> String {
        format!("grpc://{}", self.grpc)
    }

    pub(super) async fn client(&self) -> Result<Client, Failure> {
        Ok(Client::connect(&self.url()).await?)
    }

    pub(super) async fn sql(&self, statement: &str) -> Result<(), Failure> {
        self.client().await?.sql(statement).await?;
        Ok(())
    }

    /// The one number that a query gives.
    pub(super) async fn number(&self, query: &str) -> Result<u64, Failure> {
        let batches = self.client().await?.sql(query).await?;
        let number = batches.first().filter(|batch| batch.num_rows() == 1).map(|batch| batch.column(0));
        let number = number.and_then(|column| column.as_primitive_opt::<Int64Type>()).map(|column| column.value(0));
        number
            .and_then(|number| u64::try_from(number).ok())
            .ok_or_else(|| Failure::failed(format!("{query} gave no number")))
    }

    /// The one text that a query gives.
    pub(super) async fn text(&self, query: &str) -> Result<String, Failure> {
        let batches = self.client().await?.sql(query).await?;
        let text = batches.first().filter(|batch| batch.num_rows() == 1).map(|batch| batch.column(0));
        let text = text.and_then(|column| column.as_string_opt::<i32>()).map(|column| column.value(0).to_owned());
        text.ok_or_else(|| Failure::failed(format!("{query} gave no text")))
    }

    pub(super) async fn load_plugin(&self, name: &str, file: &Path, options: &[(&str, &str)]) -> Result<(), Failure> {
        plugin::load_file(&self.client().await?, name, file, options).await.map(drop)
    }

    /// Shows the end of the server's log.
    pub(super) fn show_log(&self) {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        eprintln!("the server's log ends with:");
        for line in lines.iter().skip(lines.len().saturating_sub(LOG_LINES)) {
            eprintln!("  {line}");
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // After an orderly end there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// This program.
pub(super) fn own_program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(cannot("find this program"))
}

pub(super) fn cannot(what: &'static str) -> impl Fn(std::io::Error) -> Failure {
    move |error| Failure::failed(format!("cannot {what}: {error}"))
}

fn spawn(data: &Path, log: &Path, grpc: &str) -> Result<(Child, String), Failure> {
    let errors =
        std::fs::File::options().create(true).append(true).open(log).map_err(cannot("write the server's log"))?;
    let mut child = Command::new(own_program()?)
        .arg("serve")
        .arg("--data")
        .arg(data)
        .args(["--grpc", grpc, "--http", "127.0.0.1:0", "--remoting", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .map_err(cannot("start a server"))?;
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        BufReader::new(out).read_line(&mut line).map_err(cannot("hear from the server"))?;
    }
    let grpc = line
        .strip_prefix("ready ")
        .and_then(|rest| rest.split_whitespace().find_map(|part| part.strip_prefix("grpc=")));
    match grpc {
        Some(grpc) => Ok((child, grpc.to_owned())),
        None => {
            let _ = child.kill();
            let _ = child.wait();
            let said = std::fs::read_to_string(log).unwrap_or_default();
            Err(Failure::failed(format!(
                "the server did not start: {}",
                said.lines().last().unwrap_or("it said nothing")
            )))
        }
    }
}
