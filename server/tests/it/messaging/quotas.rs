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
                let limits = "ALTER NAMESPACE public SET (bytes_in_per_second = 100, rows_out_per_second = 1)";
                tokio::task::block_in_place(|| server.ok(&["sql", "-c", limits]));
            }
            let answer = client.send(vec![client::of("t", &n.to_string(), &[b'x'; 3_000])]).await;
            sent.push(code(&answer.status));
            if n == 0 {
                // A group begins at the end.
                client.receive("t", 1, Duration::ZERO).await;
            }
        }
        assert!(sent[..5].iter().all(|code| *code == Code::Ok), "{sent:?}");
        assert!(sent[5..].contains(&Code::TooManyRequests), "{sent:?}");
        let (begun, mut received) = (Instant::now(), 0);
        while received < 3 {
            let (status, messages) = client.receive("t", 4, Duration::ZERO).await;
            assert_eq!(code(&status), Code::Ok, "{status:?}");
            received += messages.len();
        }
        // Two of them were more than a second's.
        client.receive("t", 1, Duration::ZERO).await;
        assert!(begun.elapsed() > Duration::from_millis(1_500), "{:?}", begun.elapsed());
    });
}
