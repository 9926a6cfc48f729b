//! Comparing times of different units, and times with text, without a detour over nanoseconds, in which no time after the
//! year 2262 fits: the finer side is rounded to the coarser one's unit, in the direction that keeps the answer.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::datatypes::{
    ArrowTimestampType, DataType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Result as DfResult, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{
    BinaryExpr, Cast, ColumnarValue, Expr, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::names;

type Zone = Option<Arc<str>>;

/// Whether DataFusion would compare a pair by way of nanoseconds.
pub(super) fn is_delicate(left: &DataType, right: &DataType) -> bool {
    use DataType::{Date32, Timestamp};
    match (left, right) {
        (Timestamp(one, _), Timestamp(other, _)) => one != other,
        (Timestamp(..), Date32) | (Date32, Timestamp(..)) => true,
        (Timestamp(..), text) | (text, Timestamp(..)) => text.is_string(),
        _ => false,
    }
}

/// A comparison of times in the coarser unit; `None` for pairs that need no care.
pub(super) fn compare(
    left: &Expr,
    left_type: &DataType,
    op: Operator,
    right: &Expr,
    right_type: &DataType,
) -> DfResult<Option<Expr>> {
    if !is_delicate(left_type, right_type) {
        return Ok(None);
    }
    use DataType::Timestamp;
    let compared = match (left_type, right_type) {
        (Timestamp(one, zone), Timestamp(other, other_zone)) if zone.is_some() == other_zone.is_some() => {
            match per_second(one) < per_second(other) {
                true => Some(compare_units(left, *one, zone, op, right)),
                false => op.swap().map(|op| compare_units(right, *other, other_zone, op, left)),
            }
        }
        (Timestamp(..), Timestamp(..)) => None,
        (Timestamp(unit, zone), other) => compare_other(left, *unit, zone, op, right, other),
        (other, Timestamp(unit, zone)) => op.swap().and_then(|op| compare_other(right, *unit, zone, op, left, other)),
        _ => None,
    };
    Ok(compared)
}

/// A time against a date or a text.
fn compare_other(
    time: &Expr,
    unit: TimeUnit,
    zone: &Zone,
    op: Operator,
    other: &Expr,
    other_type: &DataType,
) -> Option<Expr> {
    if *other_type == DataType::Date32 {
        let midnight = Cast::new(Box::new(other.clone()), DataType::Timestamp(unit, zone.clone()));
        return Some(plain(time.clone(), op, Expr::Cast(midnight)));
    }
    if let Expr::Literal(literal, _) = other {
        let nanos = nanoseconds(literal.try_as_str().flatten()?, zone)?;
        let scale = 1_000_000_000 / i128::from(per_second(&unit));
        let floor = nanos.div_euclid(scale);
        let ceil = floor + i128::from(nanos.rem_euclid(scale) != 0);
        let literal = |value: i128| Some(Expr::Literal(scalar(i64::try_from(value).ok()?, unit, zone), None));
        return Some(bounded(time, op, literal(floor)?, literal(ceil)?));
    }
    let micros = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
    let nanos = DataType::Timestamp(TimeUnit::Nanosecond, zone.clone());
    let read = |data_type| Expr::Cast(Cast::new(Box::new(other.clone()), data_type));
    Some(match unit {
        TimeUnit::Nanosecond => plain(time.clone(), op, read(nanos)),
        TimeUnit::Microsecond => plain(time.clone(), op, read(micros)),
        coarser => compare_units(time, coarser, zone, op, &read(micros)),
    })
}

/// A time of `unit` against one of a finer unit.
fn compare_units(time: &Expr, unit: TimeUnit, zone: &Zone, op: Operator, finer: &Expr) -> Expr {
    bounded(time, op, rounded(finer, unit, zone, false), rounded(finer, unit, zone, true))
}

/// `time op x`, where x lies between `floor` and `ceil`, which are the same if x is in the time's unit.
fn bounded(time: &Expr, op: Operator, floor: Expr, ceil: Expr) -> Expr {
    let side = |op, bound| plain(time.clone(), op, bound);
    match op {
        Operator::Lt | Operator::GtEq => side(op, ceil),
        Operator::LtEq | Operator::Gt => side(op, floor),
        _ if floor == ceil => side(op, floor),
        Operator::NotEq | Operator::IsDistinctFrom => side(op, floor).or(side(op, ceil)),
        _ => side(op, floor).and(side(op, ceil)),
    }
}

fn plain(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op, right: Box::new(right) })
}

/// `time [NOT] IN (…)` where some of the list are texts or have another unit.
pub(super) fn among(list: InList, wanted: &DataType, items: &[DataType]) -> DfResult<Transformed<Expr>> {
    let InList { expr, list, negated } = list;
    let (mut same, mut others) = (Vec::new(), Vec::new());
    for (item, item_type) in list.into_iter().zip(items) {
        match compare(&expr, wanted, Operator::Eq, &item, item_type)? {
            Some(Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right })) if left == expr => same.push(*right),
            Some(compared) => others.push(compared),
            None => same.push(item),
        }
    }
    let listed = (!same.is_empty()).then(|| Expr::InList(InList { expr, list: same, negated: false }));
    let any = others.into_iter().chain(listed).reduce(Expr::or).unwrap_or_default();
    Ok(Transformed::yes(if negated { Expr::Not(Box::new(any)) } else { any }))
}

