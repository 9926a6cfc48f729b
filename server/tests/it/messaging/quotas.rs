//! Limits of rates.

use std::time::{Duration, Instant};

use super::client::{self, Client};
use super::code;
use super::proto::*;
use crate::flight::wire::run;
use crate::program::Server;

#[test]
fn what_is_too_much_is_refused_or_waits() {
    let server = Server::start();
    run(async {
        let mut client = Client::connect(&server, "c").await;
        let mut sent = Vec::new();
        for n in 0..8 {
            if n == 4 {
                let limits = "ALTER NAMESPACE public SET (rows_in_per_second = 1, rows_out_per_second = 2)";
                tokio::task::block_in_place(|| server.ok(&["sql", "-c", limits]));
            }
            let answer = client.send(vec![client::of("t", &n.to_string(), b"x")]).await;
            sent.push(code(&answer.status));
            if n == 0 {
                // A group begins at the end.
                client.receive("t", 1, Duration::ZERO).await;
            }
        }
        assert!(sent[..5].iter().all(|code| *code == Code::Ok), "{sent:?}");
        assert_eq!(sent[7], Code::TooManyRequests, "{sent:?}");
        let begun = Instant::now();
        let (status, messages) = client.receive("t", 4, Duration::ZERO).await;
        assert!(code(&status) == Code::Ok && !messages.is_empty(), "{status:?}");
        let more = messages.len();
        // Ever more than a second's: each is waited for by the next.
        for _ in 0..3 {
            client.receive("t", 4, Duration::from_secs(5)).await;
        }
        assert!(more <= 4 && begun.elapsed() > Duration::from_millis(500), "{:?}", begun.elapsed());
    });
}
