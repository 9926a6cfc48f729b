//! RocketMQ's protocol over gRPC, message by message. What real clients do is in `tests/e2e`.

mod client;
mod commands;
mod given_back;
mod hostile;
mod proto;
mod quotas;
mod retries;
mod signed;
mod trace;

use std::time::{Duration, Instant};

use client::{Client, delayed, in_group, of};
use proto::*;

use crate::flight::wire::run;
use crate::program::Server;

fn code(status: &Option<Status>) -> Code {
    status.as_ref().unwrap().code()
}

#[test]
fn routes_say_what_a_topic_takes_and_where_the_client_has_connected_to() {
    let server = Server::start();
    server.ok(&["sql", "-c", "CREATE TABLE o OF MESSAGES WITH (kind = 'ordered', partitions = 3)"]);
    server.ok(&["sql", "-c", "CREATE TABLE rows (a BIGINT)"]);
    run(async {
        let mut client = Client::connect(&server, "c").await;
        let endpoints = |scheme: AddressScheme, host: &str, port| Endpoints {
            scheme: scheme.into(),
            addresses: vec![Address { host: host.to_owned(), port }],
        };
        let said = endpoints(AddressScheme::DomainName, "broker.example", 80);
        let route = client.route("o", Some(said.clone())).await;
        let queues = route.message_queues;
        assert_eq!((code(&route.status), queues.len()), (Code::Ok, 3));
        assert_eq!(queues.iter().map(|queue| queue.id).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(queues[0].accept_message_types, [i32::from(MessageType::Fifo)]);
        assert_eq!(queues[0].broker.as_ref().unwrap().endpoints, Some(said));
        // Without a word it is the address of the connection.
        let route = client.route("new", None).await;
        let address = server.grpc;
        let dialled = endpoints(AddressScheme::IPv4, &address.ip().to_string(), address.port().into());
        assert_eq!((code(&route.status), route.message_queues.len()), (Code::Ok, 8));
        assert_eq!(route.message_queues[0].broker.as_ref().unwrap().endpoints, Some(dialled));
        assert_eq!(code(&client.route("rows", None).await.status), Code::Ok, "it can be pulled");
        assert_eq!(code(&client.route(" ", None).await.status), Code::IllegalTopic);
        assert_eq!(code(&client.route("TBW102", None).await.status), Code::IllegalTopic);
        for wrong in [
            endpoints(AddressScheme::IPv4, "", 80),
            endpoints(AddressScheme::IPv4, "h", 70_000),
            endpoints(AddressScheme::Unspecified, "h", 80),
            endpoints(AddressScheme::DomainName, &"h".repeat(2_000), 80),
        ] {
            assert_eq!(code(&client.route("o", Some(wrong)).await.status), Code::IllegalAccessPoint);
        }
        let mut nobody = Client::connect(&server, "").await;
        assert_eq!(code(&nobody.route("o", None).await.status), Code::ClientIdRequired);
    });
}

#[test]
fn messages_are_rows() {
    let server = Server::start();
    run(async {
        let mut client = Client::connect(&server, "c").await;
        let mut message = in_group(of("t", "1", b"body"), "g");
        message.user_properties.insert("own".to_owned(), "1".to_owned());
        let properties = message.system_properties.as_mut().unwrap();
        properties.tag = Some("a".to_owned());
        properties.keys = vec!["k".to_owned(), "l".to_owned()];
        properties.born_timestamp = Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 5_000_000 });
        let sent = client.send(vec![message]).await;
        assert_eq!((code(&sent.status), sent.entries.len(), sent.entries[0].offset), (Code::Ok, 1, 0));
        assert_eq!(sent.entries[0].message_id, "1");
        // Each kind of mistake has its code, and nothing of such a request is sent.
        for (message, expected) in [
            (of("t", "", b"x"), Code::IllegalMessageId),
            (client::tagged(of("t", "2", b"x"), "a|b"), Code::IllegalMessageTag),
            (in_group(of("t", "2", b"x"), " "), Code::IllegalMessageGroup),
            (in_group(delayed(of("t", "2", b"x"), i64::MAX / 1_000_000), "g"), Code::MessagePropertyConflictWithType),
            (delayed(of("t", "2", b"x"), i64::MAX / 1_000_000), Code::IllegalDeliveryTime),
            (client::with(of("t", "2", b"x"), "UNIQ_KEY", "y"), Code::IllegalMessagePropertyKey),
            (client::with(of("t", "2", b"x"), "a", "b\u{1}"), Code::IllegalMessagePropertyKey),
            (client::with(of("t", "2", b"x"), "a", &"b".repeat(20_000)), Code::MessagePropertiesTooLarge),
            (of("t", "2", &vec![0; (4 << 20) + 1]), Code::MessageBodyTooLarge),
            (client::packed(of("t", "2", b"no gzip")), Code::MessageCorrupted),
            (Message { system_properties: None, ..of("t", "2", b"x") }, Code::BadRequest),
            (Message { topic: None, ..of("t", "2", b"x") }, Code::IllegalTopic),
        ] {
            let sent = client.send(vec![of("t", "3", b"x"), message]).await;
            assert_eq!((code(&sent.status), sent.entries.len()), (expected, 0));
        }
        assert_eq!(code(&client.send(Vec::new()).await.status), Code::BadRequest);
        assert_eq!(code(&client.send(vec![of("t", "3", b"x"), of("u", "4", b"x")]).await.status), Code::BadRequest);
    });
    let row = "SELECT message_id, tag, keys, property(properties, 'own') AS own, CAST(body AS VARCHAR) AS body, message_group, born_ts FROM t";
    let rows = server.ok(&["sql", "-c", row, "--format", "json"]);
    let row: serde_json::Value = serde_json::from_str(rows.trim()).unwrap();
    let row = if row.is_array() { row[0].clone() } else { row };
    assert_eq!((&row["message_id"], &row["tag"], &row["own"]), (&"1".into(), &"a".into(), &"1".into()));
    assert_eq!(
        (&row["keys"], &row["body"], &row["message_group"]),
        (&serde_json::json!(["k", "l"]), &"body".into(), &"g".into())
    );
}

