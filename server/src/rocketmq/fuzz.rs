//! Mutated messages: what the door reads of requests before anything is carried out, an answer or an error.

use bytes::Bytes;

use super::fields::Fields;
use super::filter::{Filter, FilterKind};
use super::names::ScopedName;
use super::send::SendHeader;
use super::wire::batch::{self, BatchedMessage};
use super::wire::bodies::{self, Heartbeat, QueueLocks};
use super::wire::codes;
use super::wire::command::{Command, Header, HeaderForm};
use super::wire::{properties, unpack};
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
