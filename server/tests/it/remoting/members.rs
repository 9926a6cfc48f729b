//! Consumers of one group: who joins, who is there, and whose queues are whose.

use std::net::SocketAddr;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use millstream_engine::disk::GatedDisk;
use millstream_server::config::Config;
use millstream_server::serve::Server;
use serde_json::{Value, json};

use super::{Remoting, message};
use crate::program;

/// Far above what it takes on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(60);

fn joins(client: &str, group: &str) -> Vec<u8> {
    let consumer = json!({"groupName": group, "consumeType": "CONSUME_PASSIVELY", "messageModel": "CLUSTERING", "subscriptionDataSet": []});
    json!({"clientID": client, "consumerDataSet": [consumer], "producerDataSet": []}).to_string().into_bytes()
}

#[test]
fn a_consumer_is_of_its_group_before_its_retry_topic_is_there_and_is_not_if_there_can_be_none() {
    let dir = tempfile::tempdir().unwrap();
    let disk = GatedDisk::default();
    let mut config = Config::new(dir.path().join("data"));
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    (config.grpc, config.http, config.remoting) = (any, any, any);
    config.engine.disk = Arc::new(disk.clone());
    config.engine.free_space_floor_bytes = 0;
    let server = Server::start(&config).unwrap();
    let address = server.address("remoting").unwrap();
    let mut asking = Remoting::connect(address);
    let mut answer = |group: &str| asking.ask(38, &json!({"consumerGroup": group}), b"");
    assert_eq!(answer("g").0, 1);

    disk.let_pass(Some(0));
    let mut joining = Remoting::connect(address);
    joining.send(34, &json!({}), &joins("c1", "g"));
    let begun = Instant::now();
    let listed = loop {
        let (code, _, list) = answer("g");
        if code == 0 || begun.elapsed() > LIMIT {
            break String::from_utf8(list).unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    disk.let_pass(None);
    assert!(listed.contains("c1"), "{listed}");
    let (header, _) = joining.receive();
    assert_eq!(header["code"], 0, "{header}");
    assert_eq!(joining.ask(105, &json!({"topic": "%RETRY%g"}), b"").0, 0);

    let long = "g".repeat(250);
    let (code, header, _) = joining.ask(34, &json!({}), &joins("c1", &long));
    assert_ne!(code, 0, "{header}");
    assert_eq!(answer(&long).0, 1);
}

#[test]
fn consumers_know_of_each_other_and_lock_queues() {
    let server = program::Server::start();
    let mut one = Remoting::connect(server.remoting);
    one.ask(310, &message("t", 0, ""), b"x");
    one.heartbeat("c1");
    let mut two = Remoting::connect(server.remoting);
    two.heartbeat("c2");
    // Once for itself, once for the other.
    for _ in 0..2 {
        let (header, _) = one.receive();
        assert_eq!((header["code"].as_i64(), header["extFields"]["consumerGroup"].as_str()), (Some(40), Some("g")));
    }
    let (_, _, list) = one.ask(38, &json!({"consumerGroup": "g"}), b"");
    assert_eq!(String::from_utf8(list).unwrap(), r#"{"consumerIdList":["c1","c2"]}"#);
    assert_eq!(one.ask(105, &json!({"topic": "%RETRY%g"}), b"").0, 0, "made with the heartbeat");
    let locks = |client: &str| {
        json!({"clientId": client, "consumerGroup": "g", "mqSet": [
            {"brokerName": "millstream", "queueId": 0, "topic": "t"}, {"brokerName": "millstream", "queueId": 99, "topic": "t"}
        ]})
        .to_string()
    };
    let mut locked = |client: &str| {
        let (_, _, body) = one.ask(41, &json!({}), locks(client).as_bytes());
        serde_json::from_slice::<Value>(&body).unwrap()["lockOKMQSet"].as_array().unwrap().len()
    };
    assert_eq!((locked("c1"), locked("c2"), locked("c1")), (1, 0, 1));
    drop(two);
    let (header, _) = one.receive();
    assert_eq!(header["code"].as_i64(), Some(40), "the other has gone");
    one.ask(42, &json!({}), locks("c1").as_bytes());
    one.ask(35, &json!({"clientID": "c1", "consumerGroup": "g"}), b"");
    assert_eq!(one.ask(38, &json!({"consumerGroup": "g"}), b"").0, 1);
}

#[test]
fn who_comes_at_the_same_time_finds_what_one_of_them_has_made() {
    const CLIENTS: usize = 6;
    let server = program::Server::start();
    let together = Barrier::new(CLIENTS);
    let come = |client: usize| {
        let mut connection = Remoting::connect(server.remoting);
        let mut answers = Vec::new();
        for round in 0..10 {
            together.wait();
            let body = joins(&format!("c{client}"), &format!("new-group-{round}"));
            answers.push(connection.ask(34, &json!({}), &body));
            together.wait();
            answers.push(connection.ask(310, &message(&format!("new-{round}"), 0, ""), b"x"));
        }
        answers
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(move || come(client))).collect();
        for (code, header, _) in clients.into_iter().flat_map(|client| client.join().unwrap()) {
            assert_eq!(code, 0, "{header}");
        }
    });
}