#[test]
fn namespaces_of_clients_are_those_of_tables() {
    let server = Server::start();
    run(async {
        let mut client = Client::connect(&server, "c").await.within("shop");
        assert_eq!(code(&client.send(vec![of("t", "1", b"x")]).await.status), Code::Ok);
        // A name's own namespace goes before the client's.
        let mut other = of("t", "2", b"x");
        other.topic = Some(Resource { resource_namespace: "other".to_owned(), name: "t".to_owned() });
        assert_eq!(code(&client.send(vec![other]).await.status), Code::Ok);
        let (status, messages) = client.receive("t", 8, Duration::from_secs(5)).await;
        assert_eq!((code(&status), messages.len()), (Code::Ok, 1));
        // As clients of 4.x write it.
        let mut plain = Client::connect(&server, "d").await;
        assert_eq!(code(&plain.send(vec![of("shop%t", "3", b"x")]).await.status), Code::Ok);
        assert_eq!(code(&plain.receive("t", 8, Duration::ZERO).await.0), Code::TopicNotFound);
    });
    let ids = |table: &str| {
        server.ok(&["sql", "-c", &format!("SELECT message_id FROM {table} ORDER BY 1"), "--format", "csv"])
    };
    assert!(ids("shop.t").contains('1') && ids("shop.t").contains('3') && ids("other.t").contains('2'));
}

#[test]
fn what_a_topic_does_not_take_is_refused() {
    let server = Server::start();
    server.ok(&["sql", "-c", "CREATE TABLE n OF MESSAGES WITH (kind = 'normal')"]);
    run(async {
        let mut client = Client::connect(&server, "c").await;
        let refused = client.send(vec![in_group(of("n", "1", b"x"), "g")]).await;
        assert_eq!(code(&refused.status), Code::MessagePropertyConflictWithType);
        assert_eq!(code(&client.send(vec![of("n", "1", b"x")]).await.status), Code::Ok);
    });
}

