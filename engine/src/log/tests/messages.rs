//! Record-batch messages: decoding what was encoded, and what was damaged.

use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder, MapBuilder, StringBuilder};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Decimal128Array, RecordBatch, StringArray, StructArray,
    TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;

use crate::log::rows::ipc;

/// Rows of most kinds of types, nested ones and nulls included.
pub(super) fn rich(rows: usize) -> RecordBatch {
    let (mut lists, mut maps) =
        (ListBuilder::new(Int32Builder::new()), MapBuilder::new(None, StringBuilder::new(), Int32Builder::new()));
    for row in 0..rows {
        for value in 0..row % 4 {
            lists.values().append_option((value != 1).then_some(value as i32));
        }
        lists.append(row % 5 != 0);
        maps.keys().append_value(format!("key {row}"));
        maps.values().append_value(row as i32);
        maps.append(true).expect("keys and values are even");
    }
    let numbers: Decimal128Array = (0..rows).map(|row| (row % 7 != 0).then_some(row as i128 * 1_000_003)).collect();
    let parts: ArrayRef = Arc::new((0..rows).map(|row| Some(row % 2 == 0)).collect::<BooleanArray>());
    let inner = Field::new("inner", DataType::Boolean, true);
    let nulls = (0..rows).map(|row| row % 3 != 0).collect::<Vec<_>>();
    let structs = StructArray::new(vec![inner].into(), vec![parts], Some(nulls.into()));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("time", Arc::new(TimestampMicrosecondArray::from_iter_values(0..rows as i64).with_timezone("UTC"))),
        ("text", Arc::new((0..rows).map(|row| (row % 3 != 0).then(|| format!("row {row}"))).collect::<StringArray>())),
        ("bytes", Arc::new(BinaryArray::from_iter((0..rows).map(|row| Some(vec![row as u8; row % 9]))))),
        ("number", Arc::new(numbers.with_precision_and_scale(30, 2).expect("it fits"))),
        ("list", Arc::new(lists.finish())),
        ("map", Arc::new(maps.finish())),
        ("parts", Arc::new(structs)),
    ];
    let fields: Vec<Field> = columns.iter().map(|(name, a)| Field::new(*name, a.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, a)| a).collect()).expect("a batch")
}

#[test]
fn batches_read_back_as_they_were() {
    for rows in [0, 1, 7, 100, 3000] {
        let batch = rich(rows);
        let encoded = ipc::encode(&batch).expect("encoded");
        let message = Bytes::from([encoded.head.as_ref(), &encoded.batch.body].concat());
        assert_eq!(crc32c::crc32c(&message), encoded.crc32c);
        let split = ipc::split(&message).expect("split");
        assert_eq!((&split.header, &split.body), (&encoded.batch.header, &encoded.batch.body));
        assert_eq!(ipc::decode(&split, &batch.schema(), rows as u32).as_ref(), Ok(&batch), "{rows} rows");
        let sliced = batch.slice(rows / 3, rows / 3);
        let encoded = ipc::encode(&sliced).expect("encoded");
        assert_eq!(ipc::decode(&encoded.batch, &batch.schema(), (rows / 3) as u32), Ok(sliced));
    }
}

#[test]
fn decoding_copies_nothing() {
    let batch = rich(3000);
    let encoded = ipc::encode(&batch).expect("encoded");
    assert!(encoded.head.len().is_multiple_of(64) && encoded.batch.body.len().is_multiple_of(64));
    let decoded = ipc::decode(&encoded.batch, &batch.schema(), 3000).expect("decoded");
    let body = encoded.batch.body.as_ptr_range();
    for column in decoded.columns() {
        for buffer in column.to_data().buffers() {
            assert!(body.contains(&buffer.as_ptr()), "{} was copied", column.data_type());
        }
    }
}

#[test]
fn a_message_cut_in_its_description_is_refused() {
    for end in 0..64 {
        let message = ipc::encode(&rich(3)).expect("encoded").head.slice(..end);
        assert!(ipc::split(&message).is_err(), "{end} bytes");
    }
}