/// A time as arrow reads it: `2024-07-01 18:00Z` has no seconds, which it wants.
pub(super) fn with_seconds(text: &str) -> Cow<'_, str> {
    let (Some((minutes, rest)), [_, _, _, _, b'-', _, _, b'-', _, _, b' ' | b'T' | b't', _, _, b':', ..]) =
        (text.split_at_checked(16), text.as_bytes())
    else {
        return Cow::Borrowed(text);
    };
    match rest.starts_with(|next: char| next == ':' || next.is_ascii_digit()) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(format!("{minutes}:00{rest}")),
    }
}

/// A text as nanoseconds since 1970; `None` if it is not a time.
fn nanoseconds(text: &str, zone: &Zone) -> Option<i128> {
    let zone: Tz = zone.as_deref().unwrap_or("+00:00").parse().ok()?;
    let time = string_to_datetime(&zone, &with_seconds(text)).ok()?;
    Some(i128::from(time.timestamp()) * 1_000_000_000 + i128::from(time.timestamp_subsec_nanos()))
}

pub(super) fn per_second(unit: &TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

fn scalar(value: i64, unit: TimeUnit, zone: &Zone) -> ScalarValue {
    let (value, zone) = (Some(value), zone.clone());
    match unit {
        TimeUnit::Second => ScalarValue::TimestampSecond(value, zone),
        TimeUnit::Millisecond => ScalarValue::TimestampMillisecond(value, zone),
        TimeUnit::Microsecond => ScalarValue::TimestampMicrosecond(value, zone),
        TimeUnit::Nanosecond => ScalarValue::TimestampNanosecond(value, zone),
    }
}

fn rounded(time: &Expr, unit: TimeUnit, zone: &Zone, up: bool) -> Expr {
    let rounding = RoundedTime { unit, zone: zone.clone(), up, signature: Signature::any(1, Volatility::Immutable) };
    ScalarUDF::new_from_impl(rounding).call(vec![time.clone()])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct RoundedTime {
    unit: TimeUnit,
    zone: Zone,
    up: bool,
    signature: Signature,
}

impl ScalarUDFImpl for RoundedTime {
    fn name(&self) -> &str {
        if self.up { "time_ceil" } else { "time_floor" }
    }

    fn schema_name(&self, args: &[Expr]) -> DfResult<String> {
        Ok(names::call(self.name(), args))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(DataType::Timestamp(self.unit, self.zone.clone()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let round = |array: &ArrayRef| round_to(array, self.unit, &self.zone, self.up);
        match args.args.first() {
            Some(ColumnarValue::Array(array)) => Ok(ColumnarValue::Array(round(array)?)),
            Some(ColumnarValue::Scalar(scalar)) => {
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&round(&scalar.to_array()?)?, 0)?))
            }
            None => exec_err!("{} takes a time", self.name()),
        }
    }
}

/// Times in a coarser unit, rounded down or up.
pub(super) fn round_to(times: &ArrayRef, unit: TimeUnit, zone: &Zone, up: bool) -> DfResult<ArrayRef> {
    let DataType::Timestamp(from, _) = times.data_type() else { return exec_err!("{} is no time", times.data_type()) };
    let scale = per_second(from) / per_second(&unit);
    if scale < 1 {
        return Err(exec_datafusion_err!("{from:?} is coarser than {unit:?}"));
    }
    let values = ticks(times)?;
    let round = |value: i64| value.div_euclid(scale) + i64::from(up && value.rem_euclid(scale) != 0);
    fn make<T: ArrowTimestampType>(
        values: &PrimitiveArray<arrow::datatypes::Int64Type>,
        zone: &Zone,
        round: impl Fn(i64) -> i64,
    ) -> ArrayRef {
        Arc::new(values.unary::<_, T>(round).with_timezone_opt(zone.clone()))
    }
    Ok(match unit {
        TimeUnit::Second => make::<TimestampSecondType>(&values, zone, round),
        TimeUnit::Millisecond => make::<TimestampMillisecondType>(&values, zone, round),
        TimeUnit::Microsecond => make::<TimestampMicrosecondType>(&values, zone, round),
        TimeUnit::Nanosecond => make::<TimestampNanosecondType>(&values, zone, round),
    })
}

/// The numbers that times are stored as.
pub(super) fn ticks(times: &ArrayRef) -> DfResult<PrimitiveArray<arrow::datatypes::Int64Type>> {
    let numbers = arrow::compute::cast(times, &DataType::Int64)?;
    Ok(numbers.as_primitive::<arrow::datatypes::Int64Type>().clone())
}
