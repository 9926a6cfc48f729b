//! Dates and times as they are written: ISO 8601 with `T` or a space, with or without a zone, as RFC 3339, pandas, Spark,
//! DuckDB and PostgreSQL write them.

use arrow::datatypes::TimeUnit;

use super::Unfit;
use super::time::scale;

const SECONDS_PER_DAY: i64 = 86_400;
/// Years beyond these overflow every type.
const MAX_YEAR: i64 = 300_000_000_000;

/// A date, perhaps with a time and a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Since 1970-01-01.
    days: i64,
    /// Of the day, less what the zone is ahead of UTC.
    seconds: i64,
    nanoseconds: u32,
    pub(crate) has_time: bool,
    pub(crate) has_zone: bool,
    /// Digits beyond nanoseconds that are not zero.
    finer: bool,
}

impl Moment {
    /// Whether µs hold it.
    pub(crate) fn is_microseconds(&self) -> bool {
        self.nanoseconds.is_multiple_of(1_000) && !self.finer
    }
}

/// Days since 1970-01-01. A time of day but midnight is an error.
pub(crate) fn date(text: &str) -> Result<i32, Unfit> {
    let moment = moment(text).ok_or(Unfit::Malformed)?;
    if moment.seconds != 0 || moment.nanoseconds != 0 || moment.finer {
        return Err(Unfit::Fraction);
    }
    i32::try_from(moment.days).map_err(|_| Unfit::TooLarge)
}

/// Units since 1970-01-01 00:00 UTC; what has no zone is UTC. Digits that the unit does not hold are an error.
pub(crate) fn timestamp(text: &str, unit: TimeUnit) -> Result<i64, Unfit> {
    let moment = moment(text).ok_or(Unfit::Malformed)?;
    let (per_second, _) = scale(unit);
    let nanoseconds = i128::from(moment.nanoseconds);
    let per_unit = i128::from(1_000_000_000 / per_second);
    if moment.finer || nanoseconds % per_unit != 0 {
        return Err(Unfit::Fraction);
    }
    let seconds = i128::from(moment.days) * i128::from(SECONDS_PER_DAY) + i128::from(moment.seconds);
    i64::try_from(seconds * i128::from(per_second) + nanoseconds / per_unit).map_err(|_| Unfit::TooLarge)
}

/// Takes a text apart; `None` if it is no date.
pub(crate) fn moment(text: &str) -> Option<Moment> {
    let mut rest = Rest(text.as_bytes());
    let sign = rest.sign();
    let year = rest.digits(4, if sign.is_some() { 12 } else { 4 })?;
    let year = sign.unwrap_or(1) * year;
    rest.take(b'-')?;
    let month = rest.digits(2, 2)?;
    rest.take(b'-')?;
    let day = rest.digits(2, 2)?;
    if !(1..=12).contains(&month) || !(1..=month_days(year, month)).contains(&day) || year.abs() > MAX_YEAR {
        return None;
    }
    let date = Moment {
        days: days(year, month, day),
        seconds: 0,
        nanoseconds: 0,
        has_time: false,
        has_zone: false,
        finer: false,
    };
    if rest.0.is_empty() {
        return Some(date);
    }
    rest.take(b'T').or_else(|| rest.take(b' ')).or_else(|| rest.take(b't'))?;
    let hour = rest.digits(2, 2)?;
    rest.take(b':')?;
    let minute = rest.digits(2, 2)?;
    let second = if rest.take(b':').is_some() { rest.digits(2, 2)? } else { 0 };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (nanoseconds, finer) = if rest.take(b'.').is_some() { rest.fraction()? } else { (0, false) };
    let zone = rest.zone()?;
    let seconds = hour * 3_600 + minute * 60 + second - zone.unwrap_or(0);
    Some(Moment { seconds, nanoseconds, finer, has_time: true, has_zone: zone.is_some(), ..date })
}

