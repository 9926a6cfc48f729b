//! Consumers whose connection, membership or schema goes.

use std::time::Duration;

use arrow::array::Array;
use millstream_client::protocol::GroupMode;
use millstream_client::{Client, ConsumerOptions, ErrorKind};

use super::proxy::Proxy;
use super::{WAIT, append, ids, manual, nothing_comes, run, sql, table, take, values};

/// Members are shut out after a second without a poll.
fn impatient(group: &str) -> ConsumerOptions {
    ConsumerOptions {
        max_poll_interval: Duration::from_secs(1),
        session_timeout: Duration::from_secs(6),
        ..manual(group)
    }
}

/// Waits, without a poll, until the group has no members.
async fn shut_out(server: &crate::program::Server) {
    let deadline = std::time::Instant::now() + WAIT;
    while sql(server, "SELECT count(*) AS n FROM system.members") != "n\n0\n" {
        assert!(std::time::Instant::now() < deadline, "the member stays");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn a_member_that_was_shut_out_joins_again_at_the_committed_offsets() {
    let server = table(1);
    run(async {
        let client = Client::connect(&server.url()).await.unwrap();
        append(&client, 0, &ids(0, 100)).await;
        append(&client, 0, &ids(100, 100)).await;
        let options = ConsumerOptions { max_poll_rows: 50, ..impatient("g") };
        let mut consumer = client.consumer(options, &["t"]).await.unwrap();
        let first = take(&mut consumer, 150).await;
        consumer.commit_batch(&first[0]).await.unwrap();
        shut_out(&server).await;
        assert_eq!(consumer.commit().await.unwrap_err().kind(), ErrorKind::Fenced);
        let again = take(&mut consumer, 150).await;
        assert_eq!(values(&again), (50..200).collect::<Vec<_>>());
        assert!(again[0].generation > first[2].generation);
        // Rows of the old membership are not committed by the new one.
        assert_eq!(consumer.commit_batch(&first[2]).await.unwrap_err().kind(), ErrorKind::Fenced);
        consumer.commit().await.unwrap();
        let offsets = consumer.offsets().await.unwrap();
        assert_eq!(offsets[&("t".to_owned(), 0)].committed, Some(200));
    });
}

#[test]
fn a_member_that_waits_for_rows_is_not_shut_out() {
    let server = table(1);
    run(async {
        let client = Client::connect(&server.url()).await.unwrap();
        let mut consumer = client.consumer(impatient("g"), &["t"]).await.unwrap();
        let generation = |server| sql(server, "SELECT max(generation) AS g FROM system.groups");
        let before = generation(&server);
        assert!(consumer.poll(Duration::from_secs(4)).await.unwrap().is_none());
        assert_eq!(generation(&server), before);
    });
}

#[test]
fn in_a_broadcast_group_the_place_may_be_anothers() {
    let server = table(1);
    run(async {
        let client = Client::connect(&server.url()).await.unwrap();
        let options =
            ConsumerOptions { mode: GroupMode::Broadcast, client_id: "screen".to_owned(), ..manual("screens") };
        let mut old = client.consumer(options.clone(), &["t"]).await.unwrap();
        let mut new = client.consumer(options, &["t"]).await.unwrap();
        assert_eq!(old.poll(WAIT).await.unwrap_err().kind(), ErrorKind::Fenced);
        append(&client, 0, &ids(0, 10)).await;
        assert_eq!(values(&take(&mut new, 10).await), (0..10).collect::<Vec<_>>());
    });
}

#[test]
fn after_a_break_reading_goes_on_where_it_was() {
    let server = table(2);
    run(async {
        let proxy = Proxy::start(server.grpc).await;
        let (client, direct) =
            (Client::connect(&proxy.url).await.unwrap(), Client::connect(&server.url()).await.unwrap());
        append(&direct, 0, &ids(0, 100)).await;
        append(&direct, 1, &ids(100, 100)).await;
        let options = ConsumerOptions {
            max_poll_rows: 10,
            enable_auto_commit: true,
            auto_commit_interval: Duration::from_millis(1),
            ..manual("g")
        };
        let mut consumer = client.consumer(options, &["t"]).await.unwrap();
        let mut seen = Vec::new();
        for _ in 0..10 {
            seen.extend(values(&take(&mut consumer, 20).await));
            proxy.cut();
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..200).collect::<Vec<_>>(), "nothing twice, nothing left out");
        // What was given out before the breaks is committed after them.
        nothing_comes(&mut consumer).await;
        nothing_comes(&mut consumer).await;
        let committed: Vec<_> = consumer.offsets().await.unwrap().values().map(|offsets| offsets.committed).collect();
        assert_eq!(committed, [Some(100), Some(100)]);
    });
}

#[test]
fn an_offset_that_was_moved_during_the_break_is_followed() {
    let server = table(1);
    run(async {
        let proxy = Proxy::start(server.grpc).await;
        let (client, direct) =
            (Client::connect(&proxy.url).await.unwrap(), Client::connect(&server.url()).await.unwrap());
        append(&direct, 0, &ids(0, 100)).await;
        let mut consumer = client.consumer(manual("g"), &["t"]).await.unwrap();
        take(&mut consumer, 100).await;
        consumer.commit().await.unwrap();
        proxy.cut_off();
        assert!(consumer.poll(Duration::from_millis(200)).await.unwrap().is_none(), "a break is not an error at once");
        shut_out(&server).await;
        sql(&server, "ALTER CONSUMER GROUP g SET OFFSET TO 70");
        proxy.mend();
        assert_eq!(values(&take(&mut consumer, 30).await), (70..100).collect::<Vec<_>>());
        nothing_comes(&mut consumer).await;
    });
}

#[test]
fn a_server_that_stays_away_is_an_error_in_the_end() {
    let mut server = table(1);
    run(async {
        let client = Client::connect(&server.url()).await.unwrap();
        let mut consumer =
            client.consumer(ConsumerOptions { reconnect_count: 3, ..manual("g") }, &["t"]).await.unwrap();
        server.kill();
        let error = consumer.poll(WAIT).await.unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
        assert!(consumer.commit_offsets(&[(("t".to_owned(), 0), 0)]).await.unwrap_err().is_retryable());
    });
}

#[test]
fn new_columns_come_without_a_repeat() {
    let server = table(1);
    run(async {
        let client = Client::connect(&server.url()).await.unwrap();
        append(&client, 0, &ids(0, 10)).await;
        let mut consumer = client.consumer(manual("g"), &["t"]).await.unwrap();
        let first = take(&mut consumer, 10).await;
        consumer.pause("t", &[0]).await.unwrap();
        sql(&server, "ALTER TABLE t ADD COLUMN name VARCHAR");
        sql(&server, "INSERT INTO t VALUES (10, 'ten')");
        nothing_comes(&mut consumer).await;
        consumer.resume("t", &[0]).await.unwrap();
        let second = take(&mut consumer, 1).await;
        assert_eq!((values(&second), second[0].first_offset), (vec![10], 10));
        assert_eq!((first[0].data.num_columns(), second[0].data.num_columns()), (1, 2));
        assert!(!second[0].data.column(1).is_null(0));
        assert_eq!(second[0].generation, first[0].generation, "the member has stayed");
        assert_eq!(consumer.schema("t").unwrap().fields().len(), 2);
        consumer.commit().await.unwrap();
        assert_eq!(consumer.offsets().await.unwrap()[&("t".to_owned(), 0)].committed, Some(11));
    });
}
