//! More queries that nobody reads, and more polls that wait for rows, than there are threads for calls that block.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use futures::StreamExt;
use millstream_engine::{Append, PartitionChoice, Principal};
use millstream_sql::{Outcome, SqlOptions};
use tokio::task::JoinSet;

use crate::support::{Store, open};

/// tokio has 512 threads for calls that block.
const CROWD: usize = 560;
/// More than fit between a scan and a reader who has gone away for a while.
const BATCHES: i64 = 16;
const BATCH_ROWS: i64 = 2_000;
/// Far above what anything here takes on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(120);
/// Polls wait for 60 s: one that had to wait for another's thread would begin after this.
const POLLS_LIMIT: Duration = Duration::from_secs(55);

async fn table(store: &Store) {
    store.run("CREATE TABLE t (id BIGINT NOT NULL)").await;
    let who = Principal::anonymous();
    let table = store.engine.table(&who, "public", "t").unwrap();
    for batch in 0..BATCHES {
        let ids = Int64Array::from_iter_values(batch * BATCH_ROWS..(batch + 1) * BATCH_ROWS);
        let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]));
        let batch = RecordBatch::try_new(schema, vec![Arc::new(ids) as ArrayRef]).unwrap();
        let append = Append { table: table.id, partition: PartitionChoice::ByKey, batch };
        store.engine.append(&who, append, None).unwrap().wait().unwrap();
    }
}

async fn count(store: &Store) -> Vec<String> {
    let counted = store.rows("SELECT count(*), max(id + 1) FROM t");
    tokio::time::timeout(LIMIT, counted).await.expect("a query waits behind the crowd").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_that_nobody_reads_leave_others_their_threads() {
    let store = open(SqlOptions::default());
    table(&store).await;
    let all = (BATCHES * BATCH_ROWS).to_string();
    let mut unread = Vec::new();
    for _ in 0..CROWD {
        let begun = tokio::time::timeout(LIMIT, async {
            let Outcome::Rows { mut stream, .. } = store.session.execute("SELECT * FROM t").await.unwrap() else {
                panic!("a query gives rows")
            };
            // It is under way, and then nobody goes on reading.
            let first = stream.next().await.unwrap().unwrap();
            (stream, first.num_rows())
        });
        unread.push(begun.await.expect("a query waits behind the crowd"));
    }
    assert_eq!(count(&store).await, [format!("{all}|{all}")]);
    // They go on where they stopped.
    for (mut stream, mut rows) in unread.into_iter().take(3) {
        while let Some(batch) = stream.next().await {
            rows += batch.unwrap().num_rows();
        }
        assert_eq!(rows.to_string(), all);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_that_wait_leave_others_their_threads() {
    let store = open(SqlOptions::default());
    table(&store).await;
    store.run("CREATE TABLE idle (id BIGINT NOT NULL)").await;
    let mut polls = JoinSet::new();
    for client in 0..CROWD {
        let (session, group) = (store.session.clone(), client % 7);
        polls.spawn(async move {
            let sql = format!(
                "SELECT * FROM poll('idle', 'g{group}', 1, 60000, client_id => 'c{client}', \
                 auto_offset_reset => 'earliest', session_timeout_ms => 1800000)"
            );
            let Outcome::Rows { mut stream, .. } = session.execute(&sql).await.unwrap() else {
                panic!("a query gives rows")
            };
            stream.next().await.map(|batch| batch.unwrap().num_rows())
        });
    }
    tokio::time::timeout(POLLS_LIMIT, async {
        while store.engine.stats(&Principal::anonymous()).unwrap().members < CROWD as u64 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("polls wait behind polls");
    let all = (BATCHES * BATCH_ROWS).to_string();
    assert_eq!(count(&store).await, [format!("{all}|{all}")]);
    polls.abort_all();
    // One is told of the row that it waits for.
    let last = store.session.clone();
    let mut waits = JoinSet::new();
    waits.spawn(async move {
        let sql = "SELECT * FROM poll('idle', 'last', 1, 60000, auto_offset_reset => 'earliest')";
        let Outcome::Rows { mut stream, .. } = last.execute(sql).await.unwrap() else { panic!("a query gives rows") };
        stream.next().await.map(|batch| batch.unwrap().num_rows())
    });
    store.run("INSERT INTO idle VALUES (1)").await;
    assert_eq!(tokio::time::timeout(LIMIT, waits.join_next()).await.expect("it is woken").unwrap().unwrap(), Some(1));
}

/// Joins that work for hours on pairs of rows, without rows that they give or with one at the very end.
const HOGS: [&str; 4] = [
    "SELECT a.id FROM t AS a, t AS b, t AS c WHERE a.id + b.id + c.id < -1",
    "SELECT a.id FROM t AS a JOIN t AS b ON a.id % 1 = b.id % 1 AND a.id < b.id - 40000, t AS c",
    "SELECT count(*), sum(a.id) FROM t AS a, t AS b, t AS c",
    "SELECT a.id FROM t AS a LEFT JOIN t AS b ON a.id + b.id < -1 WHERE b.id > 0",
];

#[tokio::test(flavor = "multi_thread")]
async fn joins_without_an_end_give_way_and_end_with_their_readers() {
    let store = open(SqlOptions { threads: 1, ..SqlOptions::default() });
    table(&store).await;
    let mut begun = Vec::new();
    for hog in HOGS {
        let Outcome::Rows { schema, mut stream } = store.session.execute(hog).await.unwrap() else {
            panic!("a query gives rows")
        };
        let waited = tokio::time::timeout(Duration::from_millis(200), stream.next()).await;
        assert!(waited.is_err(), "{hog} has come to an end");
        begun.push((schema, stream));
    }
    let all = (BATCHES * BATCH_ROWS).to_string();
    assert_eq!(count(&store).await, [format!("{all}|{all}")]);
    for (hog, (schema, stream)) in HOGS.into_iter().zip(begun) {
        drop(stream);
        let ended = async {
            while Arc::strong_count(&schema) > 1 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LIMIT, ended).await.unwrap_or_else(|_| panic!("nobody reads it, and it goes on: {hog}"));
    }
}
