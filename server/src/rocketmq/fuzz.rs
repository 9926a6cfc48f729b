//! Mutated messages: what the door reads of requests before anything is carried out, an answer or an error.

use bytes::Bytes;

use super::admin;
use super::fields::Fields;
use super::filter::{Filter, FilterKind};
use super::names::ScopedName;
use super::pop::{Handle as PopHandle, PopHeader};
use super::query::Query;
use super::recall::Handle;
use super::send::SendHeader;
use super::wire::batch::{self, BatchedMessage};
use super::wire::bodies::{self, Heartbeat, QueueLocks};
use super::wire::codes;
use super::wire::command::{Command, Header, HeaderForm};
use super::wire::popped::{AssignmentQuery, BatchAcks, RequestMode};
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

/// A request's code, its fields and its body.
type Plain = (i32, &'static [(&'static str, &'static str)], &'static [u8]);

/// Requests of administrators and look-ups.
const OTHERS: &[Plain] = &[
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

/// A pop, an acknowledgement and a change of time, with what the others have in their fields.
fn of_pop() -> [Bytes; 3] {
    let receipt = "100 1795889930706 60000 2 0 millstream 3 105";
    let named = [("consumerGroup", "G"), ("topic", "t"), ("queueId", "3"), ("offset", "105"), ("extraInfo", receipt)];
    let changed = [&named[..], &[("invisibleTime", "10000")]].concat();
    let pop = [
        ("consumerGroup", "G"),
        ("topic", "t"),
        ("queueId", "-1"),
        ("maxMsgNums", "32"),
        ("invisibleTime", "60000"),
        ("pollTime", "15000"),
        ("initMode", "0"),
        ("expType", "TAG"),
        ("exp", "a || b"),
        ("order", "false"),
    ];
    let pop = request(codes::POP_MESSAGE, HeaderForm::Json, &pop, b"");
    [
        pop,
        request(codes::ACK_MESSAGE, HeaderForm::Json, &named, b""),
        request(codes::CHANGE_INVISIBLE_TIME, HeaderForm::Json, &changed, b""),
    ]
}

fn is_of_pop(bytes: &[u8]) -> bool {
    let Ok(command) = Command::read(&Bytes::copy_from_slice(bytes)) else { return false };
    let fields = Fields::of(&command);
    let receipt = || {
        let (queue, offset) = (fields.queue().ok()?, fields.number("offset").ok()?);
        PopHandle::read(fields.text("extraInfo").ok()?, queue, offset).ok()
    };
    let taken = PopHeader::read(&command).is_ok() || receipt().is_some();
    taken && [codes::POP_MESSAGE, codes::ACK_MESSAGE, codes::CHANGE_INVISIBLE_TIME].contains(&command.code)
}

#[test]
fn mutated_pops_and_receipts_are_read_or_refused() {
    for message in of_pop() {
        fuzz(&message, PIECES, is_of_pop);
    }
    let acks =
        br#"{"acks":[{"b":"BQE=","c":"g","it":60000,"pt":1795889930706,"q":3,"r":"0","rq":2,"so":100,"t":"t"}]}"#;
    fuzz(acks, PIECES, |bytes| {
        let acks = bodies::read::<BatchAcks>("acknowledgements", bytes);
        acks.is_ok_and(|acks| acks.acks.iter().all(|ack| ack.offsets().is_ok()))
    });
    let query = br#"{"topic":"t","consumerGroup":"g","clientId":"c","messageModel":"CLUSTERING"}"#;
    fuzz(query, PIECES, |bytes| bodies::read::<AssignmentQuery>("a query", bytes).is_ok());
    let mode = br#"{"topic":"t","consumerGroup":"g","mode":"POP","popShareQueueNum":0}"#;
    fuzz(mode, PIECES, |bytes| bodies::read::<RequestMode>("a mode", bytes).is_ok());
}

#[test]
fn cut_pops_and_receipts_are_refused() {
    for message in of_pop() {
        assert!(is_of_pop(&message));
        for end in 0..message.len() {
            assert!(!is_of_pop(&message[..end]), "{end} of {}", message.len());
        }
    }
}
