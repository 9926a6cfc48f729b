//! What leaves a query: types outside the closed list are cast to their plain form, errors and panics become ours.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use futures::{FutureExt, StreamExt};
use millstream_engine::panic_text;

use crate::convert::from_datafusion;
use crate::types::normalise;
use crate::{BatchStream, Error, Result};

/// The schema that rows of `schema` leave with. Types that can't be stored, such as intervals, pass as they are. Of columns of
/// one name the second is called `name_1`, and so on: many clients keep one column for each name.
pub(crate) fn outgoing_schema(schema: &Schema) -> SchemaRef {
    let mut names: HashSet<String> = HashSet::new();
    let all: HashSet<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let mut next: HashMap<&str, u32> = HashMap::new();
    let mut fields = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let data_type = normalise(field.data_type()).unwrap_or_else(|_| field.data_type().clone());
        let mut name = field.name().clone();
        while !names.insert(name.clone()) {
            let number = next.entry(field.name()).or_default();
            *number += 1;
            name = format!("{}_{number}", field.name());
            if all.contains(name.as_str()) {
                name.clone_from(field.name());
            }
        }
        fields.push(field.as_ref().clone().with_name(name).with_data_type(data_type).with_metadata(Default::default()));
    }
    Arc::new(Schema::new(fields))
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
            // What does not fit is an error, and never null.
            false => cast_with_options(column, field.data_type(), &CastOptions { safe: false, ..Default::default() }),
        };
    let columns: Result<Vec<_>, _> = batch.columns().iter().zip(schema.fields()).map(column).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    columns
        .and_then(|columns| RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options))
        .map_err(|error| Error::Internal(format!("a result can't be delivered: {error}")))
}
