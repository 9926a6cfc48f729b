use std::sync::Arc;

use arrow_array::builder::{Int32Builder, MapBuilder, StringBuilder};
use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::*;
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};

use super::stored::stored_type;
use super::{conform, normalize_schema};
use crate::model::{ErrorKind, Result};

const LIMIT: usize = 8 << 20;

/// What a column becomes in a table whose column has this type.
fn store(column: ArrayRef, data_type: DataType) -> Result<ArrayRef> {
    let schema = Arc::new(Schema::new(vec![Field::new("c", data_type, true)]));
    let batch = RecordBatch::try_from_iter_with_nullable([("c", column, true)]).unwrap();
    conform(&batch, &schema, LIMIT).map(|batch| batch.column(0).clone())
}

fn check(column: impl Array + 'static, expected: impl Array + 'static) {
    let (column, expected): (ArrayRef, ArrayRef) = (Arc::new(column), Arc::new(expected));
    let stored = store(column.clone(), expected.data_type().clone()).unwrap();
    assert_eq!(&stored, &expected);
    stored.to_data().validate_full().unwrap();
    // A slice converts to the slice.
    if column.len() > 1 {
        let sliced = store(column.slice(1, column.len() - 1), expected.data_type().clone()).unwrap();
        assert_eq!(&sliced, &expected.slice(1, expected.len() - 1));
    }
}

fn refused(column: impl Array + 'static, data_type: DataType) -> String {
    store(Arc::new(column), data_type).unwrap_err().to_string()
}

#[test]
fn encodings_are_unpacked() {
    let text = || StringArray::from(vec![Some("a"), None, Some("ccc"), Some("a")]);
    let from = || vec![Some("a"), None, Some("ccc"), Some("a")];
    check(LargeStringArray::from(from()), text());
    check(StringViewArray::from(from()), text());
    check(from().into_iter().collect::<DictionaryArray<Int8Type>>(), text());
    check(from().into_iter().collect::<RunArray<Int32Type>>(), text());
    check(LargeBinaryArray::from(vec![b"x".as_slice(), b""]), BinaryArray::from(vec![b"x".as_slice(), b""]));
    check(NullArray::new(2), Int64Array::from(vec![None, None]));
    check(
        FixedSizeBinaryArray::try_from_iter([b"ab", b"cd"].into_iter()).unwrap(),
        BinaryArray::from(vec![b"ab".as_slice(), b"cd"]),
    );
    let lists = || vec![Some(vec![Some(1), Some(2)]), None];
    check(
        FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(lists(), 2),
        ListArray::from_iter_primitive::<Int32Type, _, _>(lists()),
    );
    check(Date64Array::from(vec![Some(86_400_000), None]), Date32Array::from(vec![Some(1), None]));
    assert!(refused(Date64Array::from(vec![0, 1]), DataType::Date32).contains("in row 1 "));
}

#[test]
fn numbers_convert_if_they_fit() {
    check(Int64Array::from(vec![Some(-128), None, Some(127)]), Int8Array::from(vec![Some(-128), None, Some(127)]));
    check(Int32Array::from(vec![1, 2]), Float64Array::from(vec![1.0, 2.0]));
    check(UInt8Array::from(vec![7]), Decimal128Array::from(vec![700]).with_precision_and_scale(5, 2).unwrap());
    assert!(refused(Int64Array::from(vec![1, 128]), DataType::Int8).starts_with("column \"c\" of the batch"));
    assert!(refused(Int8Array::from(vec![-1]), DataType::UInt8).contains("-1"));
    assert_eq!(
        refused(Int64Array::from(vec![None, Some(1 << 40)]), DataType::Int32),
        "column \"c\" of the batch in row 1 1099511627776 does not fit into Int32"
    );
    check(
        Decimal128Array::from(vec![1_005, -1_005, 1_004]).with_precision_and_scale(10, 3).unwrap(),
        Decimal128Array::from(vec![101, -101, 100]).with_precision_and_scale(10, 2).unwrap(),
    );
    let wrong = "column \"c\" of the batch is Utf8, the table has Int32";
    assert_eq!(refused(StringArray::from(vec!["1"]), DataType::Int32), wrong);
    let wrong = "column \"c\" of the batch is Float64, the table has Int32";
    assert_eq!(refused(Float64Array::from(vec![1.0]), DataType::Int32), wrong);
}

