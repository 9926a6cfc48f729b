//! What a hello can ask for: further streams of one member, offsets of rows, compression. And how many may come.

use std::collections::HashMap;
use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use arrow_flight::utils::flight_data_to_arrow_batch;
use millstream_protocol::consumer_reply::Reply;
use millstream_protocol::consumer_request::Request;
use millstream_protocol::{Batch, Compression, EndReason, Hello, Leave, Welcome};

use super::wire::{Exchange, batch_message, hello, put, rows, run, schema, schema_message};
use crate::program::Server;

fn filled(options: &[&str]) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::over(dir.path(), options);
    server.ok(&["sql", "-c", "CREATE TABLE t (id BIGINT NOT NULL, word VARCHAR)"]);
    server.ok(&["sql", "-c", "CREATE TOPIC tens AS SELECT id, word FROM t WHERE id % 10 = 3"]);
    run(async {
        let mut messages = vec![schema_message(&schema(), "t")];
        messages.extend((0..10).map(|n| batch_message(&rows(n * 1000, 1000), Default::default())));
        put(&server, messages).await.1.unwrap();
    });
    (dir, server)
}

async fn welcome(stream: &mut Exchange) -> Welcome {
    stream.until(|reply| if let Reply::Welcome(welcome) = reply { Some(welcome) } else { None }).await
}

async fn end(stream: &mut Exchange) -> EndReason {
    stream.until(|reply| if let Reply::End(end) = reply { Some(end.reason()) } else { None }).await
}

/// Reads to an offset; gives the batches' heads and the ids of their rows.
async fn read_to(stream: &mut Exchange, end: u64) -> Vec<(Batch, Vec<i64>)> {
    let mut batches: Vec<(Batch, Vec<i64>)> = Vec::new();
    while batches.last().is_none_or(|(batch, _)| batch.next_offset < end) {
        let (Reply::Batch(batch), data) = stream.next().await else { continue };
        let mut ids = Vec::new();
        if !data.data_header.is_empty() {
            let rows = flight_data_to_arrow_batch(&data, schema(), &HashMap::new()).unwrap();
            ids.extend_from_slice(rows.column(0).as_primitive::<Int64Type>().values());
        }
        batches.push((batch, ids));
    }
    batches
}

#[test]
fn a_member_has_a_stream_for_each_topic_and_leaves_with_the_last() {
    let (_dir, server) = filled(&[]);
    run(async {
        let both = Hello { topics: vec!["t".to_owned(), "tens".to_owned()], ..hello("g", "t") };
        let mut first = Exchange::open(&server, both.clone()).await;
        let member = welcome(&mut first).await;
        let further = Hello { topic: "tens".to_owned(), member_id: member.member_id.clone(), ..both.clone() };
        let mut second = Exchange::open(&server, further.clone()).await;
        let same = welcome(&mut second).await;
        assert_eq!((same.member_id, same.generation), (member.member_id.clone(), member.generation));
        assert_eq!(read_to(&mut first, 10_000).await.iter().map(|(_, ids)| ids.len()).sum::<usize>(), 10_000);
        assert_eq!(read_to(&mut second, 10_000).await.iter().map(|(_, ids)| ids.len()).sum::<usize>(), 1_000);
        assert_eq!((server.metric("members"), server.metric("flight_calls{call=\"do_exchange\"}")), (1.0, 2.0));

        // A topic that the member did not name when it joined.
        let other = Hello { topic: "other".to_owned(), ..further.clone() };
        assert_eq!(end(&mut Exchange::open(&server, other).await).await, EndReason::Error);

        drop(first);
        server.until_metric("flight_calls{call=\"do_exchange\"}", 1.0);
        assert_eq!(server.metric("members"), 1.0, "it lives as long as one of its streams");

        // A new stream takes the place of the one for the same topic.
        let mut third = Exchange::open(&server, further.clone()).await;
        assert_eq!(welcome(&mut third).await.generation, member.generation);
        assert_eq!(end(&mut second).await, EndReason::Replaced);
        assert_eq!(server.metric("members"), 1.0);

        drop(third);
        server.until_metric("members", 0.0);
        assert_eq!(end(&mut Exchange::open(&server, further).await).await, EndReason::Error, "the member has gone");
    });
}

