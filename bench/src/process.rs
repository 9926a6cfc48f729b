//! Processes: the server under test, and what the kernel says of a process.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::Result;

/// A release server on free ports.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    pub(crate) http: String,
    pub(crate) remoting: String,
}

impl Server {
    /// Starts `millstream serve` over a data directory.
    pub(crate) fn start(data: &Path, options: &[&str]) -> Result<Server> {
        Server::start_with(data, options, &[])
    }

    /// With variables.
    pub(crate) fn start_with(data: &Path, options: &[&str], variables: &[(&str, &str)]) -> Result<Server> {
        let program = binary()?;
        let mut child = Command::new(&program)
            .envs(variables.iter().copied())
            .args(["serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--remoting", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("no standard output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let part = |key: &str| -> Result<String> {
            let found = line.split_whitespace().find_map(|part| part.strip_prefix(key));
            Ok(found.ok_or_else(|| format!("the server said {line:?} instead of its addresses"))?.to_owned())
        };
        Ok(Server {
            url: format!("grpc://{}", part("grpc=")?),
            http: part("http=")?,
            remoting: part("remoting=")?,
            child,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A figure of `/metrics`, such as `millstream_log_written_bytes_total`.
    pub(crate) fn metric(&self, name: &str) -> Result<f64> {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(&self.http)?;
        write!(stream, "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok());
        found.ok_or_else(|| format!("/metrics has no {name}").into())
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server beside this program.
pub(crate) fn binary() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("millstream");
    if path.exists() {
        Ok(path)
    } else {
        Err(format!("{} is missing; run `make bench`, which builds it", path.display()).into())
    }
}

/// What `/proc/PID/stat` counts in; the same on every Linux architecture.
const USER_HZ: f64 = 100.0;

/// CPU seconds (user + system) that a process has used.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| -> Result<f64> { Ok(fields.get(index).ok_or("short stat")?.parse::<f64>()?) };
    Ok((ticks(11)? + ticks(12)?) / USER_HZ)
}

/// A line of `/proc/PID/status` or `/proc/PID/io`, in bytes.
pub(crate) fn proc_value(pid: u32, file: &str, key: &str) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)).ok_or_else(|| format!("no {key} in {file}"))?;
    let mut words = line.trim_start_matches(':').split_whitespace();
    let number: u64 = words.next().ok_or("no number")?.parse()?;
    Ok(if words.next() == Some("kB") { number * 1024 } else { number })
}

/// Samples a process's anonymous memory every 20 ms and keeps the peak.
pub(crate) struct PeakMemory {
    peak: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl PeakMemory {
    #[expect(clippy::disallowed_methods, reason = "it is joined")]
    pub(crate) fn of(pid: u32) -> PeakMemory {
        let (peak, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (its_peak, its_stop) = (peak.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            while !its_stop.load(Ordering::Relaxed) {
                if let Ok(bytes) = proc_value(pid, "status", "RssAnon") {
                    its_peak.fetch_max(bytes, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        PeakMemory { peak, stop, thread: Some(thread) }
    }

    /// Stops and gives the peak in bytes.
    pub(crate) fn finish(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.peak.load(Ordering::Relaxed)
    }
}

/// Forgets the page cache of files in a directory, as far as this user may.
pub(crate) fn drop_cache(dir: &Path) -> Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            drop_cache(&path)?;
        } else {
            let file = std::fs::File::open(&path)?;
            file.sync_all()?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        }
    }
    Ok(())
}
