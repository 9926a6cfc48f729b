//! Consumers: credit, pauses, rows that can't be evaluated, offsets of rows.

use std::time::Duration;

use millstream_client::{Client, ConsumerOptions, ErrorKind, SeekTo};

use super::{WAIT, append, ids, manual, nothing_comes, run, sql, table, take, values};

/// Credit for a few batches of 1,000 rows.
fn tight(group: &str) -> ConsumerOptions {
    ConsumerOptions { fetch_max_bytes: 65_536, max_poll_rows: 1000, ..manual(group) }
}

#[test]
fn a_small_credit_carries_any_number_of_rows() {
    let server = table(1);
    run(async {
        let client = Client::connect(&server.url()).await.unwrap();
        append(&client, 0, &ids(0, 400_000)).await;
        let options = ConsumerOptions { max_poll_rows: 100, ..tight("g") };
        let mut consumer = client.consumer(options, &["t"]).await.unwrap();
        assert_eq!(values(&take(&mut consumer, 400_000).await), (0..400_000).collect::<Vec<_>>());
    });
}

#[test]
fn a_paused_partition_leaves_the_credit_to_the_others() {
    let server = table(2);
    run(async {
        let client = Client::connect(&server.url()).await.unwrap();
        append(&client, 0, &ids(0, 100_000)).await;
        let mut consumer = client.consumer(tight("g"), &["t"]).await.unwrap();
        let mut first = take(&mut consumer, 1000).await;
        // Now all credit is spent on rows of partition 0 that wait.
        tokio::time::sleep(Duration::from_millis(300)).await;
        consumer.pause("t", &[0]).await.unwrap();
        append(&client, 1, &ids(1_000_000, 100_000)).await;
        let others = take(&mut consumer, 100_000).await;
        assert_eq!(values(&others), (1_000_000..1_100_000).collect::<Vec<_>>());
        nothing_comes(&mut consumer).await;
        let paused = &consumer.offsets().await.unwrap()[&("t".to_owned(), 0)];
        assert_eq!(paused.position, values(&first).len() as u64, "a pause does not move the position");
        consumer.resume("t", &[0]).await.unwrap();
        first.extend(take(&mut consumer, 100_000 - values(&first).len()).await);
        assert_eq!(values(&first), (0..100_000).collect::<Vec<_>>(), "no gap and no repeat");
    });
}

#[test]
fn a_pause_and_a_seek_while_paused() {
    let server = table(1);
    run(async {
        let client = Client::connect(&server.url()).await.unwrap();
        append(&client, 0, &ids(0, 100)).await;
        let mut consumer = client.consumer(ConsumerOptions { max_poll_rows: 10, ..manual("g") }, &["t"]).await.unwrap();
        take(&mut consumer, 10).await;
        consumer.pause("t", &[0]).await.unwrap();
        assert_eq!(consumer.seek("t", 0, SeekTo::Offset(50)).await.unwrap(), 50);
        nothing_comes(&mut consumer).await;
        consumer.resume("t", &[0]).await.unwrap();
        assert_eq!(values(&take(&mut consumer, 50).await), (50..100).collect::<Vec<_>>());
        // A refused seek changes nothing.
        append(&client, 0, &ids(100, 100)).await;
        assert_eq!(consumer.seek("t", 0, SeekTo::Offset(1000)).await.unwrap_err().kind(), ErrorKind::OutOfRange);
        assert_eq!(values(&take(&mut consumer, 100).await), (100..200).collect::<Vec<_>>());
    });
}

#[test]
fn a_row_that_fails_stops_its_partition_only() {
    let server = table(2);
    sql(&server, "CREATE TOPIC shares AS SELECT id, 100 / id AS share FROM t");
    run(async {
        let client = Client::connect(&server.url()).await.unwrap();
        append(&client, 0, &ids(-3, 6)).await;
        append(&client, 1, &ids(1, 10)).await;
        let mut consumer = client.consumer(manual("g"), &["shares"]).await.unwrap();
        let (mut rows, mut failures) = (Vec::new(), 0);
        while rows.len() < 13 || failures < 2 {
            match consumer.poll(WAIT).await {
                Ok(batch) => rows.extend(values(&[batch.expect("rows or a failure")])),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
                    assert!(error.to_string().contains("partition 0 offset 3"), "{error}");
                    failures += 1;
                }
            }
        }
        rows.sort_unstable();
        assert_eq!(rows, [vec![-3, -2, -1], (1..11).collect()].concat());
        consumer.seek("shares", 0, SeekTo::Offset(4)).await.unwrap();
        assert_eq!(values(&take(&mut consumer, 2).await), [1, 2]);
        nothing_comes(&mut consumer).await;
    });
}

#[test]
fn rows_of_a_filtered_topic_know_their_offsets() {
    let server = table(1);
    sql(&server, "CREATE TOPIC some AS SELECT id FROM t WHERE id % 7 = 3");
    run(async {
        let client = Client::connect(&server.url()).await.unwrap();
        for n in 0..10 {
            append(&client, 0, &ids(n * 1000, 1000)).await;
        }
        append(&client, 0, &ids(70_000_000, 1)).await;
        let mut consumer = client.consumer(manual("g"), &["some"]).await.unwrap();
        let expected: Vec<i64> = (0..10_000).filter(|id| id % 7 == 3).collect();
        let batches = take(&mut consumer, expected.len()).await;
        assert_eq!(values(&batches), expected);
        let offsets: Vec<i64> = batches.iter().flat_map(|batch| batch.offsets()).map(|offset| offset as i64).collect();
        assert_eq!(offsets, expected);
        let mut next = 0;
        for batch in &batches {
            assert_eq!(batch.first_offset, next, "gapless");
            next = batch.next_offset;
        }
        nothing_comes(&mut consumer).await;
        assert_eq!(consumer.offsets().await.unwrap()[&("some".to_owned(), 0)].position, 10_001);
    });
}
