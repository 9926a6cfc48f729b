//! RFC 3339 dates and times. Computed without a calendar library, whose range is smaller than that of the types.

use arrow::datatypes::TimeUnit;

const SECONDS_PER_DAY: i64 = 86_400;

/// Units of a second, and how many digits of one.
pub(super) fn scale(unit: TimeUnit) -> (i64, usize) {
    match unit {
        TimeUnit::Second => (1, 0),
        TimeUnit::Millisecond => (1_000, 3),
        TimeUnit::Microsecond => (1_000_000, 6),
        TimeUnit::Nanosecond => (1_000_000_000, 9),
    }
}

/// `2013-01-01T10:15:00Z`, with 3, 6 or 9 digits of a second where there are any.
pub(super) fn timestamp(value: i64, unit: TimeUnit) -> String {
    let (per_second, digits) = scale(unit);
    let (seconds, fraction) = (value.div_euclid(per_second), value.rem_euclid(per_second));
    let (days, of_day) = (seconds.div_euclid(SECONDS_PER_DAY), seconds.rem_euclid(SECONDS_PER_DAY));
    format!("{}T{}Z", date(days), clock(of_day, fraction, digits))
}

/// `10:15:00.5`, a time of day.
pub(super) fn time_of_day(value: i64, unit: TimeUnit) -> String {
    let (per_second, digits) = scale(unit);
    clock(value.div_euclid(per_second), value.rem_euclid(per_second), digits)
}

/// `2013-01-01` from days since 1970-01-01, in the Gregorian calendar carried on in both directions. Years beyond four
/// digits have a sign, as ISO 8601 says.
pub(super) fn date(days: i64) -> String {
    // Days since 0000-03-01: years that begin in March have their leap day at the end.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    if (0..=9_999).contains(&year) {
        format!("{year:04}-{month:02}-{day:02}")
    } else {
        format!("{year:+05}-{month:02}-{day:02}")
    }
}

fn clock(seconds: i64, fraction: i64, digits: usize) -> String {
    let mut text = format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if fraction != 0 {
        let all = format!("{fraction:0digits$}");
        let used = all.trim_end_matches('0').len().div_ceil(3) * 3;
        text.push('.');
        text.push_str(all.get(..used).unwrap_or(&all));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants() {
        for (value, unit, text) in [
            (0, TimeUnit::Second, "1970-01-01T00:00:00Z"),
            (1_357_034_400_000, TimeUnit::Millisecond, "2013-01-01T10:00:00Z"),
            (-1, TimeUnit::Millisecond, "1969-12-31T23:59:59.999Z"),
            (1_582_934_400_500_000, TimeUnit::Microsecond, "2020-02-29T00:00:00.500Z"),
            (1_582_934_400_000_001, TimeUnit::Microsecond, "2020-02-29T00:00:00.000001Z"),
            (i64::MAX, TimeUnit::Nanosecond, "2262-04-11T23:47:16.854775807Z"),
            (i64::MIN, TimeUnit::Nanosecond, "1677-09-21T00:12:43.145224192Z"),
            (253_402_300_800, TimeUnit::Second, "+10000-01-01T00:00:00Z"),
            (-62_167_219_201, TimeUnit::Second, "-0001-12-31T23:59:59Z"),
        ] {
            assert_eq!(timestamp(value, unit), text);
        }
        assert_eq!(time_of_day(36_900_500, TimeUnit::Millisecond), "10:15:00.500");
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let mut previous = date(-1);
        for day in 0..146_097 {
            let this = date(day);
            assert!(this > previous && this.len() == 10, "{previous} {this}");
            previous = this;
        }
        assert_eq!(previous, "2369-12-31");
        // The widest values must not overflow.
        timestamp(i64::MIN, TimeUnit::Second);
        timestamp(i64::MAX, TimeUnit::Second);
    }
}
