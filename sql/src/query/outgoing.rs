//! What leaves a query: types outside the closed list are cast to their plain form, errors and panics become ours.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use futures::{FutureExt, StreamExt};
use millstream_engine::panic_text;

use crate::convert::from_datafusion;
use crate::types::normalise;
use crate::{BatchStream, Error, Result};

/// The schema that rows of `schema` leave with. Types that can't be stored, such as intervals, pass as they are.
pub(crate) fn outgoing_schema(schema: &Schema) -> SchemaRef {
    let field = |field: &Arc<arrow::datatypes::Field>| {
        let data_type = normalise(field.data_type()).unwrap_or_else(|_| field.data_type().clone());
        field.as_ref().clone().with_data_type(data_type).with_metadata(Default::default())
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

/// Rows on their way out.
pub(crate) fn stream(rows: SendableRecordBatchStream, schema: SchemaRef, memory_limit: usize) -> BatchStream {
    let state = (rows, schema, false);
    Box::pin(futures::stream::unfold(state, move |(mut rows, schema, done)| async move {
        if done {
            return None;
        }
        let next = AssertUnwindSafe(rows.next()).catch_unwind().await;
        let item = match next {
            Ok(None) => return None,
            Ok(Some(Ok(batch))) => outgoing(&batch, &schema),
            Ok(Some(Err(error))) => Err(from_datafusion(error, memory_limit)),
            Err(panic) => Err(Error::Internal(format!("a query panicked: {}", panic_text(panic.as_ref())))),
        };
        let failed = item.is_err();
        Some((item, (rows, schema, failed)))
    }))
}

/// Casts what needs it.
fn outgoing(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let column =
        |(column, field): (&ArrayRef, &Arc<arrow::datatypes::Field>)| match column.data_type() == field.data_type() {
            true => Ok(Arc::clone(column)),
            false => cast(column, field.data_type()),
        };
    let columns: Result<Vec<_>, _> = batch.columns().iter().zip(schema.fields()).map(column).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    columns
        .and_then(|columns| RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options))
        .map_err(|error| Error::Internal(format!("a result can't be delivered: {error}")))
}
