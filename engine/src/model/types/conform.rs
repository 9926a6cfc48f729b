//! Batches as their table stores them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow_schema::{Field, Schema, SchemaRef};

use super::{convert, size};
use crate::model::{Error, Result};

/// The batch's columns, found by name, in the order and types of `schema`. Missing nullable columns are null; unknown
/// columns, nulls in NOT NULL columns and values that do not fit are errors that name the column, and the row where one
/// is at fault. A batch that would be larger than `limit` bytes is refused before any of it is unpacked.
pub(crate) fn conform(batch: &RecordBatch, schema: &SchemaRef, limit: usize) -> Result<RecordBatch> {
    let columns = match batch.schema_ref() == schema {
        true => batch.columns().to_vec(),
        false => {
            let columns = by_name(batch, schema)?;
            check_size(&columns, batch.num_rows(), schema, limit)?;
            let find = |field: &Field| columns.get(field.name().as_str()).copied();
            let columns = schema.fields().iter().map(|field| converted(find(field), field, batch.num_rows()));
            columns.collect::<Result<Vec<ArrayRef>>>()?
        }
    };
    for (column, field) in columns.iter().zip(schema.fields()) {
        check_nulls(column, field)?;
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
        .map_err(|error| Error::InvalidInput(format!("the batch does not fit its table: {error}")))
}

/// The batch's columns by name, each of which the table has.
fn by_name<'a>(batch: &'a RecordBatch, to: &Schema) -> Result<HashMap<&'a str, &'a ArrayRef>> {
    let mut columns = HashMap::with_capacity(batch.num_columns());
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        if columns.insert(field.name().as_str(), column).is_some() {
            return Err(Error::InvalidInput(format!("the batch has column {:?} twice", field.name())));
        }
    }
    let known: HashSet<&str> = to.fields().iter().map(|field| field.name().as_str()).collect();
    let Some(name) =
        batch.schema_ref().fields().iter().map(|field| field.name()).find(|name| !known.contains(name.as_str()))
    else {
        return Ok(columns);
    };
    let named: Vec<&str> = to.fields().iter().take(20).map(|field| field.name().as_str()).collect();
    let more = if to.fields().len() > named.len() { ", …" } else { "" };
    Err(Error::InvalidInput(format!("the table has no column {name:?}; it has {}{more}", named.join(", "))))
}

fn check_size(columns: &HashMap<&str, &ArrayRef>, rows: usize, schema: &Schema, limit: usize) -> Result<()> {
    let rows = u64::try_from(rows).unwrap_or(u64::MAX);
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    let mut bytes = 0u64;
    for field in schema.fields() {
        let column = columns.get(field.name().as_str()).filter(|column| !column.data_type().is_null());
        let column = column.map_or_else(|| size::nulls(field.data_type(), rows), |column| size::stored_bytes(column));
        bytes = bytes.saturating_add(column);
    }
    if bytes <= limit {
        return Ok(());
    }
    Err(Error::TooLarge { what: "a batch as it would be stored", size: bytes, limit, hint: "send fewer rows at once" })
}

fn converted(column: Option<&ArrayRef>, field: &Field, rows: usize) -> Result<ArrayRef> {
    let name = field.name();
    let Some(column) = column else {
        if field.is_nullable() {
            return Ok(new_null_array(field.data_type(), rows));
        }
        return Err(Error::InvalidInput(format!("column {name:?} is NOT NULL and missing from the batch")));
    };
    convert::convert(column, field.data_type())
        .map_err(|reason| Error::InvalidInput(format!("column {name:?} of the batch {reason}")))
}

fn check_nulls(column: &ArrayRef, field: &Arc<Field>) -> Result<()> {
    if field.is_nullable() || column.logical_null_count() == 0 {
        return Ok(());
    }
    let nulls = column.logical_nulls();
    let row = nulls.and_then(|nulls| (0..nulls.len()).find(|row| nulls.is_null(*row))).unwrap_or(0);
    Err(Error::InvalidInput(format!("column {:?} is NOT NULL, but row {row} of the batch has no value", field.name())))
}
