//! What comes together: many sends at once, and many who read the same messages.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Value, json};

use super::{Remoting, bracketed, framed, message, pull};
use crate::program::Server;

const QUEUES: i32 = 3;

/// The bytes of requests that are sent at once, by their numbers.
fn sends(requests: &[(usize, Value)]) -> Vec<u8> {
    let one = |(number, fields): &(usize, Value)| {
        let header = json!({"code": 310, "extFields": fields, "flag": 0, "opaque": number, "version": 409});
        framed(0, header.to_string().as_bytes(), format!("<{number}>").as_bytes())
    };
    requests.iter().flat_map(one).collect()
}

/// The answers to so many requests, by their numbers.
fn answers(client: &mut Remoting, count: usize) -> BTreeMap<usize, Value> {
    let answer = |_| {
        let (header, _) = client.receive();
        (usize::try_from(header["opaque"].as_u64().unwrap()).unwrap(), header)
    };
    (0..count).map(answer).collect()
}

fn number(header: &Value, field: &str) -> u64 {
    header["extFields"][field].as_str().unwrap().parse().unwrap()
}

#[test]
fn sends_that_come_together_are_appended_together() {
    let server = Server::start();
    let mut client = Remoting::connect(server.remoting);
    client.ask(310, &message("t", 0, ""), b"<1000>");
    let before = server.metric("submissions_total");
    let requests: Vec<(usize, Value)> = (0..60)
        .map(|number| {
            let queue = i32::try_from(number).unwrap() % QUEUES;
            (number, message("t", queue, &format!("UNIQ_KEY\u{1}id{number}\u{2}")))
        })
        .collect();
    client.0.write_all(&sends(&requests)).unwrap();
    let answers = answers(&mut client, requests.len());
    let submissions = server.metric("submissions_total") - before;
    assert!(submissions <= 30.0, "{submissions} submissions of 60 messages");
    for (number_, header) in &answers {
        let fields = &header["extFields"];
        let (queue, place) = (number_ % 3, u64::try_from(number_ / 3).unwrap());
        let offset = if queue == 0 { place + 1 } else { place };
        assert_eq!((header["code"].as_i64(), number(header, "queueOffset")), (Some(0), offset), "{header}");
        assert_eq!(fields["transactionId"].as_str(), Some(format!("id{number_}").as_str()));
        // The id says where it lies.
        let id = fields["msgId"].as_str().unwrap();
        let physical = u64::from_str_radix(&id[id.len() - 16..], 16).unwrap();
        let (code, _, body) = client.ask(33, &json!({"offset": physical}), b"");
        assert_eq!((code, bracketed(&body)), (0, vec![u32::try_from(*number_).unwrap()]));
    }
}

#[test]
fn what_is_wrong_with_one_send_is_not_wrong_with_those_beside_it() {
    let server = Server::start();
    server.ok(&["sql", "-c", "CREATE TABLE n OF MESSAGES WITH (kind = 'normal', partitions = 2)"]);
    let mut client = Remoting::connect(server.remoting);
    let requests: Vec<(usize, Value)> = (0..20)
        .map(|number| match number {
            7 => (number, message("n", 0, "__SHARDINGKEY\u{1}g\u{2}")),
            12 => (number, message("n", 9, "")),
            _ => (number, message("n", 0, "")),
        })
        .collect();
    client.0.write_all(&sends(&requests)).unwrap();
    let answers = answers(&mut client, requests.len());
    let taken: Vec<u64> =
        answers.values().filter(|header| header["code"] == 0).map(|header| number(header, "queueOffset")).collect();
    assert_eq!(taken, (0..18).collect::<Vec<_>>(), "in the order in which they were sent");
    let remark = |number: usize| answers[&number]["remark"].as_str().unwrap().to_owned();
    assert!(remark(7).contains("message_group") && remark(12).contains("there is no queue 9"));
}

/// How often each row was read from files by groups that come one after the other and take a few messages at a time. Of the rows none
/// is in memory; they lie in segments, or in the log.
fn reads_of_each(in_segments: bool, options: &[&str]) -> f64 {
    const MESSAGES: usize = 3_000;
    const GROUPS: usize = 3;
    let dir = tempfile::tempdir().unwrap();
    let cut: &[&str] = if in_segments {
        &["--segment-age-ms", "1000", "--maintenance-interval-ms", "20"]
    } else {
        &["--segment-threads", "0"]
    };
    let server = Server::over(dir.path(), cut);
    let mut client = Remoting::connect(server.remoting);
    for from in (0..MESSAGES).step_by(100) {
        let requests: Vec<_> = (from..from + 100).map(|number| (number, message("t", 0, "TAGS\u{1}a\u{2}"))).collect();
        client.0.write_all(&sends(&requests)).unwrap();
        answers(&mut client, requests.len());
    }
    if in_segments {
        server.until_metric("segment_backlog_bytes", 0.0);
    }
    server.signal("TERM");
    assert_eq!(server.wait().0, Some(0));

    let server = Server::over(dir.path(), &[&["--segment-threads", "0"][..], options].concat());
    assert_eq!(server.metric("segments") > 0.0, in_segments);
    let mut client = Remoting::connect(server.remoting);
    client.heartbeat("c1");
    let before = server.metric("rows_read_total");
    for _ in 0..GROUPS {
        let (mut found, mut from) = (Vec::new(), 0);
        while found.len() < MESSAGES {
            let (code, header, body) = client.ask(11, &pull(0, from, 0), b"");
            assert_eq!(code, 0, "{header}");
            found.extend(bracketed(&body));
            from = number(&header, "nextBeginOffset");
        }
        assert!(found.iter().copied().eq(0..u32::try_from(MESSAGES).unwrap()));
    }
    (server.metric("rows_read_total") - before) / MESSAGES as f64
}

#[test]
fn what_is_read_a_few_messages_at_a_time_is_read_once_for_all() {
    for in_segments in [false, true] {
        let reads = reads_of_each(in_segments, &[]);
        assert!(reads <= 1.01, "each row was read {reads} times; in segments: {in_segments}");
        let reads = reads_of_each(in_segments, &["--read-cache-bytes", "0"]);
        assert!(reads > 2.9, "without memory for them {reads} times; in segments: {in_segments}");
    }
}
