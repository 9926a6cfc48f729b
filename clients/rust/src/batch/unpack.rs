//! Encodings that tables do not store, as the ones that they do (docs/types.md): dictionaries, runs, views and Large*
//! types. All other types go as they are, and the server judges them.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};

use crate::error::{Error, Result};

/// Values that do not fit are errors, never nulls.
const STRICT: CastOptions<'static> =
    CastOptions { safe: false, format_options: arrow::util::display::FormatOptions::new() };

/// The batch in stored encodings. Costs nothing where it is in those already.
pub(super) fn unpacked(batch: &RecordBatch) -> Result<RecordBatch> {
    let schema = batch.schema_ref();
    let fields: Vec<FieldRef> = schema.fields().iter().map(plain_field).collect();
    if fields.iter().zip(schema.fields()).all(|(plain, field)| Arc::ptr_eq(plain, field)) {
        return Ok(batch.clone());
    }
    let columns = batch.columns().iter().zip(&fields).map(|(column, field)| {
        if column.data_type() == field.data_type() {
            return Ok(Arc::clone(column));
        }
        cast_with_options(column, field.data_type(), &STRICT).map_err(|error| {
            let (name, from) = (field.name(), column.data_type());
            Error::InvalidInput(format!("column {name:?} of type {from} can't be sent: {error}"))
        })
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let plain = Schema::new_with_metadata(fields, schema.metadata().clone());
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(plain), columns, &options)
        .map_err(|error| Error::InvalidInput(format!("the batch can't be unpacked: {error}")))
}

/// The same field where nothing changes.
fn plain_field(field: &FieldRef) -> FieldRef {
    match plain_type(field.data_type()) {
        Some(data_type) => Arc::new(Field::clone(field).with_data_type(data_type)),
        None => Arc::clone(field),
    }
}

/// `None` where nothing changes.
fn plain_type(data_type: &DataType) -> Option<DataType> {
    let inner = |data_type: &DataType| plain_type(data_type).unwrap_or_else(|| data_type.clone());
    match data_type {
        DataType::LargeUtf8 | DataType::Utf8View => Some(DataType::Utf8),
        DataType::LargeBinary | DataType::BinaryView => Some(DataType::Binary),
        DataType::Dictionary(_, values) => Some(inner(values)),
        DataType::RunEndEncoded(_, values) => Some(inner(values.data_type())),
        DataType::LargeList(item) | DataType::ListView(item) | DataType::LargeListView(item) => {
            Some(DataType::List(plain_field(item)))
        }
        DataType::List(item) => changed(item).map(DataType::List),
        DataType::Map(entries, sorted) => changed(entries).map(|entries| DataType::Map(entries, *sorted)),
        DataType::Struct(fields) => {
            let plain: Vec<FieldRef> = fields.iter().map(plain_field).collect();
            let same = plain.iter().zip(fields).all(|(plain, field)| Arc::ptr_eq(plain, field));
            (!same).then(|| DataType::Struct(plain.into()))
        }
        _ => None,
    }
}

fn changed(field: &FieldRef) -> Option<FieldRef> {
    let plain = plain_field(field);
    (!Arc::ptr_eq(&plain, field)).then_some(plain)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, AsArray, DictionaryArray, LargeListArray, StringViewArray};
    use arrow::datatypes::{Int8Type, Int32Type};

    use super::*;

    #[test]
    fn every_encoding_becomes_the_stored_one() {
        let words: DictionaryArray<Int8Type> = vec![Some("a"), None, Some("b"), Some("a")].into_iter().collect();
        let lists = LargeListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)]), None, None, None]);
        let batch = RecordBatch::try_from_iter([
            ("word", Arc::new(words) as ArrayRef),
            ("view", Arc::new(StringViewArray::from(vec!["x", "y", "z", "longer than the twelve bytes of a view"]))),
            ("list", Arc::new(lists)),
        ])
        .unwrap();
        let plain = unpacked(&batch).unwrap();
        assert_eq!(
            plain.column(0).as_string::<i32>().iter().collect::<Vec<_>>(),
            [Some("a"), None, Some("b"), Some("a")]
        );
        assert_eq!(plain.column(1).as_string::<i32>().value(3), "longer than the twelve bytes of a view");
        assert_eq!(plain.column(2).as_list::<i32>().value_length(0), 1);
        assert_eq!(plain.column(2).null_count(), 3);
    }

    #[test]
    fn nested_encodings_too() {
        let item = Arc::new(Field::new("item", DataType::Utf8View, true));
        let fields = vec![Field::new("a", DataType::LargeList(item), true), Field::new("b", DataType::Int8, true)];
        let plain = plain_type(&DataType::Struct(fields.into())).unwrap();
        let DataType::Struct(fields) = plain else { panic!("{plain}") };
        assert_eq!(fields[0].data_type(), &DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))));
        assert_eq!(plain_type(&DataType::Struct(fields)), None);
    }
}
