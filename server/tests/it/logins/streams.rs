//! What goes on for long ends within a second of the end of the login or the right that it rests on, idle or not.

use std::time::{Duration, Instant};

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, FlightDescriptor};
use futures::StreamExt;
use millstream_client::{Client, Credentials, ErrorKind};
use millstream_protocol::consumer_reply::Reply;
use millstream_protocol::{ConsumerReply, ConsumerRequest, EndReason, consumer_request::Request};
use prost::Message;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::{ANN, admin, client, done, run, server, told};
use crate::flight::wire::{batch_message, connect, hello, rows, schema, schema_message};
use crate::program::Server;

/// A second, and what a busy machine takes to hear of it.
const IN_TIME: Duration = Duration::from_millis(1_500);

type Flight = FlightServiceClient<Channel>;
/// How a stream has ended: the kind of its error.
type Ended = JoinSet<ErrorKind>;

/// What goes on beside the test, and ends with it.
fn kept(ends: impl Future<Output = ErrorKind> + Send + 'static) -> Ended {
    let mut kept = JoinSet::new();
    kept.spawn(ends);
    kept
}

fn named(status: &tonic::Status) -> ErrorKind {
    let kind = status.metadata().get("millstream-error-kind").expect("the server names it").to_str().unwrap();
    ErrorKind::from_str_name(&format!("ERROR_KIND_{}", kind.to_uppercase())).unwrap()
}

fn request(token: &str, messages: mpsc::Receiver<FlightData>) -> tonic::Request<ReceiverStream<FlightData>> {
    let mut request = tonic::Request::new(ReceiverStream::new(messages));
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

async fn reply(replies: &mut tonic::Streaming<FlightData>) -> Reply {
    loop {
        let data = replies.message().await.unwrap().expect("an end");
        if !data.app_metadata.is_empty() {
            return ConsumerReply::decode(data.app_metadata).unwrap().reply.unwrap();
        }
    }
}

/// A member that has seen its assignment, and waits for rows; with credit or without.
async fn member(mut flight: Flight, token: &str, group: &str, credit_bytes: u64) -> Ended {
    let (requests, receiver) = mpsc::channel(16);
    let hello = Request::Hello(millstream_protocol::Hello { credit_bytes, ..hello(group, "t") });
    let first = ConsumerRequest { request: Some(hello) }.encode_to_vec();
    requests.send(FlightData::new().with_app_metadata(first)).await.unwrap();
    let mut replies = flight.do_exchange(request(token, receiver)).await.unwrap().into_inner();
    while !matches!(reply(&mut replies).await, Reply::Assignment(_)) {}
    kept(async move {
        let _open = requests;
        loop {
            if let Reply::End(end) = reply(&mut replies).await {
                assert_eq!(end.reason(), EndReason::Error);
                return end.error.unwrap().kind();
            }
        }
    })
}

/// A producer that has appended something, and sends no more.
async fn producer(mut flight: Flight, token: &str) -> Ended {
    let (messages, receiver) = mpsc::channel(16);
    messages.send(schema_message(&schema(), "t")).await.unwrap();
    messages.send(batch_message(&rows(0, 1), Default::default())).await.unwrap();
    let mut acks = flight.do_put(request(token, receiver)).await.unwrap().into_inner();
    acks.message().await.unwrap().expect("an acknowledgement");
    kept(async move {
        let _open = messages;
        named(&acks.message().await.expect_err("an end"))
    })
}

/// A bulk ingest that has sent something, and sends no more.
async fn ingest(mut flight: Flight, token: &str) -> Ended {
    let command = arrow_flight::sql::CommandStatementIngest {
        table: "t".to_owned(),
        table_definition_options: None,
        ..Default::default()
    };
    let command = arrow_flight::sql::ProstMessageExt::as_any(&command).encode_to_vec();
    let (messages, receiver) = mpsc::channel(16);
    let schema = schema_message(&schema(), "t").with_descriptor(FlightDescriptor::new_cmd(command));
    messages.send(schema).await.unwrap();
    let request = request(token, receiver);
    kept(async move {
        let _open = messages;
        match flight.do_put(request).await {
            Err(refused) => named(&refused),
            Ok(answers) => named(&answers.into_inner().message().await.expect_err("an end")),
        }
    })
}

/// A statement whose first rows have come, or that waits for them.
async fn statement(client: Client, statement: String, waits: bool) -> Ended {
    let mut rows = client.query(&statement).await.unwrap().batches;
    if !waits {
        rows.next().await.unwrap().unwrap();
    }
    kept(async move {
        loop {
            match rows.next().await.expect("it is long") {
                Ok(_) => tokio::time::sleep(Duration::from_millis(2)).await,
                Err(error) => return error.kind(),
            }
        }
    })
}

/// One of each, by a token of the user's; and what they are.
async fn streams(server: &Server, token: &str, group: &str) -> Vec<(&'static str, Ended)> {
    let client = client(server, Credentials::token(token)).await;
    let poll = format!("SELECT * FROM poll('t', 'polls_{group}', 10, 60000)");
    let long = "SELECT a.id FROM t a CROSS JOIN t b CROSS JOIN t c CROSS JOIN t d".to_owned();
    let flight = || connect(server);
    vec![
        ("a member that waits for rows", member(flight().await, token, group, 1 << 20).await),
        ("a member without credit", member(flight().await, token, &format!("{group}_2"), 0).await),
        ("a producer", producer(flight().await, token).await),
        ("an ingest", ingest(flight().await, token).await),
        ("a poll", statement(client.clone(), poll, true).await),
        ("a long query", statement(client, long, false).await),
    ]
}

async fn end_in_time(what: &str, since: Instant, streams: Vec<(&'static str, Ended)>, kind: ErrorKind, but: &[&str]) {
    for (stream, mut ended) in streams {
        if but.contains(&stream) {
            assert!(ended.try_join_next().is_none(), "{stream} goes on after {what}");
            continue;
        }
        let left = (since + IN_TIME).saturating_duration_since(Instant::now());
        let ended = tokio::time::timeout(left, ended.join_next())
            .await
            .unwrap_or_else(|_| panic!("{stream} goes on after {what}"));
        assert_eq!(ended.unwrap().unwrap(), kind, "{stream} after {what}");
    }
}

const RIGHTS: [&str; 2] = ["GRANT PRODUCE, READ, CONSUME ON TABLE t TO ann", "GRANT CONSUME ON GROUP * TO ann"];

async fn prepared(server: &Server) -> Client {
    let admin = admin(server).await;
    let user = format!("CREATE USER ann PASSWORD '{ANN}'");
    done(&admin, &["CREATE TABLE t (id BIGINT NOT NULL, word VARCHAR)", &user, RIGHTS[0], RIGHTS[1]]).await;
    let values: Vec<String> = (0..300).map(|n| format!("({n}, 'w')")).collect();
    done(&admin, &[&format!("INSERT INTO t VALUES {}", values.join(", "))]).await;
    admin
}

#[test]
fn all_ends_with_the_login() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), &[]);
    run(async {
        let admin = prepared(&server).await;
        for (number, end) in [
            "DROP TOKEN n FOR ann",
            "ALTER TOKEN n FOR ann ROTATE",
            "ALTER USER ann SET (disabled = true)",
            "DROP USER ann",
        ]
        .into_iter()
        .enumerate()
        {
            done(&admin, &["ALTER USER ann SET (disabled = false)", "DROP TOKEN IF EXISTS n FOR ann"]).await;
            let token = told(&admin, "CREATE TOKEN n FOR ann").await;
            let streams = streams(&server, &token, &format!("g{number}")).await;
            let since = Instant::now();
            done(&admin, &[end]).await;
            end_in_time(end, since, streams, ErrorKind::Unauthenticated, &[]).await;
        }
    });
}

