//! Typed rows by serde.

mod decode;
mod nested;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Fields, SchemaRef, TimeUnit};
use arrow_json::ReaderBuilder;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};

/// Rows of your type as a batch of this schema: fields by name, a missing one is null, one that the schema lacks is an error, and
/// so are a fraction for an integer, more digits of a second than a time stamp has, and a number too large for REAL. Text for a
/// binary column is hexadecimal.
pub fn encode<T: Serialize>(schema: SchemaRef, rows: &[T]) -> Result<RecordBatch> {
    refuse_cuts(schema.fields(), rows)?;
    let invalid = |error: arrow::error::ArrowError| Error::InvalidInput(format!("rows don't fit the schema: {error}"));
    let reader = ReaderBuilder::new(schema.clone()).with_batch_size(rows.len().max(1)).with_strict_mode(true);
    let mut decoder = reader.build_decoder().map_err(invalid)?;
    decoder.serialize(rows).map_err(invalid)?;
    Ok(decoder.flush().map_err(invalid)?.unwrap_or_else(|| RecordBatch::new_empty(schema)))
}

/// A batch as rows of your type: fields by name. A value that the type can't hold is an error that names its row and column:
/// nothing is cut, and nothing becomes null.
///
/// Integers become any integer that they fit, and with decimals the nearest `f64` or `f32`. Decimals are text of all their digits
/// (`"12.50"`) for other types, and integers where they are whole; times are RFC 3339 text. Binary is bytes: `Vec<u8>`, or a type
/// that takes bytes. Types that take anything, such as `serde_json::Value`, get NaN and the infinities as text, and refuse binary.
pub fn decode<T: DeserializeOwned>(batch: &RecordBatch) -> Result<Vec<T>> {
    decode::decode(batch).map_err(|error| Error::InvalidInput(format!("the batch's rows don't fit the type: {error}")))
}

/// Arrow cuts off fractions of integers and digits of times, and makes infinities of what is too large for REAL, at any depth.
fn refuse_cuts<T: Serialize>(fields: &Fields, rows: &[T]) -> Result<()> {
    if !fields.iter().any(|field| may_cut(field.data_type())) {
        return Ok(());
    }
    for (row, value) in rows.iter().enumerate() {
        // What is no JSON at all is told by the decoder.
        let Ok(Value::Object(members)) = serde_json::to_value(value) else { continue };
        for field in fields {
            if let Some(value) = members.get(field.name()).and_then(|value| cut(value, field.data_type())) {
                let (name, data_type) = (field.name(), field.data_type());
                let message = format!("row {row}, column {name:?}: {value} does not fit {data_type}");
                return Err(Error::InvalidInput(message));
            }
        }
    }
    Ok(())
}

fn may_cut(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) | DataType::Map(item, _) => may_cut(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| may_cut(field.data_type())),
        DataType::Float32 | DataType::Timestamp(..) => true,
        other => other.is_integer(),
    }
}

/// The first value that would be cut.
fn cut<'a>(value: &'a Value, data_type: &DataType) -> Option<&'a Value> {
    let is_cut = match (value, data_type) {
        (Value::Number(number), data_type) if data_type.is_integer() => {
            number.as_f64().is_some_and(|number| number.fract() != 0.0)
        }
        (Value::Number(number), DataType::Float32) => {
            number.as_f64().is_some_and(|number| number.is_finite() && (number as f32).is_infinite())
        }
        (Value::String(text), DataType::Timestamp(unit, _)) => {
            let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
            let digits = fraction.bytes().take_while(u8::is_ascii_digit);
            digits.skip(digits_of(unit)).any(|digit| digit != b'0')
        }
        (Value::Array(items), DataType::List(item)) => {
            return items.iter().find_map(|value| cut(value, item.data_type()));
        }
        (Value::Object(members), DataType::Struct(fields)) => {
            return fields.iter().find_map(|field| cut(members.get(field.name())?, field.data_type()));
        }
        (Value::Object(members), DataType::Map(entries, _)) => match entries.data_type() {
            DataType::Struct(pair) => {
                let values = pair.get(1)?.data_type();
                return members.values().find_map(|value| cut(value, values));
            }
            _ => false,
        },
        _ => false,
    };
    is_cut.then_some(value)
}

