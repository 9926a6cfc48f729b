//! What becomes of messages is noted.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Client, of};
use super::code;
use super::proto::*;
use crate::flight::wire::run;
use crate::program::Server;
use crate::remoting::Remoting;

fn noted(server: &Server, steps: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let printed = server.run(&["message", "trace", "t", "1", "--format", "json"]);
        let rows: Vec<Value> =
            crate::program::stdout(&printed).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        if rows.len() >= steps || begun.elapsed() > Duration::from_secs(30) {
            return rows;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn each_delivery_and_what_became_of_it_is_noted() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::over(dir.path(), &["--message-trace", "true"]);
    server.ok(&["sql", "-c", "CREATE TABLE t OF MESSAGES WITH (partitions = 1)"]);
    run(async {
        let mut client = Client::connect(&server, "c").await;
        assert_eq!(code(&client.send(vec![of("t", "0", b"x"), of("t", "1", b"y")]).await.status), Code::Ok);
        assert_eq!(noted(&server, 2).len(), 2, "nothing but produced and stored");
        let (_, messages) = client.receive("t", 2, Duration::from_secs(10)).await;
        let second = messages[1].system_properties.clone().unwrap();
        let changed = client.change("t", &second.receipt_handle.unwrap(), Duration::ZERO).await;
        assert_eq!(code(&changed.status), Code::Ok);
        let (_, messages) = client.receive("t", 1, Duration::from_secs(10)).await;
        let again = messages[0].system_properties.clone().unwrap().receipt_handle.unwrap();
        assert_eq!(code(&client.acknowledge("t", &[again]).await.status), Code::Ok);
    });
    let mut puller = Remoting::connect(server.remoting);
    let body = r#"{"clientID":"p","consumerDataSet":[{"groupName":"other","consumeType":"CONSUME_ACTIVELY","messageModel":"BROADCASTING",
        "subscriptionDataSet":[]}],"producerDataSet":[]}"#;
    assert_eq!(puller.ask(34, &json!({}), body.as_bytes()).0, 0);
    let fields = json!({"consumerGroup": "other", "topic": "t", "queueId": "0", "queueOffset": "0", "maxMsgNums": "32", "sysFlag": "4",
        "commitOffset": "0", "suspendTimeoutMillis": "0", "subscription": "*", "subVersion": "1", "expressionType": "TAG"});
    assert_eq!(puller.ask(11, &fields, &[]).0, 0);

    let rows = noted(&server, 7);
    let told: Vec<(&str, &str, &str, Option<i64>)> = rows
        .iter()
        .map(|row| {
            let text = |name: &str| row[name].as_str().unwrap();
            (text("step"), text("group_id"), text("client_id"), row["attempt"].as_i64())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("produced", "", "", None),
            ("stored", "", "", None),
            ("delivered", "g", "c", Some(1)),
            ("made_visible", "g", "c", None),
            ("delivered", "g", "c", Some(2)),
            ("acknowledged", "g", "c", None),
            ("delivered", "other", "p", None),
        ]
    );
    assert!(rows[2]["client_address"].as_str().unwrap().starts_with("127.0.0.1:"), "{:?}", rows[2]);
    assert!(rows.iter().all(|row| row["offset"] == 1 && row["partition"] == 0), "{rows:?}");
    // One note for messages that lie one behind the other.
    let runs = server.ok(&[
        "sql",
        "-c",
        "SELECT first_offset, messages FROM message_trace WHERE step = 'delivered' ORDER BY at",
        "--format",
        "csv",
    ]);
    assert_eq!(runs, "first_offset,messages\n0,2\n1,1\n0,2\n");
    let (status, _) = server.http("GET", "/metrics", &[], b"");
    assert_eq!((status, server.metric("message_notes_lost_total")), (200, 0.0));
}
