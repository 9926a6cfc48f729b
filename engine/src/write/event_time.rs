//! Bounds of a frame's event time.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_schema::{DataType, TimeUnit};

use crate::model::{Error, Result, TableInfo};

/// Stands for the commit's append time, in tables without a time column: an empty range.
pub(crate) const APPEND_TIME: (i64, i64) = (i64::MAX, i64::MIN);

/// Lowest and highest event time in µs, floored and ceiled, saturating.
pub(super) fn bounds(table: &TableInfo, batch: &RecordBatch) -> Result<(i64, i64)> {
    let Some(name) = &table.options.time_column else { return Ok(APPEND_TIME) };
    let missing = || Error::Internal(format!("table {:?} lacks its time column {name:?}", table.name));
    let column = batch.column_by_name(name).ok_or_else(missing)?;
    let DataType::Timestamp(unit, _) = column.data_type() else { return Err(missing()) };
    let values: &[i64] = match unit {
        TimeUnit::Second => column.as_primitive::<TimestampSecondType>().values(),
        TimeUnit::Millisecond => column.as_primitive::<TimestampMillisecondType>().values(),
        TimeUnit::Microsecond => column.as_primitive::<TimestampMicrosecondType>().values(),
        TimeUnit::Nanosecond => column.as_primitive::<TimestampNanosecondType>().values(),
    };
    let (min, max) = values.iter().fold((i64::MAX, i64::MIN), |(min, max), value| (min.min(*value), max.max(*value)));
    Ok((micros(min, *unit, false), micros(max, *unit, true)))
}

fn micros(value: i64, unit: TimeUnit, ceil: bool) -> i64 {
    match unit {
        TimeUnit::Second => value.saturating_mul(1_000_000),
        TimeUnit::Millisecond => value.saturating_mul(1_000),
        TimeUnit::Microsecond => value,
        TimeUnit::Nanosecond => value.div_euclid(1_000) + i64::from(ceil && value.rem_euclid(1_000) > 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_widen_and_seconds_saturate() {
        let check =
            |value, unit, expected| assert_eq!((micros(value, unit, false), micros(value, unit, true)), expected);
        check(-1, TimeUnit::Nanosecond, (-1, 0));
        check(1_999, TimeUnit::Nanosecond, (1, 2));
        check(2_000, TimeUnit::Nanosecond, (2, 2));
        check(i64::MIN, TimeUnit::Nanosecond, (-9_223_372_036_854_776, -9_223_372_036_854_775));
        check(i64::MAX, TimeUnit::Second, (i64::MAX, i64::MAX));
        check(i64::MIN, TimeUnit::Millisecond, (i64::MIN, i64::MIN));
    }
}
