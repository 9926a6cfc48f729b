//! NaN is one value, whatever its sign: above every number, equal to itself. Arrow orders a negative NaN below all numbers and
//! tells it apart from the others, and `0.0 / 0.0` is negative on x86. Zero is one value, too.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, LargeListArray, ListArray, MapArray, StructArray};
use arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type};
use datafusion::common::{DFSchema, Result as DfResult, ScalarValue, exec_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::names;

/// The expression with one NaN, if there may be floating-point numbers in it; `None` where nothing has to be done.
pub(super) fn with_one_nan(expr: &Expr, schema: &DFSchema) -> DfResult<Option<Expr>> {
    match expr {
        Expr::Literal(ScalarValue::Float64(Some(value)), metadata) if is_other_64(value.to_bits()) => {
            return Ok(Some(Expr::Literal(ScalarValue::Float64(Some(one_64(*value))), metadata.clone())));
        }
        Expr::Literal(ScalarValue::Float32(Some(value)), metadata) if is_other_32(value.to_bits()) => {
            return Ok(Some(Expr::Literal(ScalarValue::Float32(Some(one_32(*value))), metadata.clone())));
        }
        Expr::Literal(..) => return Ok(None),
        Expr::Alias(alias) if is_done(&alias.expr) => return Ok(None),
        done if is_done(done) => return Ok(None),
        _ => {}
    }
    Ok(match holds_floats(&expr.get_type(schema)?) {
        true => {
            let function = OneNan { signature: Signature::any(1, Volatility::Immutable) };
            Some(ScalarUDF::new_from_impl(function).call(vec![expr.clone()]))
        }
        false => None,
    })
}

/// Whether values of a type are floating-point numbers, or have some in them.
fn holds_floats(data_type: &DataType) -> bool {
    match data_type {
        DataType::Float32 | DataType::Float64 => true,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => holds_floats(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| holds_floats(field.data_type())),
        _ => false,
    }
}

/// The operand, if a function is the one of this module.
pub(super) fn written(function: &dyn std::any::Any, args: &[Expr]) -> Option<Expr> {
    args.first().filter(|_| function.is::<OneNan>()).cloned()
}

/// The expression without the function of this module around it, for a comparison that knows of NaN itself.
pub(super) fn bare(expr: Expr) -> Expr {
    match expr {
        Expr::ScalarFunction(mut call) if is_one_nan(&call) && call.args.len() == 1 => call.args.remove(0),
        other => other,
    }
}

pub(super) fn is_done(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(call) if is_one_nan(call))
}

fn is_one_nan(call: &ScalarFunction) -> bool {
    let function: &dyn std::any::Any = call.func.inner().as_ref();
    function.is::<OneNan>()
}

/// Bits of a NaN, or a zero, that is not the one.
fn is_other_64(bits: u64) -> bool {
    (bits & !(1 << 63) > f64::INFINITY.to_bits() && bits != f64::NAN.to_bits()) | (bits == 1 << 63)
}

fn is_other_32(bits: u32) -> bool {
    (bits & !(1 << 31) > f32::INFINITY.to_bits() && bits != f32::NAN.to_bits()) | (bits == 1 << 31)
}

/// A negative zero and a positive one make a positive one.
fn one_64(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value + 0.0 }
}

fn one_32(value: f32) -> f32 {
    if value.is_nan() { f32::NAN } else { value + 0.0 }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OneNan {
    signature: Signature,
}

impl ScalarUDFImpl for OneNan {
    fn name(&self) -> &str {
        "one_nan"
    }

    fn schema_name(&self, args: &[Expr]) -> DfResult<String> {
        Ok(names::call(self.name(), args))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DfResult<DataType> {
        match types {
            [data_type] => Ok(data_type.clone()),
            _ => exec_err!("one_nan takes a number"),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> DfResult<FieldRef> {
        super::field_of(self, &args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        match args.args.into_iter().next() {
            Some(ColumnarValue::Array(array)) => Ok(ColumnarValue::Array(normalise(array)?)),
            Some(ColumnarValue::Scalar(scalar)) => {
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&normalise(scalar.to_array()?)?, 0)?))
            }
            None => exec_err!("one_nan takes a number"),
        }
    }
}

/// The array itself where it has no other NaN or zero, which is nearly always.
fn normalise(array: ArrayRef) -> DfResult<ArrayRef> {
    Ok(match array.data_type() {
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>();
            // Without a branch in it, the loop takes several values at once.
            let found = values.values().iter().fold(false, |found, value| found | is_other_64(value.to_bits()));
            match found {
                true => Arc::new(values.unary::<_, Float64Type>(one_64)),
                false => array,
            }
        }
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>();
            let found = values.values().iter().fold(false, |found, value| found | is_other_32(value.to_bits()));
            match found {
                true => Arc::new(values.unary::<_, Float32Type>(one_32)),
                false => array,
            }
        }
        nested if holds_floats(nested) => nested_normalised(&array)?,
        _ => array,
    })
}

fn nested_normalised(array: &ArrayRef) -> DfResult<ArrayRef> {
    Ok(match array.data_type() {
        DataType::List(item) => {
            let list = array.as_list::<i32>();
            let values = normalise(Arc::clone(list.values()))?;
            Arc::new(ListArray::try_new(Arc::clone(item), list.offsets().clone(), values, list.nulls().cloned())?)
        }
        DataType::LargeList(item) => {
            let list = array.as_list::<i64>();
            let values = normalise(Arc::clone(list.values()))?;
            Arc::new(LargeListArray::try_new(Arc::clone(item), list.offsets().clone(), values, list.nulls().cloned())?)
        }
        DataType::FixedSizeList(item, size) => {
            let list = array.as_fixed_size_list();
            let values = normalise(Arc::clone(list.values()))?;
            Arc::new(FixedSizeListArray::try_new(Arc::clone(item), *size, values, list.nulls().cloned())?)
        }
        DataType::Struct(fields) => {
            let rows = array.as_struct();
            let columns = rows.columns().iter().map(|column| normalise(Arc::clone(column))).collect::<DfResult<_>>()?;
            Arc::new(StructArray::try_new(fields.clone(), columns, rows.nulls().cloned())?)
        }
        DataType::Map(entries, sorted) => {
            let map = array.as_map();
            let pairs = normalise(Arc::new(map.entries().clone()))?;
            let pairs = pairs.as_struct().clone();
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Arc::new(MapArray::try_new(Arc::clone(entries), offsets, pairs, nulls, *sorted)?)
        }
        _ => Arc::clone(array),
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::Float64Array;

    use super::*;

    #[test]
    fn only_other_nans_and_zeros_change() {
        let bits = |values: &[f64]| -> Vec<u64> {
            let array: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
            normalise(array)
                .unwrap()
                .as_primitive::<Float64Type>()
                .values()
                .iter()
                .map(|value| value.to_bits())
                .collect()
        };
        let same = [0.0, 1.5, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
        assert_eq!(bits(&same), same.map(f64::to_bits));
        let payload = f64::from_bits(f64::NAN.to_bits() | 1);
        assert_eq!(bits(&[-f64::NAN, payload, -0.0, 1.0]), [f64::NAN, f64::NAN, 0.0, 1.0].map(f64::to_bits));
    }
}
