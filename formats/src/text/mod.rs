//! Single values as text, and text as values.

mod moment;
mod number;
mod time;
mod write;

pub(crate) use moment::{Moment, date, moment, timestamp};
pub(crate) use number::{Unfit, float, integer, scaled};
pub(crate) use write::object;
pub use write::{plain, text};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// A text of a Boolean, in any case.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    match text {
        _ if is(&["true", "t", "1"]) => Some(true),
        _ if is(&["false", "f", "0"]) => Some(false),
        _ => None,
    }
}

/// Bytes: base64 as RFC 4648 has it, or hexadecimal behind `\x` as PostgreSQL writes it, which base64 never begins with.
pub(crate) fn binary(text: &str) -> Option<Vec<u8>> {
    let Some(digits) = text.strip_prefix("\\x") else { return BASE64.decode(text).ok() };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = digits.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_and_bytes() {
        assert_eq!(
            ["True", "f", "0", "1", "yes", ""].map(boolean),
            [Some(true), Some(false), Some(false), Some(true), None, None]
        );
        assert_eq!(binary("AP8="), Some(vec![0, 255]));
        assert_eq!(binary("\\x00fF"), Some(vec![0, 255]));
        assert_eq!(binary(""), Some(Vec::new()));
        for wrong in ["AP8", "\\x0", "\\xzz", "AP8=x", "?"] {
            assert_eq!(binary(wrong), None, "{wrong}");
        }
    }
}
