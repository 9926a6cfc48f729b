//! Consumers that join while their group's retry topic is made.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_engine::disk::GatedDisk;
use millstream_server::config::Config;
use millstream_server::serve::Server;
use serde_json::json;

use super::Remoting;

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
