//! DoExchange: members, credit, commits, ends.

use std::time::Duration;

use millstream_protocol::consumer_reply::Reply;
use millstream_protocol::consumer_request::Request;
use millstream_protocol::{
    Commit, Credit, EndReason, ErrorKind, Heartbeat, Hello, Leave, OffsetsRequest, PartitionOffset, Seek, seek,
};

use super::wire::{Exchange, batch_message, hello, put, rows, run, schema, schema_message};
use crate::program::Server;

fn table(options: &str) -> Server {
    let server = Server::start();
    server.ok(&["sql", "-c", &format!("CREATE TABLE t (id BIGINT NOT NULL, word VARCHAR) {options}")]);
    server
}

async fn fill(server: &Server, batches: i64, rows_each: i64) {
    let mut messages = vec![schema_message(&schema(), "t")];
    messages.extend((0..batches).map(|n| batch_message(&rows(n * rows_each, rows_each), Default::default())));
    put(server, messages).await.1.unwrap();
}

async fn partitions(member: &mut Exchange, count: usize) -> Vec<u32> {
    member
        .until(|reply| match reply {
            Reply::Assignment(assignment) if assignment.partitions.len() == count => {
                Some(assignment.partitions.iter().map(|state| state.partition).collect())
            }
            _ => None,
        })
        .await
}

#[test]
fn members_share_partitions_and_hand_them_back() {
    let server = table("WITH (partitions = 2)");
    run(async {
        let mut first = Exchange::open(&server, hello("g", "t")).await;
        assert_eq!(partitions(&mut first, 2).await, [0, 1]);
        let mut second = Exchange::open(&server, hello("g", "t")).await;
        let (a, b) = (partitions(&mut first, 1).await, partitions(&mut second, 1).await);
        assert_ne!(a, b);
        second.send(Request::Leave(Leave {})).await;
        let end = second.until(|reply| if let Reply::End(end) = reply { Some(end) } else { None }).await;
        assert_eq!(end.reason(), EndReason::Left);
        assert_eq!(partitions(&mut first, 2).await, [0, 1]);

        // A connection that just goes counts as leaving too.
        let third = Exchange::open(&server, hello("g", "t")).await;
        partitions(&mut first, 1).await;
        drop(third);
        assert_eq!(partitions(&mut first, 2).await, [0, 1]);
    });
}

#[test]
fn rows_go_as_far_as_credit() {
    let server = table("");
    run(async {
        fill(&server, 64, 2000).await;
        let mut member = Exchange::open(&server, Hello { credit_bytes: 300_000, ..hello("g", "t") }).await;
        let (mut bytes, mut largest, mut next) = (0, 0, 0);
        loop {
            let received = tokio::time::timeout(Duration::from_secs(2), member.next()).await;
            let Ok((reply, data)) = received else { break };
            let Reply::Batch(batch) = reply else { continue };
            assert_eq!(batch.first_offset, next, "gapless");
            assert_eq!(batch.bytes, (data.data_header.len() + data.data_body.len()) as u64);
            next = batch.next_offset;
            bytes += batch.bytes;
            largest = largest.max(batch.bytes);
        }
        assert!(bytes > 0 && bytes <= 300_000 + largest, "{bytes} of 300000, at most {largest} over");
        member.send(Request::Credit(Credit { bytes: 64 << 20 })).await;
        while next < 128_000 {
            let Reply::Batch(batch) = member.next().await.0 else { continue };
            assert_eq!(batch.first_offset, next, "gapless");
            next = batch.next_offset;
        }
        assert_eq!(next, 128_000);
    });
}

