//! SQL topics and tables of other rows, as consumers over the RocketMQ door read them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::plugin::guest;
use crate::program::Server;
use crate::remoting::{Remoting, message};

/// A message as a pull gives it.
#[derive(Debug, Clone, PartialEq)]
struct Stored {
    topic: String,
    offset: u64,
    physical: u64,
    again: i32,
    body: String,
    properties: Vec<(String, String)>,
}

impl Stored {
    fn property(&self, name: &str) -> Option<&str> {
        self.properties.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// Takes numbers and texts off the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, left) = self.0.split_at(len);
        self.0 = left;
        taken
    }

    fn number<const N: usize>(&mut self) -> u64 {
        self.take(N).iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn text(&mut self, len: u64) -> String {
        String::from_utf8(self.take(usize::try_from(len).unwrap()).to_vec()).unwrap()
    }
}

fn stored(body: &[u8]) -> Vec<Stored> {
    let (mut bytes, mut found) = (Bytes(body), Vec::new());
    while !bytes.0.is_empty() {
        // Size, magic, CRC, queue and flag.
        bytes.take(20);
        let (offset, physical) = (bytes.number::<8>(), bytes.number::<8>());
        // System flag, times and hosts.
        bytes.take(4 + 8 + 8 + 8 + 8);
        let again = i32::try_from(bytes.number::<4>()).unwrap();
        bytes.take(8);
        let len = bytes.number::<4>();
        let body = bytes.text(len);
        let len = bytes.number::<1>();
        let topic = bytes.text(len);
        let len = bytes.number::<2>();
        let properties = bytes.text(len);
        let pairs = properties.split('\u{2}').filter_map(|pair| pair.split_once('\u{1}'));
        let properties = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        found.push(Stored { topic, offset, physical, again, body, properties });
    }
    found
}

fn pull(topic: &str, queue: i32, offset: u64) -> Value {
    json!({"consumerGroup": "g", "topic": topic, "queueId": queue, "queueOffset": offset, "maxMsgNums": 32, "sysFlag": 0,
           "commitOffset": 0, "suspendTimeoutMillis": 20_000, "subVersion": 5})
}

/// With the subscription in the request.
fn pull_by(topic: &str, (kind, expression): (&str, &str)) -> Value {
    let mut pull = pull(topic, 0, 0);
    (pull["sysFlag"], pull["expressionType"], pull["subscription"]) = (json!(4), json!(kind), json!(expression));
    pull
}

/// The answer's code, where it goes on, and the messages.
fn pulled(client: &mut Remoting, pull: &Value) -> (i64, u64, Vec<Stored>) {
    let (code, header, body) = client.ask(11, pull, b"");
    let next = header["extFields"]["nextBeginOffset"].as_str().unwrap_or("0").parse().unwrap();
    (code, next, stored(&body))
}

fn refused(client: &mut Remoting, code: i32, fields: &Value, (number, part): (i64, &str)) {
    let (answered, header, _) = client.ask(code, fields, b"x");
    let remark = header["remark"].as_str().unwrap_or_default();
    assert!(answered == number && remark.contains(part), "{code}: {answered} {remark}");
}

/// Messages with tags a, b, a, b, … and their numbers as amounts.
fn send(client: &mut Remoting, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let tag = if number % 2 == 0 { "a" } else { "b" };
        let properties =
            format!("UNIQ_KEY\u{1}id{number}\u{2}TAGS\u{1}{tag}\u{2}KEYS\u{1}k l\u{2}amount\u{1}{number}\u{2}");
        assert_eq!(client.ask(310, &message("t", 0, &properties), format!("body {number}").as_bytes()).0, 0);
    }
}

const TWICE: &str = "CREATE TOPIC twice AS SELECT message_id, tag, keys, properties, body, \
                     2 * CAST(property(properties, 'amount') AS INT) AS amount FROM t WHERE tag = 'a'";

