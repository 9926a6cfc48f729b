//! Each kind of request, cut at each of its bytes: by its connection, in its header, its fields and its body. The server answers
//! or closes that connection, and goes on.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::framed;
use crate::program::Server;

/// A code, the fields of a request that waits for nothing, and its body.
type Kind = (i32, &'static [(&'static str, &'static str)], &'static str);

const SEND: &[(&str, &str)] = &[
    ("a", "p"),
    ("b", "t"),
    ("c", "TBW102"),
    ("d", "4"),
    ("e", "0"),
    ("f", "0"),
    ("g", "1700000000000"),
    ("h", "0"),
    ("i", "TAGS\u{1}a\u{2}"),
    ("j", "0"),
    ("k", "false"),
    ("m", "false"),
];
const LONG_SEND: &[(&str, &str)] = &[
    ("producerGroup", "p"),
    ("topic", "t"),
    ("defaultTopic", "TBW102"),
    ("defaultTopicQueueNums", "4"),
    ("queueId", "0"),
    ("sysFlag", "0"),
    ("bornTimestamp", "1700000000000"),
    ("flag", "0"),
    ("properties", "TAGS\u{1}a\u{2}"),
    ("reconsumeTimes", "0"),
    ("batch", "false"),
];
const PULL: &[(&str, &str)] = &[
    ("consumerGroup", "g"),
    ("topic", "t"),
    ("queueId", "0"),
    ("queueOffset", "0"),
    ("maxMsgNums", "32"),
    ("sysFlag", "4"),
    ("commitOffset", "0"),
    ("suspendTimeoutMillis", "0"),
    ("subscription", "a || b"),
    ("subVersion", "5"),
    ("expressionType", "TAG"),
];
const QUEUE: &[(&str, &str)] = &[("topic", "t"), ("queueId", "0")];
const GROUP: &[(&str, &str)] = &[("group", "g")];
const CONSUMER_GROUP: &[(&str, &str)] = &[("consumerGroup", "g")];
const TOPIC: &[(&str, &str)] = &[("topic", "t")];
const LOCKS: &str =
    r#"{"consumerGroup":"g","clientId":"c","mqSet":[{"brokerName":"millstream","queueId":0,"topic":"t"}]}"#;
const RECEIPT: &[(&str, &str)] = &[
    ("consumerGroup", "g"),
    ("topic", "t"),
    ("queueId", "0"),
    ("offset", "0"),
    ("extraInfo", "0 1795889930706 60000 1 0 millstream 0 0"),
    ("invisibleTime", "10000"),
];

