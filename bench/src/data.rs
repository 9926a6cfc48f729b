//! The rows that go through.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BinaryArray, Float64Array, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use crate::Result;

/// Rows in a batch, as in the figures' definitions.
pub(crate) const BATCH_ROWS: usize = 8_192;

/// The real departures, in batches of [`BATCH_ROWS`].
pub(crate) fn flights() -> Result<Vec<RecordBatch>> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data/flights.parquet");
    let file = std::fs::File::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    // The file was written with Arrow's large strings; without its Arrow schema the columns are of the types that are stored.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)?;
    let reader = reader.with_batch_size(BATCH_ROWS).build()?;
    Ok(reader.collect::<Result<Vec<_>, _>>()?)
}

/// The departures several times over. Each copy is in memory of its own: a rival that reads the same bytes again and again
/// would find them in the processor's caches, which the log's rows are too many for.
pub(crate) fn flights_times(copies: usize) -> Result<Vec<RecordBatch>> {
    let batches = (0..copies).map(|_| flights()).collect::<Result<Vec<_>>>()?;
    Ok(batches.into_iter().flatten().collect())
}

/// `columns` equally wide, random float columns.
pub(crate) fn wide(columns: usize, batches: usize) -> Result<Vec<RecordBatch>> {
    let fields: Vec<Field> = (0..columns).map(|i| Field::new(format!("c{i}"), DataType::Float64, false)).collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let mut state = 88_172_645_463_325_252_u64;
    (0..batches)
        .map(|_| {
            let arrays = (0..columns).map(|_| {
                let values = (0..BATCH_ROWS).map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    (state >> 11) as f64
                });
                Arc::new(Float64Array::from_iter_values(values)) as ArrayRef
            });
            Ok(RecordBatch::try_new(schema.clone(), arrays.collect())?)
        })
        .collect()
}

/// One row of 1 KB: a key and 1,016 random bytes.
pub(crate) fn kilobyte_row(key: i64) -> Result<RecordBatch> {
    let schema =
        Schema::new(vec![Field::new("key", DataType::Int64, false), Field::new("body", DataType::Binary, false)]);
    let body = crate::limits::random_bytes(1_016);
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int64Array::from(vec![key])), Arc::new(BinaryArray::from_vec(vec![&body]))];
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
}

/// Uncompressed Arrow buffer bytes of what the batch's rows use.
pub(crate) fn bytes_of(batch: &RecordBatch) -> u64 {
    batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0) as u64).sum()
}

/// Of several batches.
pub(crate) fn bytes_of_all(batches: &[RecordBatch]) -> u64 {
    batches.iter().map(bytes_of).sum()
}