#[test]
fn messages_are_handed_out_acknowledged_and_given_back() {
    let server = Server::start();
    run(async {
        let mut client = Client::connect(&server, "c").await;
        assert_eq!(code(&client.receive("t", 1, Duration::ZERO).await.0), Code::TopicNotFound);
        let sent = (0..3).map(|number| of("t", &number.to_string(), b"body")).collect();
        assert_eq!(code(&client.send(sent).await.status), Code::Ok);
        let (status, messages) = client.receive("t", 16, Duration::from_secs(5)).await;
        assert_eq!(code(&status), Code::Ok);
        let mut taken = messages;
        while taken.len() < 3 {
            taken.extend(client.receive("t", 16, Duration::from_secs(5)).await.1);
        }
        let handle = |message: &Message| message.system_properties.clone().unwrap().receipt_handle.unwrap();
        let properties = taken[0].system_properties.clone().unwrap();
        assert_eq!((properties.delivery_attempt, properties.message_type()), (Some(1), MessageType::Normal));
        assert_eq!(properties.body_digest.unwrap().checksum, "841A2D689AD86BD1611447453C22C6FC");
        let begun = Instant::now();
        assert_eq!(code(&client.receive("t", 16, Duration::from_millis(300)).await.0), Code::MessageNotFound);
        assert!(begun.elapsed() >= Duration::from_millis(250), "it waits");
        // One is acknowledged, twice; one by what is no receipt.
        let answer = client.acknowledge("t", &[handle(&taken[0]), "none".to_owned()]).await;
        assert_eq!(code(&answer.status), Code::MultipleResults);
        let codes: Vec<Code> = answer.entries.iter().map(|entry| code(&entry.status)).collect();
        assert_eq!(codes, [Code::Ok, Code::InvalidReceiptHandle]);
        assert_eq!(code(&client.acknowledge("t", &[handle(&taken[0])]).await.status), Code::Ok);
        // One is given back, and its receipt is of no use any more.
        let changed = client.change("t", &handle(&taken[1]), Duration::ZERO).await;
        assert_eq!(code(&changed.status), Code::Ok);
        let (_, again) = client.receive("t", 16, Duration::from_secs(5)).await;
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].system_properties.as_ref().unwrap().delivery_attempt, Some(2));
        assert_eq!(code(&client.acknowledge("t", &[handle(&taken[1])]).await.status), Code::InvalidReceiptHandle);
        assert_eq!(
            code(&client.change("t", &handle(&taken[1]), Duration::ZERO).await.status),
            Code::InvalidReceiptHandle
        );
        let too_long = Duration::from_secs(13 * 3_600);
        assert_eq!(code(&client.change("t", &handle(&again[0]), too_long).await.status), Code::IllegalInvisibleTime);
        // One is given up.
        assert_eq!(code(&client.give_up("t", &handle(&again[0])).await.status), Code::Ok);
        assert_eq!(code(&client.receive("t", 16, Duration::ZERO).await.0), Code::MessageNotFound);
    });
    assert!(server.ok(&["sql", "-c", "SELECT count(*) AS n FROM \"%DLQ%g\" WHERE message_id = '1'"]).contains('1'));
}