const KINDS: &[Kind] = &[
    (10, LONG_SEND, "body"),
    (310, SEND, "body"),
    (320, SEND, "\0\0\0\x1a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x04body\0\0"),
    (324, LONG_SEND, "body"),
    (325, SEND, "body"),
    (11, PULL, ""),
    (361, PULL, ""),
    (
        12,
        &[("topic", "t"), ("key", "k"), ("maxNum", "32"), ("beginTimestamp", "0"), ("endTimestamp", "1795889930706")],
        "",
    ),
    (14, &[("consumerGroup", "g"), ("topic", "t"), ("queueId", "0"), ("setZeroIfNotFound", "false")], ""),
    (15, &[("consumerGroup", "g"), ("topic", "t"), ("queueId", "0"), ("commitOffset", "0")], ""),
    (
        17,
        &[
            ("topic", "t"),
            ("readQueueNums", "8"),
            ("writeQueueNums", "8"),
            ("perm", "6"),
            ("attributes", "+message.type=MIXED"),
        ],
        "",
    ),
    (18, &[], r#"{"topicConfigList":[{"topicName":"t","readQueueNums":8,"writeQueueNums":8}]}"#),
    (21, &[], ""),
    (25, &[], "a=b"),
    (26, &[], ""),
    (28, &[], ""),
    (29, &[("topic", "t"), ("queueId", "0"), ("timestamp", "1700000000000")], ""),
    (30, QUEUE, ""),
    (31, QUEUE, ""),
    (32, QUEUE, ""),
    (33, &[("topic", "t"), ("offset", "0")], ""),
    (
        34,
        &[],
        r#"{"clientID":"c","consumerDataSet":[{"groupName":"g","consumeType":"CONSUME_PASSIVELY","messageModel":
        "CLUSTERING","subscriptionDataSet":[{"topic":"t","subString":"a","subVersion":5}]}],"producerDataSet":[{"groupName":"p"}]}"#,
    ),
    (35, &[("clientID", "c"), ("producerGroup", "p"), ("consumerGroup", "g")], ""),
    (
        36,
        &[
            ("group", "g"),
            ("originTopic", "t"),
            ("originMsgId", "x"),
            ("offset", "0"),
            ("delayLevel", "0"),
            ("maxReconsumeTimes", "16"),
        ],
        "",
    ),
    (
        37,
        &[
            ("producerGroup", "p"),
            ("tranStateTableOffset", "0"),
            ("commitLogOffset", "0"),
            ("commitOrRollback", "8"),
            ("msgId", "x"),
            ("transactionId", "x"),
        ],
        "",
    ),
    (38, CONSUMER_GROUP, ""),
    (41, &[], LOCKS),
    (42, &[], LOCKS),
    (
        46,
        &[],
        r#"{"clientId":"c","group":"g","subscriptionData":{"topic":"t","subString":"a = 1","expressionType":"SQL92"}}"#,
    ),
    (101, &[("namespace", "n"), ("key", "k")], ""),
    (102, &[("namespace", "n"), ("key", "k")], ""),
    (105, TOPIC, ""),
    (106, &[], ""),
    (
        200,
        &[],
        r#"{"groupName":"g","retryMaxTimes":16,"groupRetryPolicy":{"type":"CUSTOMIZED","customizedRetryPolicy":{"next":[1000]}}}"#,
    ),
    (201, &[], ""),
    (202, TOPIC, ""),
    (203, CONSUMER_GROUP, ""),
    (204, &[("producerGroup", "p"), ("topic", "t")], ""),
    (206, &[], ""),
    (207, &[("groupName", "other"), ("cleanOffset", "true")], ""),
    (208, &[("consumerGroup", "g"), ("topic", "t")], ""),
    (215, &[("topic", "other")], ""),
    (216, &[("topic", "other")], ""),
    (
        222,
        &[("topic", "t"), ("group", "g"), ("timestamp", "-1"), ("isForce", "true"), ("queueId", "0"), ("offset", "0")],
        "",
    ),
    (224, &[("cluster", "millstream")], ""),
    (300, TOPIC, ""),
    (303, &[("topic", "t"), ("group", "g")], ""),
    (304, &[], ""),
    (305, &[], ""),
    (307, &[("consumerGroup", "g"), ("clientId", "nobody"), ("jstackEnable", "false")], ""),
    (
        309,
        &[
            ("consumerGroup", "g"),
            ("clientId", "nobody"),
            ("msgId", "7F000001000051AF0000000000000000"),
            ("topic", "t"),
        ],
        "",
    ),
    (315, &[("statsName", "n"), ("statsKey", "k")], ""),
    (318, &[], "a=b"),
    (319, &[], ""),
    (328, &[], ""),
    (343, GROUP, ""),
    (345, &[("group", "g"), ("topic", "t")], ""),
    (351, TOPIC, ""),
    (352, GROUP, ""),
    (
        370,
        &[("producerGroup", "p"), ("topic", "t"), ("recallHandle", "djEgdCBtaWxsc3RyZWFtIDE3OTU4ODk1MzE3NjkgRkQwMA==")],
        "",
    ),
    (400, &[], r#"{"topic":"t","consumerGroup":"g","clientId":"c","messageModel":"CLUSTERING"}"#),
    (401, &[], r#"{"topic":"t","consumerGroup":"g","mode":"PULL","popShareQueueNum":0}"#),
    (
        200_050,
        &[
            ("consumerGroup", "g"),
            ("topic", "t"),
            ("queueId", "0"),
            ("maxMsgNums", "1"),
            ("invisibleTime", "60000"),
            ("pollTime", "0"),
            ("initMode", "0"),
            ("expType", "TAG"),
            ("exp", "a"),
            ("order", "false"),
        ],
        "",
    ),
    (200_051, RECEIPT, ""),
    (200_053, RECEIPT, ""),
    (200_054, &[("consumerGroup", "g"), ("topic", "t"), ("queueId", "0"), ("pollTime", "0"), ("order", "false")], ""),
    (
        200_151,
        &[],
        r#"{"acks":[{"b":"BQE=","c":"g","it":60000,"pt":1795889930706,"q":0,"r":"0","rq":2,"so":0,"t":"t"}]}"#,
    ),
];

/// What follows on each request that may be none: its answer shows that the connection lives.
const MARK: i32 = 9_876;

/// What a binary header has before the length of its fields, which is left out where there are none.
const BEFORE_FIELDS: usize = 17;

struct Connection {
    address: SocketAddr,
    stream: TcpStream,
}

impl Connection {
    fn open(address: SocketAddr) -> Connection {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Connection { address, stream }
    }

    /// Sends a message. Gives the code of its answer, if it has one; if it is none, the connection is closed, and another opened.
    fn try_message(&mut self, message: &[u8], opaque: i32) -> Option<i64> {
        let mark = framed(0, json!({"code": 206, "opaque": MARK}).to_string().as_bytes(), b"");
        // Closed before all of it is sent: that shows below.
        let _ = self.stream.write_all(&[message, &mark].concat());
        let (mut code, mut marked) = (None, false);
        while code.is_none() || !marked {
            let Some(header) = self.answer() else {
                *self = Connection::open(self.address);
                return code;
            };
            match header["opaque"].as_i64() {
                Some(found) if found == i64::from(MARK) => marked = true,
                Some(found) if found == i64::from(opaque) && header["flag"] == 1 => code = header["code"].as_i64(),
                _ => {}
            }
        }
        code
    }

    fn answer(&mut self) -> Option<Value> {
        let mut number = [0; 4];
        let read = self.stream.read_exact(&mut number);
        if let Err(error) = &read {
            assert!(!matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "no answer, and not closed");
        }
        read.ok()?;
        let mut message = vec![0; usize::try_from(u32::from_be_bytes(number)).unwrap()];
        self.stream.read_exact(&mut message).ok()?;
        number.copy_from_slice(&message[..4]);
        let (form, header) =
            (message[0], &message[4..4 + usize::try_from(u32::from_be_bytes(number) & 0xff_ffff).unwrap()]);
        match form {
            0 => serde_json::from_slice(header).ok(),
            // Code, language, version, then the number that answers have of their request, and the flag.
            _ => {
                let number = |at: usize| i32::from_be_bytes(header[at..at + 4].try_into().unwrap());
                let code = i16::from_be_bytes(header[..2].try_into().unwrap());
                Some(json!({"code": code, "opaque": number(5), "flag": number(9)}))
            }
        }
    }
}

fn header(form: u8, code: i32, fields: &[(&str, &str)]) -> Vec<u8> {
    if form == 0 {
        let fields: Map<String, Value> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        return json!({"code": code, "extFields": fields, "flag": 0, "opaque": code, "version": 409})
            .to_string()
            .into();
    }
    let mut pairs = Vec::new();
    for (name, value) in fields {
        pairs.extend(u16::try_from(name.len()).unwrap().to_be_bytes());
        pairs.extend(name.bytes());
        pairs.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
        pairs.extend(value.bytes());
    }
    let mut header = i16::try_from(code).unwrap().to_be_bytes().to_vec();
    header.extend([0, 1, 153]);
    header.extend(code.to_be_bytes());
    header.extend([0; 8]);
    header.extend(u32::try_from(pairs.len()).unwrap().to_be_bytes());
    header.extend(pairs);
    header
}

fn ends(text: &str) -> impl Iterator<Item = usize> + '_ {
    (0..text.len()).filter(|end| text.is_char_boundary(*end))
}

