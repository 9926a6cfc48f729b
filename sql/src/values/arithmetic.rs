//! Arithmetic that fails where DataFusion's wraps: integers, decimals, times and intervals. [`super::operators`] has it stand for the
//! operators.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::kernels::numeric::{add, div, mul, neg, rem, sub};
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, FieldRef};
use arrow::error::ArrowError;
use arrow::util::display::array_value_to_string;
use datafusion::common::{Result as DfResult, ScalarValue, exec_datafusion_err};
use datafusion::functions::math;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::physical_expr_common::datum::apply;

use super::names;
use crate::types::to_sql;

/// `left op right`, checked. Operands have the types that DataFusion's coercion gave them.
pub(super) fn binary(left: Expr, op: Operator, right: Expr) -> Expr {
    ScalarUDF::new_from_impl(CheckedBinary { op, signature: Signature::any(2, Volatility::Immutable) })
        .call(vec![left, right])
}

/// `-operand`, checked.
pub(super) fn negative(operand: Expr) -> Expr {
    ScalarUDF::new_from_impl(CheckedNegative { signature: Signature::any(1, Volatility::Immutable) })
        .call(vec![operand])
}

/// `abs`, which DataFusion wraps for the smallest number.
pub(super) fn abs() -> ScalarUDF {
    ScalarUDF::new_from_impl(CheckedAbs { inner: math::abs() })
}

