//! Producers: refusals, parts, encodings, breaks.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, DictionaryArray, Int64Array, LargeListArray, LargeStringArray, ListArray, RecordBatch, StringViewArray,
};
use arrow::datatypes::{Int32Type, Int64Type};
use millstream_client::{Client, ErrorKind, PendingAck, ProducerOptions};

use super::proxy::Proxy;
use super::{ids, run, sql, table};
use crate::program::Server;

#[test]
fn a_refused_batch_fails_alone() {
    let server = table(1);
    run(async {
        let client = Client::connect(&server.url()).await.unwrap();
        let mut producer = client.producer("t", ProducerOptions::default());
        let names: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let wrong = RecordBatch::try_from_iter([("nme", names)]).unwrap();
        let nulls: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let null = RecordBatch::try_from_iter_with_nullable([("id", nulls, true)]).unwrap();
        let mut pending: Vec<(i64, PendingAck)> = Vec::new();
        for n in 0..60 {
            // Some are of the stream's own schema, some end the stream.
            let batch = match n % 10 {
                4 => wrong.clone(),
                7 => null.clone(),
                _ => ids(n * 10, 10),
            };
            pending.push((n, producer.send(&batch).await.unwrap()));
        }
        let (mut sequence, mut offset) = (0, 0);
        for (n, ack) in pending {
            match (n % 10, ack.await) {
                (4, Err(error)) => assert!(error.to_string().contains("nme"), "{error}"),
                (7, Err(error)) => assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}"),
                (_, Ok(ack)) => {
                    assert_eq!((ack.sequence, ack.next_sequence, ack.duplicate), (sequence, sequence + 1, false));
                    assert_eq!((ack.appended[0].first_offset, ack.appended[0].rows), (offset, 10), "batch {n}");
                    (sequence, offset) = (sequence + 1, offset + 10);
                }
                (_, other) => panic!("batch {n}: {other:?}"),
            }
        }
    });
    assert_eq!(sql(&server, "SELECT count(*) AS n, count(DISTINCT id) AS d FROM t"), "n,d\n480,480\n");
}

#[test]
fn a_table_may_come_later_than_its_rows() {
    let server = Server::start();
    run(async {
        let client = Client::connect(&server.url()).await.unwrap();
        let mut producer = client.producer("t", ProducerOptions::default());
        let early = [producer.send(&ids(0, 1)).await.unwrap(), producer.send(&ids(1, 1)).await.unwrap()];
        for ack in early {
            assert_eq!(ack.await.unwrap_err().kind(), ErrorKind::NotFound);
        }
        sql(&server, "CREATE TABLE t (id BIGINT NOT NULL)");
        assert_eq!(producer.append(&ids(2, 1)).await.unwrap().appended[0].first_offset, 0);
    });
}

#[test]
fn a_newer_epoch_ends_the_producer() {
    let server = table(1);
    run(async {
        let client = Client::connect(&server.url()).await.unwrap();
        let options = ProducerOptions::default();
        let mut old = client.producer("t", options.clone());
        old.append(&ids(0, 1)).await.unwrap();
        let mut new = client.producer("t", ProducerOptions { epoch: 1, ..options });
        new.append(&ids(1, 1)).await.unwrap();
        assert_eq!(old.append(&ids(2, 1)).await.unwrap_err().kind(), ErrorKind::Fenced);
        assert_eq!(old.append(&ids(3, 1)).await.unwrap_err().kind(), ErrorKind::Fenced);
        assert_eq!(new.append(&ids(4, 1)).await.unwrap().appended[0].first_offset, 2);
    });
}

#[test]
fn large_batches_and_all_encodings_arrive() {
    let server = Server::start();
    sql(&server, "CREATE TABLE t (id BIGINT NOT NULL, word VARCHAR, view VARCHAR, large VARCHAR, list ARRAY<BIGINT>)");
    const ROWS: i64 = 150_000;
    run(async {
        let client = Client::connect(&server.url()).await.unwrap();
        let mut producer = client.producer("t", ProducerOptions::default());
        let words = |n: i64| format!("word {n}");
        let list = LargeListArray::from_iter_primitive::<Int64Type, _, _>((0..ROWS).map(|n| Some(vec![Some(n); 3])));
        let dictionary: DictionaryArray<Int32Type> =
            (0..ROWS).map(|n| ["red", "green", "blue"].get(n as usize % 4).copied()).collect();
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("id", Arc::new(Int64Array::from_iter_values(0..ROWS)) as ArrayRef, false),
            ("word", Arc::new(dictionary), true),
            ("view", Arc::new(StringViewArray::from_iter_values((0..ROWS).map(words))), true),
            ("large", Arc::new(LargeStringArray::from_iter_values((0..ROWS).map(|n| words(-n)))), true),
            ("list", Arc::new(list), true),
        ])
        .unwrap();
        let ack = producer.append(&batch).await.unwrap();
        assert!(ack.next_sequence - ack.sequence > 1, "{ack:?}");
        let mut next = 0;
        for run in &ack.appended {
            assert_eq!(run.first_offset, next, "order is kept: {ack:?}");
            next += run.rows;
        }
        assert_eq!(next, ROWS as u64);
    });
    let check = "SELECT count(*) AS n, sum(CASE WHEN id = _offset THEN 1 ELSE 0 END) AS in_order, count(word) AS words, \
                 sum(CASE WHEN view = 'word ' || id AND large = 'word ' || -id THEN 1 ELSE 0 END) AS texts, \
                 sum(list[1] + list[3]) AS lists FROM t";
    let lists: i64 = (0..ROWS).map(|n| 2 * n).sum();
    assert_eq!(sql(&server, check), format!("n,in_order,words,texts,lists\n{ROWS},{ROWS},112500,{ROWS},{lists}\n"));
}