#[test]
fn leaving_on_one_stream_ends_them_all() {
    let (_dir, server) = filled(&[]);
    run(async {
        let both = Hello { topics: vec!["tens".to_owned()], ..hello("g", "t") };
        let mut first = Exchange::open(&server, both.clone()).await;
        let member_id = welcome(&mut first).await.member_id;
        let mut second = Exchange::open(&server, Hello { topic: "tens".to_owned(), member_id, ..both }).await;
        welcome(&mut second).await;
        first.send(Request::Leave(Leave {})).await;
        assert_eq!((end(&mut first).await, end(&mut second).await), (EndReason::Left, EndReason::Left));
        server.until_metric("members", 0.0);
    });
}

#[test]
fn each_rows_offset_is_told_when_asked_for() {
    let (_dir, server) = filled(&[]);
    run(async {
        for asked in [true, false] {
            let hello = Hello { row_offsets: asked, ..hello(&format!("asked {asked}"), "tens") };
            let mut stream = Exchange::open(&server, hello).await;
            for (batch, ids) in read_to(&mut stream, 10_000).await {
                if !asked {
                    assert!(batch.offset_deltas.is_empty());
                    continue;
                }
                let mut offset = batch.first_offset;
                let offsets = batch.offset_deltas.iter().map(|delta| {
                    offset += delta;
                    offset as i64
                });
                assert_eq!(offsets.collect::<Vec<_>>(), ids, "the table has the row with id n at offset n");
            }
        }
        // Without gaps there is nothing to say.
        let mut stream = Exchange::open(&server, Hello { row_offsets: true, ..hello("dense", "t") }).await;
        assert!(read_to(&mut stream, 10_000).await.iter().all(|(batch, _)| batch.offset_deltas.is_empty()));
    });
}

#[test]
fn batches_are_compressed_when_asked_for() {
    let (_dir, server) = filled(&[]);
    run(async {
        let mut bytes = Vec::new();
        for compression in [Compression::None, Compression::Lz4Frame, Compression::Zstd] {
            for topic in ["t", "tens"] {
                let hello = Hello { compression: compression.into(), ..hello(compression.as_str_name(), topic) };
                let mut stream = Exchange::open(&server, hello).await;
                let batches = read_to(&mut stream, 10_000).await;
                let ids: Vec<i64> = batches.iter().flat_map(|(_, ids)| ids.clone()).collect();
                let expected = (0..10_000).filter(|id| topic == "t" || id % 10 == 3);
                assert_eq!(ids, expected.collect::<Vec<_>>(), "{compression:?} {topic}");
                if topic == "t" {
                    bytes.push(batches.iter().map(|(batch, _)| batch.bytes).sum::<u64>());
                }
            }
        }
        assert!(bytes[1] < bytes[0] * 3 / 4 && bytes[2] < bytes[0] / 2, "{bytes:?}");
    });
}

#[test]
fn connections_over_the_limit_are_closed_and_make_no_harm() {
    let (_dir, server) = filled(&["--grpc-connections", "3"]);
    server.until_metric("grpc_connections", 0.0);
    run(async {
        let mut members = Vec::new();
        for _ in 0..3 {
            let mut member = Exchange::open(&server, hello("g", "t")).await;
            welcome(&mut member).await;
            members.push(member);
        }
        let mut refused = TcpStream::connect(server.grpc).unwrap();
        refused.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        assert_eq!(refused.read(&mut [0; 16]).unwrap_or(0), 0, "closed at once");
        assert_eq!(server.run(&["sql", "-c", "SELECT 1"]).status.code(), Some(3), "unreachable, for whoever comes now");
        members.pop();
        server.until_metric("grpc_connections", 2.0);
        server.ok(&["sql", "-c", "SELECT 1"]);
    });
}
