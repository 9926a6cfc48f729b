use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int64Array, ListArray, RecordBatch, StringArray, StructArray};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Fields, Int32Type, Schema};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{
    DictionaryHandling, DictionaryTracker, EncodedData, IpcDataGenerator, IpcWriteContext, IpcWriteOptions,
};

use super::decoder::MAX_FIELDS;
use super::*;
use crate::Result;

const LIMITS: Limits = Limits { rows: 1 << 24, decoded: 64 << 20, unpacked: 16 << 20, dictionaries: 8 << 20 };

/// A message as it was written.
#[derive(Debug, Clone)]
struct Sent {
    header: Vec<u8>,
    body: Vec<u8>,
}

impl From<EncodedData> for Sent {
    fn from(data: EncodedData) -> Sent {
        Sent { header: data.ipc_message, body: data.arrow_data }
    }
}

/// The messages of one batch: schema, dictionaries, rows.
fn messages(batch: &RecordBatch, compression: Option<CompressionType>) -> Vec<Sent> {
    let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let mut tracker = DictionaryTracker::new(false);
    let generator = IpcDataGenerator::default();
    let schema = generator.schema_to_bytes_with_dictionary_tracker(&batch.schema(), &mut tracker, &options);
    let (dictionaries, rows) =
        generator.encode(batch, &mut tracker, &options, &mut IpcWriteContext::default()).unwrap();
    std::iter::once(schema).chain(dictionaries).chain([rows]).map(Sent::from).collect()
}

fn schema_message(schema: &Schema) -> Sent {
    let (mut tracker, options) = (DictionaryTracker::new(false), IpcWriteOptions::default());
    IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(schema, &mut tracker, &options).into()
}

fn sample() -> RecordBatch {
    let words: DictionaryArray<Int32Type> = (0..100).map(|i| Some(["a", "bb"][i % 2])).collect();
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>((0..100).map(|i| Some(vec![Some(i), None])));
    let inner: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
    let fields = Fields::from(vec![Field::new("x", DataType::Int64, true)]);
    RecordBatch::try_from_iter([
        ("n", Arc::new(Int64Array::from_iter((0..100).map(|i| (i % 3 > 0).then_some(i)))) as ArrayRef),
        ("s", Arc::new(StringArray::from_iter_values((0..100).map(|i| format!("row {i}"))))),
        ("d", Arc::new(words)),
        ("l", Arc::new(list)),
        ("t", Arc::new(StructArray::new(fields, vec![inner], None))),
    ])
    .unwrap()
}

fn decode_all(messages: &[Sent]) -> Result<Vec<RecordBatch>> {
    let mut decoder = Decoder::new(LIMITS);
    let mut batches = Vec::new();
    for Sent { header, body } in messages {
        let body = Buffer::from_vec(body.clone());
        if let Decoded::Batch(batch) = decoder.decode(Message { header, body: &body })? {
            batches.push(batch);
        }
    }
    Ok(batches)
}

fn refused(messages: &[Sent], word: &str) {
    let error = decode_all(messages).unwrap_err();
    assert!(error.to_string().contains(word), "{error} does not say {word:?}");
}

#[test]
fn batches_are_read() {
    let batch = sample();
    for compression in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
        assert_eq!(decode_all(&messages(&batch, compression)).unwrap(), std::slice::from_ref(&batch));
    }
}

#[test]
fn rows_before_the_schema_are_refused() {
    refused(&messages(&sample(), None)[2..], "before the schema");
}

#[test]
fn a_second_schema_is_refused() {
    let messages = messages(&sample(), None);
    refused(&[messages[0].clone(), messages[0].clone()], "one schema");
}

