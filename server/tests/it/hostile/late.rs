//! Calls that stop in the middle.

use std::time::{Duration, Instant};

use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandStatementIngest, ProstMessageExt, TableDefinitionOptions};
use arrow_flight::{FlightDescriptor, Ticket};
use prost::Message;
use tonic::Code;

use super::raw::{Raw, framed, half};
use crate::flight::wire::{batch_message, connect, put, rows, run, schema, schema_message};
use crate::program::Server;

const PATIENCE: Duration = Duration::from_secs(60);

/// A server with `t (id, word)` and rows in it.
fn server(options: &[&str]) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::over(dir.path(), options);
    server.ok(&["sql", "-c", "CREATE TABLE t (id BIGINT NOT NULL, word VARCHAR)"]);
    run(async {
        let mut messages = vec![schema_message(&schema(), "t")];
        messages.extend((0..10).map(|n| batch_message(&rows(n * 20_000, 20_000), Default::default())));
        put(&server, messages).await.1.unwrap();
    });
    (dir, server)
}

async fn ticket(server: &Server, statement: &str) -> Ticket {
    let mut client = FlightSqlServiceClient::new_from_inner(connect(server).await);
    let info = client.execute(statement.to_owned(), None).await.unwrap();
    info.endpoint[0].ticket.clone().unwrap()
}

/// A million million rows, or so.
const ENDLESS: &str = "SELECT a.word, b.id FROM t AS a CROSS JOIN t AS b";

#[test]
fn half_a_message_is_given_up() {
    let (_dir, server) = server(&["--receive-timeout-ms", "500"]);
    let head = framed(&schema_message(&schema(), "t"));
    for (call, before, len) in [
        ("DoPut", &head[..], 100_000),
        ("DoPut", &[], 100_000),
        ("DoPut", &head, 20 << 20),
        ("DoExchange", &[], 1 << 20),
        ("GetFlightInfo", &[], 50_000),
        ("DoGet", &[], 1 << 20),
    ] {
        let mut raw = Raw::connect(server.grpc).unwrap();
        raw.call(call).unwrap();
        raw.send(before).unwrap();
        raw.send(&half(len, 9000)).unwrap();
        assert!(raw.ends_within(PATIENCE), "{call} of {len} bytes goes on for ever");
    }
    assert!(server.metric("messages_late_total") >= 6.0);
    server.until_metric("ingress_bytes", 0.0);
    assert_eq!(server.ok(&["sql", "-c", "SELECT count(*) AS n FROM t", "--format", "csv"]), "n\n200000\n");
}

/// Streams that each send messages of so many rows, all at once; what went wrong with any of them.
fn produce(server: &Server, connections: usize, streams: usize, messages: usize, count: i64) -> Vec<tonic::Status> {
    let batch = batch_message(&rows(0, count), Default::default());
    run(async {
        let mut producers = tokio::task::JoinSet::new();
        for _ in 0..connections {
            let client = connect(server).await;
            for _ in 0..streams {
                let (mut client, sent) = (client.clone(), std::iter::repeat_n(batch.clone(), messages));
                producers.spawn(async move {
                    let sent: Vec<_> = std::iter::once(schema_message(&schema(), "t")).chain(sent).collect();
                    let mut acks = client.do_put(tokio_stream::iter(sent)).await?.into_inner();
                    while acks.message().await?.is_some() {}
                    Ok(())
                });
            }
        }
        producers.join_all().await.into_iter().filter_map(Result::err).collect()
    })
}

/// What one message still misses may lie in the socket behind what another has sent that waits for room.
#[test]
fn streams_of_one_connection_do_not_hold_each_other_up() {
    let (_dir, server) = server(&[]);
    // More than a connection's large messages, than its part of the room for others, and than all of that.
    for (connections, streams, messages, rows) in [(1, 8, 2, 150_000), (1, 40, 2, 20_000), (8, 25, 2, 20_000)] {
        let failed = produce(&server, connections, streams, messages, rows);
        assert!(failed.is_empty(), "{connections} connections of {streams} streams: {failed:?}");
    }
    assert_eq!(server.metric("messages_late_total"), 0.0);
    server.until_metric("ingress_bytes", 0.0);
}

