//! What the texts or numbers of a column have in common.

use arrow::datatypes::{DataType, TimeUnit};

use crate::text::{self, Moment, moment};

/// Decimal digits that every double keeps in its shortest form; more are of a decimal.
const DOUBLE_DIGITS: usize = 17;
/// Of the widest decimal.
const DECIMAL_DIGITS: usize = 38;

/// Cells of a CSV column.
#[derive(Debug, Default)]
pub(super) struct Texts {
    seen: bool,
    no_boolean: bool,
    no_number: bool,
    no_time: bool,
    numbers: Numbers,
    times: Times,
}

impl Texts {
    /// Nothing says nothing, in quotes neither: some programs quote everything.
    pub(super) fn see(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.seen = true;
        self.no_boolean |= !text.eq_ignore_ascii_case("true") && !text.eq_ignore_ascii_case("false");
        self.no_number = self.no_number || !is_plain(text) || !self.numbers.see(text);
        self.no_time = self.no_time || !self.times.see(text);
    }

    pub(super) fn data_type(&self) -> DataType {
        match self {
            Texts { seen: false, .. } => DataType::Utf8,
            Texts { no_boolean: false, .. } => DataType::Boolean,
            Texts { no_number: false, numbers, .. } => numbers.data_type().unwrap_or(DataType::Utf8),
            Texts { no_time: false, times, .. } => times.data_type().unwrap_or(DataType::Utf8),
            _ => DataType::Utf8,
        }
    }
}

/// Whether a number has no signs of being an identifier, which would lose them: leading zeros, a plus.
fn is_plain(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    !matches!(digits, [b'+', ..] | [b'0', b'0'..=b'9', ..])
}

/// Numbers.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// Some have a point, an exponent, or are none.
    fractional: bool,
    /// Some have an exponent, or are none.
    floating: bool,
    negative: bool,
    beyond_i64: bool,
    beyond_u64: bool,
    long: bool,
    whole_digits: usize,
    fraction_digits: usize,
}

impl Numbers {
    /// False if it is no number.
    pub(super) fn see(&mut self, text: &str) -> bool {
        if text::float::<f64>(text) == Err(text::Unfit::Malformed) {
            return false;
        }
        let digits = text.trim_start_matches(['-', '+']);
        self.negative |= text.starts_with('-');
        if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            (self.fractional, self.floating) = (true, true);
            return true;
        }
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        self.fractional |= digits.contains('.');
        self.whole_digits = self.whole_digits.max(whole.trim_start_matches('0').len());
        self.fraction_digits = self.fraction_digits.max(fraction.len());
        self.long |= format!("{whole}{fraction}").trim_start_matches('0').trim_end_matches('0').len() > DOUBLE_DIGITS;
        if !digits.contains('.') {
            self.beyond_i64 |= text.parse::<i64>().is_err();
            self.beyond_u64 |= digits.parse::<u64>().is_err();
        }
        true
    }

    /// `None` if there is no type that keeps all digits.
    pub(super) fn data_type(&self) -> Option<DataType> {
        match self {
            Numbers { fractional: false, beyond_i64: false, .. } => Some(DataType::Int64),
            Numbers { fractional: false, beyond_u64: false, negative: false, .. } => Some(DataType::UInt64),
            Numbers { floating: true, .. } => Some(DataType::Float64),
            Numbers { fractional: true, long: false, .. } => Some(DataType::Float64),
            Numbers { whole_digits, fraction_digits, .. } => {
                let scale = i8::try_from(*fraction_digits).ok()?;
                (whole_digits + fraction_digits <= DECIMAL_DIGITS).then_some(DataType::Decimal128(38, scale))
            }
        }
    }
}

/// Dates and times.
#[derive(Debug, Default)]
pub(super) struct Times {
    timed: bool,
    zoned: bool,
    unzoned: bool,
    /// Some are finer than µs, some are beyond what ns, days or µs hold.
    nanoseconds: bool,
    no_nanoseconds: bool,
    no_days: bool,
    no_microseconds: bool,
}

impl Times {
    /// False if it is no time.
    pub(super) fn see(&mut self, text: &str) -> bool {
        let Some(Moment { has_time, has_zone, .. }) = moment(text) else { return false };
        self.timed |= has_time;
        self.zoned |= has_zone;
        self.unzoned |= !has_zone;
        self.nanoseconds |= moment(text).is_some_and(|moment| !moment.is_microseconds());
        self.no_nanoseconds |= text::timestamp(text, TimeUnit::Nanosecond).is_err();
        self.no_microseconds |= text::timestamp(text, TimeUnit::Microsecond) == Err(text::Unfit::TooLarge);
        self.no_days |= text::date(text) == Err(text::Unfit::TooLarge);
        true
    }

    /// `None` if there is no type that keeps all of them.
    pub(super) fn data_type(&self) -> Option<DataType> {
        let zone = self.zoned.then(|| "UTC".into());
        match self {
            Times { timed: false, no_days: false, .. } => Some(DataType::Date32),
            Times { zoned: true, unzoned: true, .. } => None,
            Times { nanoseconds: true, no_nanoseconds: false, .. } => {
                Some(DataType::Timestamp(TimeUnit::Nanosecond, zone))
            }
            Times { nanoseconds: false, no_microseconds: false, .. } => {
                Some(DataType::Timestamp(TimeUnit::Microsecond, zone))
            }
            _ => None,
        }
    }
}
