//! RocketMQ's own Java client against Millstream and against Apache RocketMQ, whose jars `scripts/setup apache` brings: the same
//! program, one server after the other. What is durable here is compared with Apache's SYNC_FLUSH, where an answered send is on the disk
//! too, and with its default, which answers out of memory.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::process::Server;
use crate::report::{Figure, median};
use crate::{Error, Result, Scale};

const RELEASE: &str = "5.3.3";
const ROUNDS: usize = 3;
/// What both programs reach into.
const OPENED: [&str; 5] = [
    "--add-exports=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
];

/// A workload of `Load.java`, and what its figures are called.
struct Workload {
    /// As the program names it.
    name: &'static str,
    /// Messages per second, with Apache's SYNC_FLUSH as the limit, of which so much is to be reached.
    figure: &'static str,
    target: f64,
    /// The same beside Apache's default, which is to be reached as it is.
    default_figure: &'static str,
    /// Times of answers: p50, p99, p99.9.
    times: &'static [&'static str],
    what: &'static str,
}

const WORKLOADS: [Workload; 4] = [
    Workload {
        name: "sync",
        figure: "rocketmq_sync",
        target: 3.0,
        default_figure: "rocketmq_sync_default",
        times: &["rocketmq_sync_p50", "rocketmq_sync_p99", "rocketmq_sync_p999"],
        what: "1 KB, 64 threads",
    },
    Workload {
        name: "async",
        figure: "rocketmq_async",
        target: 3.0,
        default_figure: "rocketmq_async_default",
        times: &["rocketmq_async_p50", "rocketmq_async_p99", "rocketmq_async_p999"],
        what: "1 KB, 1,000 in flight",
    },
    Workload {
        name: "drain",
        figure: "rocketmq_drain",
        target: 1.0,
        default_figure: "rocketmq_drain_default",
        times: &[],
        what: "a group of one push consumer",
    },
    Workload {
        name: "fan_out",
        figure: "rocketmq_fan_out",
        target: 1.0,
        default_figure: "rocketmq_fan_out_default",
        times: &[],
        what: "ten groups of one push consumer each, all messages together",
    },
];

/// Messages per second, and three times in ms, of each workload.
type Measured = BTreeMap<String, [f64; 4]>;

/// The figures of [`WORKLOADS`].
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    let (seconds, messages) = (scale.pick(2, 15), scale.pick(5_000, 300_000));
    let (mut here, mut synced, mut default) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..scale.pick(1, ROUNDS) {
        synced.push(apache("SYNC_FLUSH", seconds, messages)?);
        here.push(millstream(seconds, messages)?);
        default.push(apache("ASYNC_FLUSH", seconds, messages)?);
    }
    let mut figures = Vec::new();
    for Workload { name, figure, target, default_figure, times, what } in WORKLOADS {
        let of = |rounds: &[Measured], figure: usize| -> Result<f64> {
            let each = rounds.iter().map(|round| round.get(name).and_then(|figures| figures.get(figure)).copied());
            Ok(median(each.collect::<Option<_>>().ok_or_else(|| format!("nothing was said of {name}"))?))
        };
        let rate = of(&here, 0)?;
        let note =
            format!("{what}; medians of {} rounds; limit: Apache RocketMQ {RELEASE} with SYNC_FLUSH", here.len());
        figures.push(Figure::reported(figure, rate, "messages/s", note).at_least(of(&synced, 0)?, target));
        let note = "the same; limit: Apache's default, which answers before the disk";
        figures.push(Figure::reported(default_figure, rate, "messages/s", note).at_least(of(&default, 0)?, 1.0));
        for (place, time) in times.iter().enumerate() {
            let note = format!("answers of `{figure}`; with Apache's default {:.2} ms", of(&default, place + 1)?);
            figures.push(Figure::reported(time, of(&here, place + 1)?, "ms", note).beside(of(&synced, place + 1)?));
        }
    }
    Ok(figures)
}

fn millstream(seconds: u64, messages: u64) -> Result<Measured> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("data"), &[])?;
    load(dir.path(), &server.remoting, seconds, messages)
}

fn apache(flush: &str, seconds: u64, messages: u64) -> Result<Measured> {
    let dir = tempfile::tempdir()?;
    let broker = Broker::start(dir.path(), flush)?;
    load(dir.path(), &broker.address, seconds, messages)
}

/// A directory of jars.
fn jars(name: &str) -> Result<PathBuf> {
    let cache = std::env::var_os("MILLSTREAM_CACHE").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/millstream"));
    let jars = cache.or_else(home).ok_or("neither MILLSTREAM_CACHE nor HOME is set")?.join("rocketmq").join(name);
    match jars.is_dir() {
        true => Ok(jars),
        false => Err(format!("{} is missing; run `scripts/setup apache`", jars.display()).into()),
    }
}

fn java(home: &Path, jars: &Path, program: &str) -> Command {
    let mut command = Command::new("java");
    command.args(OPENED).arg(format!("-Duser.home={}", home.display())).arg("-Drocketmq.client.logUseSlf4j=true");
    command.arg("-cp").arg(jars.join("*")).arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(program));
    command
}

fn load(home: &Path, address: &str, seconds: u64, messages: u64) -> Result<Measured> {
    let mut command = java(home, &jars(RELEASE)?, "rocketmq/Load.java");
    let done = command.arg(address).arg(seconds.to_string()).arg(messages.to_string()).output()?;
    if !done.status.success() {
        return Err(format!("Load.java: {}", String::from_utf8_lossy(&done.stderr)).into());
    }
    let mut measured = Measured::new();
    for line in String::from_utf8(done.stdout)?.lines() {
        let (workload, figures) = line.split_once(' ').ok_or("a line without figures")?;
        let figures =
            figures.split(' ').map(|figure| Ok::<f64, Error>(figure.parse()?)).collect::<Result<Vec<f64>>>()?;
        measured.insert(workload.to_owned(), figures.try_into().map_err(|_| format!("no four figures: {line}"))?);
    }
    Ok(measured)
}

/// Apache RocketMQ, name server and broker in one process.
struct Broker {
    child: Child,
    address: String,
}

impl Broker {
    fn start(dir: &Path, flush: &str) -> Result<Broker> {
        let program = "../tests/e2e/rocketmq/broker/ApacheBroker.java";
        let mut command = java(dir, &jars(&format!("broker-{RELEASE}"))?, program);
        // It has no more than the heap that its own script gives the smallest one; messages lie in mapped files.
        command.arg(dir.join("broker")).arg(format!("flushDiskType={flush}"));
        // It turns sends away that have waited for 200 ms, else; here they are counted.
        command.arg("waitTimeMillsInSendQueue=10000");
        command.env("JDK_JAVA_OPTIONS", "-Xms1g -Xmx1g -XX:MaxDirectMemorySize=2g");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let mut broker = Broker { child, address: String::new() };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().strip_prefix("ready remoting=");
        broker.address = address.ok_or_else(|| format!("the broker said {line:?} instead of its address"))?.to_owned();
        Ok(broker)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
