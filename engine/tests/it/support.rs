//! What the tests of this binary share.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use millstream_engine::{
    Append, Appended, Engine, EngineOptions, PartitionChoice, Principal, ProducerStamp, Receipt, Result, TableId,
    TableInfo, TableOptions, TableSpec,
};
use tempfile::TempDir;

/// An engine in a directory of its own.
pub(crate) struct Store {
    pub(crate) dir: TempDir,
    pub(crate) engine: Engine,
}

impl Store {
    pub(crate) fn new() -> Store {
        Store::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut EngineOptions)) -> Store {
        let dir = tempfile::tempdir().unwrap();
        let mut options = options(dir.path());
        change(&mut options);
        let engine = Engine::open_with(options).unwrap();
        Store { dir, engine }
    }

    /// Closes the engine and opens it again.
    pub(crate) fn reopen(self) -> Store {
        self.engine.close().unwrap();
        let Store { dir, engine } = self;
        drop(engine);
        let engine = Engine::open_with(options(dir.path())).unwrap();
        Store { dir, engine }
    }

    pub(crate) fn table(&self, name: &str, options: TableOptions) -> Arc<TableInfo> {
        self.engine.create_table(&me(), spec(name, options)).unwrap()
    }

    pub(crate) fn append(&self, table: TableId, batch: RecordBatch) -> Result<Receipt> {
        self.stamped(table, batch, None)
    }

    pub(crate) fn stamped(&self, table: TableId, batch: RecordBatch, stamp: Option<ProducerStamp>) -> Result<Receipt> {
        self.engine.append(&me(), Append { table, partition: PartitionChoice::ByKey, batch }, stamp)?.wait()
    }

    pub(crate) fn offsets(&self, table: TableId) -> Vec<(u64, u64)> {
        self.engine.table_offsets(&me(), table).unwrap()
    }
}

/// Small files and no work beside the test's own.
pub(crate) fn options(dir: &Path) -> EngineOptions {
    let mut options = EngineOptions::new(dir);
    options.log_file_bytes = 4 << 20;
    options.segment_threads = 0;
    options.free_space_floor_bytes = 0;
    options
}

pub(crate) fn me() -> Principal {
    Principal::anonymous()
}

pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false), Field::new("name", DataType::Utf8, true)]))
}

pub(crate) fn timestamps() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

pub(crate) fn spec(name: &str, options: TableOptions) -> TableSpec {
    TableSpec { namespace: "public".to_owned(), name: name.to_owned(), schema: schema(), options }
}

/// Rows with these ids, named after them.
pub(crate) fn rows(ids: impl IntoIterator<Item = i64>) -> RecordBatch {
    let ids: Vec<i64> = ids.into_iter().collect();
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(ids.iter().map(|id| format!("name {id}"))));
    let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(ids)), names];
    RecordBatch::try_new(schema(), columns).unwrap()
}

/// (partition, first offset, rows) of each run.
pub(crate) fn places(appended: &[Appended]) -> Vec<(u32, u64, u64)> {
    appended.iter().map(|run| (run.partition, run.first_offset, run.rows)).collect()
}

/// The message of an error that must come.
pub(crate) fn message<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("expected an error"),
        Err(error) => error.to_string(),
    }
}
