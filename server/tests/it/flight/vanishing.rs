//! Clients that go without a word: the server keeps nothing of them.

use std::time::{Duration, Instant};

use arrow_flight::Ticket;
use arrow_flight::sql::client::FlightSqlServiceClient;
use millstream_protocol::consumer_reply::Reply;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::wire::{Exchange, batch_message, connect, hello, put, rows, run, schema, schema_message, stamp};
use crate::program::Server;

const CALLS: [&str; 3] =
    ["flight_calls{call=\"do_get\"}", "flight_calls{call=\"do_put\"}", "flight_calls{call=\"do_exchange\"}"];
const MEMORY: &str = "process_resident_anonymous_bytes";
/// What the allocator may keep of memory that is free.
const SLACK_BYTES: f64 = (96 << 20) as f64;
/// Calls after which memory has its size.
const WARM_UP: usize = 6;
/// Calls after those: one message of 2 MiB that stays of each would be more than the slack.
const CALLS_MEASURED: usize = 72;

/// A server with `t (id, word)` and a million rows in it.
fn filled() -> Server {
    let server = Server::start();
    server.ok(&["sql", "-c", "CREATE TABLE t (id BIGINT NOT NULL, word VARCHAR)"]);
    run(async {
        let mut messages = vec![schema_message(&schema(), "t")];
        messages.extend((0..50).map(|n| batch_message(&rows(n * 20_000, 20_000), Default::default())));
        put(&server, messages).await.1.unwrap();
    });
    server
}

async fn ticket(server: &Server, statement: &str) -> Ticket {
    let mut client = FlightSqlServiceClient::new_from_inner(connect(server).await);
    let info = client.execute(statement.to_owned(), None).await.unwrap();
    info.endpoint[0].ticket.clone().unwrap()
}

#[test]
fn cancelled_gets_leave_nothing() {
    let server = filled();
    run(async {
        // A million million rows: nobody ever reads to their end.
        let ticket = ticket(&server, "SELECT a.word, b.id FROM t AS a CROSS JOIN t AS b").await;
        let mut before = 0.0;
        for round in 0..WARM_UP + CALLS_MEASURED {
            let mut answer = connect(&server).await.do_get(ticket.clone()).await.unwrap().into_inner();
            for _ in 0..3 {
                answer.message().await.unwrap().expect("there are more rows");
            }
            drop(answer);
            if round == WARM_UP {
                before = server.metric(MEMORY);
            }
        }
        CALLS.iter().for_each(|calls| server.until_metric(calls, 0.0));
        server.until_metric("grpc_connections", 0.0);
        let after = server.metric(MEMORY);
        assert!(after < before + SLACK_BYTES, "memory went from {before} to {after}");
    });
    assert_eq!(server.ok(&["sql", "-c", "SELECT 1 AS one", "--format", "csv"]), "one\n1\n");
}

#[test]
fn cancelled_exchanges_hand_their_partitions_on() {
    let server = filled();
    run(async {
        let mut before = 0.0;
        for round in 0..WARM_UP + CALLS_MEASURED {
            // It has read a little, the rest of its credit is on the way to it.
            let mut member = Exchange::open(&server, hello("g", "t")).await;
            let first = member.until(|reply| if let Reply::Batch(batch) = reply { Some(batch) } else { None }).await;
            assert_eq!(first.first_offset, 0, "nobody has committed anything");
            drop(member);
            if round == WARM_UP {
                before = server.metric(MEMORY);
            }
        }
        server.until_metric("members", 0.0);
        CALLS.iter().for_each(|calls| server.until_metric(calls, 0.0));
        let after = server.metric(MEMORY);
        assert!(after < before + SLACK_BYTES, "memory went from {before} to {after}");
        assert_eq!(server.metric("groups"), 1.0, "the group stays, with its offsets");

        let mut last = Exchange::open(&server, hello("g", "t")).await;
        let mut next = 0;
        while next < 1_000_000 {
            let Reply::Batch(batch) = last.next().await.0 else { continue };
            assert_eq!(batch.first_offset, next, "gapless");
            next = batch.next_offset;
        }
    });
}

#[test]
fn a_producer_that_goes_between_two_batches_leaves_whole_ones() {
    let server = Server::start();
    server.ok(&["sql", "-c", "CREATE TABLE t (id BIGINT NOT NULL, word VARCHAR)"]);
    run(async {
        for stream in 0..10_u64 {
            let (sender, messages) = mpsc::channel(4);
            sender.send(schema_message(&schema(), "t")).await.unwrap();
            sender.send(batch_message(&rows(stream as i64 * 10, 10), stamp(stream))).await.unwrap();
            let mut answers = connect(&server).await.do_put(ReceiverStream::new(messages)).await.unwrap().into_inner();
            answers.message().await.unwrap().expect("an acknowledgement");
            // The next batch is on its way or not when the call is cancelled.
            let next = batch_message(&rows(stream as i64 * 10 + 10, 10), stamp(stream + 1));
            let _ = sender.try_send(next);
            drop(answers);
        }
        CALLS.iter().for_each(|calls| server.until_metric(calls, 0.0));
    });
    let rows = server.ok(&["sql", "-c", "SELECT count(*) AS n, count(DISTINCT id) AS d FROM t", "--format", "csv"]);
    assert!(rows == "n,d\n100,100\n" || rows == "n,d\n110,110\n", "{rows}");
}

#[test]
fn a_peer_that_answers_no_ping_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::over(dir.path(), &["--grpc-keepalive-ms", "1000"]);
    server.ok(&["sql", "-c", "CREATE TABLE t (id BIGINT NOT NULL, word VARCHAR)"]);
    let hole = super::black_hole::BlackHole::start(server.grpc);
    run(async {
        // Its session would last for half an hour.
        let hello = millstream_protocol::Hello { session_timeout_ms: 1_800_000, ..hello("g", "t") };
        let mut member = Exchange::open_at(&hole.address(), hello).await;
        member.until(|reply| if let Reply::Assignment(assignment) = reply { Some(assignment) } else { None }).await;
        assert_eq!(server.metric("members"), 1.0);
        // Nothing but pings goes over this wire.
        let (heard, deadline) = (hole.heard(), Instant::now() + Duration::from_secs(60));
        while hole.heard() < heard + 4 {
            assert!(Instant::now() < deadline, "no pings");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(server.metric("members"), 1.0, "it is silent, but answers pings");
        hole.swallow();
        let begun = Instant::now();
        server.until_metric("members", 0.0);
        server.until_metric("grpc_connections", 0.0);
        // Without pings it would stay for half an hour.
        assert!(begun.elapsed() < Duration::from_secs(60));
    });
}
