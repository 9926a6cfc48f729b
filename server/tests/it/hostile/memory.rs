//! The memory that clients can make the server take, all together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow_flight::sql::client::FlightSqlServiceClient;
use millstream_protocol::consumer_reply::Reply;
use millstream_protocol::consumer_request::Request;
use millstream_protocol::{Credit, Hello, Seek, seek};
use tonic::Code;

use super::attacks::Attacks;
use super::raw::framed;
use crate::flight::wire::{Exchange, batch_message, connect, hello, put, rows, run, schema, schema_message, stamp};
use crate::program::Server;

const CONNECTIONS: usize = 2000;
/// Of the RocketMQ door, beside those.
const QUEUE_CONNECTIONS: usize = 1000;
const PATIENCE: Duration = Duration::from_secs(300);

/// The sum that `docs/operations.md` states for the default settings, in bytes.
fn documented() -> u64 {
    let manual = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md")).unwrap();
    let mebibytes = |row: &str| -> u64 {
        let cell = row.rsplit('|').nth(1).and_then(|text| text.trim().strip_suffix("MiB"));
        cell.unwrap_or_else(|| panic!("no MiB in {row:?}")).trim().parse().unwrap()
    };
    let (_, table) = manual.split_once("| part | bound | by default |\n|---|---|---|\n").expect("the parts");
    let (parts, rest) = table.split_once("| **all of it** |").expect("the sum");
    let sum = mebibytes(rest.lines().next().unwrap());
    assert_eq!(parts.lines().map(mebibytes).sum::<u64>(), sum, "the parts that the manual lists");
    sum << 20
}

/// Keys are gathered behind the log while all else goes on.
fn send_keys(server: &Server) {
    let rows = "SELECT 'x', ['a' || value, 'b' || value, 'c' || value] FROM generate_series(1, 200000)";
    server.ok(&["sql", "-c", &format!("INSERT INTO keyed (body, keys) {rows}")]);
}

/// Messages of 2 kB each.
fn send_large(server: &Server, table: &str, messages: usize) {
    for first in (0..messages).step_by(5_000) {
        let rows = format!("generate_series({}, {})", first + 1, first + 5_000);
        let body = "repeat(md5(value::text), 60) || md5((value + 1)::text)";
        server.ok(&["sql", "-c", &format!("INSERT INTO {table} (body) SELECT {body} FROM {rows}")]);
    }
}

/// How many connections of the Flight door, and of the RocketMQ door, this process may have open.
fn connections() -> (usize, usize) {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let files =
        limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok());
    let places = files.unwrap_or(1024_usize).saturating_sub(200);
    let queues = QUEUE_CONNECTIONS.min(places / 3);
    (CONNECTIONS.min(places - queues), queues)
}

