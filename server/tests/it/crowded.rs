//! More producers than there are threads, held back by a disk that stands still, and more idle polls than there are threads:
//! queries, heartbeats and commits go through all the same.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_flight::FlightData;
use millstream_engine::disk::GatedDisk;
use millstream_engine::{EngineStats, Principal};
use millstream_protocol::consumer_reply::Reply;
use millstream_protocol::consumer_request::Request;
use millstream_protocol::{Append, Commit, Heartbeat, Hello, PartitionOffset};
use millstream_server::config::Config;
use millstream_server::serve::Server;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;

use crate::flight::wire::{Exchange, batch_message, connect_to, hello, rows, run, schema, schema_message};

/// tokio has 512 threads for calls that block.
const CROWD: usize = 560;
/// Of each connection: HTTP/2 allows so many calls at once, and more.
const CALLS: usize = 140;
/// Far above what anything here takes on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(120);

/// A disk that is open in the end, so that a server whose test has failed can stop.
struct Gate(GatedDisk);

impl Drop for Gate {
    fn drop(&mut self) {
        self.0.let_pass(None);
    }
}

/// The disk comes first, as it is dropped.
struct Crowded {
    disk: Gate,
    server: Server,
    _dir: tempfile::TempDir,
}

impl Crowded {
    fn start() -> Crowded {
        let dir = tempfile::tempdir().unwrap();
        let disk = GatedDisk::default();
        let mut config = Config::new(dir.path().join("data"));
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        (config.grpc, config.http, config.remoting) = (any, any, any);
        config.engine.disk = Arc::new(disk.clone());
        config.engine.free_space_floor_bytes = 0;
        config.engine.segment_threads = 0;
        config.engine.max_commit_bytes = 64 << 10;
        config.engine.queue_bytes = 64 << 10;
        config.engine.max_groups_per_topic = CROWD;
        Crowded { disk: Gate(disk), server: Server::start(&config).unwrap(), _dir: dir }
    }

    fn until(&self, what: &str, condition: impl Fn(&EngineStats) -> bool) {
        let begun = Instant::now();
        while !condition(&self.stats()) {
            assert!(begun.elapsed() < LIMIT, "{what}: {:?}", self.stats());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn stats(&self) -> EngineStats {
        self.server.engine().stats(&Principal::anonymous()).unwrap()
    }

    /// Sends a statement over HTTP and leaves its answer.
    fn ask(&self, sql: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.server.address("http").unwrap()).unwrap();
        let host = self.server.address("http").unwrap();
        let head =
            format!("POST /v1/sql HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: text/plain\r\n");
        write!(stream, "{head}Content-Length: {}\r\n\r\n{sql}", sql.len()).unwrap();
        stream
    }

    fn sql(&self, sql: &str) -> String {
        let mut stream = self.ask(sql);
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{sql}: {answer}");
        answer
    }
}

/// A poll that was answered does not wait.
fn expect_silence(mut poll: &TcpStream) {
    let mut answer = [0; 1024];
    poll.set_nonblocking(true).unwrap();
    if let Ok(read) = poll.read(&mut answer) {
        panic!("a poll was answered: {:?}", String::from_utf8_lossy(&answer[..read]));
    }
}

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.unwrap_or_else(|_| panic!("{what} waits behind the crowd"))
}

#[test]
fn a_crowd_of_producers_and_idle_polls_keeps_nobody_else_waiting() {
    let crowded = Crowded::start();
    crowded.sql("CREATE TABLE t (id BIGINT NOT NULL, word VARCHAR)");
    crowded.sql("CREATE TABLE idle (id BIGINT NOT NULL)");
    crowded.sql("INSERT INTO t VALUES (1, 'one'), (2, 'two')");
    run(async {
        let address = crowded.server.address("grpc").unwrap().to_string();
        let hello = Hello { session_timeout_ms: 1_800_000, max_poll_interval_ms: 1_800_000, ..hello("g", "t") };
        let mut member = in_time("joining", Exchange::open_at(&address, hello)).await;
        in_time("rows", member.until(|reply| matches!(reply, Reply::Batch(_)).then_some(()))).await;

        let polls: Vec<TcpStream> = (0..CROWD)
            .map(|n| {
                crowded.ask(&format!("SELECT * FROM poll('idle', 'g{n}', 1, 60000, session_timeout_ms => 1800000)"))
            })
            .collect();
        crowded.until("every poll waits", |stats| {
            polls.iter().for_each(expect_silence);
            stats.members == CROWD as u64 + 1
        });

        crowded.disk.0.let_pass(Some(0));
        let (mut open, mut puts) = (Vec::new(), JoinSet::new());
        for connection in 0..CROWD / CALLS {
            let client = connect_to(&address).await;
            for call in 0..CALLS {
                let (sender, messages) = mpsc::channel::<FlightData>(2);
                let first = i64::try_from(connection * CALLS + call).unwrap() * 100;
                sender.send(schema_message(&schema(), "t")).await.unwrap();
                sender.send(batch_message(&rows(first, 100), Append::default())).await.unwrap();
                let mut client = client.clone();
                open.push(sender);
                puts.spawn(async move {
                    let mut acks = client.do_put(ReceiverStream::new(messages)).await?.into_inner();
                    acks.message().await
                });
            }
        }
        crowded.until("the producers are held back", |stats| stats.queue_waiting > 512);

        let counted = crowded.sql("SELECT count(*) AS n FROM t");
        assert!(counted.contains("{\"n\":2}"), "{counted}");
        let beats = Request::Heartbeat(Heartbeat { request_id: 1, polled: true });
        member.send(beats).await;
        let answered = |reply| matches!(reply, Reply::HeartbeatAck(_)).then_some(());
        in_time("a heartbeat", member.until(answered)).await;
        let queued = crowded.stats().queue_bytes;
        let entries = vec![PartitionOffset { partition: 0, next_offset: 1 }];
        member.send(Request::Commit(Commit { request_id: 2, entries, generation: 0 })).await;
        crowded.until("the commit of the offset is queued", |stats| stats.queue_bytes > queued);
        // The commit under way, the one that was taken already, and that of the offset.
        crowded.disk.0.let_pass(Some(3));
        let committed = |reply| if let Reply::CommitAck(ack) = reply { Some(ack) } else { None };
        assert_eq!(in_time("a commit", member.until(committed)).await.error, None);
        assert!(crowded.stats().queue_waiting > 400, "the producers are still held back");

        crowded.disk.0.let_pass(None);
        while let Some(ack) = in_time("a batch", puts.join_next()).await {
            assert!(ack.unwrap().is_ok_and(|ack| ack.is_some()));
        }
        drop((open, polls));
        let counted = crowded.sql("SELECT count(*) AS n FROM t");
        assert!(counted.contains(&format!("{{\"n\":{}}}", 2 + CROWD * 100)), "{counted}");
    });
    crowded.server.stop().unwrap();
}