/// Whatever is cut off or flipped, the answer is rows or an error: never a panic, never much memory.
#[test]
fn damage_is_an_error() {
    for compression in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
        let good = messages(&sample(), compression);
        for (index, message) in good.iter().enumerate() {
            for cut in (0..message.header.len()).step_by(3) {
                let mut bad = good.clone();
                bad[index].header.truncate(cut);
                let _ = decode_all(&bad);
            }
            for cut in (0..message.body.len()).step_by(7) {
                let mut bad = good.clone();
                bad[index].body.truncate(cut);
                let _ = decode_all(&bad);
            }
            for at in 0..message.header.len() {
                for bits in [0x01, 0xff] {
                    let mut header = message.header.clone();
                    header[at] ^= bits;
                    let mut bad = good.clone();
                    bad[index].header = header;
                    let _ = decode_all(&bad);
                }
            }
            for at in (0..message.body.len()).step_by(5) {
                let mut body = message.body.clone();
                body[at] ^= 0xff;
                let mut bad = good.clone();
                bad[index].body = body;
                let _ = decode_all(&bad);
            }
        }
    }
}

#[test]
fn a_compressed_buffer_that_lies_about_its_size_is_refused() {
    let rows: ArrayRef = Arc::new(Int64Array::from(vec![7i64; 10_000]));
    let batch = RecordBatch::try_from_iter([("n", rows)]).unwrap();
    for (compression, size) in [
        (CompressionType::LZ4_FRAME, 1i64 << 50),
        (CompressionType::ZSTD, 1 << 50),
        (CompressionType::LZ4_FRAME, 8),
        (CompressionType::ZSTD, -5),
    ] {
        let mut messages = messages(&batch, Some(compression));
        let body = &mut messages[1].body;
        let at = body.windows(8).position(|bytes| bytes == 80_000i64.to_le_bytes()).unwrap();
        body[at..at + 8].copy_from_slice(&size.to_le_bytes());
        assert!(decode_all(&messages).is_err(), "{compression:?} {size}");
    }
}

#[test]
fn a_dictionary_that_unfolds_to_too_much_is_refused() {
    let values = StringArray::from(vec!["x".repeat(1 << 20)]);
    let keys = arrow::array::Int32Array::from(vec![0; 1000]);
    let column: ArrayRef = Arc::new(DictionaryArray::new(keys, Arc::new(values)));
    let batch = RecordBatch::try_from_iter([("d", column)]).unwrap();
    refused(&messages(&batch, None), "without its encoding");
}

/// A dictionary column over these values, all of whose rows have the first one.
fn dictionary_of(values: Vec<String>) -> ArrayRef {
    let keys = arrow::array::Int32Array::from(vec![0; 10]);
    Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from(values))))
}

#[test]
fn a_dictionary_is_measured_before_it_is_unpacked() {
    let bomb = || dictionary_of(vec!["a".to_owned(), "x".repeat(9 << 20)]);
    let fields = Fields::from(vec![Field::new("x", bomb().data_type().clone(), true)]);
    let nested: ArrayRef = Arc::new(StructArray::new(fields, vec![bomb()], None));
    for column in [bomb(), nested] {
        let batch = RecordBatch::try_from_iter([("d", column)]).unwrap();
        for compression in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
            let messages = messages(&batch, compression);
            assert!(compression.is_none() || messages[1].body.len() < 100_000, "it is small on the wire");
            refused(&messages, "the stream's dictionaries take more than 8388608 bytes");
        }
    }
}

#[test]
fn the_dictionaries_of_a_stream_count_together() {
    let columns = (0..3).map(|n| (format!("d{n}"), dictionary_of(vec!["a".to_owned(), "x".repeat(3 << 20)])));
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    refused(&messages(&batch, Some(CompressionType::ZSTD)), "the stream's dictionaries");
    // The same dictionary again takes the place of the one before, and is no more.
    let small = RecordBatch::try_from_iter([("d", dictionary_of(vec!["x".repeat(3 << 20)]))]).unwrap();
    let good = messages(&small, None);
    let again: Vec<Sent> = std::iter::once(&good[0]).chain([&good[1]; 5]).cloned().collect();
    assert!(decode_all(&again).is_ok());
}

