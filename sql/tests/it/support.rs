//! An engine in a directory of its own.

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::StreamExt;
use millstream_engine::{Engine, Principal};
use millstream_sql::{Error, Outcome, SqlEngine, SqlOptions, SqlSession};
use tempfile::TempDir;

pub(crate) struct Store {
    pub(crate) engine: Engine,
    pub(crate) session: SqlSession,
    /// Removed when the test ends.
    _dir: TempDir,
}

pub(crate) fn open(options: SqlOptions) -> Store {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(dir.path()).unwrap();
    let sql = SqlEngine::new(engine.clone(), options).unwrap();
    Store { engine, session: sql.session(Principal::anonymous(), "public"), _dir: dir }
}

impl Store {
    /// Executes and gives all rows.
    pub(crate) async fn batches(&self, sql: &str) -> Result<Vec<RecordBatch>, Error> {
        collect(self.session.execute(sql).await?).await
    }

    /// Executes and gives all rows as text.
    pub(crate) async fn rows(&self, sql: &str) -> Result<Vec<String>, Error> {
        Ok(self.batches(sql).await?.iter().flat_map(format_rows).collect())
    }

    /// Executes what must succeed.
    pub(crate) async fn run(&self, sql: &str) -> u64 {
        match self.session.execute(sql).await.unwrap_or_else(|error| panic!("{sql:.200}: {error}")) {
            Outcome::Done { rows, .. } => rows,
            Outcome::Rows { .. } => panic!("{sql} gave rows"),
        }
    }
}

pub(crate) async fn collect(outcome: Outcome) -> Result<Vec<RecordBatch>, Error> {
    match outcome {
        Outcome::Done { .. } => Ok(Vec::new()),
        Outcome::Rows { mut stream, .. } => {
            let mut batches = Vec::new();
            while let Some(batch) = stream.next().await {
                batches.push(batch?);
            }
            Ok(batches)
        }
    }
}

/// Rows as text, columns between bars.
pub(crate) fn format_rows(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::new().with_null("NULL");
    let columns: Vec<_> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap()).collect();
    (0..batch.num_rows())
        .map(|row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|"))
        .collect()
}