#[test]
fn each_kind_of_request_is_cut_at_each_byte() {
    let server = Server::start();
    let mut client = Connection::open(server.remoting);
    let made = header(0, 17, &[("topic", "t"), ("readQueueNums", "8"), ("writeQueueNums", "8"), ("perm", "6")]);
    assert_eq!(client.try_message(&framed(0, &made, b""), 17), Some(0));
    for (code, fields, body) in KINDS {
        for form in [0, 1].into_iter().take(if i16::try_from(*code).is_ok() { 2 } else { 1 }) {
            let whole = header(form, *code, fields);
            let answered = client.try_message(&framed(form, &whole, body.as_bytes()), *code);
            assert!(answered.is_some_and(|answer| answer != 3), "{code} as it is: {answered:?}");
            for end in 0..whole.len() {
                // The header says how long it is, and is cut.
                let answered = client.try_message(&framed(form, &whole[..end], b""), *code);
                let has_no_fields = form == 1 && end == BEFORE_FIELDS;
                assert!(
                    answered.is_none() || has_no_fields,
                    "{code} in form {form}, its header cut at {end}: {answered:?}"
                );
            }
            for end in (0..body.len()).filter(|_| form == 0) {
                assert!(
                    client.try_message(&framed(form, &whole, &body.as_bytes()[..end]), *code).is_some(),
                    "{code}: body cut at {end}"
                );
            }
        }
        for (place, (name, value)) in fields.iter().enumerate() {
            for end in ends(value) {
                let mut cut = fields.to_vec();
                cut[place] = (*name, &value[..end]);
                let message = framed(0, &header(0, *code, &cut), body.as_bytes());
                assert!(client.try_message(&message, *code).is_some(), "{code}: {name} cut at {end}");
            }
            let mut without = fields.to_vec();
            without.remove(place);
            let message = framed(0, &header(0, *code, &without), body.as_bytes());
            assert!(client.try_message(&message, *code).is_some(), "{code} without {name}");
        }
    }
    lives(&server);
}

/// The client is gone in the middle of a request.
#[test]
fn each_kind_of_request_is_left_at_each_byte() {
    let server = Server::start();
    for (code, fields, body) in KINDS {
        let whole = framed(0, &header(0, *code, fields), body.as_bytes());
        for end in (0..whole.len()).step_by(7) {
            let mut client = Connection::open(server.remoting);
            client.stream.write_all(&whole[..end]).unwrap();
            client.stream.shutdown(Shutdown::Write).unwrap();
            assert!(client.answer().is_none(), "{code}, left at {end}");
        }
    }
    lives(&server);
}

fn lives(server: &Server) {
    let panics = "SELECT count(*) AS n FROM system.log WHERE kind = 'thread_panicked'";
    assert_eq!(server.ok(&["sql", "--format", "csv", "-c", panics]), "n\n0\n");
}
