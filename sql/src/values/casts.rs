//! Casts that arrow does otherwise: fractions are rounded to the nearest integer and not cut, times are floored and not cut
//! towards 1970, a number too large for REAL is an error and not infinite, a decimal becomes the nearest DOUBLE.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal128Type, Field, FieldRef, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::array_value_to_string;
use datafusion::common::format::DEFAULT_CAST_OPTIONS;
use datafusion::common::{DataFusionError, Result as DfResult, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{
    Cast, ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TryCast,
    Volatility,
};

use super::arithmetic::of_columns;
use super::names;
use super::times::{per_second, round_to, with_seconds};
use crate::types::to_sql;

/// The largest integer up to which DOUBLE holds every one.
const EXACT_IN_DOUBLE: u128 = 1 << f64::MANTISSA_DIGITS;
/// The largest power of ten that a DOUBLE holds exactly.
const EXACT_POWER: i8 = 22;

/// Whether a cast is one of this module.
pub(super) fn is_ours(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Timestamp(from, _), DataType::Timestamp(to, _)) => per_second(from) > per_second(to),
        (DataType::Float16 | DataType::Float32 | DataType::Float64, to) if to.is_integer() => true,
        (from, to) if from.is_decimal() && to.is_integer() => true,
        (DataType::Decimal128(..), DataType::Float32 | DataType::Float64) => true,
        (DataType::Float64, DataType::Float32) => true,
        (from, DataType::Float32 | DataType::Float64) => from.is_string(),
        _ => false,
    }
}

/// Whether there are values that a cast can't keep.
pub(super) fn may_fail(from: &DataType, to: &DataType) -> bool {
    let unsigned = |data_type: &DataType| data_type.is_unsigned_integer();
    let bits = |data_type: &DataType| data_type.primitive_width().unwrap_or_default();
    match (from, to) {
        (from, to) if from == to || from.is_null() || to.is_string() => false,
        (DataType::Boolean, to) if to.is_numeric() => false,
        (DataType::Float32, DataType::Float64) | (DataType::Timestamp(..), DataType::Date32) => false,
        (from, to) if from.is_integer() && to.is_floating() => false,
        (from, to) if from.is_integer() && to.is_integer() => match unsigned(from) == unsigned(to) {
            true => bits(from) > bits(to),
            false => unsigned(to) || bits(from) >= bits(to),
        },
        _ => true,
    }
}

/// Whether a cast may round values or cut digits.
pub(super) fn cuts(from: &DataType, to: &DataType) -> bool {
    let scale = |data_type: &DataType| match data_type {
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => i32::from(*scale),
        data_type if data_type.is_integer() => 0,
        // Of floating point.
        _ => i32::MAX,
    };
    match (from, to) {
        (DataType::Timestamp(from, _), DataType::Timestamp(to, _)) => per_second(from) > per_second(to),
        (DataType::Float64, DataType::Float32) => true,
        (from, to) if from.is_numeric() && to.is_numeric() => scale(from) > scale(to),
        _ => false,
    }
}

/// `CAST(expr AS to)`, or TRY_CAST, which makes null of what does not fit.
pub(super) fn cast(expr: Expr, to: DataType, is_try: bool) -> Expr {
    ScalarUDF::new_from_impl(TrueCast::new(to, is_try)).call(vec![expr])
}

/// What `CAST(values AS to)` gives, or TRY_CAST, which makes null of what does not fit.
pub(crate) fn convert(values: &ArrayRef, to: &DataType, is_try: bool) -> DfResult<ArrayRef> {
    match values.data_type() == to {
        true => Ok(Arc::clone(values)),
        false => TrueCast::new(to.clone(), is_try).invoke(values, ""),
    }
}

