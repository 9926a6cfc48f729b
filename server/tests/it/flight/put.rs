//! DoPut: pipelining, idempotence, errors.

use millstream_protocol::{Ack, Append, ErrorKind};

use super::wire::{batch_message, put, rows, run, schema, schema_message, stamp};
use crate::program::Server;

fn count(server: &Server) -> String {
    server.ok(&["sql", "-c", "SELECT count(*) AS n, count(DISTINCT id) AS d FROM t", "--format", "csv"])
}

fn table(options: &str) -> Server {
    let server = Server::start();
    server.ok(&["sql", "-c", &format!("CREATE TABLE t (id BIGINT NOT NULL, word VARCHAR) {options}")]);
    server
}

fn stamped(batches: std::ops::Range<u64>) -> Vec<arrow_flight::FlightData> {
    let mut messages = vec![schema_message(&schema(), "t")];
    messages.extend(batches.map(|n| batch_message(&rows(n as i64 * 10, 10), stamp(n))));
    messages
}

fn firsts(acks: &[Ack]) -> Vec<u64> {
    acks.iter().map(|ack| ack.appended[0].first_offset).collect()
}

#[test]
fn repeats_are_answered_as_the_first_time() {
    let server = table("");
    run(async {
        let (acks, end) = put(&server, stamped(0..100)).await;
        end.unwrap();
        assert_eq!(acks.iter().map(|ack| ack.sequence).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
        assert_eq!(firsts(&acks), (0..100).map(|n| n * 10).collect::<Vec<_>>());
        assert!(acks.iter().all(|ack| !ack.duplicate && ack.error.is_none()));

        // As after a break: some of it again, and more.
        let (again, end) = put(&server, stamped(90..110)).await;
        end.unwrap();
        assert_eq!(firsts(&again), (90..110).map(|n| n * 10).collect::<Vec<_>>());
        assert_eq!(again.iter().filter(|ack| ack.duplicate).count(), 10);
    });
    assert_eq!(count(&server), "n,d\n1100,1100\n");
}

#[test]
fn a_missing_batch_is_noticed() {
    let server = table("");
    run(async {
        let (acks, end) = put(&server, [stamped(0..2), stamped(5..6).split_off(1)].concat()).await;
        assert_eq!(acks.len(), 3);
        assert_eq!(acks[2].error.as_ref().map(|error| error.kind()), Some(ErrorKind::FailedPrecondition));
        assert!(end.unwrap_err().message().contains("sequence"));
    });
    assert_eq!(count(&server), "n,d\n20,20\n");
}

#[test]
fn plain_batches_need_no_metadata_and_large_ones_are_split() {
    let server = table("");
    run(async {
        let large = rows(0, 400_000);
        let (acks, end) =
            put(&server, vec![schema_message(&schema(), "t"), batch_message(&large, Append::default())]).await;
        end.unwrap();
        assert_eq!(acks.len(), 1);
        let runs: Vec<_> = acks[0].appended.iter().map(|run| (run.first_offset, run.rows)).collect();
        assert_eq!(runs, [(0, 400_000)], "one run, however many pieces");

        // With a stamp it would have to be one submission.
        let (acks, end) = put(&server, vec![schema_message(&schema(), "t"), batch_message(&large, stamp(0))]).await;
        assert_eq!(acks[0].error.as_ref().map(|error| error.kind()), Some(ErrorKind::ResourceExhausted));
        assert_eq!(end.unwrap_err().code(), tonic::Code::ResourceExhausted);
    });
    assert_eq!(count(&server), "n,d\n400000,400000\n");
}

#[test]
fn a_partition_may_be_named() {
    let server = table("WITH (partitions = 3)");
    run(async {
        let append = |partition| Append { partition: Some(partition), ..Append::default() };
        let messages = vec![
            schema_message(&schema(), "t"),
            batch_message(&rows(0, 5), append(2)),
            batch_message(&rows(5, 5), append(9)),
        ];
        let (acks, end) = put(&server, messages).await;
        assert_eq!(acks[0].appended[0].partition, 2);
        assert!(end.unwrap_err().message().contains('9'));
    });
    assert_eq!(count(&server), "n,d\n5,5\n");
}
