//! The RocketMQ door, spoken to byte by byte. What real clients do is in `tests/e2e`.

mod apache;
mod cpp;
mod members;
pub(crate) mod quotas;
mod rights;
pub(crate) mod signed;
mod together;
mod truncated;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use crate::plugin::guest;
use crate::program::Server;

const CONSUMER: &str = r#"{"groupName":"g","consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","subscriptionDataSet":
    [{"topic":"t","subString":"a || b","expressionType":"TAG","subVersion":5}]}"#;

pub(crate) struct Remoting<S = TcpStream>(S);

/// With what follows it.
pub(crate) type Message = (Value, Vec<u8>);

impl Remoting {
    pub(crate) fn connect(address: SocketAddr) -> Remoting {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
        Remoting(stream)
    }
}

impl<S: Read + Write> Remoting<S> {
    pub(crate) fn over(stream: S) -> Remoting<S> {
        Remoting(stream)
    }

    pub(crate) fn send(&mut self, code: i32, fields: &Value, body: &[u8]) {
        let header = json!({"code": code, "extFields": fields, "flag": 0, "opaque": code, "version": 409});
        self.0.write_all(&framed(0, header.to_string().as_bytes(), body)).unwrap();
    }

    pub(crate) fn receive(&mut self) -> Message {
        let mut number = [0; 4];
        self.0.read_exact(&mut number).unwrap();
        let mut message = vec![0; usize::try_from(u32::from_be_bytes(number)).unwrap()];
        self.0.read_exact(&mut message).unwrap();
        number.copy_from_slice(&message[..4]);
        let header = 4 + usize::try_from(u32::from_be_bytes(number) & 0xff_ffff).unwrap();
        (serde_json::from_slice(&message[4..header]).unwrap(), message[header..].to_vec())
    }

    /// The answer's code, fields and body; notices that come before it are passed over.
    pub(crate) fn ask(&mut self, code: i32, fields: &Value, body: &[u8]) -> (i64, Value, Vec<u8>) {
        self.send(code, fields, body);
        loop {
            let (header, body) = self.receive();
            if header["flag"] == 1 {
                assert_eq!(header["opaque"], code);
                return (header["code"].as_i64().unwrap(), header, body);
            }
        }
    }

    pub(crate) fn heartbeat(&mut self, client: &str) {
        let body = format!(r#"{{"clientID":"{client}","consumerDataSet":[{CONSUMER}],"producerDataSet":[]}}"#);
        let (code, header, _) = self.ask(34, &json!({}), body.as_bytes());
        assert_eq!((code, header["version"].as_i64()), (0, Some(409)));
    }

    /// Whether the server has closed it.
    fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0; 1]), Ok(0) | Err(_))
    }
}

fn framed(form: u8, header: &[u8], body: &[u8]) -> Vec<u8> {
    let mut message = u32::try_from(4 + header.len() + body.len()).unwrap().to_be_bytes().to_vec();
    message.extend((u32::from(form) << 24 | u32::try_from(header.len()).unwrap()).to_be_bytes());
    message.extend_from_slice(header);
    message.extend_from_slice(body);
    message
}

pub(crate) fn message(topic: &str, queue: i32, properties: &str) -> Value {
    json!({"a": "p", "b": topic, "c": "TBW102", "d": 4, "e": queue, "f": 0, "g": 1_700_000_000_000_i64, "h": 0,
           "i": properties, "j": 0, "k": false, "m": false})
}

fn pull(queue: i32, offset: u64, flag: i32) -> Value {
    json!({"consumerGroup": "g", "topic": "t", "queueId": queue, "queueOffset": offset, "maxMsgNums": 32, "sysFlag": flag,
           "commitOffset": 0, "suspendTimeoutMillis": 20_000, "subVersion": 5})
}