#[test]
fn transactions_end_once_and_offsets_are_kept() {
    let server = Server::start();
    server.ok(&["sql", "-c", "CREATE TABLE t OF MESSAGES WITH (partitions = 1)"]);
    run(async {
        let mut client = Client::connect(&server, "c").await;
        let half = |id: &str| {
            let mut message = of("t", id, b"half");
            message.system_properties.as_mut().unwrap().message_type = MessageType::Transaction.into();
            message
        };
        let sent = client.send(vec![half("1")]).await;
        let id = sent.entries[0].transaction_id.clone();
        assert_eq!((code(&sent.status), id.is_empty()), (Code::Ok, false));
        assert_eq!(
            code(&client.end("t", "2", &id, TransactionResolution::Commit).await.status),
            Code::InvalidTransactionId
        );
        assert_eq!(
            code(&client.end("t", "1", "x", TransactionResolution::Commit).await.status),
            Code::InvalidTransactionId
        );
        assert_eq!(code(&client.end("u", "1", &id, TransactionResolution::Commit).await.status), Code::TopicNotFound);
        assert_eq!(code(&client.receive("t", 1, Duration::ZERO).await.0), Code::MessageNotFound);
        assert_eq!(code(&client.end("t", "1", &id, TransactionResolution::Commit).await.status), Code::Ok);
        assert_eq!(
            code(&client.end("t", "1", &id, TransactionResolution::Commit).await.status),
            Code::InvalidTransactionId
        );
        let pulled = client.pull("t", 0, 0).await;
        assert_eq!((code(&pulled.0), pulled.1.len(), pulled.2), (Code::Ok, 1, 1));
        let properties = pulled.1[0].system_properties.as_ref().unwrap();
        assert_eq!((properties.message_type(), properties.queue_offset), (MessageType::Transaction, Some(0)));
        assert!(pulled.1[0].user_properties.is_empty());
        assert_eq!(code(&client.pull("t", 0, 1).await.0), Code::MessageNotFound);
        assert_eq!(code(&client.pull("t", 0, 2).await.0), Code::IllegalOffset);
        assert_eq!(code(&client.pull("t", 7, 0).await.0), Code::BadRequest);
        assert_eq!(client.offsets("t").await, (0, 1));
        assert_eq!(code(&client.committed("t", "h").await.status), Code::OffsetNotFound);
        assert_eq!(code(&client.commit("t", "h", -1).await.status), Code::IllegalOffset);
        assert_eq!(code(&client.commit("t", "h", 1).await.status), Code::Ok);
        assert_eq!(client.committed("t", "h").await.offset, 1);
    });
}

