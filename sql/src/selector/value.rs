//! Values, and how they compare: by the types that Java's client library and Apache's broker give them.

use std::cmp::Ordering;
use std::fmt;

/// A value of one message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'v> {
    Null,
    /// A property, or a text of the expression.
    Text(&'v str),
    Int(i32),
    Long(i64),
    Double(f64),
    Bool(bool),
}

/// Why a message has no answer: it does not pass then, whatever else the expression says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// A text that is not of the type that it is compared with.
    NotA(&'static str, String),
    /// `TRUE = property`: only the other way round is a comparison.
    TruthFirst,
    /// What failed was told of where it did.
    Earlier,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NotA(what, text) => write!(f, "{text:?} is not {what}, and is compared with one"),
            Failure::TruthFirst => f.write_str("a truth value can't be compared with a text at its right"),
            Failure::Earlier => f.write_str("a part of it failed"),
        }
    }
}

/// How two values compare, neither of them null. Values of types that don't go together are `Less`.
pub(super) fn compare(left: Value<'_>, right: Value<'_>) -> Result<Ordering, Failure> {
    use Value::{Bool, Double, Int, Long, Text};
    Ok(match (left, right) {
        (Text(left), Text(right)) => left.cmp(right),
        (Int(left), Int(right)) => left.cmp(&right),
        (Long(left), Long(right)) => left.cmp(&right),
        (Double(left), Double(right)) => doubles(left, right),
        (Bool(left), Bool(right)) => left.cmp(&right),
        (Int(left), Long(right)) => i64::from(left).cmp(&right),
        (Long(left), Int(right)) => left.cmp(&i64::from(right)),
        (Int(left), Double(right)) => doubles(f64::from(left), right),
        (Double(left), Int(right)) => doubles(left, f64::from(right)),
        (Long(left), Double(right)) => doubles(long_as_double(left), right),
        (Double(left), Long(right)) => doubles(left, long_as_double(right)),
        (Text(left), Int(right)) => int(left)?.cmp(&right),
        (Int(left), Text(right)) => left.cmp(&int(right)?),
        (Text(left), Long(right)) => long(left)?.cmp(&right),
        (Long(left), Text(right)) => left.cmp(&long(right)?),
        (Text(left), Double(right)) => doubles(double(left)?, right),
        (Double(left), Text(right)) => doubles(left, double(right)?),
        (Text(left), Bool(right)) => left.eq_ignore_ascii_case("true").cmp(&right),
        (Bool(_), Text(_)) => return Err(Failure::TruthFirst),
        _ => Ordering::Less,
    })
}

/// As [`compare`], for what asks which is greater: two texts are numbers then.
pub(super) fn order(left: Value<'_>, right: Value<'_>) -> Result<Ordering, Failure> {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => Ok(doubles(double(left)?, double(right)?)),
        _ => compare(left, right),
    }
}

#[expect(clippy::cast_precision_loss, reason = "as Java widens a long")]
fn long_as_double(value: i64) -> f64 {
    value as f64
}

/// A total order: all NaN are one, above everything else, and −0 is below 0.
fn doubles(left: f64, right: f64) -> Ordering {
    let one_nan = |value: f64| if value.is_nan() { f64::NAN } else { value };
    one_nan(left).total_cmp(&one_nan(right))
}

fn int(text: &str) -> Result<i32, Failure> {
    text.parse().map_err(|_| Failure::NotA("a whole number of 32 bits", text.to_owned()))
}

fn long(text: &str) -> Result<i64, Failure> {
    text.parse().map_err(|_| Failure::NotA("a whole number of 64 bits", text.to_owned()))
}

/// As Java reads one: blanks around it, `NaN`, `Infinity`, and one of `f F d D` at its end are fine; other words are not.
fn double(text: &str) -> Result<f64, Failure> {
    let trimmed = text.trim_matches(|blank: char| blank <= ' ');
    let body = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    let parsed = match body {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        _ if body.starts_with(|first: char| first.is_ascii_digit() || first == '.') => {
            body.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(body).parse::<f64>().ok()
        }
        _ => None,
    };
    let signed = parsed.map(|value| if trimmed.starts_with('-') { -value } else { value });
    signed.ok_or_else(|| Failure::NotA("a number", text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_java_reads_them() {
        let doubles =
            [("1", 1.0), (" 1.5 ", 1.5), ("+.5", 0.5), ("5.", 5.0), ("-1e3", -1000.0), ("2f", 2.0), ("2.5D", 2.5)];
        for (text, expected) in doubles {
            assert_eq!(double(text), Ok(expected), "{text:?}");
        }
        assert!(double("-NaN").unwrap().is_nan());
        assert_eq!(double("-Infinity"), Ok(f64::NEG_INFINITY));
        for text in ["", " ", ".", "inf", "nan", "infinity", "1e", "1 2", "1ff", "x", "--1", "e5", "1_000", "NaNd"] {
            assert!(double(text).is_err(), "{text:?}");
        }
        assert_eq!((int("+7"), int("-0"), int("007")), (Ok(7), Ok(0), Ok(7)));
        for text in ["", "+", " 7", "7 ", "7.0", "2147483648", "7L"] {
            assert!(int(text).is_err(), "{text:?}");
        }
    }
}
