//! What functions and transforms may answer, by guests that answer what they are told to.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions, write_message};
use arrow_schema::{DataType, Field, Schema};
use millstream_engine::{Evaluated, FailureKind, OperatorError, PluginLimits, RowMap};

use super::{SPIN, component, escaped};
use crate::harness::{TestHost, assert_failure, tight};

/// A function without parameters that answers with a given message about anything, as Int64.
///
/// Memory: 16 the name; 24 the type; 32 the description; 80 the result of `open`; 96 that of `call`; 4096 what the host
/// sends; 65536 the answer.
fn function(message: &[u8], call: &str) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a small message").to_le_bytes();
    let text = format!(
        r#"(module
          (memory (export "memory") 8)
          (data (i32.const 16) "hand")
          (data (i32.const 24) "Int64")
          (data (i32.const 32) "\10\00\00\00\04\00\00\00\00\00\00\00\00\00\00\00\18\00\00\00\05\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
          (data (i32.const 96) "\00\00\00\00\00\00\01\00{length}")
          (data (i32.const 65536) "{message}")
          (func (export "millstream:plugin/scalar-function@0.2.0#describe") (result i32) i32.const 32)
          (func (export "millstream:plugin/scalar-function@0.2.0#open") (param i32 i32 i32 i32) (result i32) i32.const 80)
          (func (export "millstream:plugin/scalar-function@0.2.0#call") (param i32 i32) (result i32) {call})
          (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096))"#,
        length = escaped(&length),
        message = escaped(message),
    );
    component("v0.2", "function", &text)
}

/// A transform without parameters that answers with a given schema, message and origins about anything.
///
/// Memory as of [`function`], and 192 the result of `open`; 32768 the schema; 57344 the origins.
fn transform(schema: &[u8], message: &[u8], origins: &[u32]) -> Vec<u8> {
    let word = |n: usize| escaped(&u32::try_from(n).expect("a small number").to_le_bytes());
    let origins_bytes: Vec<u8> = origins.iter().flat_map(|origin| origin.to_le_bytes()).collect();
    let text = format!(
        r#"(module
          (memory (export "memory") 8)
          (data (i32.const 16) "hand")
          (data (i32.const 32) "\10\00\00\00\04\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
          (data (i32.const 192) "\00\00\00\00\00\80\00\00{schema_length}")
          (data (i32.const 96) "\00\00\00\00\00\00\01\00{length}\00\e0\00\00{rows}")
          (data (i32.const 32768) "{schema}")
          (data (i32.const 57344) "{origins}")
          (data (i32.const 65536) "{message}")
          (func (export "millstream:plugin/batch-transform@0.2.0#describe") (result i32) i32.const 32)
          (func (export "millstream:plugin/batch-transform@0.2.0#open") (param i32 i32 i32 i32) (result i32) i32.const 192)
          (func (export "millstream:plugin/batch-transform@0.2.0#transform") (param i32 i32) (result i32) i32.const 96)
          (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096))"#,
        schema_length = word(schema.len()),
        length = word(message.len()),
        rows = word(origins.len()),
        schema = escaped(schema),
        origins = escaped(&origins_bytes),
        message = escaped(message),
    );
    component("v0.2", "transform", &text)
}

pub(super) fn numbers(numbers: impl IntoIterator<Item = i64>) -> RecordBatch {
    let column: ArrayRef = Arc::new(numbers.into_iter().map(Some).collect::<Int64Array>());
    RecordBatch::try_from_iter_with_nullable([("n", column, true)]).expect("a batch")
}

/// A record-batch message as Arrow writes it, and before it a dictionary if the batch has one.
fn messages(batch: &RecordBatch, compression: Option<CompressionType>) -> Vec<Vec<u8>> {
    let options = IpcWriteOptions::default().try_with_compression(compression).expect("options");
    let mut tracker = DictionaryTracker::new(false);
    let data = IpcDataGenerator::default();
    data.schema_to_bytes_with_dictionary_tracker(&batch.schema(), &mut tracker, &options);
    let encoded = data.encode(batch, &mut tracker, &options, &mut IpcWriteContext::default());
    let (dictionaries, batch) = encoded.expect("an encoded batch");
    let message = |encoded| {
        let mut message = Vec::new();
        write_message(&mut message, encoded, &options).expect("a message");
        message
    };
    dictionaries.into_iter().chain([batch]).map(message).collect()
}