#[test]
fn messages_go_in_and_out() {
    let server = Server::start();
    let mut client = Remoting::connect(server.remoting);
    assert_eq!(client.ask(105, &json!({"topic": "t"}), b"").0, 17);
    let (code, _, route) = client.ask(105, &json!({"topic": "TBW102"}), b"");
    let here = format!(r#""brokerAddrs":{{"0":"{}"}}"#, server.remoting);
    assert!(code == 0 && String::from_utf8(route).unwrap().contains(&here));
    for (number, tag) in ["a", "b", "c", "a"].into_iter().enumerate() {
        let properties =
            format!("UNIQ_KEY\u{1}id{number}\u{2}TAGS\u{1}{tag}\u{2}KEYS\u{1}k l\u{2}own\u{1}{number}\u{2}");
        let (code, header, _) = client.ask(310, &message("t", 2, &properties), format!("body {number}").as_bytes());
        let fields = &header["extFields"];
        assert_eq!((code, fields["queueOffset"].as_str()), (0, Some(number.to_string().as_str())), "{header}");
        assert_eq!(fields["msgId"].as_str().unwrap().len(), 32);
    }
    let rows = server.ok(&[
        "sql",
        "--format",
        "csv",
        "-c",
        "SELECT message_id, tag, keys, property(properties, 'own') AS own, _partition FROM t ORDER BY message_id LIMIT 1",
    ]);
    assert_eq!(rows.lines().nth(1).map(|row| row.replace(['"', ' '], "")), Some("id0,a,[k,l],0,2".to_owned()));

    client.heartbeat("c1");
    let (code, header, body) = client.ask(11, &pull(2, 0, 2), b"");
    let fields = &header["extFields"];
    let bounds = ["nextBeginOffset", "minOffset", "maxOffset"].map(|name| fields[name].as_str().unwrap());
    assert_eq!((code, bounds), (0, ["4", "0", "4"]));
    let bodies = |body: &[u8]| {
        body.windows(6)
            .filter_map(|part| std::str::from_utf8(part).ok()?.strip_prefix("body ")?.parse().ok())
            .collect::<Vec<u32>>()
    };
    assert_eq!(bodies(&body), [0, 1, 3], "those of the subscription");
    let (code, _, _) = client.ask(11, &pull(2, 4, 0), b"");
    assert_eq!(code, 19);
    let (code, header, _) = client.ask(11, &pull(2, 9, 0), b"");
    assert_eq!((code, header["extFields"]["nextBeginOffset"].as_str()), (21, Some("4")));

    // A long poll is answered by what comes.
    client.send(11, &pull(2, 4, 2), b"");
    let mut other = Remoting::connect(server.remoting);
    assert_eq!(other.ask(310, &message("t", 2, "TAGS\u{1}b\u{2}"), b"body 7").0, 0);
    let (header, body) = client.receive();
    assert_eq!((header["code"].as_i64(), bodies(&body)), (Some(0), vec![7]), "{header}");
}

/// A heartbeat of a consumer by a condition.
fn by_condition(client: &str, expression: &str, version: u32) -> String {
    json!({"clientID": client, "consumerDataSet": [{"groupName": "g", "messageModel": "CLUSTERING", "subscriptionDataSet": [
        {"topic": "t", "subString": expression, "expressionType": "SQL92", "subVersion": version}]}]})
    .to_string()
}

/// The numbers in angle brackets.
fn bracketed(body: &[u8]) -> Vec<u32> {
    let text = String::from_utf8_lossy(body).into_owned();
    text.split('<').skip(1).filter_map(|part| part.split('>').next()?.parse().ok()).collect()
}

#[test]
fn conditions_are_looked_at_here() {
    let server = Server::start();
    let mut client = Remoting::connect(server.remoting);
    for number in 0..500 {
        let value = if number == 300 { "three hundred".to_owned() } else { number.to_string() };
        let properties = format!("TAGS\u{1}a\u{2}amount\u{1}{value}\u{2}");
        assert_eq!(client.ask(310, &message("t", 0, &properties), format!("<{number}>").as_bytes()).0, 0);
    }
    let mut sql = pull(0, 0, 0);
    sql["expressionType"] = json!("SQL92");
    let (code, ..) = client.ask(11, &sql, b"");
    assert_eq!(code, 24, "who does not look at properties itself waits for its heartbeat");
    client.ask(34, &json!({}), by_condition("c1", "amount >= 200 AND amount < 310 AND TAGS = 'a'", 5).as_bytes());
    let (mut found, mut from) = (Vec::new(), 0);
    loop {
        sql["queueOffset"] = json!(from);
        let (code, header, body) = client.ask(11, &sql, b"");
        from = header["extFields"]["nextBeginOffset"].as_str().unwrap().parse().unwrap();
        match code {
            0 => found.extend(bracketed(&body)),
            20 => {}
            _ => break assert_eq!((code, from), (19, 500)),
        }
    }
    assert_eq!(found, (200..310).filter(|number| *number != 300).collect::<Vec<_>>());
    let log =
        server.ok(&["sql", "--format", "csv", "-c", "SELECT message FROM system.log WHERE kind = 'filter_failed'"]);
    assert!(log.contains("offset 300") && log.contains("three hundred"), "{log}");

    // In the request itself, and the errors of both.
    let mut here = pull(0, 0, 4);
    (here["expressionType"], here["subscription"]) = (json!("SQL92"), json!("amount = 7"));
    assert_eq!(bracketed(&client.ask(11, &here, b"").2), [7]);
    here["subscription"] = json!("amount LIKE '7'");
    let (code, header, _) = client.ask(11, &here, b"");
    assert!(code == 23 && header["remark"].as_str().unwrap().contains("LIKE"), "{header}");
    let body = json!({"clientId": "c1", "group": "g", "subscriptionData":
        {"topic": "t", "expressionType": "SQL92", "subString": "amount IN (7)"}});
    let (code, header, _) = client.ask(46, &json!({}), body.to_string().as_bytes());
    assert!(code == 23 && header["remark"].as_str().unwrap().contains("a text in quotes"), "{header}");
    let body = body.to_string().replace("(7)", "('7')");
    assert_eq!(client.ask(46, &json!({}), body.as_bytes()).0, 0);

    // Another consumer of the group asks for other messages, by an expression that is none.
    let mut other = Remoting::connect(server.remoting);
    other.ask(34, &json!({}), by_condition("c2", "amount = ", 6).as_bytes());
    let (code, header, _) = other.ask(11, &sql, b"");
    assert!(code == 27 && header["remark"].as_str().unwrap().contains("the end found"), "{header}");
    let shown = server.ok(&[
        "sql",
        "--format",
        "csv",
        "-c",
        "SELECT client_id, kind, expression, differs FROM system.subscriptions WHERE topic = 't' ORDER BY 1",
    ]);
    let lines: Vec<&str> = shown.lines().skip(1).collect();
    assert_eq!(lines, ["c1,SQL92,amount >= 200 AND amount < 310 AND TAGS = 'a',true", "c2,SQL92,amount = ,true"]);
    let log = server.ok(&[
        "sql",
        "--format",
        "csv",
        "-c",
        "SELECT message FROM system.log WHERE kind = 'subscriptions_differ'",
    ]);
    assert!(log.contains("c1") && log.contains("c2"), "{log}");
}

#[test]
fn what_a_plugin_fails_on_is_not_passed_over() {
    let server = Server::start();
    let module = guest("traps").display().to_string();
    server.ok(&["plugin", "load", "picky", &module, "--config", "negative"]);
    let mut client = Remoting::connect(server.remoting);
    for number in 0..100 {
        let value = if number == 70 { -1 } else { number };
        let properties = format!("amount\u{1}{number}\u{2}value\u{1}{value}\u{2}");
        assert_eq!(client.ask(310, &message("t", 0, &properties), format!("<{number}>").as_bytes()).0, 0);
    }
    client.ask(34, &json!({}), by_condition("c1", "amount >= 40 AND picky(value)", 5).as_bytes());
    let mut sql = pull(0, 0, 0);
    sql["expressionType"] = json!("SQL92");
    let (mut found, mut answered) = (Vec::new(), 0);
    while answered == 0 {
        let (code, header, body) = client.ask(11, &sql, b"");
        answered = code;
        if code == 0 {
            found.extend(bracketed(&body));
            sql["queueOffset"] = header["extFields"]["nextBeginOffset"].clone();
        } else {
            assert!(header["remark"].as_str().unwrap().contains("at offset 70"), "{header}");
        }
    }
    assert_eq!((answered, found), (1, (40..70).collect::<Vec<_>>()));
    let log =
        server.ok(&["sql", "--format", "csv", "-c", "SELECT message FROM system.log WHERE kind = 'filter_failed'"]);
    assert!(log.contains("offset 70"), "{log}");
    // Another version is asked from where the queue has stopped.
    server.ok(&["plugin", "load", "picky", &module, "--config", "1000", "--replace"]);
    let (code, _, body) = client.ask(11, &sql, b"");
    assert_eq!((code, bracketed(&body)), (0, (70..100).collect::<Vec<_>>()));
}

#[test]
fn offsets_are_committed_and_reset() {
    let server = Server::start();
    let mut client = Remoting::connect(server.remoting);
    for _ in 0..3 {
        client.ask(310, &message("t", 0, "TAGS\u{1}a\u{2}"), b"x");
    }
    client.heartbeat("c1");
    let at = |fields: Value| {
        let mut all = json!({"consumerGroup": "g", "topic": "t", "queueId": 0});
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        all
    };
    let (code, header, _) = client.ask(14, &at(json!({})), b"");
    assert_eq!((code, header["extFields"]["offset"].as_str()), (0, Some("0")), "a new queue");
    assert_eq!(client.ask(14, &at(json!({"queueId": 1})), b"").0, 22, "an empty one");
    assert_eq!(client.ask(15, &at(json!({"commitOffset": 2})), b"").0, 0);
    assert_eq!(client.ask(15, &at(json!({"commitOffset": 7})), b"").0, 13, "beyond the end");
    let (_, header, _) = client.ask(14, &at(json!({})), b"");
    assert_eq!(header["extFields"]["offset"], "2");
    server.ok(&["sql", "-c", "ALTER CONSUMER GROUP g SET OFFSET TO 1 ON t PARTITION 0"]);
    assert_eq!(client.ask(15, &at(json!({"commitOffset": 3})), b"").0, 0, "passed over");
    let (code, header, _) = client.ask(11, &pull(0, 3, 2), b"");
    assert_eq!((code, header["extFields"]["nextBeginOffset"].as_str()), (21, Some("1")), "its clients are told");
    assert_eq!(client.ask(15, &at(json!({"commitOffset": 3})), b"").0, 0);
    let (_, header, _) = client.ask(14, &at(json!({})), b"");
    assert_eq!(header["extFields"]["offset"], "3");
    let (_, header, _) = client.ask(30, &at(json!({})), b"");
    assert_eq!(header["extFields"]["offset"], "3");
    let (_, header, _) = client.ask(29, &at(json!({"timestamp": 0})), b"");
    assert_eq!(header["extFields"]["offset"], "0");
}

#[test]
fn what_is_not_served_says_so() {
    let server = Server::start();
    let mut client = Remoting::connect(server.remoting);
    let refused = |client: &mut Remoting, code, fields: Value, number, part: &str| {
        let (answered, header, _) = client.ask(code, &fields, b"x");
        let remark = header["remark"].as_str().unwrap_or_default();
        assert!(answered == number && remark.contains(part), "{code}: {answered} {remark}");
    };
    refused(&mut client, 200_052, json!({}), 3, "PEEK_MESSAGE");
    refused(&mut client, 37, json!({}), 1, "no field producerGroup");
    refused(
        &mut client,
        37,
        json!({"producerGroup": "g", "commitLogOffset": 5, "commitOrRollback": 8}),
        1,
        "transaction",
    );
    refused(&mut client, 99_999, json!({}), 3, "99999");
    refused(&mut client, 310, message("t", 0, "DELAY\u{1}19\u{2}"), 13, "1 to 18");
    refused(&mut client, 310, message("TBW102", 0, ""), 13, "TBW102");
    refused(&mut client, 310, json!({"a": "p"}), 1, "no field b");
    refused(
        &mut client,
        11,
        json!({"topic": "none", "consumerGroup": "g", "queueId": 0, "queueOffset": 0}),
        17,
        "none",
    );
    refused(&mut client, 34, json!({}), 13, "heartbeat");
    refused(&mut client, 36, json!({"offset": 5, "group": "g"}), 1, "physical offset 5");
    refused(&mut client, 33, json!({"offset": 5}), 1, "physical offset 5");
    server.ok(&["sql", "-c", "CREATE TABLE plain (a BIGINT)"]);
    refused(&mut client, 310, message("plain", 0, ""), 13, "without messages");
}

#[test]
fn what_is_no_request_closes_its_connection_alone() {
    let server = Server::start();
    let mut other = Remoting::connect(server.remoting);
    other.ask(310, &message("t", 0, ""), b"x");
    let whole = framed(0, br#"{"code":105,"extFields":{"topic":"t"},"opaque":1}"#, b"body");
    let mut wrong: Vec<Vec<u8>> = vec![
        b"POST / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0x16, 3, 1, 0],
        vec![0xff; 8],
        vec![0, 0, 0, 0],
        framed(0, b"{", b""),
        framed(7, b"{}", b""),
        framed(0, br#"{"code":"x"}"#, b""),
    ];
    // Lengths that promise more than there is.
    for cut in 0..whole.len() - 8 {
        let mut short = whole[..whole.len() - 4 - cut.min(whole.len() - 12)].to_vec();
        let len = u32::try_from(short.len() - 4).unwrap();
        short[..4].copy_from_slice(&len.to_be_bytes());
        if cut > 0 {
            wrong.push(short);
        }
    }
    for bytes in wrong {
        let mut client = Remoting::connect(server.remoting);
        client.0.write_all(&bytes).unwrap();
        assert!(client.is_closed(), "{bytes:?}");
    }
    for cut in 1..whole.len() {
        let mut client = Remoting::connect(server.remoting);
        client.0.write_all(&whole[..cut]).unwrap();
    }
    assert_eq!(other.ask(105, &json!({"topic": "t"}), b"").0, 0);
}
