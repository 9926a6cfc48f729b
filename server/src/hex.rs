//! Bytes as hexadecimal digits.

use std::fmt::Write as _;

/// Lower-case digits.
pub(crate) fn write(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Exactly `N` bytes, or `None`.
pub(crate) fn read<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = [0; N];
    let pairs = text.as_bytes().chunks(2);
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_there_and_back() {
        assert_eq!(read(&write(&[0, 0x7f, 0xff])), Some([0, 0x7f, 0xff]));
        assert_eq!(read("00FF"), Some([0, 0xff]));
        for wrong in ["", "0", "00f", "00fg", "00ff00", "+0ff", "é0"] {
            assert_eq!(read::<2>(wrong), None, "{wrong}");
        }
    }
}
