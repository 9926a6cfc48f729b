//! Messages that come back before their time: their call has broken off, or their client has gone.

use std::time::Duration;

use super::client::{Client, of, push_consumer, settings};
use super::code;
use super::proto::*;
use crate::flight::wire::run;
use crate::program::Server;

/// Shorter than any time for which messages are invisible here.
const SOON: Duration = Duration::from_secs(15);

fn store() -> Server {
    let server = Server::start();
    server.ok(&["sql", "-c", "CREATE TABLE t OF MESSAGES WITH (partitions = 1)"]);
    server
}

/// Ids, and how often each was handed out; all of `most`.
async fn received(client: &mut Client, most: usize) -> Vec<(String, i32)> {
    let mut found = Vec::new();
    while found.len() < most {
        let (status, messages) = client.receive("t", 16, SOON).await;
        assert_eq!(code(&status), Code::Ok, "{found:?}");
        found.extend(messages.into_iter().map(|message| {
            let properties = message.system_properties.unwrap();
            (properties.message_id, properties.delivery_attempt.unwrap())
        }));
    }
    found.sort();
    found
}

#[test]
fn what_a_call_is_not_taken_of_is_handed_out_again_at_once() {
    let server = store();
    run(async {
        let mut leaving = Client::connect_slow(&server, "leaving").await;
        for id in ["1", "2"] {
            assert_eq!(code(&leaving.send(vec![of("t", id, &[7; 120_000])]).await.status), Code::Ok);
        }
        // More often than a message may be handed out: what nobody gets does not count.
        for _ in 0..20 {
            let answers = leaving.begin_receiving("t", 16, SOON, false).await;
            drop(answers);
        }
        let mut other = Client::connect(&server, "other").await;
        assert_eq!(received(&mut other, 2).await, [("1".to_owned(), 1), ("2".to_owned(), 1)]);
    });
}

#[test]
fn what_a_client_has_kept_is_handed_out_again_when_it_says_that_it_goes() {
    let server = store();
    run(async {
        let mut leaving = Client::connect(&server, "leaving").await;
        assert_eq!(code(&leaving.send(vec![of("t", "1", b"x"), of("t", "2", b"x")]).await.status), Code::Ok);
        let (commands, mut told) = leaving.telemetry().await;
        commands.send(settings(push_consumer("t"))).await.unwrap();
        told.message().await.unwrap().unwrap();
        let mut kept = 0;
        while kept < 2 {
            let mut answers = leaving.begin_receiving("t", 16, SOON, true).await;
            while let Some(answer) = answers.message().await.unwrap() {
                kept += usize::from(matches!(answer.content, Some(receive_message_response::Content::Message(_))));
            }
        }
        let mut other = Client::connect(&server, "other").await;
        assert_eq!(code(&other.receive("t", 16, Duration::ZERO).await.0), Code::MessageNotFound);
        assert_eq!(code(&leaving.leave().await.status), Code::Ok);
        assert_eq!(received(&mut other, 2).await, [("1".to_owned(), 2), ("2".to_owned(), 2)]);
    });
}
