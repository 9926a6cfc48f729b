//! What is no message of the protocol ends its call, and nothing else.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use prost::Message as _;
use tonic::body::Body;
use tonic::transport::Channel;
use tower_service::Service;

use super::client::{Client, of, resource};
use super::proto::*;
use crate::flight::wire::run;
use crate::program::Server;

const CALLS: &[&str] = &[
    "QueryRoute",
    "QueryAssignment",
    "Telemetry",
    "Heartbeat",
    "NotifyClientTermination",
    "SendMessage",
    "EndTransaction",
    "RecallMessage",
    "ReceiveMessage",
    "AckMessage",
    "ChangeInvisibleDuration",
    "ForwardMessageToDeadLetterQueue",
    "SyncLiteSubscription",
    "PullMessage",
    "QueryOffset",
    "GetOffset",
    "UpdateOffset",
];

/// Sends bytes as a call's body; how gRPC says that it has ended, and what came before.
async fn call(channel: &mut Channel, name: &str, body: Vec<u8>) -> (Option<String>, Bytes) {
    let request = http::Request::post(format!("/apache.rocketmq.v2.MessagingService/{name}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("x-mq-client-id", "hostile")
        .body(Body::new(Full::new(Bytes::from(body))))
        .unwrap();
    std::future::poll_fn(|context| channel.poll_ready(context)).await.unwrap();
    let response = channel.call(request).await.unwrap();
    let of_headers = response.headers().get("grpc-status").map(|status| status.to_str().unwrap().to_owned());
    let collected = response.into_body().collect().await.unwrap();
    let trailers = collected.trailers().and_then(|trailers| trailers.get("grpc-status").cloned());
    let status = of_headers.or_else(|| trailers.map(|status| status.to_str().unwrap().to_owned()));
    (status, collected.to_bytes())
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut body = vec![0];
    body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    body.extend_from_slice(message);
    body
}

#[test]
fn what_is_no_message_ends_its_call_alone() {
    let server = Server::start();
    run(async {
        let mut client = Client::connect(&server, "c").await;
        client.send(vec![of("t", "1", b"x")]).await;
        let mut channel = Channel::from_shared(format!("http://{}", server.grpc)).unwrap().connect().await.unwrap();
        let lying = |len: u32| [&[0][..], &len.to_be_bytes(), &[1, 2, 3]].concat();
        for name in CALLS {
            // No protobuf, cut off, lengths that lie, a packed message without a codec, and two messages where there is one.
            for body in [
                framed(&[0xff; 64]),
                framed(&[0x0a, 0x7f]),
                vec![0, 0],
                lying(u32::MAX),
                lying(100),
                vec![1, 0, 0, 0, 0],
                [framed(&[]), framed(&[])].concat(),
            ] {
                let told = call(&mut channel, name, body.clone()).await;
                // On the stream messages follow each other, and those without a word are answered.
                let follows = *name == "Telemetry" && body.len() == 10;
                assert_eq!(told.0.as_deref() == Some("0"), follows, "{name} {body:?} {told:?}");
            }
            // Nothing in it: the protocol's own status, or none of a stream.
            let (status, answer) = call(&mut channel, name, framed(&[])).await;
            assert_eq!(status.as_deref(), Some("0"), "{name}");
            assert!(!answer.is_empty(), "{name}");
        }
        assert_eq!(client.send(vec![of("t", "2", b"x")]).await.entries.len(), 1);
    });
}

#[test]
fn messages_cut_at_each_byte_are_refused_or_read() {
    let server = Server::start();
    run(async {
        let mut message = of("t", "1", b"body");
        message.user_properties.insert("own".to_owned(), "1".to_owned());
        let request = SendMessageRequest { messages: vec![message] }.encode_to_vec();
        let receive = ReceiveMessageRequest {
            group: Some(resource("g")),
            message_queue: Some(MessageQueue { topic: Some(resource("t")), ..MessageQueue::default() }),
            batch_size: i32::MAX,
            invisible_duration: Some(prost_types::Duration { seconds: 30, nanos: 1 }),
            long_polling_timeout: Some(prost_types::Duration { seconds: -1, nanos: -1 }),
            ..ReceiveMessageRequest::default()
        };
        let receive = receive.encode_to_vec();
        let mut channel = Channel::from_shared(format!("http://{}", server.grpc)).unwrap().connect().await.unwrap();
        for cut in 0..request.len() {
            let (status, _) = call(&mut channel, "SendMessage", framed(&request[..cut])).await;
            assert!(status.is_some(), "cut at {cut}");
        }
        for cut in 0..receive.len() - 6 {
            let (status, _) = call(&mut channel, "ReceiveMessage", framed(&receive[..cut])).await;
            assert!(status.is_some(), "cut at {cut}");
        }
        let (status, _) = call(&mut channel, "SendMessage", framed(&request)).await;
        assert_eq!(status.as_deref(), Some("0"));
    });
}