#[test]
fn lists_are_measured_by_what_a_batch_shows_of_them() {
    let server = Server::start();
    sql(&server, "CREATE TABLE t (list ARRAY<BIGINT>)");
    run(async {
        let client = Client::connect(&server.url()).await.unwrap();
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>((0..60_000).map(|n| Some(vec![Some(n); 10])));
        let batch = RecordBatch::try_from_iter([("list", Arc::new(lists) as ArrayRef)]).unwrap();
        client.producer("t", ProducerOptions::default()).append(&batch).await.unwrap();
    });
    let check = "SELECT count(*) AS n, sum(CASE WHEN list[10] = _offset THEN 1 ELSE 0 END) AS o FROM t";
    assert_eq!(sql(&server, check), "n,o\n60000,60000\n");
}

#[test]
fn what_is_under_way_when_the_wire_breaks_is_appended_once() {
    let server = table(1);
    run(async {
        let proxy = Proxy::start(server.grpc).await;
        let client = Client::connect(&proxy.url).await.unwrap();
        let options = ProducerOptions {
            reconnect_interval: Duration::from_millis(20),
            reconnect_max_interval: Duration::from_millis(20),
            reconnect_count: 1000,
            ..ProducerOptions::default()
        };
        let mut producer = client.producer("t", options);
        let mut pending = Vec::new();
        for n in 0..400 {
            if n % 40 == 20 {
                proxy.cut();
            }
            pending.push(producer.send(&ids(n * 10, 10)).await.unwrap());
        }
        producer.flush().await.unwrap();
        for (n, ack) in pending.into_iter().enumerate() {
            assert_eq!(ack.await.unwrap().appended[0].first_offset, n as u64 * 10);
        }
    });
    let check =
        "SELECT count(*) AS n, count(DISTINCT id) AS d, sum(CASE WHEN id = _offset THEN 1 ELSE 0 END) AS o FROM t";
    assert_eq!(sql(&server, check), "n,d,o\n4000,4000,4000\n");
}

/// Tries again soon.
fn patient() -> ProducerOptions {
    ProducerOptions {
        reconnect_interval: Duration::from_millis(20),
        reconnect_max_interval: Duration::from_millis(200),
        ..ProducerOptions::default()
    }
}

#[test]
fn a_server_that_is_away_for_long_is_outlasted() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::over(dir.path(), &[]);
    sql(&server, "CREATE TABLE t (id BIGINT NOT NULL)");
    let address = server.grpc.to_string();
    run(async {
        let client = Client::connect(&server.url()).await.unwrap();
        let mut producer = client.producer("t", patient());
        producer.append(&ids(0, 10)).await.unwrap();
        server.kill();
        let mut pending = Vec::new();
        for n in 1..20 {
            pending.push(producer.send(&ids(n * 10, 10)).await.unwrap());
        }
        // Longer than twenty attempts of half a second.
        assert_eq!(producer.flush_within(Duration::from_secs(12)).await.unwrap(), 19);
        server = Server::over(dir.path(), &["--grpc", &address]);
        for (n, ack) in (1..).zip(pending) {
            assert_eq!(ack.await.unwrap().appended[0].first_offset, n * 10);
        }
        assert_eq!(producer.flush_within(Duration::from_secs(1)).await.unwrap(), 0);
    });
    assert_eq!(sql(&server, "SELECT count(*) AS n, count(DISTINCT id) AS d FROM t"), "n,d\n200,200\n");
}

#[test]
fn a_server_that_stays_away_or_mute_fails_what_waits() {
    let mut server = table(1);
    run(async {
        let client = Client::connect(&server.url()).await.unwrap();
        let options = ProducerOptions { delivery_timeout: Duration::from_secs(2), ..patient() };
        // It has taken the connection, and answers nothing.
        let mut mute = client.producer("t", options.clone());
        mute.append(&ids(0, 1)).await.unwrap();
        server.signal("STOP");
        let pending = [mute.send(&ids(1, 500_000)).await.unwrap(), mute.send(&ids(0, 500_000)).await.unwrap()];
        for ack in pending {
            let error = ack.await.unwrap_err();
            assert!(error.to_string().contains("delivery timeout of 2000 ms"), "{error}");
        }
        server.signal("CONT");
        assert!(mute.append(&ids(2, 1)).await.is_err(), "what was appended is not known: it has ended");

        let mut away = client.producer("t", options);
        away.append(&ids(3, 1)).await.unwrap();
        server.kill();
        let error = away.append(&ids(4, 1)).await.unwrap_err();
        assert!(error.to_string().contains("delivery timeout of 2000 ms ("), "it says what kept it: {error}");
        assert!(error.to_string().contains("not known") && error.is_retryable(), "{error}");
    });
}
