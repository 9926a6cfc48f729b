//! Mutated messages: what the door reads of requests before anything is carried out, an answer or an error.

use bytes::Bytes;

use super::admin;
use super::fields::Fields;
use super::filter::{Filter, FilterKind};
use super::names::ScopedName;
use super::query::Query;
use super::recall::Handle;
use super::send::SendHeader;
use super::wire::batch::{self, BatchedMessage};
use super::wire::bodies::{self, Heartbeat, QueueLocks};
use super::wire::codes;
use super::wire::command::{Command, Header, HeaderForm};
use super::wire::{message_id, properties, unpack};
use crate::fuzz::fuzz;

const PIECES: &[&str] = &[
    "\"",
    "{",
    "}",
    "[[[[",
    ":",
    ",",
    "null",
    "-1",
    "9223372036854775808",
    "\u{0}\u{0}\u{0}\u{0}",
    "\u{7f}\u{7f}\u{7f}\u{7f}",
    "\u{1}",
    "\u{2}",
    "é",
    "\\ud800",
];

fn send(form: HeaderForm) -> Bytes {
    let fields = [
        ("a", "G"),
        ("b", "%RETRY%ns%G"),
        ("c", "TBW102"),
        ("d", "4"),
        ("e", "0"),
        ("f", "769"),
        ("g", "1795889531769"),
        ("h", "0"),
        ("i", "UNIQ_KEY\u{1}FD00\u{2}DELAY\u{1}3\u{2}TAGS\u{1}a\u{2}KEYS\u{1}k l\u{2}"),
        ("j", "0"),
        ("l", "16"),
        ("m", "false"),
    ];
    let fields = fields.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
    let header = Header { code: codes::SEND_MESSAGE_V2, opaque: 1, flag: 0, remark: None, fields };
    header.write(form, b"body").unwrap().slice(4..)
}