/// The plain operator that a checked function stands for, or the function itself.
pub(super) fn operator_of(mut call: ScalarFunction) -> Result<Expr, ScalarFunction> {
    let function: &dyn Any = call.func.inner().as_ref();
    let (op, is_negative) =
        (function.downcast_ref::<CheckedBinary>().map(|checked| checked.op), function.is::<CheckedNegative>());
    match (op, is_negative, call.args.as_mut_slice()) {
        (Some(op), _, [left, right]) => {
            let (left, right) = (Box::new(std::mem::take(left)), Box::new(std::mem::take(right)));
            Ok(Expr::BinaryExpr(BinaryExpr { left, op, right }))
        }
        (None, true, [operand]) => Ok(Expr::Negative(Box::new(std::mem::take(operand)))),
        _ => Err(call),
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CheckedBinary {
    op: Operator,
    signature: Signature,
}

impl ScalarUDFImpl for CheckedBinary {
    fn name(&self) -> &str {
        match self.op {
            Operator::Plus => "+",
            Operator::Minus => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            _ => "%",
        }
    }

    fn schema_name(&self, args: &[Expr]) -> DfResult<String> {
        let [left, right] = args else { return Ok(self.name().to_owned()) };
        Ok(format!("{} {} {}", left.schema_name(), self.op, right.schema_name()))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DfResult<DataType> {
        let [left, right] = types else { return Err(exec_datafusion_err!("{} takes two operands", self.op)) };
        BinaryTypeCoercer::new(left, &self.op, right).get_result_type()
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> DfResult<FieldRef> {
        super::field_of(self, &args)
    }

    /// A constant NULL is all there is to know, as it is of the operator that this stands for: the other operand is not computed.
    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> DfResult<ExprSimplifyResult> {
        if !args.iter().any(|arg| matches!(arg, Expr::Literal(value, _) if value.is_null())) {
            return Ok(ExprSimplifyResult::Original(args));
        }
        let types = args.iter().map(|arg| info.get_data_type(arg)).collect::<DfResult<Vec<_>>>()?;
        Ok(ExprSimplifyResult::Simplified(Expr::Literal(ScalarValue::try_from(&self.return_type(&types)?)?, None)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let [left, right] = args.args.as_slice() else {
            return Err(exec_datafusion_err!("{} takes two operands", self.op));
        };
        let kernel = match self.op {
            Operator::Plus => add,
            Operator::Minus => sub,
            Operator::Multiply => mul,
            Operator::Divide => div,
            _ => rem,
        };
        let computed = apply(left, right, |left, right| kernel(left, right).and_then(in_range));
        computed.map_err(|error| {
            let names: Vec<_> = args.arg_fields.iter().map(|field| field.name().as_str()).collect();
            self.explain(left, right, args.number_rows, &names).unwrap_or(error)
        })
    }
}

impl CheckedBinary {
    /// The error of the first row that fails, with its values; arrow's says less.
    fn explain(
        &self,
        left: &ColumnarValue,
        right: &ColumnarValue,
        rows: usize,
        names: &[&str],
    ) -> Option<datafusion::common::DataFusionError> {
        let (left, right) = (left.to_array(rows).ok()?, right.to_array(rows).ok()?);
        let result = self.return_type(&[left.data_type().clone(), right.data_type().clone()]).ok()?;
        let scalar = |array: &ArrayRef, row| ScalarValue::try_from_array(array, row).map(ColumnarValue::Scalar).ok();
        for row in 0..left.len() {
            let (one, other) = (scalar(&left, row)?, scalar(&right, row)?);
            let kernel = match self.op {
                Operator::Plus => add,
                Operator::Minus => sub,
                Operator::Multiply => mul,
                Operator::Divide => div,
                _ => rem,
            };
            let Err(error) = apply(&one, &other, |left, right| kernel(left, right).and_then(in_range)) else {
                continue;
            };
            let text = |array: &ArrayRef| array_value_to_string(array, row).unwrap_or_default();
            let (one, other) = (text(&left), text(&right));
            let columns = of_columns(names);
            return Some(match error.find_root().to_string().contains("ivide by zero") {
                true => exec_datafusion_err!("divide by zero: {one} {} {other}{columns}", self.op),
                false => {
                    exec_datafusion_err!("{one} {} {other} is out of range for {}{columns}", self.op, to_sql(&result))
                }
            });
        }
        None
    }
}

/// The columns among the operands, for errors. Computed operands have names that say nothing.
pub(super) fn of_columns(names: &[&str]) -> String {
    let is_column =
        |name: &&&str| !name.is_empty() && **name != "lit" && !"+-*/%".contains(**name) && !name.contains("CAST AS ");
    let named: Vec<_> = names.iter().filter(is_column).map(|name| format!("{name:?}")).collect();
    match named.as_slice() {
        [] => String::new(),
        [one] => format!(", in column {one}"),
        all => format!(", in columns {}", all.join(" and ")),
    }
}

/// Refuses decimals with more digits than their type has; arrow checks the 128 or 256 bits alone.
fn in_range(array: ArrayRef) -> Result<ArrayRef, ArrowError> {
    match array.data_type() {
        DataType::Decimal128(precision, _) => {
            array.as_primitive::<Decimal128Type>().validate_decimal_precision(*precision)?;
        }
        DataType::Decimal256(precision, _) => {
            array.as_primitive::<Decimal256Type>().validate_decimal_precision(*precision)?;
        }
        _ => {}
    }
    Ok(array)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CheckedNegative {
    signature: Signature,
}

impl ScalarUDFImpl for CheckedNegative {
    fn name(&self) -> &str {
        "-"
    }

    fn schema_name(&self, args: &[Expr]) -> DfResult<String> {
        let [operand] = args else { return Ok("-".to_owned()) };
        Ok(format!("(- {})", operand.schema_name()))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DfResult<DataType> {
        types.first().cloned().ok_or_else(|| exec_datafusion_err!("- takes an operand"))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> DfResult<FieldRef> {
        super::field_of(self, &args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let [operand] = args.args.as_slice() else { return Err(exec_datafusion_err!("- takes an operand")) };
        let name = args.arg_fields.first().map_or("", |field| field.name().as_str());
        over_array(operand, |array| neg(array).map_err(|_| out_of_range(array, "-", name)))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CheckedAbs {
    inner: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for CheckedAbs {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn schema_name(&self, args: &[Expr]) -> DfResult<String> {
        Ok(names::call(self.name(), args))
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> DfResult<DataType> {
        self.inner.inner().return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> DfResult<FieldRef> {
        super::field_of(self, &args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        if let [operand] = args.args.as_slice()
            && operand.data_type().is_signed_integer()
        {
            let name = args.arg_fields.first().map_or("", |field| field.name().as_str());
            // Where the opposite number fits, the distance from 0 does.
            over_array(operand, |array| neg(array).map_err(|_| out_of_range(array, "abs ", name)))?;
        }
        self.inner.invoke_with_args(args)
    }
}

fn over_array(operand: &ColumnarValue, work: impl Fn(&dyn Array) -> DfResult<ArrayRef>) -> DfResult<ColumnarValue> {
    Ok(match operand {
        ColumnarValue::Array(array) => ColumnarValue::Array(work(array)?),
        ColumnarValue::Scalar(scalar) => {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&work(&scalar.to_array()?)?, 0)?)
        }
    })
}

/// Only the smallest number of a type has no opposite.
fn out_of_range(array: &dyn Array, what: &str, name: &str) -> datafusion::common::DataFusionError {
    let columns = of_columns(&[name]);
    let failing = (0..array.len()).find(|row| neg(array.slice(*row, 1).as_ref()).is_err());
    let value = failing.and_then(|row| array_value_to_string(array, row).ok()).unwrap_or_default();
    exec_datafusion_err!("{what}({value}) is out of range for {}{columns}", to_sql(array.data_type()))
}
