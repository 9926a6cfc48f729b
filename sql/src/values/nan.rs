//! NaN is one value, whatever its sign: above every number, equal to itself. Arrow orders a negative NaN below all numbers and
//! tells it apart from the others, and `0.0 / 0.0` is negative on x86.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::{DFSchema, Result as DfResult, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::names;

/// The expression with one NaN, if it is of a floating-point type; `None` where nothing has to be done.
pub(super) fn with_one_nan(expr: &Expr, schema: &DFSchema) -> DfResult<Option<Expr>> {
    match expr {
        Expr::Literal(ScalarValue::Float64(Some(value)), metadata) if is_other_64(value.to_bits()) => {
            return Ok(Some(Expr::Literal(ScalarValue::Float64(Some(f64::NAN)), metadata.clone())));
        }
        Expr::Literal(ScalarValue::Float32(Some(value)), metadata) if is_other_32(value.to_bits()) => {
            return Ok(Some(Expr::Literal(ScalarValue::Float32(Some(f32::NAN)), metadata.clone())));
        }
        Expr::Literal(..) => return Ok(None),
        Expr::Alias(alias) if is_done(&alias.expr) => return Ok(None),
        done if is_done(done) => return Ok(None),
        _ => {}
    }
    Ok(match expr.get_type(schema)? {
        DataType::Float32 | DataType::Float64 => {
            let function = OneNan { signature: Signature::any(1, Volatility::Immutable) };
            Some(ScalarUDF::new_from_impl(function).call(vec![expr.clone()]))
        }
        _ => None,
    })
}

/// The operand, if a function is the one of this module.
pub(super) fn written(function: &dyn std::any::Any, args: &[Expr]) -> Option<Expr> {
    args.first().filter(|_| function.is::<OneNan>()).cloned()
}

fn is_done(expr: &Expr) -> bool {
    let Expr::ScalarFunction(call) = expr else { return false };
    let function: &dyn std::any::Any = call.func.inner().as_ref();
    function.is::<OneNan>()
}

/// Bits of a NaN that is not the one.
fn is_other_64(bits: u64) -> bool {
    bits & !(1 << 63) > f64::INFINITY.to_bits() && bits != f64::NAN.to_bits()
}

fn is_other_32(bits: u32) -> bool {
    bits & !(1 << 31) > f32::INFINITY.to_bits() && bits != f32::NAN.to_bits()
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

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        match args.args.into_iter().next() {
            Some(ColumnarValue::Array(array)) => Ok(ColumnarValue::Array(normalise(array))),
            Some(ColumnarValue::Scalar(scalar)) => {
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&normalise(scalar.to_array()?), 0)?))
            }
            None => exec_err!("one_nan takes a number"),
        }
    }
}

/// The array itself where it has no other NaN, which is nearly always.
fn normalise(array: ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>();
            // Without a branch in it, the loop takes several values at once.
            let found = values.values().iter().fold(false, |found, value| found | is_other_64(value.to_bits()));
            match found {
                true => Arc::new(values.unary::<_, Float64Type>(|value| if value.is_nan() { f64::NAN } else { value })),
                false => array,
            }
        }
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>();
            let found = values.values().iter().fold(false, |found, value| found | is_other_32(value.to_bits()));
            match found {
                true => Arc::new(values.unary::<_, Float32Type>(|value| if value.is_nan() { f32::NAN } else { value })),
                false => array,
            }
        }
        _ => array,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Float64Array;

    use super::*;

    #[test]
    fn only_other_nans_change() {
        let bits = |values: &[f64]| -> Vec<u64> {
            let array: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
            normalise(array).as_primitive::<Float64Type>().values().iter().map(|value| value.to_bits()).collect()
        };
        let same = [0.0, -0.0, 1.5, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
        assert_eq!(bits(&same), same.map(f64::to_bits));
        let payload = f64::from_bits(f64::NAN.to_bits() | 1);
        assert_eq!(bits(&[-f64::NAN, payload, 1.0]), [f64::NAN, f64::NAN, 1.0].map(f64::to_bits));
    }
}