#[test]
fn topics_and_tables_of_rows_are_pulled_and_nothing_else() {
    let server = Server::start();
    server.ok(&["sql", "-c", "CREATE TABLE t OF MESSAGES WITH (partitions = 1)"]);
    server.ok(&["sql", "-c", "CREATE TABLE rows (a BIGINT) WITH (partitions = 1); INSERT INTO rows VALUES (7)"]);
    run(async {
        let mut client = Client::connect(&server, "c").await;
        let sent = vec![of("t", "1", b"one"), client::tagged(of("t", "2", b"two"), "a"), of("t", "3", b"three")];
        assert_eq!(code(&client.send(sent).await.status), Code::Ok);
        server.ok(&[
            "sql",
            "-c",
            "CREATE TOPIC s AS SELECT message_id, tag, body, _offset * 2 AS twice FROM t WHERE tag = 'a'",
        ]);
        let (status, messages, next) = client.pull("s", 0, 0).await;
        assert_eq!((code(&status), messages.len(), next), (Code::Ok, 1, 3));
        let system = messages[0].system_properties.clone().unwrap();
        assert_eq!((system.message_id.as_str(), system.tag.as_deref(), system.queue_offset), ("2", Some("a"), Some(1)));
        assert_eq!((&messages[0].body[..], messages[0].user_properties["twice"].as_str()), (&b"two"[..], "2"));
        assert_eq!((client.offsets("s").await, code(&client.pull("s", 0, 3).await.0)), ((0, 3), Code::MessageNotFound));
        assert_eq!(code(&client.commit("s", "h", 2).await.status), Code::Ok);
        assert_eq!(client.committed("s", "h").await.offset, 2);
        assert_eq!(code(&client.committed("t", "h").await.status), Code::OffsetNotFound, "not the table's");
        let rows = client.pull("rows", 0, 0).await.1;
        assert_eq!((&rows[0].body[..], rows[0].user_properties["a"].as_str()), (&br#"{"a":7}"#[..], "7"));
        for topic in ["s", "rows"] {
            assert_eq!(code(&client.send(vec![of(topic, "4", b"x")]).await.status), Code::BadRequest);
            assert_eq!(code(&client.receive(topic, 1, Duration::ZERO).await.0), Code::BadRequest);
        }
    });
}

#[test]
fn delayed_messages_are_recalled() {
    let server = Server::start();
    run(async {
        let mut client = Client::connect(&server, "c").await;
        let seconds = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let sent = client.send(vec![delayed(of("t", "1", b"x"), i64::try_from(seconds).unwrap() + 600)]).await;
        let handle = sent.entries[0].recall_handle.clone();
        assert!(!handle.is_empty());
        assert_eq!(code(&client.recall("u", &handle).await.status), Code::BadRequest);
        assert_eq!(code(&client.recall("t", "x").await.status), Code::BadRequest);
        let recalled = client.recall("t", &handle).await;
        assert_eq!((code(&recalled.status), recalled.message_id.as_str()), (Code::Ok, "1"));
        assert_eq!(code(&client.recall("t", &handle).await.status), Code::MessageNotFound);
    });
}

#[test]
fn clients_tell_of_themselves_and_are_alive_as_long_as_their_stream() {
    let server = Server::start();
    server.ok(&["sql", "-c", "CREATE TABLE o OF MESSAGES WITH (kind = 'ordered')"]);
    run(async {
        let mut client = Client::connect(&server, "c").await;
        assert_eq!(code(&client.heartbeat().await.status), Code::UnrecognizedClientType);
        let settings = client::push_consumer("o");
        let (commands, mut answers) = client.telemetry().await;
        commands.send(client::settings(settings.clone())).await.unwrap();
        let answer = answers.message().await.unwrap().unwrap();
        let Some(telemetry_command::Command::Settings(told)) = answer.command else { panic!("{answer:?}") };
        assert_eq!(told.backoff_policy.unwrap().max_attempts, 17);
        let Some(settings::PubSub::Subscription(told)) = told.pub_sub else { panic!("a consumer's") };
        assert_eq!((told.fifo, told.receive_batch_size), (Some(true), Some(32)));
        // Node's clients read no list of times.
        let agent = Ua { language: Language::NodeJs.into(), ..Ua::default() };
        commands.send(client::settings(Settings { user_agent: Some(agent), ..settings.clone() })).await.unwrap();
        let answer = answers.message().await.unwrap().unwrap();
        let Some(telemetry_command::Command::Settings(told)) = answer.command else { panic!("{answer:?}") };
        let policy = told.backoff_policy.unwrap();
        assert_eq!(policy.max_attempts, 17);
        let Some(retry_policy::Strategy::ExponentialBackoff(times)) = policy.strategy else { panic!("{policy:?}") };
        assert_eq!((times.initial.unwrap().seconds, times.multiplier), (1, 2.0));
        assert_eq!(code(&client.heartbeat().await.status), Code::Ok);
        let shown = || server.ok(&["sql", "-c", "SELECT client_id FROM system.subscriptions", "--format", "csv"]);
        assert!(shown().contains('c'));
        // What clients don't say is answered, and ends nothing.
        let command = telemetry_command::Command::ReconnectEndpointsCommand(ReconnectEndpointsCommand::default());
        commands.send(TelemetryCommand { status: None, command: Some(command) }).await.unwrap();
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!(code(&answer.status), Code::Unsupported);
        drop((commands, answers));
        let end = Instant::now() + Duration::from_secs(10);
        while code(&client.heartbeat().await.status) == Code::Ok {
            assert!(Instant::now() < end, "alive without a stream");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let (commands, mut answers) = client.telemetry().await;
        let lite = Settings { client_type: Some(ClientType::LitePushConsumer.into()), ..settings };
        commands.send(client::settings(lite)).await.unwrap();
        assert_eq!(answers.message().await.unwrap_err().code(), tonic::Code::Unimplemented);
    });
}
