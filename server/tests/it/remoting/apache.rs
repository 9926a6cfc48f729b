//! Codes and properties that are as Apache's broker has them, which was asked.

use serde_json::{Value, json};

use super::{Remoting, message};
use crate::program::Server;

#[test]
fn what_is_not_there_has_the_codes_of_apache() {
    let server = Server::start();
    let mut client = Remoting::connect(server.remoting);
    assert_eq!(client.ask(310, &message("t", 0, ""), b"one").0, 0);
    let asked = |zero: Option<&str>| {
        let mut fields = json!({"consumerGroup": "g", "topic": "t", "queueId": 0});
        if let Some(zero) = zero {
            fields["setZeroIfNotFound"] = Value::from(zero);
        }
        fields
    };
    // Who begins where is the client's choice, if it says so.
    assert_eq!([None, Some("true"), Some("false")].map(|zero| client.ask(14, &asked(zero), b"").0), [0, 0, 22]);
    assert_eq!(client.ask(310, &message("t", 99, ""), b"one").0, 29);
    assert_eq!(client.ask(310, &message(&"t".repeat(127), 0, ""), b"one").0, 0);
    assert_eq!(client.ask(310, &message(&"t".repeat(128), 0, ""), b"one").0, 29);
}

#[test]
fn what_is_given_back_is_marked() {
    let server = Server::start();
    let mut client = Remoting::connect(server.remoting);
    let (code, header, _) = client.ask(310, &message("t", 0, "WAIT\u{1}true\u{2}"), b"one");
    assert_eq!(code, 0, "{header}");
    // The last half of the id is where the message lies.
    let id = header["extFields"]["msgId"].as_str().unwrap();
    let offset = u64::from_str_radix(&id[16..], 16).unwrap();
    let back = |level: i32| json!({"offset": offset, "group": "g", "delayLevel": level, "originMsgId": "o", "originTopic": "t", "maxReconsumeTimes": 16});
    for level in [1, -1] {
        assert_eq!(client.ask(36, &back(level), b"").0, 0);
    }
    let dead = server.ok(&[
        "sql",
        "--format",
        "csv",
        "-c",
        "SELECT property(properties, 'WAIT') AS wait, property(properties, 'DELAY') AS delay, attempts FROM \"%DLQ%g\"",
    ]);
    assert_eq!(dead.lines().nth(1), Some("false,0,1"));
}