pub(super) fn message(batch: &RecordBatch) -> Vec<u8> {
    messages(batch, None).pop().expect("a message")
}

fn schema_message(schema: &Schema) -> Vec<u8> {
    let options = IpcWriteOptions::default();
    let mut tracker = DictionaryTracker::new(false);
    let encoded = IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(schema, &mut tracker, &options);
    let mut message = Vec::new();
    write_message(&mut message, encoded, &options).expect("a message");
    message
}

/// What comes of asking a function that answers with `message` about four rows.
fn answer(message: &[u8]) -> Result<ArrayRef, OperatorError> {
    let host = TestHost::new();
    let limits = PluginLimits { call_timeout_ms: 5_000, ..tight() };
    let function = host.load(&function(message, "i32.const 96"), "", &limits).unwrap_or_else(|e| panic!("{e}"));
    function.call(&[], 4)
}

#[track_caller]
fn assert_refused(message: &[u8], reason: &str) {
    assert_failure(&answer(message).expect_err(reason), FailureKind::BadOutput, reason);
}

fn transformed(message: &[u8], origins: &[u32]) -> Result<Evaluated, OperatorError> {
    let host = TestHost::new();
    let schema = schema_message(&numbers([]).schema());
    let limits = PluginLimits { call_timeout_ms: 5_000, ..tight() };
    let loaded = host.load_transform(&transform(&schema, message, origins), "", &limits);
    loaded.unwrap_or_else(|e| panic!("{e}")).transform(&[], 4)
}

#[test]
fn a_function_by_hand_works() {
    let batch = numbers([1, 2, 3, 4]);
    assert_eq!(&answer(&message(&batch)).expect("an answer"), batch.column(0));
}

#[test]
fn another_number_of_rows_is_refused() {
    for rows in [0, 1, 3, 5, 1_000] {
        assert_refused(&message(&numbers(0..rows)), &format!("it has {rows} rows"));
    }
}

#[test]
fn another_shape_is_refused() {
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "d"]));
    let text = RecordBatch::try_from_iter([("n", texts)]).expect("a batch");
    assert_refused(&message(&text), "the answer of call about 4 rows is wrong");
    let two =
        RecordBatch::try_from_iter([("a", numbers(0..4).column(0).clone()), ("b", numbers(0..4).column(0).clone())]);
    assert_refused(&message(&two.expect("a batch")), "2 columns, and 1 are declared");
    assert_refused(&schema_message(&numbers([]).schema()), "a schema and not a record batch");
}

#[test]
fn compressed_and_dictionary_encoded_answers_are_refused() {
    // What decompresses to much more than it says, or names a dictionary, never gets so far.
    let compressed =
        messages(&numbers(std::iter::repeat_n(7, 4)), Some(CompressionType::ZSTD)).pop().expect("a message");
    assert_refused(&compressed, "it is compressed");
    let texts = StringArray::from(vec!["a", "a", "a", "a"]);
    let data_type = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let encoded = arrow_cast::cast(&texts, &data_type).expect("a dictionary");
    let schema = Arc::new(Schema::new(vec![Field::new("n", data_type, true)]));
    let batch = RecordBatch::try_new(schema, vec![encoded]).expect("a batch");
    let both = messages(&batch, None);
    assert_refused(&both[0], "a dictionary and not a record batch");
    assert_refused(&both[1], "column \"answer\"");
}

#[test]
fn cut_and_damaged_answers_are_refused_or_sound() {
    let whole = message(&numbers([1, 2, 3, 4]));
    for length in [0, 1, 7, 8, 9, 40, whole.len() - 1] {
        answer(&whole[..length]).expect_err("a message that is cut");
    }
    assert_refused(&[&whole[..], &[0; 8]].concat(), "according to its metadata");
    let mut lie = whole.clone();
    lie[4..8].copy_from_slice(&i32::MIN.to_le_bytes());
    assert_refused(&lie, "its metadata is -2147483648 bytes long");
    lie[4..8].copy_from_slice(&i32::MAX.to_le_bytes());
    assert_refused(&lie, "its metadata is 2147483647 bytes long");
    assert_refused(&[0; 64], "the continuation marker");
}