/// Digits of a second that a time has.
fn digits_of(unit: &TimeUnit) -> usize {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_whose_fields_differ_are_not_cut() {
        let schema = Arc::new(Schema::new(vec![
            Field::new("a", DataType::Int64, true),
            Field::new("b", DataType::Int64, true),
            Field::new("s", DataType::Struct(vec![Field::new("x", DataType::Int64, true)].into()), true),
        ]));
        let batch = encode(schema.clone(), &[json!({"a": 1}), json!({"a": 2, "b": 3, "s": {"x": 4}})]).unwrap();
        let rows: Vec<serde_json::Value> = decode(&batch).unwrap();
        assert_eq!(rows[1], json!({"a": 2, "b": 3, "s": {"x": 4}}));
        for unknown in [json!({"a": 1, "c": 2}), json!({"s": {"x": 1, "y": 2}})] {
            assert!(encode(schema.clone(), &[json!({"a": 1}), unknown.clone()]).is_err(), "{unknown} was cut");
        }
    }

    #[test]
    fn what_does_not_fit_is_not_cut() {
        let list = DataType::List(Arc::new(Field::new("item", DataType::Int32, true)));
        let schema = Arc::new(Schema::new(vec![
            Field::new("a", DataType::Int64, true),
            Field::new("f", DataType::Float64, true),
            Field::new("r", DataType::Float32, true),
            Field::new("at", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), true),
            Field::new("l", list, true),
            Field::new("s", DataType::Struct(vec![Field::new("x", DataType::UInt8, true)].into()), true),
        ]));
        let at = "2024-07-01T18:00:30.125000Z";
        let whole = json!({"a": 1.0, "f": 1.5, "r": 1.5, "at": at, "l": [1, 2.0], "s": {"x": 3}});
        assert_eq!(encode(schema.clone(), &[whole]).unwrap().num_rows(), 1);
        for cut in [
            json!({"a": 1.5}),
            json!({"l": [1, 2.5]}),
            json!({"s": {"x": 0.5}}),
            json!({"r": 1e300}),
            json!({"at": "2024-07-01T18:00:30.1251Z"}),
        ] {
            let error = encode(schema.clone(), &[json!({"a": 1}), cut.clone()]).unwrap_err().to_string();
            assert!(error.contains("row 1, column ") && error.contains(" does not fit"), "{cut}: {error}");
        }
    }

    /// One row of what JSON has no form for, or another one.
    fn odd() -> RecordBatch {
        use arrow::array::*;
        let word: DictionaryArray<arrow::datatypes::Int8Type> = [Some("low"), None].into_iter().collect();
        let mut by_number = MapBuilder::new(None, Int64Builder::new(), Float64Builder::new());
        by_number.keys().append_value(7);
        by_number.values().append_value(f64::INFINITY);
        by_number.append(true).unwrap();
        by_number.append(false).unwrap();
        let decimal = Decimal128Array::from(vec![Some(1_234_567_890_123_456_789), None]);
        let whole = Decimal128Array::from(vec![Some(900), None]);
        let x: ArrayRef = Arc::new(Float32Array::from(vec![Some(f32::NEG_INFINITY), None]));
        let point = StructArray::from(vec![(Arc::new(Field::new("x", DataType::Float32, true)), x)]);
        RecordBatch::try_from_iter([
            ("nan", Arc::new(Float64Array::from(vec![Some(f64::NAN), None])) as ArrayRef),
            ("bytes", Arc::new(BinaryArray::from_opt_vec(vec![Some(&[0, 255, 10][..]), None]))),
            ("decimal", Arc::new(decimal.with_precision_and_scale(22, 2).unwrap())),
            ("whole", Arc::new(whole.with_precision_and_scale(5, 2).unwrap())),
            ("large", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None]))),
            ("at", Arc::new(TimestampMicrosecondArray::from(vec![Some(-1), None]).with_timezone("UTC"))),
            ("word", Arc::new(word)),
            ("by_number", Arc::new(by_number.finish())),
            ("point", Arc::new(point)),
        ])
        .unwrap()
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Point {
        x: Option<f32>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Odd {
        nan: Option<f64>,
        bytes: Option<Vec<u8>>,
        decimal: Option<String>,
        whole: Option<i16>,
        large: Option<u64>,
        at: Option<String>,
        word: Option<String>,
        by_number: Option<std::collections::BTreeMap<i64, f64>>,
        point: Option<Point>,
    }

    #[test]
    fn values_come_as_they_are() {
        let rows: Vec<Odd> = decode(&odd()).unwrap();
        let first = &rows[0];
        assert!(first.nan.unwrap().is_nan());
        assert_eq!(first.bytes.as_deref(), Some(&[0, 255, 10][..]));
        assert_eq!((first.decimal.as_deref(), first.whole), (Some("12345678901234567.89"), Some(9)));
        assert_eq!((first.large, first.word.as_deref()), (Some(u64::MAX), Some("low")));
        assert_eq!(first.at.as_deref(), Some("1969-12-31T23:59:59.999999Z"));
        assert_eq!(first.by_number, Some([(7, f64::INFINITY)].into()));
        assert_eq!(first.point, Some(Point { x: Some(f32::NEG_INFINITY) }));
        let nothing = (&rows[1].nan, &rows[1].bytes, &rows[1].decimal, &rows[1].word, &rows[1].by_number);
        assert_eq!(nothing, (&None, &None, &None, &None, &None));
        let numbers = odd().project(&[0, 2, 3, 4, 6]).unwrap();
        let json: Vec<Value> = decode(&numbers).unwrap();
        let expected = json!(
            {"nan": "NaN", "decimal": "12345678901234567.89", "whole": "9.00", "large": u64::MAX, "word": "low"}
        );
        assert_eq!(json[0], expected);
        assert_eq!(json[1], json!({"nan": null, "decimal": null, "whole": null, "large": null, "word": null}));
    }

    #[test]
    fn what_the_type_cannot_hold_is_refused_by_name() {
        fn refused<T: DeserializeOwned + std::fmt::Debug>(column: usize) -> String {
            decode::<T>(&odd().project(&[column]).unwrap().slice(0, 1)).unwrap_err().to_string()
        }
        #[derive(Debug, serde::Deserialize)]
        #[expect(dead_code, reason = "it is never made")]
        struct Narrow {
            #[serde(alias = "large", alias = "decimal", alias = "nan", alias = "at")]
            value: i64,
        }
        #[derive(Debug, serde::Deserialize)]
        #[expect(dead_code, reason = "it is never made")]
        struct Text {
            bytes: String,
        }
        for (error, column) in [
            (refused::<Narrow>(4), "large"),
            (refused::<Narrow>(2), "decimal"),
            (refused::<Narrow>(0), "nan"),
            (refused::<Narrow>(5), "at"),
            (refused::<Value>(1), "bytes"),
            (refused::<Text>(1), "bytes"),
        ] {
            assert!(error.contains(&format!("row 0, column {column:?}: ")), "{error}");
        }
        let twice = Schema::new(vec![Field::new("a", DataType::Int64, true), Field::new("a", DataType::Int64, true)]);
        let twice = RecordBatch::new_empty(Arc::new(twice));
        assert!(decode::<Value>(&twice).unwrap_err().to_string().contains("two columns are named \"a\""));
    }

    #[test]
    fn rows_of_every_kind_of_type_are_made() {
        #[derive(Debug, PartialEq, serde::Deserialize, serde::Serialize)]
        #[serde(rename_all = "lowercase")]
        enum Size {
            Small,
        }
        #[derive(Debug, PartialEq, serde::Deserialize, serde::Serialize)]
        struct Id(u32);
        #[derive(Debug, PartialEq, serde::Deserialize, serde::Serialize)]
        struct Row {
            id: Id,
            size: Size,
            pair: (f64, f64),
            #[serde(default)]
            missing: u8,
            note: Option<char>,
        }
        let pair = DataType::List(Arc::new(Field::new("item", DataType::Float64, true)));
        let fields = [("id", DataType::UInt32), ("size", DataType::Utf8), ("pair", pair), ("note", DataType::Utf8)];
        let fields = fields.map(|(name, data_type)| Field::new(name, data_type, true));
        let schema = Arc::new(Schema::new(fields.to_vec()));
        let batch = encode(schema, &[json!({"id": 3, "size": "small", "pair": [0.5, 2.0]})]).unwrap();
        let expected = Row { id: Id(3), size: Size::Small, pair: (0.5, 2.0), missing: 0, note: None };
        assert_eq!(decode::<Row>(&batch).unwrap(), [expected]);
    }
}
