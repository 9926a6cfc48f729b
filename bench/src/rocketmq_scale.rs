//! What many topics, groups and connections of RocketMQ's clients take while they do nothing.

use std::net::TcpStream;

use serde_json::json;

use crate::process::{self, Server};
use crate::remoting::ask;
use crate::report::Figure;
use crate::{Result, Scale};

const UPDATE_AND_CREATE_TOPIC: i32 = 17;
const HEART_BEAT: i32 = 34;

/// Figures `rocketmq_*_memory`.
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    let (topics, groups, connections) = (scale.pick(500, 10_000), scale.pick(100, 1_000), scale.pick(100, 2_000));
    let dir = tempfile::tempdir()?;
    // One more than there are, for the administrator, and some room.
    let places = (connections + 64).to_string();
    let server = Server::start(&dir.path().join("data"), &["--remoting-connections", &places])?;
    let used = || process::proc_value(server.pid(), "status", "RssAnon");
    let mut administrator = TcpStream::connect(&server.remoting)?;
    let empty = used()?;
    for topic in 0..topics {
        let fields =
            json!({"topic": format!("topic-{topic}"), "readQueueNums": "4", "writeQueueNums": "4", "perm": "6"});
        ask(&mut administrator, UPDATE_AND_CREATE_TOPIC, &fields, "")?;
    }
    let with_topics = used()?;
    let mut clients = Vec::with_capacity(connections);
    for client in 0..connections {
        let mut stream = TcpStream::connect(&server.remoting)?;
        let consumer = json!({
            "groupName": format!("group-{}", client % groups), "consumeType": "CONSUME_PASSIVELY", "messageModel": "CLUSTERING",
            "subscriptionDataSet": [{"topic": format!("topic-{client}"), "subString": "*", "expressionType": "TAG", "subVersion": 1}],
        });
        let body =
            json!({"clientID": format!("client-{client}"), "consumerDataSet": [consumer], "producerDataSet": []});
        ask(&mut stream, HEART_BEAT, &json!({}), &body.to_string())?;
        clients.push(stream);
    }
    let with_clients = used()?;
    let mib = |more: u64, than: u64| more.saturating_sub(than) as f64 / f64::from(1 << 20);
    Ok(vec![
        Figure::reported(
            "rocketmq_topics_memory",
            mib(with_topics, empty),
            "MiB",
            format!("RssAnon above idle with {topics} topics of 4 queues"),
        ),
        Figure::reported(
            "rocketmq_clients_memory",
            mib(with_clients, with_topics),
            "MiB",
            format!("beside them {connections} connections of consumers in {groups} groups"),
        ),
    ])
}