/// Samples the server's anonymous memory.
struct Peak {
    bytes: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Peak {
    fn of(pid: u32) -> Peak {
        let (bytes, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (into, until) = (Arc::clone(&bytes), Arc::clone(&stop));
        #[expect(clippy::disallowed_methods, reason = "whoever asks for the peak joins it")]
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
                let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
                let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
                into.fetch_max(kibibytes.unwrap_or(0) << 10, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Peak { bytes, stop, thread }
    }

    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.bytes.load(Ordering::Relaxed)
    }
}

#[test]
fn thousands_of_hostile_connections_stay_within_the_documented_memory() {
    let server = Server::start();
    server.ok(&["sql", "-c", "CREATE TABLE t (id BIGINT NOT NULL, word VARCHAR)"]);
    server.ok(&["sql", "-c", "CREATE TABLE queue OF MESSAGES"]);
    send_large(&server, "queue", 10_000);
    server.ok(&["sql", "-c", "CREATE TABLE keyed OF MESSAGES"]);
    run(async {
        let mut messages = vec![schema_message(&schema(), "t")];
        messages.extend((0..50).map(|n| batch_message(&rows(n * 20_000, 20_000), Default::default())));
        put(&server, messages).await.1.unwrap();
    });
    let ticket = run(async {
        let mut client = FlightSqlServiceClient::new_from_inner(connect(&server).await);
        let info = client.execute("SELECT * FROM t".to_owned(), None).await.unwrap();
        framed(&info.endpoint[0].ticket.clone().unwrap())
    });
    let (peak, attacks, (connections, queues)) = (Peak::of(server.pid()), Attacks::on("t", ticket), connections());
    let (mut held, mut queued, begun) = (Vec::new(), Vec::new(), Instant::now());
    std::thread::scope(|scope| {
        let attackers: Vec<_> = (0..4)
            .map(|attacker| {
                let (server, attacks) = (server.grpc, &attacks);
                let numbers = (attacker..connections).step_by(4);
                scope.spawn(move || numbers.filter_map(|number| attacks.begin(server, number)).collect::<Vec<_>>())
            })
            .collect();
        let of_queues = scope.spawn(|| {
            let numbers = 0..queues;
            numbers.filter_map(|number| super::queues::begin(server.remoting, "queue", number)).collect::<Vec<_>>()
        });
        send_keys(&server);
        // Meanwhile, and after, the others are served.
        for round in 0..6_i64 {
            let batch = batch_message(&rows(2_000_000 + round * 1000, 1000), stamp(round.unsigned_abs()));
            // Where much waits, one may be told to come back.
            while let (_, Err(status)) = run(put(&server, vec![schema_message(&schema(), "t"), batch.clone()])) {
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                assert!(begun.elapsed() < PATIENCE, "{status:?}");
            }
            let found = server.ok(&["sql", "-c", "SELECT count(*) AS n FROM t WHERE id >= 2000000", "--format", "csv"]);
            assert_eq!(found, format!("n\n{}\n", (round + 1) * 1000));
            assert_eq!(server.http("GET", "/healthz", &[], b"").0, 200);
        }
        attackers.into_iter().for_each(|attacker| held.extend(attacker.join().unwrap()));
        queued = of_queues.join().unwrap();
    });
    let peak = peak.end();
    assert!(held.len() > connections / 2 && queued.len() > queues / 2, "the attackers got in");
    let (peak, bound) = (peak >> 20, documented() >> 20);
    assert!(bound <= 1024, "the documented sum is {bound} MiB");
    assert!(peak <= bound, "the server took {peak} MiB, more than the documented {bound} MiB");
}

/// Rows of segments are looked at by many at once, each at another place.
#[test]
fn who_reads_history_stays_within_the_documented_memory() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::over(dir.path(), &["--segment-age-ms", "100"]);
    server.ok(&["sql", "-c", "CREATE TABLE history OF MESSAGES WITH (partitions = 1)"]);
    send_large(&server, "history", 20_000);
    let cut = "SELECT coalesce(sum(next_offset - first_offset), 0) AS n FROM system.segments";
    let begun = Instant::now();
    while server.ok(&["sql", "-c", cut, "--format", "csv"]) != "n\n20000\n" {
        assert!(begun.elapsed() < PATIENCE, "rows are cut into segments");
        std::thread::sleep(Duration::from_millis(100));
    }
    let peak = Peak::of(server.pid());
    std::thread::scope(|scope| {
        for number in 0..32 {
            let (remoting, server) = (server.remoting, &server);
            scope.spawn(move || super::queues::search(remoting, "history", 20_000, number));
            scope.spawn(move || {
                run(async {
                    let config = Hello { credit_bytes: 1, ..hello(&format!("g{number}"), "history") };
                    let mut member = Exchange::open(server, config).await;
                    for turn in 0..8 {
                        let offset = (number * 7_919 + turn * 24_691) % 20_000;
                        let to = Some(seek::To::Offset(offset));
                        member.send(Request::Seek(Seek { request_id: turn, partition: 0, to })).await;
                        member.send(Request::Credit(Credit { bytes: 64 << 10 })).await;
                        member.until(|reply| if let Reply::SeekAck(ack) = reply { Some(ack) } else { None }).await;
                        member.until(|reply| if let Reply::Batch(batch) = reply { Some(batch) } else { None }).await;
                    }
                });
            });
        }
    });
    let (peak, bound) = (peak.end() >> 20, documented() >> 20);
    assert!(peak <= bound * 5 / 8, "the server took {peak} MiB of the documented {bound} MiB, for its readers alone");
}
