//! Unfits as they are written, exactly: digits are never taken through floating point on their way to an integer or a
//! decimal.

/// Why a text is no value of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It is no number.
    Malformed,
    /// It has a fraction, and the type has none.
    Fraction,
    /// It is beyond the type's range.
    TooLarge,
}

/// Exponents beyond this are of no number that any type holds.
const MAX_EXPONENT: i64 = 400;

/// Sign, digits without the point, digits after the point, exponent.
struct Written<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

/// A whole number; `1.0` and `1e3` are.
pub(crate) fn integer(text: &str) -> Result<i128, Unfit> {
    to_scale(text, 0, false)
}

/// A decimal times ten to the power of `scale`; further digits are rounded, a half away from zero.
pub(crate) fn scaled(text: &str, scale: i8) -> Result<i128, Unfit> {
    to_scale(text, scale.into(), true)
}

/// The nearest floating-point number. Names of what is no number are `NaN`, `Infinity` and `inf`, in any case.
pub(crate) fn float<F: std::str::FromStr + Copy + Into<f64>>(text: &str) -> Result<F, Unfit> {
    let value: F = text.parse().map_err(|_| Unfit::Malformed)?;
    let is_finite = text.bytes().any(|byte| byte.is_ascii_digit());
    if is_finite && !value.into().is_finite() { Err(Unfit::TooLarge) } else { Ok(value) }
}

fn to_scale(text: &str, scale: i64, rounds: bool) -> Result<i128, Unfit> {
    let Written { negative, whole, fraction, exponent } = written(text).ok_or(Unfit::Malformed)?;
    let digits = || whole.iter().chain(fraction).map(|byte| i128::from(byte - b'0'));
    let count = (whole.len() + fraction.len()) as i64;
    // How many of the digits are kept; more than there are means zeros behind them.
    let kept = whole.len() as i64 + exponent + scale;
    let mut value = 0i128;
    for digit in digits().take(usize::try_from(kept).unwrap_or(0)) {
        value = value.checked_mul(10).and_then(|value| value.checked_add(digit)).ok_or(Unfit::TooLarge)?;
    }
    if value != 0 {
        for _ in count..kept {
            value = value.checked_mul(10).ok_or(Unfit::TooLarge)?;
        }
    }
    if kept < count {
        let mut dropped = digits().skip(usize::try_from(kept).unwrap_or(0));
        if !rounds && dropped.any(|digit| digit != 0) {
            return Err(Unfit::Fraction);
        }
        // Below the first digit that is there all are zeros.
        if rounds && kept >= 0 && dropped.next().is_some_and(|digit| digit >= 5) {
            value = value.checked_add(1).ok_or(Unfit::TooLarge)?;
        }
    }
    Ok(if negative { -value } else { value })
}

fn written(text: &str) -> Option<Written<'_>> {
    let bytes = text.as_bytes();
    let (negative, bytes) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, bytes),
    };
    let digits = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (whole, rest) = bytes.split_at(digits(bytes));
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => rest.split_at(digits(rest)),
        _ => (&rest[..0], rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let exponent = match rest {
        [] => 0,
        [b'e' | b'E', rest @ ..] => {
            let text = std::str::from_utf8(rest).ok()?;
            let valid =
                !text.is_empty() && text.trim_start_matches(['+', '-']).bytes().all(|byte| byte.is_ascii_digit());
            let exponent: i64 = if valid { text.parse().ok()? } else { return None };
            exponent.clamp(-MAX_EXPONENT, MAX_EXPONENT)
        }
        _ => return None,
    };
    Some(Written { negative, whole, fraction, exponent })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers() {
        for (text, expected) in [
            ("0", Ok(0)),
            ("-7", Ok(-7)),
            ("+7", Ok(7)),
            ("1.0", Ok(1)),
            ("1e3", Ok(1000)),
            ("1.5e1", Ok(15)),
            ("1500e-2", Ok(15)),
            ("0e999999999", Ok(0)),
            ("18446744073709551615", Ok(18_446_744_073_709_551_615)),
            ("1.5", Err(Unfit::Fraction)),
            ("1e-1", Err(Unfit::Fraction)),
            ("1e-400", Err(Unfit::Fraction)),
            ("1e99", Err(Unfit::TooLarge)),
            ("", Err(Unfit::Malformed)),
            ("-", Err(Unfit::Malformed)),
            (".", Err(Unfit::Malformed)),
            ("1e", Err(Unfit::Malformed)),
            ("1 ", Err(Unfit::Malformed)),
            ("0x1", Err(Unfit::Malformed)),
            ("1e+-1", Err(Unfit::Malformed)),
        ] {
            assert_eq!(integer(text), expected, "{text:?}");
        }
    }

    #[test]
    fn decimals_round_half_away_from_zero() {
        for (text, scale, expected) in [
            ("1.009", 2, 101),
            ("1.005", 2, 101),
            ("-1.005", 2, -101),
            ("1.0049999999999999999999999", 2, 100),
            ("0.05", 1, 1),
            ("0.005", 1, 0),
            ("5e-3", 2, 1),
            ("4e-3", 2, 0),
            ("9e-400", 2, 0),
            ("12345678901234567.89", 2, 1_234_567_890_123_456_789),
            ("1e3", 2, 100_000),
            (".5", 0, 1),
        ] {
            assert_eq!(scaled(text, scale), Ok(expected), "{text}");
        }
    }

    #[test]
    fn floats_are_the_nearest_ones() {
        assert_eq!(float::<f64>("0.1"), Ok(0.1));
        // Taken through a double, it would round twice.
        assert_eq!(float::<f32>("1.00000017881393432617187499"), Ok(1.000_000_1));
        assert!(float::<f64>("NaN").unwrap().is_nan());
        assert_eq!(float::<f64>("-Infinity"), Ok(f64::NEG_INFINITY));
        assert_eq!(float::<f64>("1e400"), Err(Unfit::TooLarge));
        assert_eq!(float::<f32>("1e39"), Err(Unfit::TooLarge));
        assert_eq!(float::<f64>("1,5"), Err(Unfit::Malformed));
    }
}
