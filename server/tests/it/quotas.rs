//! Limits of rates, at the doors that wait or refuse by themselves; those of RocketMQ's clients are beside their other tests.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, FlightDescriptor, PutResult, SchemaAsIpc};
use arrow_ipc::writer::IpcWriteOptions;
use millstream_engine::{NamespaceLimit, UserChanges};
use millstream_protocol::{
    Ack, Append, Commit, Heartbeat, Hello, PartitionOffset, consumer_reply::Reply, consumer_request::Request,
};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::flight::wire::{Exchange, batch_message, connect, hello, rows, run, schema};
use crate::program::Server;
use crate::tenants::Tenants;

fn sql(server: &Server, statement: &str) {
    server.ok(&["sql", "-c", statement]);
}

/// A stream of batches, one after the other.
struct Put {
    messages: mpsc::Sender<FlightData>,
    acks: Streaming<PutResult>,
    next: i64,
}

impl Put {
    async fn begin(client: &FlightServiceClient<Channel>, namespace: &str) -> Put {
        let (messages, receiver) = mpsc::channel(64);
        let path = FlightDescriptor::new_path(vec![namespace.to_owned(), "t".to_owned()]);
        let begin = FlightData::from(SchemaAsIpc::new(&schema(), &IpcWriteOptions::default())).with_descriptor(path);
        messages.send(begin).await.unwrap();
        let acks = client.clone().do_put(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        Put { messages, acks, next: 0 }
    }

    /// How long it takes until as many rows are acknowledged.
    async fn put(&mut self, count: i64) -> Duration {
        let begun = Instant::now();
        self.messages.send(batch_message(&rows(self.next, count), Append::default())).await.unwrap();
        self.next += count;
        let PutResult { app_metadata } = self.acks.message().await.unwrap().expect("an acknowledgement");
        let ack = Ack::decode(app_metadata).unwrap();
        assert!(ack.error.is_none(), "{ack:?}");
        begun.elapsed()
    }
}

const HELD: Duration = Duration::from_millis(1_500);

#[test]
fn a_stream_of_rows_is_held_back_and_those_of_others_are_not() {
    let server = Server::start();
    for statement in [
        "CREATE NAMESPACE slow WITH (rows_in_per_second = 1000)",
        "CREATE NAMESPACE other",
        "CREATE TABLE slow.t (id BIGINT NOT NULL, word VARCHAR)",
        "CREATE TABLE other.t (id BIGINT NOT NULL, word VARCHAR)",
    ] {
        sql(&server, statement);
    }
    run(async {
        // Over one connection.
        let client = connect(&server).await;
        let (mut slow, mut other) = (Put::begin(&client, "slow").await, Put::begin(&client, "other").await);
        // More than a second's goes, and is waited for.
        slow.put(3_000).await;
        let begun = Instant::now();
        let (held, ()) = tokio::join!(slow.put(1), async {
            for _ in 0..10 {
                assert!(other.put(3_000).await < HELD);
            }
            assert!(begun.elapsed() < HELD, "{:?}", begun.elapsed());
        });
        assert!(held > HELD, "{held:?}");
        // A limit that is taken away is found by who waits.
        slow.put(400_000).await;
        let (held, ()) = tokio::join!(slow.put(1), async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let take_away = ["sql", "-c", "ALTER NAMESPACE slow SET (rows_in_per_second = 'default')"];
            tokio::task::block_in_place(|| server.ok(&take_away));
        });
        assert!(held < Duration::from_secs(30), "{held:?}");
    });
    let count = server.ok(&["sql", "-c", "SELECT count(*) AS n FROM slow.t", "--format", "csv"]);
    assert_eq!(count, "n\n403002\n");
    assert!(server.metric("quota_throttled_total{quota=\"rows_in_per_second\"}") >= 2.0);
}

#[test]
fn a_consumer_is_sent_no_more_for_a_while_and_commits_go_on() {
    let server = Server::start();
    for statement in [
        "CREATE TABLE t (id BIGINT NOT NULL, word VARCHAR)",
        "ALTER NAMESPACE public SET (rows_out_per_second = 10)",
        "INSERT INTO t SELECT value, 'w' FROM generate_series(1, 1000)",
    ] {
        sql(&server, statement);
    }
    run(async {
        let mut stream = Exchange::open(&server, Hello { client_id: "c".to_owned(), ..hello("g", "t") }).await;
        let rows_in = |reply: Reply| matches!(reply, Reply::Batch(_)).then_some(());
        stream.until(rows_in).await;
        // 99 s are owed.
        tokio::task::block_in_place(|| sql(&server, "INSERT INTO t VALUES (1001, 'late')"));
        let begun = Instant::now();
        let entries = vec![PartitionOffset { partition: 0, next_offset: 1_000 }];
        stream.send(Request::Commit(Commit { request_id: 1, entries, generation: 0 })).await;
        stream.send(Request::Heartbeat(Heartbeat::default())).await;
        let (mut committed, mut heard) = (false, false);
        while !(committed && heard) {
            match stream.next().await.0 {
                Reply::CommitAck(ack) => {
                    assert!(ack.error.is_none(), "{ack:?}");
                    committed = true;
                }
                Reply::HeartbeatAck(_) => heard = true,
                Reply::Batch(batch) => panic!("too early: {batch:?}"),
                _ => {}
            }
        }
        assert!(begun.elapsed() < HELD, "{:?}", begun.elapsed());
        let early = tokio::time::timeout(HELD, stream.until(rows_in)).await;
        assert!(early.is_err(), "rows came while 99 s were owed");
        tokio::task::block_in_place(|| sql(&server, "ALTER NAMESPACE public SET (rows_out_per_second = unlimited)"));
        stream.until(rows_in).await;
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    });
}

