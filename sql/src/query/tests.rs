//! Planning takes as much longer as there is more to plan.

use futures::StreamExt;
use millstream_engine::{Engine, Principal};

use crate::{Error, Outcome, SqlEngine, SqlOptions, SqlSession};

/// What the one thread that plans and executes has used, in ns. Other threads, and waiting, do not count.
async fn used(sql: &SqlEngine) -> u64 {
    let read = async {
        std::fs::read_to_string("/proc/thread-self/schedstat").map_err(|error| Error::Internal(error.to_string()))
    };
    let schedstat = sql.threads().run(read).await.unwrap();
    schedstat.split_whitespace().next().unwrap().parse().unwrap()
}

async fn execute(session: &SqlSession, sql: &str) {
    match session.execute(sql).await.unwrap() {
        Outcome::Done { .. } => {}
        Outcome::Rows { mut stream, .. } => {
            while let Some(batch) = stream.next().await {
                batch.unwrap();
            }
        }
    }
}

/// The least that a statement took of several times.
async fn least(sql: &SqlEngine, session: &SqlSession, statement: &str) -> u64 {
    let mut least = u64::MAX;
    for _ in 0..4 {
        let before = used(sql).await;
        execute(session, statement).await;
        least = least.min(used(sql).await - before);
    }
    least
}

#[tokio::test]
async fn wide_tables_are_planned_in_step_with_their_columns() {
    let dir = tempfile::tempdir().unwrap();
    let options = SqlOptions { threads: 1, ..SqlOptions::default() };
    let sql = SqlEngine::new(Engine::open(dir.path()).unwrap(), options).unwrap();
    let session = sql.session(Principal::anonymous(), "public");
    let (mut selects, mut inserts) = (Vec::new(), Vec::new());
    for columns in [150, 1200] {
        let list = |part: fn(usize) -> String| (0..columns).map(part).collect::<Vec<_>>().join(", ");
        execute(&session, &format!("CREATE TABLE w{columns} ({})", list(|column| format!("c{column} BIGINT")))).await;
        selects.push(least(&sql, &session, &format!("SELECT * FROM w{columns} WHERE c7 + 1 > 5")).await);
        let values = list(|column| column.to_string());
        inserts.push(least(&sql, &session, &format!("INSERT INTO w{columns} VALUES ({values})")).await);
    }
    // Eight times the columns: with the square of their number it would be 64 times as long.
    for times in [selects, inserts] {
        assert!(times[1] < times[0] * 24, "{times:?}");
    }
}