#[test]
fn a_topic_over_messages_gives_messages() {
    let server = Server::start();
    let mut client = Remoting::connect(server.remoting);
    server.ok(&["sql", "-c", "CREATE TABLE t OF MESSAGES WITH (partitions = 2)"]);
    send(&mut client, 0..6);
    server.ok(&["sql", "-c", TWICE]);
    let (code, _, route) = client.ask(105, &json!({"topic": "twice"}), b"");
    let route: Value = serde_json::from_slice(&route).unwrap();
    assert_eq!((code, &route["queueDatas"][0]["readQueueNums"]), (0, &json!(2)), "{route}");

    let (code, next, found) = pulled(&mut client, &pull("twice", 0, 0));
    assert_eq!((code, next), (0, 6), "behind those that do not pass as well");
    let shown: Vec<_> = found.iter().map(|one| (one.offset, one.body.as_str(), one.property("amount"))).collect();
    let expected = [(0, "body 0", Some("0")), (2, "body 2", Some("4")), (4, "body 4", Some("8"))];
    assert_eq!(shown, expected, "those of the topic, with the source's offsets");
    let one = &found[1];
    let named = ["UNIQ_KEY", "TAGS", "KEYS", "ROWS"].map(|name| one.property(name));
    assert_eq!((one.topic.as_str(), named), ("twice", [Some("id2"), Some("a"), Some("k l"), None]));
    let own = pulled(&mut client, &pull("t", 0, 2)).2;
    assert_eq!(one.physical, own[0].physical, "the place of the row it comes from");
    // What does not pass is passed over at once.
    assert_eq!(pulled(&mut client, &pull("twice", 0, 5)), (20, 6, Vec::new()));
    assert_eq!(pulled(&mut client, &pull("twice", 0, 6)).0, 19);
    assert_eq!(pulled(&mut client, &pull("twice", 0, 9)), (21, 6, Vec::new()));
    assert_eq!(pulled(&mut client, &pull("twice", 1, 0)).0, 19, "the other queue is empty");
    refused(&mut client, 11, &pull("twice", 2, 0), (29, "topic \"twice\" has 2 queues"));

    // Subscriptions look at the message as it now is.
    for (subscription, offsets) in [
        (("SQL92", "amount > 3"), vec![2, 4]),
        (("SQL92", "amount > 3 AND UNIQ_KEY <> 'id4' AND TAGS = 'a'"), vec![2]),
        (("TAG", "a"), vec![0, 2, 4]),
        (("TAG", "b"), vec![]),
    ] {
        let found = pulled(&mut client, &pull_by("twice", subscription)).2;
        assert_eq!(found.iter().map(|one| one.offset).collect::<Vec<_>>(), offsets, "{subscription:?}");
    }

    // Offsets are the source's.
    let at = |fields: Value| {
        let mut all = json!({"consumerGroup": "g", "topic": "twice", "queueId": 0});
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        all
    };
    let offset = |client: &mut Remoting, code: i32, fields: Value| {
        let (code, header, _) = client.ask(code, &at(fields), b"");
        (code, header["extFields"]["offset"].as_str().map(|offset| offset.parse::<u64>().unwrap()))
    };
    assert_eq!(offset(&mut client, 14, json!({})), (0, Some(0)), "a new queue");
    assert_eq!(client.ask(15, &at(json!({"commitOffset": 5})), b"").0, 0);
    assert_eq!(offset(&mut client, 14, json!({})), (0, Some(5)));
    assert_eq!(offset(&mut client, 14, json!({"topic": "t"})), (0, Some(0)), "not the table's");
    assert_eq!([30, 31].map(|code| offset(&mut client, code, json!({})).1), [Some(6), Some(0)]);
    assert_eq!(offset(&mut client, 29, json!({"timestamp": 0})).1, Some(0));
    assert_eq!(offset(&mut client, 29, json!({"timestamp": 4_000_000_000_000_u64})).1, Some(6));
    let lag = server.ok(&[
        "sql",
        "--format",
        "csv",
        "-c",
        "SELECT topic, committed_offset, lag FROM system.offsets WHERE group_id = 'g' AND partition = 0",
    ]);
    assert_eq!(lag.lines().nth(1), Some("twice,5,1"));
    let reset = json!({"topic": "twice", "group": "g", "timestamp": 0, "isForce": true});
    assert_eq!(client.ask(222, &reset, b"").0, 0);
    assert_eq!(pulled(&mut client, &pull("twice", 0, 5)), (21, 0, Vec::new()), "its clients are told");
    let (code, _, stats) = client.ask(202, &json!({"topic": "twice"}), b"");
    assert!(code == 0 && String::from_utf8(stats).unwrap().contains(r#""maxOffset":6"#));

    // One consumer of the topic has its queue, and none of the table's.
    let locks = |client: &str, topic: &str| {
        json!({"clientId": client, "consumerGroup": "g", "mqSet": [{"brokerName": "millstream", "queueId": 0, "topic": topic}]})
            .to_string()
    };
    let mut locked = |client_id: &str, topic: &str| {
        let body = client.ask(41, &json!({}), locks(client_id, topic).as_bytes()).2;
        serde_json::from_slice::<Value>(&body).unwrap()["lockOKMQSet"].as_array().unwrap().len()
    };
    assert_eq!([locked("c1", "twice"), locked("c2", "twice"), locked("c2", "t")], [1, 0, 1]);
}

#[test]
fn what_is_only_read_is_not_sent_to() {
    let server = Server::start();
    let mut client = Remoting::connect(server.remoting);
    send(&mut client, 0..1);
    server.ok(&["sql", "-c", TWICE]);
    server.ok(&["sql", "-c", "CREATE TABLE plain (a BIGINT)"]);
    for (topic, part) in [("twice", "a SQL topic over the table \"t\""), ("plain", "a table without messages")] {
        assert_eq!(client.ask(105, &json!({"topic": topic}), b"").0, 0, "a producer is let through to be told");
        refused(&mut client, 310, &message(topic, 0, ""), (13, part));
        refused(&mut client, 215, &json!({"topic": topic}), (13, part));
        refused(&mut client, 17, &json!({"topic": topic, "readQueueNums": 1, "writeQueueNums": 1}), (13, part));
        refused(&mut client, 12, &json!({"topic": topic, "key": "k", "maxNum": 1}), (13, part));
        let pop = json!({"consumerGroup": "g", "topic": topic, "queueId": -1, "maxMsgNums": 1, "invisibleTime": 10_000, "pollTime": 0});
        refused(&mut client, 200_050, &pop, (13, part));
        let (code, _, config) = client.ask(351, &json!({"topic": topic}), b"");
        let config: Value = serde_json::from_slice(&config).unwrap();
        assert_eq!((code, &config["perm"]), (0, &json!(4)), "{config}");
    }
    let (_, _, list) = client.ask(206, &json!({}), b"");
    assert_eq!(serde_json::from_slice::<Value>(&list).unwrap()["topicList"], json!(["plain", "t", "twice"]));
}

#[test]
fn a_message_of_a_topic_is_given_back_as_it_was_read() {
    let server = Server::start();
    let mut client = Remoting::connect(server.remoting);
    send(&mut client, 0..3);
    server.ok(&["sql", "-c", TWICE]);
    server.ok(&["sql", "-c", "CREATE TABLE plain (a BIGINT); INSERT INTO plain VALUES (7)"]);
    let one = pulled(&mut client, &pull("twice", 0, 1)).2.remove(0);
    let row = (0..4).find_map(|queue| pulled(&mut client, &pull("plain", queue, 0)).2.pop()).unwrap();
    for message in [&one, &row] {
        let back = json!({"offset": message.physical, "group": "g", "delayLevel": -1, "originMsgId": "o",
                          "originTopic": message.topic, "maxReconsumeTimes": 16});
        assert_eq!(client.ask(36, &back, b"").0, 0);
    }
    let dead = pulled(&mut client, &pull("%DLQ%g", 0, 0)).2;
    let shown: Vec<_> = dead.iter().map(|one| (one.body.as_str(), one.again, one.property("RETRY_TOPIC"))).collect();
    assert_eq!(shown, [("body 2", 1, Some("twice")), (r#"{"a":7}"#, 1, Some("plain"))]);
    let named = ["UNIQ_KEY", "TAGS", "amount", "ORIGIN_MESSAGE_ID"].map(|name| dead[0].property(name));
    assert_eq!(named, [Some("id2"), Some("a"), Some("4"), Some("o")]);
    assert_eq!(dead[1].property("a"), Some("7"));

    // One that came from elsewhere under the topic's name is read from there.
    let back =
        json!({"offset": dead[0].physical, "group": "g", "delayLevel": -1, "originMsgId": "p", "originTopic": "twice"});
    assert_eq!(client.ask(36, &back, b"").0, 0);
    let again = pulled(&mut client, &pull("%DLQ%g", 0, 2)).2.remove(0);
    assert_eq!((again.body.as_str(), again.again, again.property("RETRY_TOPIC")), ("body 2", 2, Some("twice")));

    // By its place: as the topic that is named has it, else as its table has it; a row of no messages has no other form.
    let amount = |client: &mut Remoting, fields: Value| {
        let (code, _, body) = client.ask(33, &fields, b"");
        (code, stored(&body).first().and_then(|one| one.property("amount")).map(str::to_owned))
    };
    assert_eq!(amount(&mut client, json!({"offset": one.physical, "topic": "twice"})), (0, Some("4".to_owned())));
    assert_eq!(amount(&mut client, json!({"offset": one.physical})), (0, Some("2".to_owned())));
    assert_eq!(client.ask(33, &json!({"offset": row.physical, "topic": "plain"}), b"").0, 0);
    refused(&mut client, 33, &json!({"offset": row.physical}), (1, "no message"));
}

#[test]
fn rows_come_as_json() {
    let server = Server::start();
    let mut client = Remoting::connect(server.remoting);
    server.ok(&["sql", "-c", "CREATE TABLE flights (at TIMESTAMP, carrier VARCHAR, delay REAL, stops VARCHAR[], price DECIMAL(6, 2)) WITH (partitions = 1)"]);
    server.ok(&["sql", "-c", "INSERT INTO flights VALUES ('2013-01-01T10:15:00', 'UA', 2.5, ['EWR', 'IAH'], 99.5)"]);
    server.ok(&["sql", "-c", "INSERT INTO flights (at, delay) VALUES ('2013-01-01T11:00:00', CAST('NaN' AS REAL))"]);
    let (code, next, found) = pulled(&mut client, &pull("flights", 0, 0));
    assert_eq!((code, next), (0, 2));
    let bodies: Vec<_> = found.iter().map(|one| one.body.as_str()).collect();
    let expected = [
        r#"{"at":"2013-01-01T10:15:00Z","carrier":"UA","delay":2.5,"stops":["EWR","IAH"],"price":"99.50"}"#,
        r#"{"at":"2013-01-01T11:00:00Z","carrier":null,"delay":"NaN","stops":null,"price":null}"#,
    ];
    assert_eq!(bodies, expected);
    let own = |one: &Stored| -> Vec<(String, String)> {
        let added = ["MSG_REGION", "TRACE_ON", "CLUSTER"];
        one.properties.iter().filter(|(name, _)| !added.contains(&name.as_str())).cloned().collect()
    };
    let pairs = [("at", "2013-01-01T10:15:00Z"), ("carrier", "UA"), ("delay", "2.5"), ("price", "99.50")];
    assert_eq!(own(&found[0]), pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let by_condition = pulled(&mut client, &pull_by("flights", ("SQL92", "delay > 2.0 AND carrier = 'UA'"))).2;
    assert_eq!(by_condition, found[..1]);
    // A long poll is answered by what comes.
    let mut waits = pull("flights", 0, 2);
    waits["sysFlag"] = json!(2);
    client.send(11, &waits, b"");
    server.ok(&["sql", "-c", "INSERT INTO flights (at, carrier) VALUES ('2013-01-02T00:00:00', 'AA')"]);
    let (header, body) = client.receive();
    assert_eq!((header["code"].as_i64(), stored(&body)[0].property("carrier")), (Some(0), Some("AA")), "{header}");
    // Columns by RocketMQ's names are what they say.
    server.ok(&["sql", "-c", "CREATE TOPIC tagged AS SELECT carrier, carrier AS \"TAGS\" FROM flights"]);
    let tagged = pulled(&mut client, &pull_by("tagged", ("TAG", "AA"))).2;
    assert_eq!(tagged.iter().map(|one| (one.offset, one.property("TAGS"))).collect::<Vec<_>>(), [(2, Some("AA"))]);
}

#[test]
fn rows_of_one_offset_are_one_message() {
    let server = Server::start();
    server.ok(&["sql", "-c", "CREATE TABLE flights (ts TIMESTAMP(3) WITH TIME ZONE, carrier VARCHAR, flight INT, origin VARCHAR, dest VARCHAR, dep_delay REAL, air_time REAL) WITH (partitions = 1)"]);
    server.ok(&["plugin", "load", "flight_events", &guest("flight_events").display().to_string()]);
    server.ok(&["sql", "-c", "CREATE TOPIC events AS TRANSFORM flight_events() OF (SELECT * FROM flights)"]);
    server.ok(&[
        "sql",
        "-c",
        "INSERT INTO flights VALUES ('2013-01-01T10:00:00Z', 'UA', 1, 'EWR', 'IAH', 0, 60), ('2013-01-01T11:00:00Z', 'UA', 2, 'EWR', 'IAH', NULL, NULL), \
         ('2013-01-01T12:00:00Z', 'AA', 3, 'JFK', 'MIA', 0, NULL)",
    ]);
    let mut client = Remoting::connect(server.remoting);
    let (code, next, found) = pulled(&mut client, &pull("events", 0, 0));
    assert_eq!((code, next), (0, 3));
    let [both, single] = found.as_slice() else { panic!("{found:?}") };
    let line = |at, airport, event, carrier, flight| {
        format!(r#"{{"at":"{at}","airport":"{airport}","event":"{event}","carrier":"{carrier}","flight":{flight}}}"#)
    };
    let lines = [
        line("2013-01-01T10:00:00Z", "EWR", "departure", "UA", 1),
        line("2013-01-01T11:00:00Z", "IAH", "arrival", "UA", 1),
    ];
    assert_eq!((both.offset, both.body.as_str()), (0, lines.join("\n").as_str()));
    let named = ["carrier", "flight", "event", "airport", "ROWS"].map(|name| both.property(name));
    assert_eq!(named, [Some("UA"), Some("1"), None, None, Some("2")], "what the rows have in common");
    assert_eq!(
        (single.offset, single.body.as_str()),
        (2, line("2013-01-01T12:00:00Z", "JFK", "departure", "AA", 3).as_str())
    );
}

#[test]
fn a_topic_that_fails_stops_its_consumers_and_one_that_changes_is_read_on() {
    let server = Server::start();
    let mut client = Remoting::connect(server.remoting);
    send(&mut client, 0..6);
    server.ok(&[
        "sql",
        "-c",
        "CREATE TOPIC shares AS SELECT body, 12 / (CAST(property(properties, 'amount') AS INT) - 3) AS share FROM t",
    ]);
    let (code, next, found) = pulled(&mut client, &pull("shares", 0, 0));
    let shares =
        |found: &[Stored]| found.iter().map(|one| one.property("share").unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!((code, next, shares(&found)), (0, 3, ["-4", "-6", "-12"].map(str::to_owned).to_vec()));
    refused(&mut client, 11, &pull("shares", 0, 3), (1, "offset 3"));
    let (code, next, found) = pulled(&mut client, &pull("shares", 0, 4));
    assert_eq!((code, next, shares(&found)), (0, 6, ["12", "6"].map(str::to_owned).to_vec()), "behind it");

    // Another definition: the next pull is of that.
    server.ok(&["sql", "-c", "CREATE TABLE plain (a BIGINT) WITH (partitions = 1); INSERT INTO plain VALUES (1), (2)"]);
    server.ok(&["sql", "-c", "CREATE TOPIC all_of_it AS SELECT * FROM plain"]);
    let mut waits = pull("all_of_it", 0, 2);
    waits["sysFlag"] = json!(2);
    client.send(11, &waits, b"");
    server.ok(&["sql", "-c", "ALTER TABLE plain ADD COLUMN b BIGINT; RELOAD TOPIC all_of_it"]);
    server.ok(&["sql", "-c", "INSERT INTO plain VALUES (3, 4)"]);
    let (header, body) = client.receive();
    assert_eq!((header["code"].as_i64(), stored(&body)[0].body.as_str()), (Some(0), r#"{"a":3,"b":4}"#), "{header}");
    assert_eq!(pulled(&mut client, &pull("all_of_it", 0, 0)).2[0].body, r#"{"a":1,"b":null}"#);

    // Gone while somebody waits: he is told at once.
    waits["queueOffset"] = json!(3);
    let begun = Instant::now();
    client.send(11, &waits, b"");
    server.ok(&["sql", "-c", "DROP TOPIC all_of_it"]);
    let (header, _) = client.receive();
    assert_eq!(header["code"].as_i64(), Some(17), "{header}");
    assert!(begun.elapsed() < Duration::from_secs(15), "he has waited for {:?}", begun.elapsed());
    refused(&mut client, 11, &pull("all_of_it", 0, 0), (17, "all_of_it"));
}