/// Status, headers and body.
fn post(address: std::net::SocketAddr, headers: &str, statement: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = statement.len();
    let head =
        format!("POST /v1/sql HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}content-length: {length}");
    stream.write_all(format!("{head}\r\n\r\n{statement}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

#[test]
fn a_statement_that_is_too_much_is_told_when_to_come_again() {
    let server = Server::start();
    let ask = |statement: &str| post(server.http, "", statement);
    for statement in ["CREATE TABLE t (id BIGINT)", "ALTER NAMESPACE public SET (rows_in_per_second = 10)"] {
        assert_eq!(ask(statement).0, 200);
    }
    assert_eq!(ask("INSERT INTO t SELECT value FROM generate_series(1, 60)").0, 200);
    let (status, answer) = ask("INSERT INTO t VALUES (1)");
    assert_eq!(status, 429, "{answer}");
    let after: u64 = answer.split_once("retry-after: ").unwrap().1.split_once("\r\n").unwrap().0.parse().unwrap();
    assert!((2..=5).contains(&after), "{answer}");
    assert!(answer.contains("\"throttled\"") && answer.contains("rows_in_per_second"), "{answer}");
    let (status, answer) = ask("SELECT count(*) AS n FROM t");
    assert!(status == 200 && answer.contains("{\"n\":60}"), "nothing of it was appended: {answer}");

    // Rows that go out are waited for, and requests are counted by themselves.
    let out = "ALTER NAMESPACE public SET (rows_in_per_second = 'default', rows_out_per_second = 20)";
    assert_eq!(ask(out).0, 200);
    assert_eq!(ask("SELECT * FROM t").0, 200);
    let begun = Instant::now();
    assert_eq!(ask("SELECT * FROM t LIMIT 1").0, 200);
    assert!(begun.elapsed() > HELD, "{:?}", begun.elapsed());
    let requests = "ALTER NAMESPACE public SET (rows_out_per_second = 'default', requests_per_second = 1)";
    assert_eq!(ask(requests).0, 200);
    let statuses: Vec<u16> = (0..4).map(|_| ask("SELECT 1").0).collect();
    assert!(statuses[0] == 200 && statuses.contains(&429), "{statuses:?}");
}

#[test]
fn limits_of_one_user_are_no_others_and_connections_are_counted() {
    let tenants = Tenants::start();
    let limits = [(NamespaceLimit::RequestsPerSecond, Some(1)), (NamespaceLimit::Connections, Some(2))];
    let changes = UserChanges { limits: limits.into(), ..UserChanges::default() };
    tenants.engine().alter_user(tenants.admin(), "ann", changes).unwrap();
    let ask = |user: &str| {
        use base64::Engine as _;
        let shown = base64::prelude::BASE64_STANDARD.encode(format!("{user}:a password of his"));
        post(tenants.address("http"), &format!("authorization: Basic {shown}\r\n"), "SELECT 1 AS n")
    };
    let of_ann: Vec<u16> = (0..5).map(|_| ask("ann").0).collect();
    assert!(of_ann[0] == 200 && of_ann.contains(&429), "{of_ann:?}");
    assert_eq!((0..5).map(|_| ask("bob").0).collect::<Vec<_>>(), [200; 5]);

    let limits = [(NamespaceLimit::RequestsPerSecond, None)].into();
    tenants.engine().alter_user(tenants.admin(), "ann", UserChanges { limits, ..UserChanges::default() }).unwrap();
    let mut held: Vec<_> = (0..2).map(|_| crate::remoting::quotas::signed_in(&tenants, "ann")).collect();
    let (status, answer) = ask("ann");
    assert!(status == 429 && answer.contains("over its connections"), "{answer}");
    assert_eq!(ask("bob").0, 200);
    drop(held.pop());
    let until = Instant::now() + Duration::from_secs(20);
    while ask("ann").0 != 200 {
        assert!(Instant::now() < until, "a place is free");
        std::thread::yield_now();
    }
}
