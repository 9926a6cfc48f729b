//! Consumers whose partitions move, or whose group's offsets are set.

use std::time::Duration;

use millstream_client::{Client, Consumer, ConsumerOptions, ErrorKind};

use super::{WAIT, append, ids, manual, nothing_comes, run, sql, table, take, values};

/// Polls until the member owns so many partitions.
async fn owns(consumer: &mut Consumer, count: usize) {
    let deadline = std::time::Instant::now() + WAIT;
    while consumer.assignment().len() != count {
        assert!(consumer.poll(Duration::from_millis(20)).await.unwrap().is_none());
        assert!(std::time::Instant::now() < deadline, "it owns {:?}", consumer.assignment());
    }
}

#[test]
fn a_kept_partition_is_committed_across_a_rebalance_and_a_lost_one_is_not() {
    let server = table(2);
    run(async {
        let client = Client::connect(&server.url()).await.unwrap();
        append(&client, 0, &ids(0, 10)).await;
        append(&client, 1, &ids(10, 10)).await;
        let mut first = client.consumer(manual("g"), &["t"]).await.unwrap();
        let batches = take(&mut first, 20).await;
        let mut second = client.consumer(manual("g"), &["t"]).await.unwrap();
        owns(&mut first, 1).await;
        let kept = first.assignment()[0].1;
        for batch in &batches {
            let committed = first.commit_batch(batch).await;
            match batch.partition == kept {
                true => committed.unwrap(),
                false => assert_eq!(committed.unwrap_err().kind(), ErrorKind::Fenced),
            }
        }
        assert_eq!(take(&mut second, 10).await[0].partition, 1 - kept, "what was not committed comes again, there");
        second.commit().await.unwrap();
        second.close().await.unwrap();
        owns(&mut first, 2).await;
        let lost = batches.iter().find(|batch| batch.partition != kept).unwrap();
        assert_eq!(first.commit_batch(lost).await.unwrap_err().kind(), ErrorKind::Fenced, "it was away meanwhile");
        first.commit().await.unwrap();
        nothing_comes(&mut first).await;
        let committed: Vec<_> = first.offsets().await.unwrap().values().map(|offsets| offsets.committed).collect();
        assert_eq!(committed, [Some(10), Some(10)]);
    });
}

#[test]
fn automatic_commits_outlast_a_rebalance() {
    let server = table(2);
    run(async {
        let client = Client::connect(&server.url()).await.unwrap();
        append(&client, 0, &ids(0, 10)).await;
        append(&client, 1, &ids(10, 10)).await;
        let automatic =
            ConsumerOptions { enable_auto_commit: true, auto_commit_interval: Duration::from_millis(1), ..manual("g") };
        let mut first = client.consumer(automatic, &["t"]).await.unwrap();
        let mut rows = take(&mut first, 20).await;
        let mut second = client.consumer(manual("g"), &["t"]).await.unwrap();
        owns(&mut first, 1).await;
        let kept = first.assignment()[0].clone();
        while first.offsets().await.unwrap()[&kept].committed != Some(10) {
            nothing_comes(&mut first).await;
        }
        // The other half was committed before the rebalance or not at all.
        if let Some(again) = second.poll(Duration::from_millis(500)).await.unwrap() {
            rows.push(again);
        }
        assert!(values(&rows).iter().filter(|id| **id / 10 == i64::from(kept.1)).count() == 10);
    });
}

#[test]
fn a_reset_voids_what_waits() {
    let server = table(1);
    run(async {
        let client = Client::connect(&server.url()).await.unwrap();
        append(&client, 0, &ids(0, 100)).await;
        let options = ConsumerOptions { max_poll_rows: 10, ..manual("g") };
        let mut consumer = client.consumer(options, &["t"]).await.unwrap();
        let before = take(&mut consumer, 30).await;
        sql(&server, "ALTER CONSUMER GROUP g SET OFFSET TO 5");
        let deadline = std::time::Instant::now() + WAIT;
        while consumer.offsets().await.unwrap()[&("t".to_owned(), 0)].position != 5 {
            assert!(std::time::Instant::now() < deadline, "the reset is not seen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(consumer.commit_batch(&before[2]).await.unwrap_err().kind(), ErrorKind::Fenced);
        consumer.commit().await.unwrap();
        assert_eq!(consumer.offsets().await.unwrap()[&("t".to_owned(), 0)].committed, Some(5));
        assert_eq!(values(&take(&mut consumer, 95).await), (5..100).collect::<Vec<_>>());
    });
}