#[test]
fn commits_seeks_and_offsets_are_answered() {
    let server = table("");
    run(async {
        fill(&server, 1, 1000).await;
        let mut member = Exchange::open(&server, hello("g", "t")).await;
        partitions(&mut member, 1).await;
        let entries = |partition| vec![PartitionOffset { partition, next_offset: 400 }];
        member.send(Request::Commit(Commit { request_id: 1, entries: entries(0), generation: 0 })).await;
        member.send(Request::Commit(Commit { request_id: 2, entries: entries(7), generation: 0 })).await;
        member.send(Request::Commit(Commit { request_id: 3, entries: entries(0), generation: 1 })).await;
        let mut answers = Vec::new();
        while answers.len() < 3 {
            if let Reply::CommitAck(ack) = member.next().await.0 {
                answers.push((ack.request_id, ack.error.map(|error| error.kind())));
            }
        }
        assert_eq!(answers, [(1, None), (2, Some(ErrorKind::Fenced)), (3, Some(ErrorKind::Fenced))]);

        member.send(Request::Seek(Seek { request_id: 4, partition: 0, to: Some(seek::To::Offset(250)) })).await;
        let offset = member.until(|reply| if let Reply::SeekAck(ack) = reply { Some(ack.offset) } else { None }).await;
        assert_eq!(offset, 250);
        let batch = member.until(|reply| if let Reply::Batch(batch) = reply { Some(batch) } else { None }).await;
        assert_eq!((batch.first_offset, batch.next_offset), (250, 1000));

        member.send(Request::Offsets(OffsetsRequest { request_id: 5 })).await;
        let offsets =
            member.until(|reply| if let Reply::Offsets(offsets) = reply { Some(offsets) } else { None }).await;
        let state = &offsets.partitions[0];
        assert_eq!((state.start, state.end, state.committed, state.position), (0, 1000, Some(400), Some(1000)));
        member.send(Request::Heartbeat(Heartbeat { request_id: 6, polled: true })).await;
        let answered = |reply| if let Reply::HeartbeatAck(ack) = reply { Some(ack.request_id) } else { None };
        assert_eq!(member.until(answered).await, 6);
    });
}

async fn refused(server: &Server, hello: Hello) -> (ErrorKind, String) {
    let mut stream = Exchange::open(server, hello).await;
    let Reply::End(end) = stream.next().await.0 else { panic!("not refused") };
    let error = end.error.unwrap();
    (error.kind(), error.message)
}

#[test]
fn a_wrong_hello_is_refused_with_its_reason() {
    let server = table("");
    run(async {
        let check = async |hello: Hello, kind, word: &str| {
            let (found, message) = refused(&server, hello).await;
            assert_eq!(found, kind, "{message}");
            assert!(message.contains(word), "{message:?} does not say {word:?}");
        };
        check(Hello { version: 9, ..hello("g", "t") }, ErrorKind::Unsupported, "version").await;
        check(hello("g", "nothing"), ErrorKind::NotFound, "nothing").await;
        check(hello("", "t"), ErrorKind::InvalidInput, "group").await;
        check(Hello { session_timeout_ms: 5, ..hello("g", "t") }, ErrorKind::InvalidInput, "session").await;
        check(Hello { member_id: "nobody".to_owned(), ..hello("g", "t") }, ErrorKind::Fenced, "nobody").await;
        check(Hello { max_message_bytes: 1, ..hello("g", "t") }, ErrorKind::InvalidInput, "max_message_bytes").await;
    });
}

#[test]
fn streams_end_when_the_server_stops() {
    let server = table("");
    run(async {
        let mut member = Exchange::open(&server, hello("g", "t")).await;
        partitions(&mut member, 1).await;
        server.signal("TERM");
        let end = member.until(|reply| if let Reply::End(end) = reply { Some(end) } else { None }).await;
        assert_eq!(end.reason(), EndReason::Shutdown);
    });
    assert_eq!(server.wait().0, Some(0));
}

#[test]
fn a_call_stays_open_until_its_client_has_heard_its_end() {
    let server = table("");
    run(async {
        let mut member = Exchange::open(&server, hello("g", "t")).await;
        member.send(Request::Leave(Leave {})).await;
        member.until(|reply| if let Reply::End(end) = reply { Some(end) } else { None }).await;
        let calls = "flight_calls{call=\"do_exchange\"}";
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(
            (server.metric("members"), server.metric(calls)),
            (0.0, 1.0),
            "its place is free, and it is not cut off"
        );
        member.send(Request::Heartbeat(Heartbeat { request_id: 1, polled: true })).await;
        drop(member);
        server.until_metric(calls, 0.0);
    });
}
