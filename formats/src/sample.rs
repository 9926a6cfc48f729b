//! A batch with a column of every kind: one row of values, one of nulls.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::*;

pub(crate) fn every_type() -> RecordBatch {
    let at_ms = 1_357_035_300_001;
    let xs: ArrayRef = Arc::new(Int32Array::from(vec![1, 0]));
    let ys: ArrayRef = Arc::new(StringArray::from(vec!["a", ""]));
    let point = StructArray::new(
        vec![Field::new("x", DataType::Int32, true), Field::new("y", DataType::Utf8, true)].into(),
        vec![xs, ys],
        Some(NullBuffer::from(vec![true, false])),
    );
    let mut lists = ListBuilder::new(Int32Builder::new());
    lists.append_value([Some(1), None]);
    lists.append_null();
    let entries = StructArray::new(
        vec![Field::new("keys", DataType::Utf8, false), Field::new("values", DataType::Int32, true)].into(),
        vec![Arc::new(StringArray::from(vec!["k"])), Arc::new(Int32Array::from(vec![1]))],
        None,
    );
    let entries_field = Arc::new(Field::new("entries", entries.data_type().clone(), false));
    let nulls = Some(NullBuffer::from(vec![true, false]));
    let tags = MapArray::new(entries_field, OffsetBuffer::new(vec![0, 1, 1].into()), entries, nulls, false);
    let price = Decimal128Array::from(vec![Some(1250), None]).with_precision_and_scale(10, 2).expect("a valid scale");
    let word: DictionaryArray<Int8Type> = [Some("low"), None].into_iter().collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("small", Arc::new(Int8Array::from(vec![Some(-7), None]))),
        ("big", Arc::new(Int64Array::from(vec![Some(i64::MAX), None]))),
        ("huge", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None]))),
        ("single", Arc::new(Float32Array::from(vec![0.1, f32::NAN]))),
        ("double", Arc::new(Float64Array::from(vec![2.0, f64::NEG_INFINITY]))),
        ("price", Arc::new(price)),
        ("name", Arc::new(StringArray::from(vec![Some("Zoë \"1\"\n"), None]))),
        ("bytes", Arc::new(BinaryArray::from(vec![Some([0u8, 255].as_slice()), None]))),
        ("day", Arc::new(Date32Array::from(vec![Some(15_706), None]))),
        ("at", Arc::new(TimestampMillisecondArray::from(vec![Some(at_ms), None]))),
        (
            "at_utc",
            Arc::new(TimestampMicrosecondArray::from(vec![Some(1_357_035_300_000_000), None]).with_timezone("UTC")),
        ),
        ("list", Arc::new(lists.finish())),
        ("point", Arc::new(point)),
        ("tags", Arc::new(tags)),
        ("word", Arc::new(word)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .expect("columns of one length")
}