#[test]
fn all_ends_when_a_token_expires() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), &[]);
    run(async {
        let admin = prepared(&server).await;
        let token = told(&admin, "CREATE TOKEN n FOR ann EXPIRES IN '8 s'").await;
        let expires = Instant::now() + Duration::from_secs(8);
        let streams = streams(&server, &token, "g").await;
        end_in_time("its end", expires, streams, ErrorKind::Unauthenticated, &[]).await;
    });
}

#[test]
fn what_a_right_is_revoked_for_ends() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), &[]);
    run(async {
        let admin = prepared(&server).await;
        let token = told(&admin, "CREATE TOKEN n FOR ann").await;
        let members = ["a member that waits for rows", "a member without credit", "a poll"];
        let all = ["a producer", "an ingest", "a long query", members[0], members[1], members[2]];
        for (number, (right, ends)) in [
            ("PRODUCE ON TABLE t", &["a producer", "an ingest"][..]),
            ("READ ON TABLE t", &["a long query"][..]),
            ("CONSUME ON GROUP *", &members[..]),
        ]
        .into_iter()
        .enumerate()
        {
            done(&admin, &RIGHTS).await;
            let streams = streams(&server, &token, &format!("g{number}")).await;
            let since = Instant::now();
            done(&admin, &[&format!("REVOKE {right} FROM ann")]).await;
            let but: Vec<&str> = all.into_iter().filter(|stream| !ends.contains(stream)).collect();
            end_in_time(right, since, streams, ErrorKind::PermissionDenied, &but).await;
        }
    });
}

#[test]
fn a_consumer_and_a_producer_go_on_with_another_token() {
    use std::sync::{Arc, Mutex};
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), &[]);
    run(async {
        let admin = prepared(&server).await;
        let token = Arc::new(Mutex::new(told(&admin, "CREATE TOKEN n FOR ann").await));
        let given = Arc::clone(&token);
        let credentials = Credentials::provider(move || Ok(given.lock().unwrap().clone()));
        let client = client(&server, credentials).await;
        let options = millstream_client::ConsumerOptions::group("g");
        let mut consumer = client.consumer(options, &["t"]).await.unwrap();
        let mut producer = client.producer("t", Default::default());
        producer.send(&rows(1_000, 1)).await.unwrap().await.unwrap();
        let first = consumer.poll(Duration::from_secs(20)).await.unwrap().expect("rows");
        for round in 1..3 {
            let next = told(&admin, "ALTER TOKEN n FOR ann ROTATE").await;
            *token.lock().unwrap() = next;
            producer.send(&rows(1_000 + round, 1)).await.unwrap().await.unwrap();
            let deadline = Instant::now() + Duration::from_secs(20);
            let mut last = first.next_offset;
            while last < first.next_offset + round as u64 {
                assert!(Instant::now() < deadline, "rows do not come");
                if let Some(batch) = consumer.poll(Duration::from_secs(1)).await.unwrap() {
                    last = batch.next_offset;
                }
            }
        }
        admin.sql("DROP TOKEN n FOR ann").await.unwrap();
        let refused = producer.send(&rows(2_000, 1)).await.unwrap().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unauthenticated);
        let refused = loop {
            if let Err(error) = consumer.poll(Duration::from_secs(5)).await {
                break error;
            }
        };
        assert_eq!(refused.kind(), ErrorKind::Unauthenticated);
    });
}
