//! Values of a column, gathered one by one from text and JSON as its stored type.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Float32Array, Float64Array, ListArray, MapArray, PrimitiveArray, StringArray,
    StructArray,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::*;

use crate::columns::{Others, push_members};
use crate::json::Json;
use crate::names::type_name;
use crate::text::{self, Unfit};

/// Text of errors, cut to this many characters.
const SHOWN_CHARACTERS: usize = 64;

/// Gathers one column.
#[derive(Debug)]
pub(crate) struct Column {
    data_type: DataType,
    /// Whether each row has a value.
    valid: Vec<bool>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Boolean(Vec<bool>),
    /// Integers, decimals, dates and time stamps.
    Integer(Vec<i128>),
    Float(Vec<f64>),
    /// Texts and binary values: bytes, and where each ends.
    Bytes {
        bytes: Vec<u8>,
        ends: Vec<usize>,
    },
    List {
        item: Box<Column>,
        ends: Vec<usize>,
    },
    Struct(Vec<Column>),
    Map {
        key: Box<Column>,
        value: Box<Column>,
        ends: Vec<usize>,
    },
}

impl Column {
    /// For a type that tables hold.
    pub(crate) fn new(data_type: &DataType) -> Result<Column, String> {
        use DataType::*;
        let inner = |field: &FieldRef| Column::new(field.data_type()).map(Box::new);
        let values = match data_type {
            Boolean => Values::Boolean(Vec::new()),
            Float32 | Float64 => Values::Float(Vec::new()),
            Utf8 | Binary => Values::Bytes { bytes: Vec::new(), ends: Vec::new() },
            Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 | Date32 | Decimal128(..)
            | Timestamp(..) => Values::Integer(Vec::new()),
            List(item) => Values::List { item: inner(item)?, ends: Vec::new() },
            Struct(fields) => {
                Values::Struct(fields.iter().map(|field| Column::new(field.data_type())).collect::<Result<_, _>>()?)
            }
            Map(entries, _) => match entries.data_type() {
                Struct(pair) if pair.len() == 2 => {
                    Values::Map { key: inner(&pair[0])?, value: inner(&pair[1])?, ends: Vec::new() }
                }
                _ => return Err(format!("{data_type} is no map")),
            },
            other => return Err(format!("values of {other} can't be read from text")),
        };
        Ok(Column { data_type: data_type.clone(), valid: Vec::new(), values })
    }

    pub(crate) fn len(&self) -> usize {
        self.valid.len()
    }

    pub(crate) fn push_null(&mut self) {
        self.valid.push(false);
        match &mut self.values {
            Values::Boolean(values) => values.push(false),
            Values::Integer(values) => values.push(0),
            Values::Float(values) => values.push(0.0),
            Values::Bytes { bytes, ends } => ends.push(bytes.len()),
            Values::List { item, ends } => ends.push(item.len()),
            Values::Struct(columns) => columns.iter_mut().for_each(Column::push_null),
            Values::Map { key, ends, .. } => ends.push(key.len()),
        }
    }

    /// A value as text; nested ones are JSON. After an error nothing more may be pushed.
    pub(crate) fn push_text(&mut self, text: &str) -> Result<(), String> {
        let data_type = &self.data_type;
        let unfit = |unfit: Unfit| misfit(text, data_type, unfit);
        let malformed = || misfit(text, data_type, Unfit::Malformed);
        match &mut self.values {
            Values::Boolean(values) => values.push(text::boolean(text.trim()).ok_or_else(malformed)?),
            Values::Integer(values) => values.push(integer(text.trim(), data_type).map_err(unfit)?),
            Values::Float(values) => values.push(float(text.trim(), data_type).map_err(unfit)?),
            Values::Bytes { bytes, ends } => {
                match data_type {
                    DataType::Binary => bytes.extend(text::binary(text).ok_or_else(malformed)?),
                    _ => bytes.extend_from_slice(text.as_bytes()),
                }
                ends.push(bytes.len());
            }
            Values::List { .. } | Values::Struct(_) | Values::Map { .. } => {
                let parsed = Json::parse(text).map_err(|reason| format!("{}: {reason}", malformed()))?;
                return self.push_json(&parsed);
            }
        }
        self.valid.push(true);
        Ok(())
    }