/// What is left of a text.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take(&mut self, byte: u8) -> Option<()> {
        let (first, rest) = self.0.split_first()?;
        (*first == byte).then(|| self.0 = rest)
    }

    fn sign(&mut self) -> Option<i64> {
        self.take(b'-').map(|()| -1).or_else(|| self.take(b'+').map(|()| 1))
    }

    fn run(&mut self, most: usize) -> &[u8] {
        let count = self.0.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        digits
    }

    fn digits(&mut self, least: usize, most: usize) -> Option<i64> {
        let digits = self.run(most);
        (digits.len() >= least).then(|| digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
    }

    /// Nanoseconds, and whether there is more.
    fn fraction(&mut self) -> Option<(u32, bool)> {
        let digits = self.run(usize::MAX);
        let (nine, more) = digits.split_at(digits.len().min(9));
        let value = nine.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
        let missing = u32::try_from(9 - nine.len()).unwrap_or(0);
        (!digits.is_empty()).then(|| (value * 10u32.pow(missing), more.iter().any(|digit| *digit != b'0')))
    }

    /// What the zone is ahead of UTC, in seconds, to the end of the text; no zone is none.
    fn zone(&mut self) -> Option<Option<i64>> {
        if self.0.is_empty() {
            return Some(None);
        }
        if self.take(b'Z').or_else(|| self.take(b'z')).is_some() {
            return self.0.is_empty().then_some(Some(0));
        }
        let sign = self.sign()?;
        let hours = self.digits(2, 2)?;
        let _ = self.take(b':');
        let minutes = if self.0.is_empty() { 0 } else { self.digits(2, 2)? };
        (self.0.is_empty() && hours < 24 && minutes < 60).then(|| Some(sign * (hours * 3_600 + minutes * 60)))
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn month_days(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01, in the Gregorian calendar carried on in both directions.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March have their leap day at the end.
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::super::time;
    use super::*;

    #[test]
    fn as_others_write_them() {
        let at = 1_357_035_300_000_000;
        for text in [
            "2013-01-01T10:15:00Z",
            "2013-01-01 10:15:00",
            "2013-01-01 10:15",
            "2013-01-01 10:15:00+00",
            "2013-01-01 10:15:00+00:00",
            "2013-01-01T10:15:00.000Z",
            "2013-01-01T10:15:00.000000000000",
            "2013-01-01T12:45:00+0230",
            "2012-12-31T23:15:00-11:00",
        ] {
            assert_eq!(timestamp(text, TimeUnit::Microsecond), Ok(at), "{text}");
        }
        assert_eq!(timestamp("2013-01-01", TimeUnit::Second), Ok(1_356_998_400));
        assert_eq!(date("2013-01-01"), Ok(15_706));
        assert_eq!(date("2013-01-01T00:00:00.000"), Ok(15_706));
        assert_eq!(date("2013-01-01 00:00:01"), Err(Unfit::Fraction));
    }

    #[test]
    fn what_is_none() {
        for text in [
            "",
            "yesterday",
            "2013",
            "2013-1-1",
            "2013-02-29",
            "2013-13-01",
            "2013-01-01T",
            "2013-01-01T24:00:00",
            "2013-01-01T10:15:60Z",
            "2013-01-01T10:15:00.",
            "2013-01-01T10:15:00 UTC",
            "2013-01-01T10:15:00+1",
            "2013-01-01x",
            "20130101",
            "12013-01-01",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
        assert_eq!(timestamp("2013-01-01T00:00:00.0005", TimeUnit::Millisecond), Err(Unfit::Fraction));
        assert_eq!(timestamp("9999-01-01", TimeUnit::Nanosecond), Err(Unfit::TooLarge));
        assert_eq!(date("+200000000-01-01"), Err(Unfit::TooLarge));
    }

    #[test]
    fn every_instant_reads_back() {
        for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
            let (per_second, _) = scale(unit);
            for value in [0, 1, -1, 59, -62_167_219_201, 951_782_400, i64::MAX / per_second, i64::MIN / per_second] {
                for value in [value, value.saturating_mul(per_second).saturating_add(1)] {
                    assert_eq!(timestamp(&time::timestamp(value, unit), unit), Ok(value), "{value} {unit:?}");
                }
            }
        }
        for day in (-800_000..800_000).step_by(37).chain([i32::MIN, i32::MAX]) {
            assert_eq!(date(&time::date(day.into())), Ok(day));
        }
    }
}
