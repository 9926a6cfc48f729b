//! Every type, every text format, every value at the edges: what is written reads back the same.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::*;

use crate::csv::CsvOptions;
use crate::{Decoder, FileFormat, Writer, batches};

/// A column of every type that tables hold, with its edges and a null.
pub(crate) fn edges() -> RecordBatch {
    let f64s = [0.1, -0.0, f64::MAX, f64::MIN_POSITIVE, 5e-324, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let texts = ["", " a ", "a,\"b\";\r\n'c'", "NULL", "\u{feff}é😀\u{0}", "007", "true", "\\N"];
    let bytes: [&[u8]; 8] = [b"", b"\0", b"\xff\xfe", b"00ff", b"\\x00", b"abc", b",", b"\""];
    let mut lists = ListBuilder::new(StringBuilder::new());
    for list in [vec![], vec![None], vec![Some("")], vec![Some("a,b"), None], vec![], vec![], vec![], vec![]] {
        lists.append_value(list);
    }
    lists.append_null();
    let point = StructArray::from(vec![
        (Arc::new(Field::new("x", DataType::Float64, true)), Arc::new(Float64Array::from(f64s.to_vec())) as ArrayRef),
        (Arc::new(Field::new("b", DataType::Binary, true)), Arc::new(BinaryArray::from(bytes.to_vec())) as ArrayRef),
    ]);
    let point = arrow::compute::concat(&[&point, &*new_null_array(point.data_type(), 1)]).expect("one type");
    let pair = Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Int64, true)]);
    let entries = StructArray::new(
        pair.clone(),
        vec![Arc::new(StringArray::from(vec!["", "k"])), Arc::new(Int64Array::from(vec![None, Some(i64::MIN)]))],
        None,
    );
    let tags = MapArray::new(
        Arc::new(Field::new("entries", DataType::Struct(pair), false)),
        OffsetBuffer::from_lengths([0, 2, 0, 0, 0, 0, 0, 0, 0]),
        entries,
        Some(vec![true, true, true, true, true, true, true, true, false].into()),
        false,
    );
    macro_rules! numbers {
        ($array:ty, $native:ty) => {
            Arc::new(<$array>::from(vec![
                Some(<$native>::MIN),
                Some(<$native>::MAX),
                Some(0),
                Some(1),
                None,
                Some(<$native>::MAX - 1),
                Some(7),
                Some(100),
                None,
            ])) as ArrayRef
        };
    }
    let decimals = |precision: u8, scale: i8| {
        let most = 10i128.pow(precision.into()) - 1;
        let values = vec![Some(most), Some(-most), Some(0), Some(1), Some(-1), None, Some(most / 3), Some(5), None];
        let array = Decimal128Array::from(values).with_precision_and_scale(precision, scale).expect("a valid scale");
        Arc::new(array) as ArrayRef
    };
    let floats = f64s.iter().map(|value| Some(*value)).chain([None]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "flag",
            Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, Some(true), None, None, None, None, None])),
        ),
        ("i8", numbers!(Int8Array, i8)),
        ("i16", numbers!(Int16Array, i16)),
        ("i32", numbers!(Int32Array, i32)),
        ("i64", numbers!(Int64Array, i64)),
        ("u8", numbers!(UInt8Array, u8)),
        ("u16", numbers!(UInt16Array, u16)),
        ("u32", numbers!(UInt32Array, u32)),
        ("u64", numbers!(UInt64Array, u64)),
        ("f64", Arc::new(Float64Array::from_iter(floats.clone()))),
        ("f32", Arc::new(Float32Array::from_iter(floats.map(|value| value.map(|value| value as f32))))),
        ("price", decimals(38, 10)),
        ("whole", decimals(5, 0)),
        ("small", decimals(4, 4)),
        ("day", numbers!(Date32Array, i32)),
        ("s", numbers!(TimestampSecondArray, i64)),
        ("ms", numbers!(TimestampMillisecondArray, i64)),
        ("us", numbers!(TimestampMicrosecondArray, i64)),
        ("ns", numbers!(TimestampNanosecondArray, i64)),
        (
            "utc",
            Arc::new(
                TimestampMicrosecondArray::from(vec![Some(1), None, None, None, None, None, None, None, Some(-1)])
                    .with_timezone("UTC"),
            ),
        ),
        ("name", Arc::new(StringArray::from_iter(texts.into_iter().map(Some).chain([None])))),
        ("bytes", Arc::new(BinaryArray::from_iter(bytes.into_iter().map(Some).chain([None])))),
        ("list", Arc::new(lists.finish())),
        ("point", point),
        ("tags", Arc::new(tags)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .expect("columns of one length")
}

