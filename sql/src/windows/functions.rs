//! The functions that calls are written out with. No statement names them: they take a [`WindowSpec`] as text.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, TimeUnit};
use datafusion::common::{Result as DfResult, ScalarValue, exec_datafusion_err, exec_err, internal_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::spec::WindowSpec;

/// A list of the ends of the windows that a time is in.
pub(super) const ENDS: &str = "__window_ends";
/// The end of the one window that a time is in.
pub(super) const END: &str = "__window_end";
/// The start of the window that ends there.
pub(super) const START: &str = "__window_start";
/// The last time in the window that ends there.
pub(super) const TIME: &str = "__window_time";

/// All of them.
pub(crate) fn functions() -> [ScalarUDF; 4] {
    [ENDS, END, START, TIME].map(|name| {
        ScalarUDF::new_from_impl(WindowFunction { name, signature: Signature::any(2, Volatility::Immutable) })
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct WindowFunction {
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for WindowFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DfResult<DataType> {
        match types.first() {
            Some(time @ DataType::Timestamp(..)) if self.name == ENDS => {
                Ok(DataType::List(Arc::new(Field::new_list_field(time.clone(), true))))
            }
            Some(time @ DataType::Timestamp(..)) => Ok(time.clone()),
            Some(other) => plan_err!("DESCRIPTOR names a column of type TIMESTAMP, and this one is {other}; CAST it"),
            None => internal_err!("{} takes two arguments", self.name),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let [times, ColumnarValue::Scalar(ScalarValue::Utf8(Some(spec)))] = args.args.as_slice() else {
            return internal_err!("{} takes times, and windows as text", self.name);
        };
        let times = times.to_array(args.number_rows)?;
        let DataType::Timestamp(unit, _) = times.data_type() else {
            return internal_err!("{} takes times, and not {}", self.name, times.data_type());
        };
        let Ok(written) = spec.parse::<WindowSpec>() else { return internal_err!("{spec} are no windows") };
        let Some(spec) = written.in_unit(*unit) else {
            return exec_err!("{}", between_ticks(*unit));
        };
        let ticks = cast(&times, &DataType::Int64)?;
        let ticks = ticks.as_primitive::<Int64Type>();
        let answer: ArrayRef = match self.name {
            ENDS => return Ok(ColumnarValue::Array(ends(ticks, spec, times.data_type())?)),
            END => Arc::new(each(ticks, |time| spec.ends(time).and_then(|mut ends| ends.next()))?),
            START => Arc::new(each(ticks, |end| spec.start(end))?),
            _ => Arc::new(each(ticks, |end| end.checked_sub(1))?),
        };
        Ok(ColumnarValue::Array(cast(&answer, times.data_type())?))
    }
}

/// What is wrong with windows whose bounds a unit has no times for.
pub(crate) fn between_ticks(unit: TimeUnit) -> String {
    let unit = match unit {
        TimeUnit::Second => "seconds",
        TimeUnit::Millisecond => "milliseconds",
        TimeUnit::Microsecond => "microseconds",
        TimeUnit::Nanosecond => "nanoseconds",
    };
    format!("the column has times in whole {unit}, and windows begin and end in between; or they are too long for it")
}

fn each(ticks: &Int64Array, answer: impl Fn(i64) -> Option<i64>) -> DfResult<Int64Array> {
    let one = |time: Option<i64>| time.map(|time| answer(time).ok_or_else(|| out_of_range(time))).transpose();
    ticks.iter().map(one).collect()
}

fn ends(ticks: &Int64Array, spec: WindowSpec, time: &DataType) -> DfResult<ArrayRef> {
    let mut values = Vec::with_capacity(ticks.len());
    let mut lengths = Vec::with_capacity(ticks.len());
    for tick in ticks {
        let before = values.len();
        if let Some(tick) = tick {
            values.extend(spec.ends(tick).ok_or_else(|| out_of_range(tick))?);
        }
        lengths.push(values.len() - before);
    }
    let values: ArrayRef = Arc::new(Int64Array::from(values));
    let item = Arc::new(Field::new_list_field(time.clone(), true));
    Ok(Arc::new(ListArray::try_new(item, OffsetBuffer::from_lengths(lengths), cast(&values, time)?, None)?))
}

fn out_of_range(time: i64) -> datafusion::common::DataFusionError {
    exec_datafusion_err!("a time ({time} since 1970, in its column's unit) has windows that are out of range")
}
