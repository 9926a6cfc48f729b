//! What row groups know of values that they lack.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, BinaryArray, RecordBatch, StringArray, new_null_array};
use arrow_schema::SchemaRef;

use super::name::SegmentName;
use super::tests::{chunks, open};
use super::writer::{Extent, RowsToWrite, SegmentWriter};
use super::{Pruning, Segments};
use crate::chunks::constant_append_ts;
use crate::contract::{BatchOperator, ChunkStatistics, Evaluated, InputColumn};
use crate::model::{
    Lsn, MessageKind, OperatorError, Principal, TableId, TableInfo, TableOptions, message_columns, message_schema,
};
use crate::state::SegmentMeta;

const ROWS: usize = 20_000;

fn table() -> Arc<TableInfo> {
    let options = TableOptions {
        messages: Some(MessageKind::Any),
        partition_key: vec!["message_group".to_owned()],
        ..TableOptions::default()
    };
    let (namespace, name, owner) = ("public".to_owned(), "orders".to_owned(), Principal::anonymous());
    let schemas = vec![message_schema()];
    Arc::new(TableInfo { id: TableId(7), namespace, name, schemas, options, owner, created: Lsn(7) })
}

fn write(segments: &Segments, table: &Arc<TableInfo>) -> Arc<SegmentMeta> {
    let mut keys = ListBuilder::new(StringBuilder::new());
    (0..ROWS).for_each(|row| keys.append_value([Some(format!("key {row}")), Some("all".to_owned())]));
    let keys: ArrayRef = Arc::new(keys.finish());
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values((0..ROWS).map(|row| format!("id {row}"))));
    let bodies: ArrayRef = Arc::new(BinaryArray::from_iter_values((0..ROWS).map(|_| b"body")));
    let schema = message_schema();
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        "message_id" => ids.clone(),
        "keys" => keys.clone(),
        "body" => bodies.clone(),
        _ => new_null_array(field.data_type(), ROWS),
    });
    let batch = RecordBatch::try_new(message_schema(), columns.collect()).unwrap();
    let name = SegmentName::new(&segments.store, 1, table, 2, 0);
    let mut writer = SegmentWriter::new(segments, name, table, 2, 1, 0).unwrap();
    writer.push(RowsToWrite { batch: &batch, append_ts: constant_append_ts(1, ROWS), log_bytes: 1 }).unwrap();
    Arc::new(writer.finish(&Extent::empty()).unwrap())
}

/// Leaves out what lacks a text of its one column.
#[derive(Debug)]
struct Has(&'static str, [InputColumn; 1], SchemaRef);

impl BatchOperator for Has {
    fn inputs(&self) -> &[InputColumn] {
        &self.1
    }

    fn output_schema(&self) -> &SchemaRef {
        &self.2
    }

    fn prune(&self, runs: &[ChunkStatistics]) -> Vec<bool> {
        let values = |run: &ChunkStatistics| run.columns.first().and_then(|column| column.as_ref()?.values.clone());
        runs.iter().map(|run| values(run).is_some_and(|values| !values.may_have(self.0.as_bytes()))).collect()
    }

    fn evaluate(&self, _: &RecordBatch) -> Result<Evaluated, OperatorError> {
        unreachable!("only pruning is tested")
    }
}

#[test]
fn what_lacks_a_key_is_not_read() {
    let (dir, table) = (tempfile::tempdir().unwrap(), table());
    let segments = open(dir.path());
    let meta = write(&segments, &table);
    let runs_read = |column: usize, text: &'static str| {
        let inputs = [InputColumn::Field(column)];
        let has = Has(text, inputs, message_schema());
        let pruning = Pruning { operator: Some(&has), ..Pruning::default() };
        let before = segments.figures().runs_read.load(Ordering::Relaxed);
        chunks(&segments, &table, &meta, &inputs, &pruning).unwrap();
        segments.figures().runs_read.load(Ordering::Relaxed) - before
    };
    let all = (ROWS as u64).div_ceil(16_384);
    let (ids, keys) = (message_columns::MESSAGE_ID, message_columns::KEYS);
    for (column, text, expected) in [
        (ids, "id 7", all),
        (ids, "id 19999", all),
        (ids, "nobody's", 0),
        (ids, "key 7", 0),
        (keys, "key 7", all),
        (keys, "all", all),
        (keys, "id 7", 0),
        // Of columns without a filter nothing is known.
        (message_columns::MESSAGE_ID + 1, "x", all),
    ] {
        assert_eq!(runs_read(column, text), expected, "{text:?} in column {column}");
    }
}