/// The plain cast, if a function is one of ours.
pub(super) fn written(function: &dyn Any, args: &[Expr]) -> Option<Expr> {
    let (cast, [arg]) = (function.downcast_ref::<TrueCast>()?, args) else { return None };
    let (arg, to) = (Box::new(arg.clone()), cast.to.clone());
    Some(if cast.is_try { Expr::TryCast(TryCast::new(arg, to)) } else { Expr::Cast(Cast::new(arg, to)) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TrueCast {
    name: String,
    to: DataType,
    is_try: bool,
    signature: Signature,
}

impl ScalarUDFImpl for TrueCast {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema_name(&self, args: &[Expr]) -> DfResult<String> {
        Ok(names::call(self.name(), args))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(self.to.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> DfResult<FieldRef> {
        let is_nullable = self.is_try || args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.to.clone(), is_nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let name = args.arg_fields.first().map_or("", |field| field.name().as_str());
        match args.args.first() {
            Some(ColumnarValue::Array(array)) => Ok(ColumnarValue::Array(self.invoke(array, name)?)),
            Some(ColumnarValue::Scalar(scalar)) => {
                let converted = self.invoke(&scalar.to_array()?, name)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&converted, 0)?))
            }
            None => exec_err!("a cast takes a value"),
        }
    }
}

/// The error of a value that a cast can't keep.
fn does_not_fit(value: &str, to: &DataType, column: &str) -> DataFusionError {
    let place = of_columns(&[column]);
    exec_datafusion_err!("the value {value} does not fit {}{place}", to_sql(to))
}

enum Failure {
    Value(String),
    Other(DataFusionError),
}

impl From<arrow::error::ArrowError> for Failure {
    fn from(error: arrow::error::ArrowError) -> Failure {
        Failure::Other(error.into())
    }
}

impl TrueCast {
    fn new(to: DataType, is_try: bool) -> TrueCast {
        let name = format!("{} AS {to}", if is_try { "TRY_CAST" } else { "CAST" });
        TrueCast { name, to, is_try, signature: Signature::any(1, Volatility::Immutable) }
    }

    /// Converts the values of a column, whose name the error has.
    fn invoke(&self, array: &ArrayRef, column: &str) -> DfResult<ArrayRef> {
        self.convert(array).map_err(|error| match error {
            Failure::Value(value) => does_not_fit(&value, &self.to, column),
            Failure::Other(error) => match self.failing(array) {
                Some(value) => does_not_fit(&value, &self.to, column),
                None => error,
            },
        })
    }

    fn convert(&self, array: &ArrayRef) -> Result<ArrayRef, Failure> {
        let to = &self.to;
        match (array.data_type(), to) {
            (DataType::Timestamp(from, _), DataType::Timestamp(unit, zone)) if per_second(from) > per_second(unit) => {
                round_to(array, *unit, zone, false).map_err(Failure::Other)
            }
            (from, to) if from.is_floating() && to.is_integer() => {
                self.integers(self.arrow(array, &DataType::Float64)?.as_primitive::<Float64Type>())
            }
            (DataType::Decimal128(precision, scale), to) if to.is_integer() => {
                let whole = self.whole(array, *scale > 0, &DataType::Decimal128(*precision, 0))?;
                self.arrow(&whole, to)
            }
            (DataType::Decimal256(precision, scale), to) if to.is_integer() => {
                let whole = self.whole(array, *scale > 0, &DataType::Decimal256(*precision, 0))?;
                self.arrow(&whole, to)
            }
            (DataType::Decimal128(_, scale), DataType::Float32 | DataType::Float64) => {
                let values = array.as_primitive::<Decimal128Type>();
                let scale = *scale;
                let doubles: ArrayRef = Arc::new(values.unary::<_, Float64Type>(|value| nearest(value, scale)));
                match to {
                    DataType::Float64 => Ok(doubles),
                    _ => self.reals(&doubles),
                }
            }
            (DataType::Float64, DataType::Float32) => self.reals(array),
            // A text that says so may be infinite, one with too large a number may not.
            (from, DataType::Float32 | DataType::Float64) if from.is_string() => {
                let numbers = self.arrow(array, &DataType::Float64)?;
                let numbers = self.finite(array, numbers)?;
                match to {
                    DataType::Float64 => Ok(numbers),
                    _ => self.reals(&numbers),
                }
            }
            (from, DataType::Timestamp(..)) if from.is_string() => {
                let texts = self.arrow(array, &DataType::Utf8)?;
                let texts = texts.as_string::<i32>().iter().map(|text| text.map(with_seconds));
                self.other(&(Arc::new(texts.collect::<StringArray>()) as ArrayRef))
            }
            _ => self.other(array),
        }
    }

    /// Casts that DataFusion does rightly.
    fn other(&self, array: &ArrayRef) -> Result<ArrayRef, Failure> {
        let options = CastOptions { safe: self.is_try, ..DEFAULT_CAST_OPTIONS };
        let converted = ColumnarValue::Array(Arc::clone(array)).cast_to(&self.to, Some(&options));
        converted.and_then(|converted| converted.into_array(array.len())).map_err(Failure::Other)
    }

    /// The first value that fails by itself.
    fn failing(&self, array: &ArrayRef) -> Option<String> {
        let row = (0..array.len()).find(|row| self.convert(&array.slice(*row, 1)).is_err())?;
        let text = array_value_to_string(array, row).ok()?;
        Some(if array.data_type().is_string() { format!("{text:?}") } else { text })
    }

    fn arrow(&self, array: &ArrayRef, to: &DataType) -> Result<ArrayRef, Failure> {
        Ok(cast_with_options(array, to, &CastOptions { safe: self.is_try, ..Default::default() })?)
    }

    /// Decimals without their fractions; one more digit may come of rounding.
    fn whole(&self, array: &ArrayRef, has_fraction: bool, to: &DataType) -> Result<ArrayRef, Failure> {
        if has_fraction { self.arrow(array, to) } else { Ok(Arc::clone(array)) }
    }

    fn integers(&self, values: &PrimitiveArray<Float64Type>) -> Result<ArrayRef, Failure> {
        macro_rules! to {
            ($type:ty) => {{
                type Native = <$type as ArrowPrimitiveType>::Native;
                // The bounds are powers of two, so that they are exact.
                let (low, above) =
                    (Native::MIN as f64, Native::MAX as f64 + if size_of::<Native>() < 8 { 1.0 } else { 0.0 });
                self.each::<$type>(values, |value| {
                    let rounded = value.round_ties_even();
                    (rounded >= low && rounded < above).then_some(rounded as Native)
                })
            }};
        }
        match self.to {
            DataType::Int8 => to!(Int8Type),
            DataType::Int16 => to!(Int16Type),
            DataType::Int32 => to!(Int32Type),
            DataType::Int64 => to!(Int64Type),
            DataType::UInt8 => to!(UInt8Type),
            DataType::UInt16 => to!(UInt16Type),
            DataType::UInt32 => to!(UInt32Type),
            _ => to!(UInt64Type),
        }
    }

    fn reals(&self, doubles: &ArrayRef) -> Result<ArrayRef, Failure> {
        self.each::<Float32Type>(doubles.as_primitive::<Float64Type>(), |value| {
            let real = value as f32;
            (real.is_finite() || !value.is_finite()).then_some(real)
        })
    }

    /// Converts values that are there. One that does not fit is null in TRY_CAST.
    fn each<T: ArrowPrimitiveType>(
        &self,
        values: &PrimitiveArray<Float64Type>,
        fit: impl Fn(f64) -> Option<T::Native>,
    ) -> Result<ArrayRef, Failure> {
        if self.is_try {
            return Ok(Arc::new(values.unary_opt::<_, T>(fit)));
        }
        let converted =
            values.try_unary::<_, T, _>(|value| fit(value).ok_or_else(|| Failure::Value(value.to_string())));
        Ok(Arc::new(converted?))
    }

    /// Numbers read from texts, where those that are too large are infinite.
    fn finite(&self, texts: &ArrayRef, numbers: ArrayRef) -> Result<ArrayRef, Failure> {
        let values = numbers.as_primitive::<Float64Type>();
        let texts = self.arrow(texts, &DataType::Utf8)?;
        let texts = texts.as_string::<i32>();
        let says_so = |row: usize| texts.value(row).to_ascii_lowercase().contains("inf");
        let too_large = |row: &usize| values.is_valid(*row) && values.value(*row).is_infinite() && !says_so(*row);
        match (0..values.len()).find(too_large) {
            None => Ok(numbers),
            Some(row) if !self.is_try => Err(Failure::Value(texts.value(row).to_owned())),
            Some(_) => {
                let kept =
                    (0..values.len()).map(|row| (values.is_valid(row) && !too_large(&row)).then(|| values.value(row)));
                Ok(Arc::new(kept.collect::<PrimitiveArray<Float64Type>>()))
            }
        }
    }
}

/// The DOUBLE that is nearest to `value / 10^scale`.
fn nearest(value: i128, scale: i8) -> f64 {
    if value.unsigned_abs() <= EXACT_IN_DOUBLE && (0..=EXACT_POWER).contains(&scale) {
        // One division of two exact numbers is rounded once.
        return value as f64 / 10_f64.powi(i32::from(scale));
    }
    format!("{value}e{}", -i32::from(scale)).parse().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_become_the_nearest_double() {
        for (value, scale, text) in [
            (820, 2, "8.20"),
            (12_345_678_901_234_567, 17, "0.12345678901234567"),
            (-99_999_999_999_999_999_999_999, 0, "-99999999999999999999999"),
            (1, 38, "1e-38"),
            (5, -3, "5000"),
        ] {
            assert_eq!(nearest(value, scale), text.parse::<f64>().unwrap(), "{text}");
        }
    }
}
