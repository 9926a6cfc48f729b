//! Comparisons of floating-point numbers, in one pass: NaN is equal to itself and above every number, zero is one value. Plans bring
//! operands to one NaN before they compare, as joins and groups need it; where a comparison is evaluated nobody needs them apart.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type};
use datafusion::common::{Result as DfResult, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// Values whose outcomes lie in one word.
const WORD: usize = 64;

/// Whether [`comparison`] can stand for the operator between two of these.
pub(super) fn compares(left: &DataType, op: Operator, right: &DataType) -> bool {
    use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
        && left == right
        && matches!(left, DataType::Float32 | DataType::Float64)
}

/// `left op right`, of operands as they are.
pub(super) fn comparison(left: Expr, op: Operator, right: Expr) -> Expr {
    ScalarUDF::new_from_impl(FloatComparison { op, signature: Signature::any(2, Volatility::Immutable) })
        .call(vec![left, right])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct FloatComparison {
    op: Operator,
    signature: Signature,
}

impl ScalarUDFImpl for FloatComparison {
    fn name(&self) -> &str {
        match self.op {
            Operator::Eq => "=",
            Operator::NotEq => "<>",
            Operator::Lt => "<",
            Operator::LtEq => "<=",
            Operator::Gt => ">",
            _ => ">=",
        }
    }

    fn schema_name(&self, args: &[Expr]) -> DfResult<String> {
        let [left, right] = args else { return Ok(self.name().to_owned()) };
        Ok(format!("{} {} {}", left.schema_name(), self.op, right.schema_name()))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(DataType::Boolean)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> DfResult<FieldRef> {
        super::field_of(self, &args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let [left, right] = args.args.as_slice() else { return exec_err!("{} takes two operands", self.op) };
        let scalars = [left, right].iter().all(|operand| matches!(operand, ColumnarValue::Scalar(_)));
        let compared = match left.data_type() {
            DataType::Float32 => compare::<Float32Type>(&Side::of(left)?, self.op, &Side::of(right)?),
            DataType::Float64 => compare::<Float64Type>(&Side::of(left)?, self.op, &Side::of(right)?),
            other => return exec_err!("{} of {other} is not one of floating-point numbers", self.op),
        };
        let compared: ArrayRef = Arc::new(compared);
        Ok(match scalars {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&compared, 0)?),
            false => ColumnarValue::Array(compared),
        })
    }
}

/// An operand.
struct Side {
    values: ArrayRef,
    /// One value that stands beside each of the other side.
    is_scalar: bool,
}

impl Side {
    fn of(operand: &ColumnarValue) -> DfResult<Side> {
        Ok(match operand {
            ColumnarValue::Array(values) => Side { values: Arc::clone(values), is_scalar: false },
            ColumnarValue::Scalar(value) => Side { values: value.to_array()?, is_scalar: true },
        })
    }
}

/// What order and equality are asked of.
trait Float: Copy + PartialOrd {
    fn is_nan(self) -> bool;
}

impl Float for f32 {
    fn is_nan(self) -> bool {
        f32::is_nan(self)
    }
}

impl Float for f64 {
    fn is_nan(self) -> bool {
        f64::is_nan(self)
    }
}

fn compare<T: ArrowPrimitiveType>(left: &Side, op: Operator, right: &Side) -> BooleanArray
where
    T::Native: Float,
{
    let (mine, theirs) = (left.values.as_primitive::<T>(), right.values.as_primitive::<T>());
    let (a, b) = (mine.values().as_ref(), theirs.values().as_ref());
    let one = |values: &[T::Native]| values.first().copied();
    let found = match (left.is_scalar, right.is_scalar) {
        (_, true) => one(b).map_or_else(|| none(0), |b| beside(a, op, b)),
        (true, false) => one(a).map_or_else(|| none(0), |a| beside(b, turned(op), a)),
        (false, false) => pairs(a, op, b),
    };
    let nulls = match (left.is_scalar, right.is_scalar) {
        (true, false) if mine.null_count() > 0 => Some(NullBuffer::new_null(found.len())),
        (false, true) if theirs.null_count() > 0 => Some(NullBuffer::new_null(found.len())),
        (true, false) => theirs.nulls().cloned(),
        (false, true) => mine.nulls().cloned(),
        _ => NullBuffer::union(mine.nulls(), theirs.nulls()),
    };
    BooleanArray::new(found, nulls)
}

/// The operator with its sides changed.
fn turned(op: Operator) -> Operator {
    op.swap().unwrap_or(op)
}

fn beside<F: Float>(values: &[F], op: Operator, other: F) -> BooleanBuffer {
    // Beside a number, comparisons of IEEE 754 deny what they are asked of NaN.
    match (op, other.is_nan()) {
        (Operator::Eq, false) => packed(values, |value| value == other),
        (Operator::NotEq, false) => packed(values, |value| value != other),
        (Operator::Lt, false) => packed(values, |value| value < other),
        (Operator::LtEq, false) => packed(values, |value| value <= other),
        (Operator::Gt, false) => packed(values, |value| (value > other) | value.is_nan()),
        (_, false) => packed(values, |value| (value >= other) | value.is_nan()),
        (Operator::Eq | Operator::GtEq, true) => packed(values, Float::is_nan),
        (Operator::NotEq | Operator::Lt, true) => packed(values, |value| !value.is_nan()),
        (Operator::LtEq, true) => !&none(values.len()),
        (_, true) => none(values.len()),
    }
}

fn pairs<F: Float>(left: &[F], op: Operator, right: &[F]) -> BooleanBuffer {
    let above = |a: F, b: F| (a > b) | (a.is_nan() & !b.is_nan());
    let equal = |a: F, b: F| (a == b) | (a.is_nan() & b.is_nan());
    match op {
        Operator::Eq => packed_pairs(left, right, equal),
        Operator::NotEq => packed_pairs(left, right, |a, b| !equal(a, b)),
        Operator::Lt => packed_pairs(left, right, |a, b| above(b, a)),
        Operator::LtEq => packed_pairs(left, right, |a, b| !above(a, b)),
        Operator::Gt => packed_pairs(left, right, above),
        _ => packed_pairs(left, right, |a, b| !above(b, a)),
    }
}

fn none(length: usize) -> BooleanBuffer {
    BooleanBuffer::new_unset(length)
}

/// A bit for each value. Words of a known length are what the compiler takes several values at once of.
fn packed<F: Copy>(values: &[F], test: impl Fn(F) -> bool) -> BooleanBuffer {
    let (words, rest) = values.as_chunks::<WORD>();
    let word =
        |values: &[F]| values.iter().enumerate().fold(0, |word, (bit, value)| word | u64::from(test(*value)) << bit);
    let found = words.iter().map(|values| word(values)).chain((!rest.is_empty()).then(|| word(rest)));
    BooleanBuffer::new(Buffer::from_vec(found.map(u64::to_le).collect()), 0, values.len())
}

fn packed_pairs<F: Copy>(left: &[F], right: &[F], test: impl Fn(F, F) -> bool) -> BooleanBuffer {
    let length = left.len().min(right.len());
    let word = |(left, right): (&[F], &[F])| {
        let both = left.iter().zip(right).enumerate();
        both.fold(0, |word, (bit, (left, right))| word | u64::from(test(*left, *right)) << bit)
    };
    let words = left.chunks(WORD).zip(right.chunks(WORD)).map(word);
    BooleanBuffer::new(Buffer::from_vec(words.map(u64::to_le).collect()), 0, length)
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use arrow::array::Float64Array;

    use super::*;

    const OPERATORS: [Operator; 6] =
        [Operator::Eq, Operator::NotEq, Operator::Lt, Operator::LtEq, Operator::Gt, Operator::GtEq];

    /// Said value by value.
    fn expected(left: f64, op: Operator, right: f64) -> bool {
        let order = match (left.is_nan(), right.is_nan()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => left.partial_cmp(&right).unwrap_or(Ordering::Equal),
        };
        match op {
            Operator::Eq => order.is_eq(),
            Operator::NotEq => order.is_ne(),
            Operator::Lt => order.is_lt(),
            Operator::LtEq => order.is_le(),
            Operator::Gt => order.is_gt(),
            _ => order.is_ge(),
        }
    }

    fn values() -> Vec<f64> {
        let payload = f64::from_bits(f64::NAN.to_bits() | 1);
        let edges = [0.0, -0.0, 1.0, -1.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -f64::NAN, payload];
        // More than a word, and not a whole number of them.
        edges.into_iter().cycle().take(9 * 23).collect()
    }

    fn side(values: &[Option<f64>], is_scalar: bool) -> Side {
        Side { values: Arc::new(Float64Array::from(values.to_vec())), is_scalar }
    }

    #[test]
    fn every_pair_compares_as_its_values_do() {
        let left = values();
        for shift in 0..9 {
            let right: Vec<f64> = left.iter().copied().cycle().skip(shift).take(left.len()).collect();
            let some = |values: &[f64]| values.iter().copied().map(Some).collect::<Vec<_>>();
            for op in OPERATORS {
                let found = compare::<Float64Type>(&side(&some(&left), false), op, &side(&some(&right), false));
                for (row, (a, b)) in left.iter().zip(&right).enumerate() {
                    assert_eq!(found.value(row), expected(*a, op, *b), "{a} {op} {b}");
                }
                let one = [Some(left[shift])];
                let found = compare::<Float64Type>(&side(&some(&left), false), op, &side(&one, true));
                let turned = compare::<Float64Type>(&side(&one, true), op, &side(&some(&left), false));
                for (row, a) in left.iter().enumerate() {
                    assert_eq!(found.value(row), expected(*a, op, left[shift]), "{a} {op} {}", left[shift]);
                    assert_eq!(turned.value(row), expected(left[shift], op, *a), "{} {op} {a}", left[shift]);
                }
            }
        }
    }

    #[test]
    fn null_compares_to_null() {
        let rows = [Some(1.0), None, Some(3.0)];
        for op in OPERATORS {
            let beside = compare::<Float64Type>(&side(&rows, false), op, &side(&[Some(2.0)], true));
            assert_eq!((beside.len(), beside.null_count(), beside.is_null(1)), (3, 1, true));
            let nothing = compare::<Float64Type>(&side(&[None], true), op, &side(&rows, false));
            assert_eq!((nothing.len(), nothing.null_count()), (3, 3));
            let pairs = compare::<Float64Type>(&side(&rows, false), op, &side(&[None, None, Some(1.0)], false));
            assert_eq!((pairs.null_count(), pairs.is_null(2)), (2, false));
        }
    }
}
