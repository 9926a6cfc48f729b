//! What clients in C++ say in other words.

use serde_json::json;

use super::Remoting;
use crate::program::Server;

#[test]
fn clients_in_cpp_say_one_and_zero() {
    let server = Server::start();
    let mut client = Remoting::connect(server.remoting);
    // As librocketmq 1.2 and others send it: numbers as numbers, and whether it is a batch as a digit.
    let fields = |batch: &str| {
        json!({"batch": batch, "bornTimestamp": "1700000000000", "defaultTopic": "TBW102", "defaultTopicQueueNums": 3, "flag": 0,
               "producerGroup": "x", "properties": "WAIT\u{1}true\u{2}", "queueId": 0, "reconsumeTimes": "0", "sysFlag": 0,
               "topic": "cpp", "unitMode": "0"})
    };
    let (code, header, _) = client.ask(10, &fields("0"), b"alone");
    assert_eq!(code, 0, "{header}");
    let one = |body: &[u8]| {
        let size = u32::try_from(22 + body.len()).unwrap();
        let mut framed = size.to_be_bytes().to_vec();
        framed.extend([0; 12]);
        framed.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        framed.extend_from_slice(body);
        framed.extend([0; 2]);
        framed
    };
    let (code, header, _) = client.ask(10, &fields("1"), &[one(b"first"), one(b"second")].concat());
    assert_eq!(code, 0, "{header}");
    let rows =
        server.ok(&["sql", "--format", "csv", "-c", "SELECT CAST(body AS VARCHAR) AS body FROM cpp ORDER BY body"]);
    assert_eq!(rows.lines().skip(1).map(|row| row.trim_matches('"')).collect::<Vec<_>>(), ["alone", "first", "second"]);
    // Among so many queues the producer chooses from its first message on.
    let rows = server.ok(&["sql", "--format", "csv", "-c", "SELECT partitions FROM system.tables WHERE name = 'cpp'"]);
    assert_eq!(rows.lines().nth(1), Some("3"));
}