fn check(batch: &RecordBatch, format: FileFormat, options: CsvOptions) {
    let schema = batch.schema();
    let mut writer = Writer::new(Vec::new(), format, &schema, options).unwrap();
    writer.write(batch).unwrap();
    let written = writer.finish().unwrap();
    let fields = schema.fields().clone();
    let decoder = match format {
        FileFormat::Csv => Decoder::csv(options, Box::new(move |_| Ok(fields))).unwrap(),
        _ => Decoder::json(fields).unwrap(),
    };
    // A reader that gives a few bytes at a time cuts every row somewhere.
    struct Few<'a>(&'a [u8]);
    impl std::io::Read for Few<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let few = buffer.len().min(7);
            self.0.read(&mut buffer[..few])
        }
    }
    let read: Vec<_> = batches(Few(&written), decoder).collect::<crate::Result<_>>().unwrap();
    let read = arrow::compute::concat_batches(&schema, &read).unwrap();
    for (field, (found, expected)) in schema.fields().iter().zip(read.columns().iter().zip(batch.columns())) {
        assert_eq!(found, expected, "column {} in {format:?}", field.name());
    }
}

#[test]
fn every_type_reads_back_from_text() {
    let batch = edges();
    check(&batch, FileFormat::Json, CsvOptions::default());
    check(&batch, FileFormat::Csv, CsvOptions::default());
    check(&batch, FileFormat::Csv, CsvOptions { header: false, delimiter: b';' });
    // A lone column, whose nulls are lines of nothing.
    for index in 0..batch.num_columns() {
        check(&batch.project(&[index]).unwrap(), FileFormat::Csv, CsvOptions::default());
    }
}

#[test]
fn what_does_not_fit_is_an_error_that_names_line_column_and_value() {
    let field = |data_type| Fields::from(vec![Field::new("n", data_type, true)]);
    let json = |data_type, text: &str| {
        let decoder = Decoder::json(field(data_type)).unwrap();
        batches(text.as_bytes(), decoder).find_map(Result::err).expect("an error").to_string()
    };
    let csv = |data_type, text: &str| {
        let fields = field(data_type);
        let decoder = Decoder::csv(CsvOptions::default(), Box::new(move |_| Ok(fields))).unwrap();
        batches(text.as_bytes(), decoder).find_map(Result::err).expect("an error").to_string()
    };
    let micros = || DataType::Timestamp(TimeUnit::Microsecond, None);
    assert_eq!(
        json(DataType::Int64, "{\"n\":1}\n{\"n\":1.5}"),
        "line 2: column \"n\": \"1.5\" has a fraction, and BIGINT has none"
    );
    assert_eq!(
        csv(DataType::Int64, "n\n1\n1.5\n"),
        "line 3: column \"n\": \"1.5\" has a fraction, and BIGINT has none"
    );
    assert_eq!(
        json(DataType::Int32, "{\"n\":1099511627776}"),
        "line 1: column \"n\": \"1099511627776\" is out of the range of INT"
    );
    assert_eq!(json(DataType::Utf8, "{\"n\":1}"), "line 1: column \"n\": the number 1 is no VARCHAR");
    assert_eq!(
        json(micros(), "{\"n\":1357035300000}"),
        "line 1: column \"n\": the number 1357035300000 is no TIMESTAMP"
    );
    assert_eq!(json(micros(), "{\"n\":\"yesterday\"}"), "line 1: column \"n\": \"yesterday\" is no TIMESTAMP");
    assert_eq!(
        csv(DataType::Decimal128(5, 2), "n\n1000.005\n"),
        "line 2: column \"n\": \"1000.005\" is out of the range of DECIMAL(5, 2)"
    );
    assert_eq!(json(DataType::Int64, "{\"m\":1}"), "line 1: there is no column \"m\"; there are n");
    assert_eq!(json(DataType::Int64, "{\"n\":1,\"n\":2}"), "line 1: column \"n\" is there twice");
    assert_eq!(csv(DataType::Int64, "n\n1,2\n"), "line 2: the row has 2 cells, not 1");
    assert_eq!(csv(DataType::Binary, "n\nabc\n"), "line 2: column \"n\": \"abc\" is no BYTEA");
}

#[test]
fn digits_of_decimals_beyond_the_scale_are_rounded() {
    let fields = Fields::from(vec![Field::new("n", DataType::Decimal128(10, 2), true)]);
    let text = "{\"n\":1.009}{\"n\":\"1.005\"}{\"n\":-1.005}{\"n\":1e-3}";
    let batch = batches(text.as_bytes(), Decoder::json(fields).unwrap()).next().unwrap().unwrap();
    assert_eq!(batch.column(0).as_primitive::<Decimal128Type>().values(), &[101, 101, -101, 0]);
}
