//! An engine opened in this process, on a directory that goes away.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use millstream_engine::{Append, Engine, EngineOptions, PartitionChoice, Principal, TableOptions, TableSpec};
use millstream_plugin_host::{HostOptions, WasmHost};
use millstream_sql::{MessageFilter, MessageProperty, Outcome, SqlEngine, SqlOptions};

use crate::Result;

/// The engine with SQL and plugins.
pub(crate) struct Store {
    pub(crate) engine: Engine,
    sql: SqlEngine,
    runtime: tokio::runtime::Runtime,
    dir: tempfile::TempDir,
}

impl Store {
    /// Opens with changed settings.
    pub(crate) fn open(change: impl FnOnce(&mut EngineOptions)) -> Result<Store> {
        let dir = tempfile::tempdir()?;
        let mut options = EngineOptions::new(dir.path().join("data"));
        change(&mut options);
        let engine = Engine::open_with(options)?;
        engine.set_plugin_host(WasmHost::new(HostOptions::new(dir.path().join("cache")))?);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let sql = SqlEngine::new(engine.clone(), SqlOptions { file_roots: vec!["/".into()], ..SqlOptions::default() })?;
        Ok(Store { engine, sql, runtime, dir })
    }

    /// The data directory.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Runs a statement to its end and gives its rows.
    pub(crate) fn sql(&self, statement: &str) -> Result<Vec<RecordBatch>> {
        use futures::TryStreamExt;
        self.runtime.block_on(async {
            match self.sql.session(Principal::anonymous(), "public").execute(statement).await? {
                Outcome::Rows { stream, .. } => Ok(stream.try_collect().await?),
                Outcome::Done { .. } => Ok(Vec::new()),
            }
        })
    }

    /// What a consumer's condition over messages is compiled to.
    pub(crate) fn message_filter(&self, expression: &str) -> Result<Arc<MessageFilter>> {
        let names = &[("TAGS", MessageProperty::Tag)];
        Ok(self.sql.message_filter(&Principal::anonymous(), "public", expression, names)?)
    }

    /// Creates a table of these batches' schema and appends them, many in flight.
    pub(crate) fn load(&self, name: &str, batches: &[RecordBatch]) -> Result<()> {
        let who = Principal::anonymous();
        let schema = batches.first().ok_or("no rows")?.schema();
        let options = TableOptions { retention_ms: None, ..TableOptions::default() };
        let spec = TableSpec { namespace: "public".to_owned(), name: name.to_owned(), schema, options };
        let table = self.engine.create_table(&who, spec)?.id;
        let mut pending = Vec::new();
        for batch in batches {
            let append = Append { table, partition: PartitionChoice::ByKey, batch: batch.clone() };
            pending.push(self.engine.append(&who, append, None)?);
        }
        for receipt in pending {
            receipt.wait()?;
        }
        Ok(())
    }
}

/// A guest built by `scripts/build-guests`.
pub(crate) fn guest(name: &str) -> Result<PathBuf> {
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    let path = Path::new(&target).join("guests").join(format!("{name}.wasm"));
    let found = std::path::absolute(&path)?;
    if found.exists() {
        Ok(found)
    } else {
        Err(format!("{} is missing; run scripts/build-guests", found.display()).into())
    }
}