#[test]
fn an_answer_above_its_limit_is_refused() {
    let host = TestHost::new();
    let large = message(&numbers(0..4_000));
    let limits = PluginLimits { output_bytes: 1 << 20, ..tight() };
    // 2 MiB of the guest's own memory.
    let call = "(drop (memory.grow (i32.const 32))) (i32.store (i32.const 104) (i32.const 2097152)) i32.const 96";
    let function = host.load(&function(&large, call), "", &limits).unwrap_or_else(|e| panic!("{e}"));
    assert_failure(&function.call(&[], 4_000).expect_err("too much"), FailureKind::BadOutput, "too much data");
}

#[test]
fn a_function_that_spins_or_answers_from_elsewhere_is_stopped() {
    let host = TestHost::new();
    let sound = message(&numbers(0..4));
    for (call, kind, text) in [
        (SPIN, FailureKind::Timeout, "call took longer"),
        ("i32.const -4", FailureKind::BadOutput, "broke the contract"),
        ("(i32.store (i32.const 100) (i32.const -8)) i32.const 96", FailureKind::BadOutput, "broke the contract"),
        ("unreachable", FailureKind::Trap, "call trapped"),
    ] {
        let function = host.load(&function(&sound, call), "", &tight()).unwrap_or_else(|e| panic!("{e}"));
        assert_failure(&function.call(&[], 4).expect_err(text), kind, text);
    }
}

#[test]
fn a_transform_by_hand_works() {
    let batch = numbers([10, 11, 30]);
    let Evaluated { batch: given, rows } = transformed(&message(&batch), &[1, 1, 3]).expect("rows");
    assert_eq!((given, rows), (batch, RowMap::Indices(vec![1, 1, 3])));
    assert_eq!(transformed(&message(&numbers([])), &[]).expect("no rows").batch.num_rows(), 0);
}

#[test]
fn forged_origins_are_refused() {
    for (origins, reason) in [
        (&[0, 1][..], "3 rows come with the origins of 2"),
        (&[0, 1, 2, 3], "3 rows come with the origins of 4"),
        (&[2, 1, 3], "out of order"),
        (&[0, 1, 4], "comes from row 4, which is not there"),
        (&[0, 1, u32::MAX], "comes from row 4294967295"),
    ] {
        let error = transformed(&message(&numbers([1, 2, 3])), origins).expect_err(reason);
        assert_failure(&error, FailureKind::BadOutput, reason);
    }
}

#[test]
fn rows_of_another_schema_than_was_said_are_refused() {
    let text: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    let batch = RecordBatch::try_from_iter([("n", text)]).expect("a batch");
    let error = transformed(&message(&batch), &[0]).expect_err("texts");
    assert_failure(&error, FailureKind::BadOutput, "3 buffers, and its columns take 2");
}

#[test]
fn a_schema_that_can_t_be_taken_refuses_the_plugin() {
    let field = |data_type| Field::new("n", data_type, true);
    let struct_type = DataType::Struct(vec![field(DataType::Int8)].into());
    let many: Vec<Field> = (0..257).map(|i| Field::new(format!("c{i}"), DataType::Int8, true)).collect();
    for (schema, reason) in [
        (schema_message(&Schema::empty()), "0 columns"),
        (schema_message(&Schema::new(many)), "257 columns"),
        (schema_message(&Schema::new(vec![field(struct_type)])), "a type that is not taken"),
        (schema_message(&Schema::new(vec![field(DataType::Int8), field(DataType::Int8)])), "twice"),
        (message(&numbers([1])), "a record batch and not a schema"),
        (b"\xff\xff\xff\xff\x04\0\0\0\xff\xff\xff\x7f".to_vec(), "damaged"),
        (Vec::new(), "too few for a message"),
    ] {
        let loaded = TestHost::new().load_transform(&transform(&schema, b"", &[]), "", &tight());
        let error = loaded.map(|t| panic!("{t:?}")).unwrap_or_else(|e| e.to_string());
        assert!(error.contains("the schema that open answers is wrong") && error.contains(reason), "{error}");
    }
}
