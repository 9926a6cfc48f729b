//! How often and when messages are tried again: as it is set for the group, which consumers are told.

use std::time::Duration;

use super::client::{Client, of, push_consumer, settings};
use super::code;
use super::proto::*;
use crate::flight::wire::run;
use crate::program::Server;

#[test]
fn consumers_go_by_what_is_set_for_their_group_and_letters_are_sent_again() {
    let server = Server::start();
    server.ok(&["sql", "-c", "CREATE TABLE t OF MESSAGES WITH (partitions = 1)"]);
    server.ok(&["sql", "-c", "CREATE CONSUMER GROUP g WITH (max_attempts = 2, retry_steps = '200ms, 1s')"]);
    run(async {
        let mut client = Client::connect(&server, "c").await;
        let (commands, mut told) = client.telemetry().await;
        commands.send(settings(push_consumer("t"))).await.unwrap();
        let answer = told.message().await.unwrap().unwrap();
        let Some(telemetry_command::Command::Settings(told)) = answer.command else { panic!("{answer:?}") };
        let policy = told.backoff_policy.unwrap();
        let Some(retry_policy::Strategy::CustomizedBackoff(backoff)) = policy.strategy else { panic!("{policy:?}") };
        let next: Vec<Duration> = backoff.next.into_iter().map(|wait| wait.try_into().unwrap()).collect();
        assert_eq!((policy.max_attempts, next), (2, vec![Duration::from_millis(200), Duration::from_secs(1)]));

        assert_eq!(code(&client.send(vec![of("t", "1", b"x")]).await.status), Code::Ok);
        for attempt in 1..=2 {
            let (_, messages) = client.receive("t", 1, Duration::from_secs(10)).await;
            let properties = messages[0].system_properties.clone().unwrap();
            assert_eq!(properties.delivery_attempt, Some(attempt));
            let changed = client.change("t", &properties.receipt_handle.unwrap(), Duration::ZERO).await;
            assert_eq!(code(&changed.status), Code::Ok);
        }
        assert_eq!(code(&client.receive("t", 1, Duration::ZERO).await.0), Code::MessageNotFound);
        let sent = server.ok(&["sql", "-c", "RESEND MESSAGE '1' FROM \"%DLQ%g\""]);
        assert!(sent.contains("messages sent again: 1 to \"t\""), "{sent}");
        let (_, messages) = client.receive("t", 1, Duration::from_secs(10)).await;
        let properties = messages[0].system_properties.clone().unwrap();
        assert_eq!((properties.message_id.as_str(), properties.delivery_attempt), ("1", Some(1)));
    });
}
