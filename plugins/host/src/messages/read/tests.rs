//! Sound messages, and every lie that one can tell.

use std::sync::Arc;

use arrow_array::types::Int64Type;
use arrow_array::{
    Array as _, ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float64Array, Int8Array, Int64Array,
    PrimitiveArray, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::{frame, read_batch, read_schema};
use crate::messages::write::{Encoder, schema_message};

fn sound() -> RecordBatch {
    let decimals = Decimal128Array::from(vec![Some(12_345), None, Some(-7), Some(0)]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("n", Arc::new(Int64Array::from(vec![Some(1), None, Some(-3), Some(i64::MAX)]))),
        ("t", Arc::new(StringArray::from(vec![Some("a"), Some(""), None, Some("水é")]))),
        ("b", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true)]))),
        ("x", Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\xff\0"), None, Some(b""), Some(b"abc")]))),
        ("d", Arc::new(decimals.with_precision_and_scale(5, 2).expect("a decimal type"))),
        ("f", Arc::new(Float64Array::from(vec![0.5, f64::NAN, -0.0, f64::INFINITY]))),
        ("ts", Arc::new(TimestampMicrosecondArray::from(vec![0, 1, -1, i64::MIN]).with_timezone("UTC"))),
        ("small", Arc::new(Int8Array::from(vec![1, 2, 3, 4]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .expect("a batch")
}

fn message(batch: &RecordBatch) -> Vec<u8> {
    let mut encoder = Encoder::new(&batch.schema()).expect("an encoder");
    encoder.encode(batch).expect("a message").to_vec()
}

fn read(schema: &SchemaRef, bytes: &[u8]) -> Result<RecordBatch, String> {
    read_batch(schema, bytes.to_vec())
}

#[track_caller]
fn assert_refused(answer: Result<impl std::fmt::Debug, String>, reason: &str) {
    let why = answer.map(|sound| panic!("{sound:?} is taken; expected {reason:?}")).unwrap_or_else(|why| why);
    assert!(why.contains(reason), "{why} lacks {reason:?}");
}

/// The bytes of a message's nodes and buffers, to be written over: each a pair of i64.
struct Pairs {
    message: Vec<u8>,
    nodes: usize,
    buffers: usize,
}

impl Pairs {
    fn of(batch: &RecordBatch) -> Pairs {
        let message = message(batch);
        let (metadata, body) = frame::open(message.clone()).expect("a frame");
        let header = frame::record_batch(&metadata, body.len()).expect("a record batch");
        let at = |bytes: &[u8]| 8 + bytes.as_ptr().addr() - metadata.as_ptr().addr();
        let nodes = at(header.nodes().expect("nodes").bytes());
        let buffers = at(header.buffers().expect("buffers").bytes());
        Pairs { message, nodes, buffers }
    }

    fn node(mut self, column: usize, which: usize, value: i64) -> Vec<u8> {
        let at = self.nodes + 16 * column + 8 * which;
        self.message[at..at + 8].copy_from_slice(&value.to_le_bytes());
        self.message
    }

    fn buffer(mut self, index: usize, which: usize, value: i64) -> Vec<u8> {
        let at = self.buffers + 16 * index + 8 * which;
        self.message[at..at + 8].copy_from_slice(&value.to_le_bytes());
        self.message
    }
}

#[test]
fn what_arrow_writes_is_read_back() {
    for batch in [sound(), sound().slice(1, 2), sound().slice(3, 1), sound().slice(0, 0)] {
        assert_eq!(read(&batch.schema(), &message(&batch)).expect("a batch"), batch);
    }
}

#[test]
fn a_message_at_any_address_is_read() {
    let batch = sound();
    let message = message(&batch);
    for shift in 0..16 {
        let shifted = [&vec![0; shift], &message[..]].concat();
        assert_eq!(read(&batch.schema(), &shifted[shift..]).expect("a batch"), batch);
    }
}

#[test]
fn a_message_cut_anywhere_is_refused_and_one_with_more_too() {
    let batch = sound();
    let whole = message(&batch);
    for length in 0..whole.len() {
        assert!(read(&batch.schema(), &whole[..length]).is_err(), "{length} bytes are taken");
    }
    assert_refused(read(&batch.schema(), &[&whole[..], b"more"].concat()), "according to its metadata");
}

#[test]
fn any_changed_byte_gives_an_error_or_a_sound_batch() {
    let batch = sound();
    let whole = message(&batch);
    let mut refused = 0;
    for at in 0..whole.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = whole.clone();
            changed[at] ^= flip;
            match read(&batch.schema(), &changed) {
                Ok(other) => other.columns().iter().for_each(|c| c.to_data().validate_full().expect("a sound column")),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 200, "only {refused} changes were seen");
}

#[test]
fn lengths_and_counts_are_checked() {
    let batch = sound();
    let pairs = || Pairs::of(&batch);
    for (lie, reason) in [
        (pairs().node(0, 0, 3), "it has 3 rows, and the batch 4"),
        (pairs().node(0, 0, -1), "it has -1 rows"),
        (pairs().node(0, 0, i64::MAX), "and the batch 4"),
        (pairs().node(0, 1, 0), "it has 1 nulls, and says 0"),
        (pairs().node(0, 1, 4), "it has 1 nulls, and says 4"),
        (pairs().node(0, 1, -1), "it has 1 nulls, and says -1"),
        // Column n: 0 validity, 1 values. Column t: 2 validity, 3 offsets, 4 data.
        (pairs().buffer(1, 1, i64::MAX), "outside"),
        (pairs().buffer(1, 1, -1), "misplaced"),
        (pairs().buffer(1, 0, -64), "misplaced"),
        (pairs().buffer(1, 0, 0), "misplaced"),
        (pairs().buffer(1, 0, 68), "misplaced"),
        (pairs().buffer(1, 0, i64::MAX - 7), "outside"),
        (pairs().buffer(1, 1, 24), "column \"n\""),
        (pairs().buffer(0, 1, 0), "it has 1 nulls, and does not say which"),
        (pairs().buffer(3, 1, 16), "column \"t\""),
        (pairs().buffer(4, 1, 1), "column \"t\""),
    ] {
        assert_refused(read(&batch.schema(), &lie), reason);
    }
}

#[test]
fn offsets_and_texts_are_checked() {
    let batch = RecordBatch::try_from_iter([("t", Arc::new(StringArray::from(vec!["ab", "水", "cd"])) as ArrayRef)])
        .expect("a batch");
    let whole = message(&batch);
    let offsets = whole.windows(16).position(|w| w == [0, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 7, 0, 0, 0]);
    let offsets = offsets.expect("the offsets");
    let with = |row: usize, offset: i32| {
        let mut lie = whole.clone();
        lie[offsets + 4 * row..][..4].copy_from_slice(&offset.to_le_bytes());
        read(&batch.schema(), &lie)
    };
    assert_refused(with(0, -1), "column \"t\"");
    assert_refused(with(1, 6), "column \"t\"");
    assert_refused(with(1, 3), "column \"t\""); // within a character
    assert_refused(with(3, 1 << 20), "column \"t\"");
    assert_refused(with(3, i32::MIN), "column \"t\"");
    let mut lie = whole.clone();
    let text = whole.windows(7).position(|w| w == "ab水cd".as_bytes()).expect("the text");
    lie[text + 3] = 0xff;
    assert_refused(read(&batch.schema(), &lie), "column \"t\"");
}

#[test]
fn numbers_too_large_for_a_decimal_are_refused() {
    let wide = Decimal128Array::from(vec![123_456_i128]).with_precision_and_scale(10, 2).expect("a decimal type");
    let batch = RecordBatch::try_from_iter([("d", Arc::new(wide) as ArrayRef)]).expect("a batch");
    let narrow = Arc::new(Schema::new(vec![Field::new("d", DataType::Decimal128(5, 2), true)]));
    assert_refused(read(&narrow, &message(&batch)), "column \"d\"");
}

#[test]
fn another_shape_than_declared_is_refused() {
    let one = |array: ArrayRef| RecordBatch::try_from_iter_with_nullable([("c", array, true)]).expect("a batch");
    let numbers = one(Arc::new(PrimitiveArray::<Int64Type>::from(vec![1, 2])));
    let texts = one(Arc::new(StringArray::from(vec!["a", "b"])));
    let of = |data_type: DataType| Arc::new(Schema::new(vec![Field::new("c", data_type, true)]));
    assert_refused(read(&Arc::new(Schema::empty()), &message(&numbers)), "it has 1 columns, and 0 are declared");
    assert_refused(read(&sound().schema(), &message(&numbers)), "1 columns, and 8");
    assert_refused(read(&of(DataType::Utf8), &message(&numbers)), "a buffer is missing");
    assert_refused(read(&of(DataType::Int64), &message(&texts)), "column \"c\"");
    assert_refused(read(&of(DataType::Decimal128(5, 0)), &message(&numbers)), "column \"c\"");
    let schema = schema_message(&numbers.schema()).expect("a schema message");
    assert_refused(read(&numbers.schema(), &schema), "it is a schema and not a record batch");
    let not_null = Arc::new(Schema::new(vec![Field::new("c", DataType::Int64, false)]));
    let with_null = one(Arc::new(PrimitiveArray::<Int64Type>::from(vec![Some(1), None])));
    assert_refused(read(&not_null, &message(&with_null)), "null");
}

#[test]
fn a_buffer_that_no_column_takes_is_refused() {
    let texts = RecordBatch::try_from_iter([("c", Arc::new(StringArray::from(vec!["abcdefgh"])) as ArrayRef)]);
    let of_four = Arc::new(Schema::new(vec![Field::new("c", DataType::Int32, true)]));
    assert_refused(read(&of_four, &message(&texts.expect("a batch"))), "3 buffers, and its columns take 2");
}

#[test]
fn schemas_are_read_back_and_checked() {
    let fields = |fields: Vec<Field>| schema_message(&Schema::new(fields)).expect("a schema message");
    let sound = sound().schema();
    let message = schema_message(&sound).expect("a schema message");
    assert_eq!(read_schema(message.clone()).expect("a schema"), sound);
    for length in 0..message.len() {
        assert!(read_schema(message[..length].to_vec()).is_err(), "{length} bytes are taken");
    }
    for at in 0..message.len() {
        let mut changed = message.clone();
        changed[at] ^= 0x41;
        let _ = read_schema(changed);
    }
    let int = |name: &str| Field::new(name, DataType::Int8, true);
    let list = DataType::List(Arc::new(int("item")));
    let berlin = DataType::Timestamp(TimeUnit::Second, Some("Europe/Berlin".into()));
    let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    for (lie, reason) in [
        (fields(vec![]), "0 columns"),
        (fields((0..257).map(|i| int(&i.to_string())).collect()), "257 columns"),
        (fields(vec![int("a"), int("a")]), "twice"),
        (fields(vec![int("")]), "is not a text"),
        (fields(vec![int("a\nb")]), "is not a text"),
        (fields(vec![Field::new("a", list, true)]), "a type that is not taken"),
        (fields(vec![Field::new("a", berlin, true)]), "a type that is not taken"),
        (fields(vec![Field::new("a", dictionary, true)]), "a type that is not taken"),
        (fields(vec![Field::new("a", DataType::LargeUtf8, true)]), "a type that is not taken"),
        (fields(vec![Field::new("a", DataType::Decimal128(5, -2), true)]), "a type that is not taken"),
        (self::message(&RecordBatch::new_empty(sound.clone())), "a record batch and not a schema"),
    ] {
        assert_refused(read_schema(lie), reason);
    }
}

#[test]
fn mutated_messages_are_rows_or_refused() {
    let batch = sound();
    let (rows, columns) = (message(&batch), schema_message(&batch.schema()).expect("a schema message"));
    crate::fuzz::fuzz(&[rows, columns], |bytes, changed| {
        let (batch, schema) = (read(&batch.schema(), bytes), read_schema(bytes.to_vec()));
        if let Ok(batch) = &batch {
            // What is taken can be looked at, to the last value.
            batch
                .columns()
                .iter()
                .try_for_each(|column| column.to_data().validate_full())
                .map_err(|e| e.to_string())?;
        }
        match (batch, schema) {
            (Err(one), Err(other)) if !changed => Err(format!("{one}; {other}")),
            _ => Ok(()),
        }
    });
}