#[test]
fn times_keep_their_instant() {
    let utc = |values: Vec<i64>| TimestampMicrosecondArray::from(values).with_timezone("UTC");
    check(TimestampMillisecondArray::from(vec![1, 2]), utc(vec![1_000, 2_000]));
    check(TimestampMicrosecondArray::from(vec![1, 2]).with_timezone("+05:00"), utc(vec![1, 2]));
    check(TimestampNanosecondArray::from(vec![5_000, 6_000]).with_timezone("UTC"), utc(vec![5, 6]));
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    let lost = refused(TimestampNanosecondArray::from(vec![5_000, 6_001]), micros);
    assert!(
        lost.ends_with("in row 1 1970-01-01T00:00:00.000006001 does not fit into Timestamp(µs) without loss"),
        "{lost}"
    );
    let zoned = DataType::Timestamp(TimeUnit::Second, Some("Europe/Berlin".into()));
    assert_eq!(stored_type(&zoned), Ok(DataType::Timestamp(TimeUnit::Second, Some("UTC".into()))));
}

#[test]
fn nested_columns_convert_inside() {
    let from =
        LargeListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), None]), None, Some(vec![])]);
    let to = ListArray::from_iter_primitive::<arrow_array::types::Int64Type, _, _>(vec![
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
    ]);
    check(from, to);

    let column = |name: &str, column: ArrayRef| (Arc::new(Field::new(name, column.data_type().clone(), true)), column);
    let a = || column("a", Arc::new(Int32Array::from(vec![1, 2])));
    let b = |column_b: ArrayRef| column("b", column_b);
    let from = StructArray::from(vec![b(Arc::new(StringViewArray::from(vec!["x", "y"]))), a()]);
    let to = StructArray::from(vec![a(), b(Arc::new(StringArray::from(vec!["x", "y"])))]);
    check(from, to.clone());
    let missing = refused(StructArray::from(vec![a()]), to.data_type().clone());
    assert_eq!(missing, "column \"c\" of the batch has 1 fields, the table has 2");
}

#[test]
fn maps_take_the_one_stored_form() {
    let mut builder = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    builder.keys().append_value("k");
    builder.values().append_value(5);
    builder.append(true).unwrap();
    builder.append(false).unwrap();
    let map = builder.finish();
    let stored = stored_type(map.data_type()).unwrap();
    let (_, offsets, entries, nulls, _) = map.into_parts();
    let names = Fields::from(vec![Field::new("a", DataType::Utf8, false), Field::new("b", DataType::Int32, true)]);
    let entries = StructArray::new(names.clone(), entries.columns().to_vec(), None);
    let odd = Arc::new(Field::new("pairs", DataType::Struct(names), false));
    let sorted = MapArray::new(odd, offsets, entries, nulls, true);
    assert_eq!(stored_type(sorted.data_type()).unwrap(), stored);
    let stored = store(Arc::new(sorted), stored).unwrap();
    assert_eq!((stored.len(), stored.null_count()), (2, 1));
}

#[test]
fn nulls_are_refused_where_the_table_has_none() {
    let item = Arc::new(Field::new("item", DataType::Int32, false));
    let from = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), None])]);
    let message = refused(from, DataType::List(item.clone()));
    assert!(message.contains("null"), "{message}");
    // A null list is no null item.
    let list = ListArray::new(
        Arc::new(Field::new("item", DataType::Int32, true)),
        OffsetBuffer::from_lengths([1, 0]),
        Arc::new(Int32Array::from(vec![1])),
        Some(NullBuffer::from(vec![true, false])),
    );
    assert_eq!(store(Arc::new(list), DataType::List(item)).unwrap().null_count(), 1);
}

#[test]
fn small_inputs_that_stand_for_much_are_refused_first() {
    let value = "x".repeat(1 << 20);
    let keys = Int8Array::from(vec![0; 100]);
    let values: ArrayRef = Arc::new(StringArray::from(vec![value.as_str()]));
    let dictionary = DictionaryArray::new(keys, values.clone());
    let runs = RunArray::try_new(&Int32Array::from(vec![i32::MAX]), values.as_ref()).unwrap();
    let views = StringViewArray::from(vec![value.as_str()]);
    let many_views = StringViewArray::new(vec![views.views()[0]; 100].into(), views.data_buffers().to_vec(), None);
    let rows: [ArrayRef; 4] =
        [Arc::new(dictionary), Arc::new(runs), Arc::new(many_views), Arc::new(NullArray::new(usize::MAX / 16))];
    for column in rows {
        let error = store(column.clone(), DataType::Utf8).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{}: {error}", column.data_type());
    }
}

#[test]
fn schemas_lose_what_is_not_stored() {
    let metadata = [("pandas".to_owned(), "{}".to_owned())].into();
    let field = Field::new("c", DataType::LargeUtf8, false).with_metadata([("k".to_owned(), "v".to_owned())].into());
    let stored = normalize_schema(&Schema::new_with_metadata(vec![field], metadata)).unwrap();
    assert_eq!(*stored, Schema::new(vec![Field::new("c", DataType::Utf8, false)]));
}