fn request(code: i32, form: HeaderForm, fields: &[(&'static str, &str)], body: &[u8]) -> Bytes {
    let fields = fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Header { code, opaque: 1, flag: 0, remark: None, fields }.write(form, body).unwrap().slice(4..)
}

/// Requests of administrators and look-ups: each with its code, its fields and its body.
const OTHERS: &[(i32, &[(&str, &str)], &[u8])] = &[
    (
        codes::QUERY_MESSAGE,
        &[
            ("topic", "ns%t"),
            ("key", "k"),
            ("maxNum", "32"),
            ("beginTimestamp", "1795889531769"),
            ("endTimestamp", "9223372036854775807"),
            ("_UNIQUE_KEY_QUERY", "true"),
            ("indexType", "U"),
        ],
        b"",
    ),
    (codes::RECALL_MESSAGE, &[("producerGroup", "g"), ("topic", "t"), ("recallHandle", "djEgdCBtaWxsc3RyZWFtIDE3OTU4ODk1MzE3NjkgRkQwMA==")], b""),
    (
        codes::UPDATE_AND_CREATE_TOPIC,
        &[
            ("topic", "t"),
            ("readQueueNums", "8"),
            ("writeQueueNums", "8"),
            ("perm", "6"),
            ("attributes", "+message.type=FIFO"),
        ],
        b"",
    ),
    (
        codes::UPDATE_AND_CREATE_TOPIC_LIST,
        &[],
        br#"{"topicConfigList":[{"topicName":"t","readQueueNums":3,"writeQueueNums":3,"attributes":{"+message.type":"FIFO"}}]}"#,
    ),
    (
        codes::RESET_OFFSETS,
        &[("topic", "t"), ("group", "g"), ("timestamp", "-1"), ("isForce", "true"), ("queueId", "0"), ("offset", "7")],
        b"",
    ),
    (codes::CONSUME_MESSAGE_DIRECTLY, &[("consumerGroup", "g"), ("msgId", "7F000001000051AF0000000000001234")], b""),
];

fn is_other_taken(bytes: &[u8]) -> bool {
    let Ok(command) = Command::read(&Bytes::copy_from_slice(bytes)) else { return false };
    let fields = Fields::of(&command);
    match command.code {
        codes::QUERY_MESSAGE => Query::read(&command).is_ok(),
        codes::RECALL_MESSAGE => Handle::read(fields.get("recallHandle").unwrap_or_default()).is_ok(),
        codes::CONSUME_MESSAGE_DIRECTLY => message_id::physical(fields.get("msgId").unwrap_or_default()).is_some(),
        _ => admin::is_taken(&command),
    }
}

#[test]
fn mutated_look_ups_and_requests_of_administrators_are_read_or_refused() {
    for (code, fields, body) in OTHERS {
        fuzz(&request(*code, HeaderForm::Json, fields, body), PIECES, is_other_taken);
    }
}

#[test]
fn requests_that_are_cut_short_are_read_or_refused() {
    for (code, fields, body) in OTHERS {
        for form in [HeaderForm::Json, HeaderForm::Binary] {
            let whole = request(*code, form, fields, body);
            // Where only a body is cut, it is not the JSON that it should be.
            let taken = (0..whole.len()).find(|end| is_other_taken(&whole[..*end]));
            assert_eq!(taken, None, "{code}, cut");
        }
    }
}

fn is_send_taken(bytes: &[u8]) -> bool {
    let Ok(command) = Command::read(&Bytes::copy_from_slice(bytes)) else { return false };
    let fields = Fields::of(&command);
    let _ = (FilterKind::read(fields.get("c")), Filter::by_tags(fields.get("i").unwrap_or("")));
    let _ = ScopedName::read("x", fields).wire();
    let read = SendHeader::read(&command);
    read.is_ok_and(|_| command.code == codes::SEND_MESSAGE_V2)
}

#[test]
fn mutated_json_requests_are_read_or_refused() {
    fuzz(&send(HeaderForm::Json), PIECES, is_send_taken);
}

#[test]
fn mutated_binary_requests_are_read_or_refused() {
    fuzz(&send(HeaderForm::Binary), PIECES, is_send_taken);
}

#[test]
fn mutated_batches_are_read_or_refused() {
    let message =
        BatchedMessage { flag: 0, body: Bytes::from_static(b"body"), properties: "TAGS\u{1}a\u{2}".to_owned() };
    let body = batch::write(&vec![message; 3]);
    fuzz(&body, PIECES, |bytes| {
        let read = batch::read(&Bytes::copy_from_slice(bytes));
        let read =
            read.inspect(|messages| messages.iter().for_each(|message| drop(properties::read(&message.properties))));
        read.is_ok()
    });
}

#[test]
fn mutated_heartbeats_are_read_or_refused() {
    let body = br#"{"clientID":"192.0.2.2@i_7","consumerDataSet":[{"groupName":"CG","messageModel":"CLUSTERING",
        "subscriptionDataSet":[{"expressionType":"TAG","subString":"T1 || T2","subVersion":1795889531769,"topic":"t"}]}],
        "producerDataSet":[{"groupName":"P"}]}"#;
    fuzz(body, PIECES, |bytes| bodies::read::<Heartbeat>("a heartbeat", bytes).is_ok());
    let body = br#"{"clientId":"c","consumerGroup":"g","mqSet":[{"brokerName":"b","queueId":3,"topic":"t"}]}"#;
    fuzz(body, PIECES, |bytes| bodies::read::<QueueLocks>("locks", bytes).is_ok());
}

#[test]
fn mutated_packed_bodies_are_unpacked_or_refused() {
    let plain = b"hello ".repeat(200);
    for (flag, packed) in
        [(0x201, zstd::encode_all(&plain[..], 0).unwrap()), (0x301, zlib(&plain)), (0x101, lz4(&plain))]
    {
        fuzz(&packed, PIECES, |bytes| unpack::unpack(&Bytes::copy_from_slice(bytes), flag, 1 << 20).is_ok());
    }
}

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, plain).unwrap();
    encoder.finish().unwrap()
}

fn lz4(plain: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    std::io::Write::write_all(&mut encoder, plain).unwrap();
    encoder.finish().unwrap()
}
