//! Runs `tests/slt/*.slt`: SQL statements with their results and errors, each file on an empty store of its own.

mod host;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::StreamExt;
use millstream_engine::{Engine, Principal};
use millstream_sql::{Error, Outcome, SqlEngine, SqlOptions, SqlSession};
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};

/// One connection to the engine of one file.
struct Session {
    session: SqlSession,
}

#[async_trait::async_trait]
impl AsyncDB for Session {
    type Error = Error;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Error> {
        let outcome = self.session.execute(sql).await?;
        let (schema, mut stream) = match outcome {
            Outcome::Done { rows, .. } => return Ok(DBOutput::StatementComplete(rows)),
            Outcome::Rows { schema, stream } => (schema, stream),
        };
        let mut rows = Vec::new();
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            assert_eq!(batch.schema(), schema, "a batch has the announced schema");
            rows.extend(format_rows(&batch));
        }
        Ok(DBOutput::Rows { types: vec![DefaultColumnType::Any; schema.fields().len()], rows })
    }

    async fn shutdown(&mut self) {}
}

fn format_rows(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::new().with_null("NULL");
    let columns: Vec<_> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap()).collect();
    let cell = |column: &ArrayFormatter<'_>, row| match column.value(row).to_string() {
        text if text.is_empty() => "(empty)".to_owned(),
        text => text,
    };
    (0..batch.num_rows()).map(|row| columns.iter().map(|column| cell(column, row)).collect()).collect()
}

fn run(path: &Path) -> Result<usize, String> {
    let data = tempfile::tempdir().unwrap();
    let engine = Engine::open(data.path()).unwrap();
    engine.set_plugin_host(Arc::new(host::TextHost));
    let roots = vec![std::env::temp_dir()];
    let sql = SqlEngine::new(engine.clone(), SqlOptions { file_roots: roots, ..SqlOptions::default() }).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let result = runtime.block_on(async {
        let mut runner =
            Runner::new(|| async { Ok(Session { session: sql.session(Principal::anonymous(), "public") }) });
        let records = sqllogictest::parse_file(path).map_err(|error| error.to_string())?;
        let statements = records
            .iter()
            .filter(|record| {
                matches!(record, sqllogictest::Record::Statement { .. } | sqllogictest::Record::Query { .. })
            })
            .count();
        runner.run_multi_async(records).await.map_err(|error| error.display(false).to_string())?;
        Ok(statements)
    });
    engine.close().unwrap();
    result
}

#[test]
fn every_file_holds() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("slt");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "slt"))
        .filter(|path| std::env::var("SLT").map_or(true, |name| path.to_string_lossy().contains(&name)))
        .collect();
    files.sort();
    let (mut statements, mut failures) = (0, Vec::new());
    for file in &files {
        match run(file) {
            Ok(count) => statements += count,
            Err(failure) => failures.push(format!("{}:\n{failure}", file.display())),
        }
    }
    assert!(failures.is_empty(), "{} of {} files failed:\n\n{}", failures.len(), files.len(), failures.join("\n\n"));
    assert!(std::env::var("SLT").is_ok() || statements >= 150, "only {statements} statements were run");
}