    /// A value of a JSON text. Numbers are no text and text is no Boolean; all else that has no form in JSON comes as text.
    pub(crate) fn push_json(&mut self, json: &Json<'_>) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("{what} is no {}", type_name(&self.data_type)));
        match (json, &mut self.values) {
            (Json::Null, _) => {
                self.push_null();
                return Ok(());
            }
            (Json::Bool(value), Values::Boolean(values)) => values.push(*value),
            (Json::Number(number), Values::Integer(_) | Values::Float(_)) if !is_time(&self.data_type) => {
                return self.push_text(number);
            }
            (Json::String(text), Values::Integer(_) | Values::Float(_) | Values::Bytes { .. }) => {
                return self.push_text(text);
            }
            (Json::Array(items), Values::List { item, ends }) => {
                for (index, value) in items.iter().enumerate() {
                    item.push_json(value).map_err(|reason| format!("item {}: {reason}", index + 1))?;
                }
                ends.push(item.len());
            }
            (Json::Object(members), Values::Struct(columns)) => {
                let DataType::Struct(fields) = &self.data_type else { return wrong("an object") };
                push_members(members, fields, columns, Others::Refused, "field")?;
            }
            (Json::Object(members), Values::Map { key, value, ends }) => {
                for (name, json) in members {
                    key.push_text(name).map_err(|reason| format!("key {name:?}: {reason}"))?;
                    value.push_json(json).map_err(|reason| format!("value of {name:?}: {reason}"))?;
                }
                ends.push(key.len());
            }
            (Json::Number(number), _) => return wrong(&format!("the number {number}")),
            (Json::String(text), _) => return wrong(&shown(text)),
            (Json::Bool(value), _) => return wrong(&value.to_string()),
            (Json::Array(_), _) => return wrong("an array"),
            (Json::Object(_), _) => return wrong("an object"),
        }
        self.valid.push(true);
        Ok(())
    }

    /// Takes what was gathered, and begins anew.
    pub(crate) fn take(&mut self) -> Result<ArrayRef, String> {
        let valid = std::mem::take(&mut self.valid);
        let nulls = valid.contains(&false).then(|| NullBuffer::from(valid));
        let failed = |error: arrow::error::ArrowError| error.to_string();
        Ok(match &mut self.values {
            Values::Boolean(values) => Arc::new(BooleanArray::new(BooleanBuffer::from(std::mem::take(values)), nulls)),
            Values::Integer(values) => integers(&std::mem::take(values), &self.data_type, nulls)?,
            Values::Float(values) => {
                let values = std::mem::take(values);
                match self.data_type {
                    // It was read as a single, so that nothing is lost.
                    DataType::Float32 => {
                        Arc::new(Float32Array::new(values.into_iter().map(|value| value as f32).collect(), nulls))
                    }
                    _ => Arc::new(Float64Array::new(values.into(), nulls)),
                }
            }
            Values::Bytes { bytes, ends } => {
                let offsets = offsets(&std::mem::take(ends))?;
                let bytes = Buffer::from_vec(std::mem::take(bytes));
                match self.data_type {
                    DataType::Binary => Arc::new(BinaryArray::try_new(offsets, bytes, nulls).map_err(failed)?),
                    _ => Arc::new(StringArray::try_new(offsets, bytes, nulls).map_err(failed)?),
                }
            }
            Values::List { item, ends } => {
                let DataType::List(field) = &self.data_type else { return Err("a list of no list type".to_owned()) };
                let offsets = offsets(&std::mem::take(ends))?;
                Arc::new(ListArray::try_new(Arc::clone(field), offsets, item.take()?, nulls).map_err(failed)?)
            }
            Values::Struct(columns) => {
                let DataType::Struct(fields) = &self.data_type else {
                    return Err("a struct of no struct type".to_owned());
                };
                let columns = columns.iter_mut().map(Column::take).collect::<Result<Vec<_>, _>>()?;
                Arc::new(StructArray::try_new(fields.clone(), columns, nulls).map_err(failed)?)
            }
            Values::Map { key, value, ends } => {
                let DataType::Map(field, sorted) = &self.data_type else {
                    return Err("a map of no map type".to_owned());
                };
                let DataType::Struct(pair) = field.data_type() else { return Err("a map without entries".to_owned()) };
                let offsets = offsets(&std::mem::take(ends))?;
                let entries =
                    StructArray::try_new(pair.clone(), vec![key.take()?, value.take()?], None).map_err(failed)?;
                Arc::new(MapArray::try_new(Arc::clone(field), offsets, entries, nulls, *sorted).map_err(failed)?)
            }
        })
    }
}

fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Date32 | DataType::Timestamp(..))
}

