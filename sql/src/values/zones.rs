//! `AT TIME ZONE`: an instant becomes the local time of a zone, a local time the instant.
//!
//! A local time that a clock change doubles is the later of both instants; one that it skips is moved forward by what was
//! skipped, as in PostgreSQL. Neither is an error, so that no topic stops at it.

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, StringArray};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use chrono::{DateTime, NaiveDateTime, Offset, TimeDelta, TimeZone};
use datafusion::common::{Result as DfResult, exec_datafusion_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::times::{per_second, ticks};

/// The name that the syntax is planned under.
pub(crate) const NAME: &str = "at_time_zone";

/// `at_time_zone(time, zone)`.
pub(super) fn function() -> ScalarUDF {
    ScalarUDF::new_from_impl(AtTimeZone { signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct AtTimeZone {
    signature: Signature,
}

impl ScalarUDFImpl for AtTimeZone {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> DfResult<Vec<DataType>> {
        let [time, zone] = types else { return plan_err!("AT TIME ZONE takes a time and a zone") };
        if !zone.is_string() && !zone.is_null() {
            return plan_err!("the zone of AT TIME ZONE is a text such as 'Europe/Berlin', and not {zone}");
        }
        let time = match time {
            DataType::Timestamp(..) => time.clone(),
            DataType::Date32 | DataType::Null => DataType::Timestamp(TimeUnit::Microsecond, None),
            other => return plan_err!("AT TIME ZONE takes a TIMESTAMP, and not {other}; CAST it"),
        };
        Ok(vec![time, DataType::Utf8])
    }

    fn return_type(&self, types: &[DataType]) -> DfResult<DataType> {
        match types.first() {
            Some(DataType::Timestamp(unit, Some(_))) => Ok(DataType::Timestamp(*unit, None)),
            Some(DataType::Timestamp(unit, None)) => Ok(DataType::Timestamp(*unit, Some(Arc::from("UTC")))),
            other => plan_err!("AT TIME ZONE takes a TIMESTAMP, and not {other:?}"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [times, zones] = arrays.as_slice() else { return plan_err!("AT TIME ZONE takes a time and a zone") };
        let DataType::Timestamp(unit, zone) = times.data_type().clone() else {
            return plan_err!("AT TIME ZONE takes a TIMESTAMP, and not {}", times.data_type());
        };
        let shifted = shift(&ticks(times)?, zones.as_string::<i32>(), unit, zone.is_some())?;
        let shifted: ArrayRef = Arc::new(shifted);
        Ok(ColumnarValue::Array(arrow::compute::cast(&shifted, args.return_type())?))
    }
}

/// Instants as local times of their zones, or the other way.
fn shift(
    times: &PrimitiveArray<Int64Type>,
    zones: &StringArray,
    unit: TimeUnit,
    to_local: bool,
) -> DfResult<PrimitiveArray<Int64Type>> {
    let mut known: Option<(&str, Tz)> = None;
    let scale = per_second(&unit);
    let mut shifted = Vec::with_capacity(times.len());
    for pair in times.iter().zip(zones.iter()) {
        let (Some(time), Some(name)) = pair else {
            shifted.push(None);
            continue;
        };
        let zone = match known {
            Some((last, zone)) if last == name => zone,
            _ => {
                let zone = name.parse::<Tz>().map_err(|_| {
                    exec_datafusion_err!("{name:?} is no time zone; take a name such as 'Europe/Berlin' or '+02:00'")
                })?;
                known = Some((name, zone));
                zone
            }
        };
        let out_of_range = || exec_datafusion_err!("the time {time} ({unit:?}) has no local time: it is out of range");
        let clock = DateTime::from_timestamp(time.div_euclid(scale), 0).ok_or_else(out_of_range)?.naive_utc();
        let seconds = match to_local {
            true => zone.offset_from_utc_datetime(&clock).fix().local_minus_utc(),
            false => -offset_of_local(&zone, &clock).ok_or_else(out_of_range)?,
        };
        let moved = i64::from(seconds).checked_mul(scale).and_then(|by| time.checked_add(by));
        shifted.push(Some(moved.ok_or_else(out_of_range)?));
    }
    Ok(shifted.into_iter().collect())
}

/// Seconds that a zone's clocks are ahead of UTC when they show `local`.
fn offset_of_local(zone: &Tz, local: &NaiveDateTime) -> Option<i32> {
    let offset = zone.offset_from_local_datetime(local);
    if let Some(later) = offset.latest() {
        let earlier = offset.earliest().map_or(i32::MAX, |earlier| earlier.fix().local_minus_utc());
        // The further the clocks are ahead, the earlier the instant.
        return Some(later.fix().local_minus_utc().min(earlier));
    }
    // Skipped: clocks went on as before, by an hour mostly, once by a day.
    [1, 3, 25].into_iter().find_map(|hours| {
        let before = local.checked_sub_signed(TimeDelta::hours(hours))?;
        zone.offset_from_local_datetime(&before).latest().map(|offset| offset.fix().local_minus_utc())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(time: &str, zone: &str, to_local: bool, expected: &str) {
        let seconds =
            |text: &str| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap().and_utc().timestamp();
        let times = PrimitiveArray::from_iter_values([seconds(time)]);
        let shifted = shift(&times, &StringArray::from(vec![zone]), TimeUnit::Second, to_local).unwrap();
        assert_eq!(shifted.value(0), seconds(expected), "{time} at {zone}");
    }

    #[test]
    fn instants_and_local_times() {
        check("2024-07-01 18:00:00", "America/Denver", true, "2024-07-01 12:00:00");
        check("2024-07-01 12:00:00", "America/Denver", false, "2024-07-01 18:00:00");
        check("1960-01-01 00:00:00", "Europe/Berlin", true, "1960-01-01 01:00:00");
        check("2024-07-01 12:00:00", "+05:30", false, "2024-07-01 06:30:00");
    }

    #[test]
    fn doubled_and_skipped_times() {
        check("2024-10-27 02:30:00", "Europe/Berlin", false, "2024-10-27 01:30:00");
        check("2024-03-31 02:30:00", "Europe/Berlin", false, "2024-03-31 01:30:00");
        check("2011-12-30 12:00:00", "Pacific/Apia", false, "2011-12-30 22:00:00");
    }

    #[test]
    fn unknown_zones_are_named() {
        let times = PrimitiveArray::from_iter_values([0]);
        let error = shift(&times, &StringArray::from(vec!["Mars"]), TimeUnit::Second, true).unwrap_err();
        assert!(error.to_string().contains("Mars"), "{error}");
    }
}