#[test]
fn what_is_added_to_a_dictionary_counts() {
    let options = IpcWriteOptions::default().with_dictionary_handling(DictionaryHandling::Delta);
    let (generator, mut context) = (IpcDataGenerator::default(), IpcWriteContext::default());
    let mut tracker = DictionaryTracker::new(false);
    let mut sent = Vec::new();
    for words in 1..=3 {
        let values = (0..words).map(|n| format!("{n}").repeat(3 << 20)).collect();
        let batch = RecordBatch::try_from_iter([("d", dictionary_of(values))]).unwrap();
        if words == 1 {
            let schema = generator.schema_to_bytes_with_dictionary_tracker(&batch.schema(), &mut tracker, &options);
            sent.push(Sent::from(schema));
        }
        let (dictionaries, rows) = generator.encode(&batch, &mut tracker, &options, &mut context).unwrap();
        assert!(dictionaries.iter().all(|added| added.arrow_data.len() < 4 << 20), "only what is new is sent");
        sent.extend(dictionaries.into_iter().chain([rows]).map(Sent::from));
        match words {
            3 => refused(&sent, "the stream's dictionaries"),
            _ => assert_eq!(decode_all(&sent).unwrap().len(), words),
        }
    }
}

#[test]
fn columns_unfold_to_the_limit_together() {
    let column = || dictionary_of(vec!["x".repeat(1 << 20)]);
    let keys = arrow::array::Int32Array::from(vec![0; 40]);
    let wide = |column: ArrayRef| arrow::compute::take(&column, &keys, None).unwrap();
    let one = RecordBatch::try_from_iter([("a", wide(column()))]).unwrap();
    assert!(decode_all(&messages(&one, None)).is_ok());
    let two = RecordBatch::try_from_iter([("a", wide(column())), ("b", wide(column()))]).unwrap();
    refused(&messages(&two, None), "with column \"b\" the batch takes more");
}

#[test]
fn too_many_fields_are_refused() {
    let schema = |count: usize| {
        let fields: Vec<Field> = (0..count).map(|i| Field::new(format!("c{i}"), DataType::Int8, true)).collect();
        schema_message(&Schema::new(fields))
    };
    assert!(decode_all(&[schema(MAX_FIELDS)]).is_ok());
    refused(&[schema(MAX_FIELDS + 1)], "more than 10000 fields");
    refused(&[schema(1_000_000)], "limit");
}

#[test]
fn unions_are_refused_by_name() {
    let fields = arrow::datatypes::UnionFields::from_fields([Field::new("a", DataType::Int8, true)]);
    let union = DataType::Union(fields, arrow::datatypes::UnionMode::Dense);
    let schema = Schema::new(vec![Field::new("either", union, true)]);
    refused(&[schema_message(&schema)], "\"either\"");
}

/// Runs for `MILLSTREAM_FUZZ_SECONDS` over randomly mutated streams; a failure prints the smallest mutation that shows it.
#[test]
fn mutated_streams_are_rows_or_errors() {
    use proptest::prelude::*;
    use proptest::sample::Index;

    let streams = [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)];
    let streams = streams.map(|compression| messages(&sample(), compression));
    let number = prop_oneof![Just(u64::MAX), Just(i64::MAX as u64), Just(1 << 31), 0..70_000_u64, any::<u64>()];
    // Which stream, message and half of it; where; what; in how many bytes, none of them cuts it off.
    let mutation = (any::<[Index; 2]>(), 0..4_usize, any::<Index>(), number, 0..9_usize);
    let mutations = proptest::collection::vec(mutation, 1..5);
    let mutate = |bytes: &mut Vec<u8>, at: Index, number: u64, width: usize| {
        if bytes.is_empty() {
            return;
        }
        let at = at.index(bytes.len());
        match width {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << (number % 8),
            _ => bytes.iter_mut().skip(at & !3).zip(number.to_le_bytes()).take(width).for_each(|(b, with)| *b = with),
        }
    };
    crate::fuzz::over(&mutations, 256, |mutations| {
        let Some((first, ..)) = mutations.first() else { return };
        let mut stream = streams[first[0].index(streams.len())].clone();
        for (which, half, at, number, width) in mutations {
            let message = which[1].index(stream.len());
            let message = &mut stream[message];
            let part = if half == 0 { &mut message.body } else { &mut message.header };
            mutate(part, at, number, width);
        }
        let read = decode_all(&stream).unwrap_or_default();
        assert!(read.iter().all(|batch| batch.num_rows() as i64 <= LIMITS.rows));
    });
}