fn integer(text: &str, data_type: &DataType) -> Result<i128, Unfit> {
    let within = |low: i128, high: i128| {
        let value = text::integer(text)?;
        if (low..=high).contains(&value) { Ok(value) } else { Err(Unfit::TooLarge) }
    };
    match data_type {
        DataType::Int8 => within(i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => within(i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => within(i32::MIN.into(), i32::MAX.into()),
        DataType::Int64 => within(i64::MIN.into(), i64::MAX.into()),
        DataType::UInt8 => within(0, u8::MAX.into()),
        DataType::UInt16 => within(0, u16::MAX.into()),
        DataType::UInt32 => within(0, u32::MAX.into()),
        DataType::UInt64 => within(0, u64::MAX.into()),
        DataType::Date32 => text::date(text).map(i128::from),
        DataType::Timestamp(unit, _) => text::timestamp(text, *unit).map(i128::from),
        DataType::Decimal128(precision, scale) => {
            let value = text::scaled(text, *scale)?;
            let limit = 10u128.checked_pow((*precision).into()).unwrap_or(u128::MAX);
            if value.unsigned_abs() < limit { Ok(value) } else { Err(Unfit::TooLarge) }
        }
        _ => Err(Unfit::Malformed),
    }
}

fn float(text: &str, data_type: &DataType) -> Result<f64, Unfit> {
    let value = match data_type {
        DataType::Float32 => text::float::<f32>(text)?.into(),
        _ => text::float::<f64>(text)?,
    };
    // There is one value that is no number, without a sign.
    Ok(if value.is_nan() { f64::NAN } else { value })
}

fn integers(values: &[i128], data_type: &DataType, nulls: Option<NullBuffer>) -> Result<ArrayRef, String> {
    macro_rules! of {
        ($kind:ty) => {{
            // Every value was held against the range of its type.
            let values: ScalarBuffer<<$kind as ArrowPrimitiveType>::Native> =
                values.iter().map(|value| (*value).try_into().unwrap_or_default()).collect();
            PrimitiveArray::<$kind>::new(values, nulls)
        }};
    }
    use DataType::*;
    Ok(match data_type {
        Int8 => Arc::new(of!(Int8Type)),
        Int16 => Arc::new(of!(Int16Type)),
        Int32 => Arc::new(of!(Int32Type)),
        Int64 => Arc::new(of!(Int64Type)),
        UInt8 => Arc::new(of!(UInt8Type)),
        UInt16 => Arc::new(of!(UInt16Type)),
        UInt32 => Arc::new(of!(UInt32Type)),
        UInt64 => Arc::new(of!(UInt64Type)),
        Date32 => Arc::new(of!(Date32Type)),
        Timestamp(TimeUnit::Second, zone) => Arc::new(of!(TimestampSecondType).with_timezone_opt(zone.clone())),
        Timestamp(TimeUnit::Millisecond, zone) => {
            Arc::new(of!(TimestampMillisecondType).with_timezone_opt(zone.clone()))
        }
        Timestamp(TimeUnit::Microsecond, zone) => {
            Arc::new(of!(TimestampMicrosecondType).with_timezone_opt(zone.clone()))
        }
        Timestamp(TimeUnit::Nanosecond, zone) => Arc::new(of!(TimestampNanosecondType).with_timezone_opt(zone.clone())),
        Decimal128(precision, scale) => {
            let array = PrimitiveArray::<Decimal128Type>::new(values.to_vec().into(), nulls);
            Arc::new(array.with_precision_and_scale(*precision, *scale).map_err(|error| error.to_string())?)
        }
        other => return Err(format!("{other} is no integer")),
    })
}

fn offsets(ends: &[usize]) -> Result<OffsetBuffer<i32>, String> {
    let too_large = |_| "a batch of more than 2 GiB; send fewer rows at once".to_owned();
    let offsets = std::iter::once(Ok(0)).chain(ends.iter().map(|end| i32::try_from(*end).map_err(too_large)));
    Ok(OffsetBuffer::new(offsets.collect::<Result<Vec<_>, _>>()?.into()))
}

/// Why a text is no value of a type.
fn misfit(text: &str, data_type: &DataType, unfit: Unfit) -> String {
    let (text, name) = (shown(text), type_name(data_type));
    match (unfit, data_type) {
        (Unfit::Malformed, _) => format!("{text} is no {name}"),
        (Unfit::TooLarge, _) => format!("{text} is out of the range of {name}"),
        (Unfit::Fraction, DataType::Date32) => format!("{text} has a time of day, and {name} has none"),
        (Unfit::Fraction, DataType::Timestamp(..)) => format!("{text} has more digits of a second than {name} holds"),
        (Unfit::Fraction, _) => format!("{text} has a fraction, and {name} has none"),
    }
}

/// A text in quotes, cut if it is long.
pub(crate) fn shown(text: &str) -> String {
    let mut cut: String = text.chars().take(SHOWN_CHARACTERS).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    format!("{cut:?}")
}