#[test]
fn a_reader_who_never_reads_is_ended_and_its_statement_with_it() {
    let (_dir, server) = server(&["--write-idle-timeout-ms", "500"]);
    let ticket = run(ticket(&server, ENDLESS));
    let mut never = Raw::connect(server.grpc).unwrap();
    never.call("DoGet").unwrap();
    never.send(&framed(&ticket)).unwrap();
    never.finish().unwrap();
    server.until_metric("connections_ended_total", 1.0);
    server.until_metric("flight_calls{call=\"do_get\"}", 0.0);
    server.until_metric("egress_bytes", 0.0);
    // The others are served.
    assert_eq!(server.ok(&["sql", "-c", "SELECT count(*) AS n FROM t", "--format", "csv"]), "n\n200000\n");
}

#[test]
fn a_statement_ends_when_its_time_is_over() {
    let (_dir, server) = server(&[]);
    let asked = |millis: &'static str, statement: &'static str| {
        run(async {
            let mut request = tonic::Request::new(ticket(&server, statement).await);
            request.metadata_mut().insert("millstream-statement-timeout-ms", millis.parse().unwrap());
            let mut answer = connect(&server).await.do_get(request).await?.into_inner();
            while answer.message().await?.is_some() {}
            Ok::<(), tonic::Status>(())
        })
    };
    for statement in [ENDLESS, "SELECT count(*) FROM t AS a, t AS b WHERE a.id + b.id < -1"] {
        let status = asked("400", statement).unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        assert!(status.message().contains("longer than the 400 ms"), "{status:?}");
    }
    asked("600000", "SELECT count(*) FROM t").unwrap();
    assert_eq!(asked("soon", "SELECT 1").unwrap_err().code(), Code::InvalidArgument);
    server.until_metric("flight_calls{call=\"do_get\"}", 0.0);
}

#[test]
fn the_operator_sets_a_time_for_statements_too() {
    let (_dir, server) = server(&["--statement-timeout-ms", "2000"]);
    let (status, answer) =
        server.http("POST", "/v1/sql", &[], b"SELECT count(*) FROM t AS a, t AS b WHERE a.id + b.id < -1");
    let answer = String::from_utf8(answer).unwrap();
    assert_eq!(status, 507, "{answer}");
    assert!(answer.contains("longer than the 2000 ms"), "{answer}");
    let (status, answer) = server.http("POST", "/v1/sql", &[("millstream-statement-timeout-ms", "x")], b"SELECT 1");
    assert_eq!(status, 400, "{}", String::from_utf8_lossy(&answer));
    let output = server.run(&["sql", "-c", "SELECT count(*) FROM t AS a, t AS b WHERE a.id + b.id < -1"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("longer than the 2000 ms"));
}

#[test]
fn a_table_that_was_made_for_an_ingest_goes_with_its_client() {
    let (_dir, server) = server(&[]);
    // Made if it is not there, and then filled.
    let options = TableDefinitionOptions { if_not_exist: 1, if_exists: 1 };
    let command = CommandStatementIngest {
        table_definition_options: Some(options),
        table: "made".to_owned(),
        ..CommandStatementIngest::default()
    };
    let mut head = schema_message(&schema(), "t");
    head.flight_descriptor = Some(FlightDescriptor::new_cmd(command.as_any().encode_to_vec()));
    let mut raw = Raw::connect(server.grpc).unwrap();
    raw.call("DoPut").unwrap();
    raw.send(&framed(&head)).unwrap();
    raw.send(&framed(&batch_message(&rows(0, 1000), Default::default()))).unwrap();
    let count = || server.run(&["sql", "-c", "SELECT count(*) AS n FROM made", "--format", "csv"]);
    let until = |what: &str, reached: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !reached() {
            assert!(begun.elapsed() < PATIENCE, "{what}");
        }
    };
    until("the rows come in", &|| count().stdout == b"n\n1000\n");
    drop(raw);
    until("the table goes", &|| String::from_utf8_lossy(&count().stderr).contains("made does not exist"));
}
