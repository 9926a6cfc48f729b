//! How values are written: `64MiB`, `true`, `127.0.0.1:8081`.

use std::net::{SocketAddr, ToSocketAddrs};

use crate::hex;

const BYTE_UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// Reads `1048576`, `1MiB` or `1 MB`.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let (digits, factor) = BYTE_UNITS
        .iter()
        .find_map(|(unit, factor)| text.strip_suffix(unit).map(|digits| (digits.trim_end(), *factor)))
        .unwrap_or((text, 1));
    parse_count(digits).ok().and_then(|number| number.checked_mul(factor)).ok_or_else(|| {
        format!("{text:?} is not a size; write bytes, or a number with KiB, MiB, GiB, TiB, kB, MB, GB or TB")
    })
}

/// Writes a size the shortest exact way.
pub(crate) fn show_bytes(bytes: u64) -> String {
    let unit = BYTE_UNITS[..4].iter().rev().find(|(_, factor)| bytes != 0 && bytes.is_multiple_of(*factor));
    unit.map_or_else(|| bytes.to_string(), |(unit, factor)| format!("{}{unit}", bytes / factor))
}

/// Reads a plain number; `_` may group digits.
pub(crate) fn parse_count(text: &str) -> Result<u64, String> {
    let digits = text.trim().replace('_', "");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("{text:?} is not a whole number"));
    }
    digits.parse().map_err(|_| format!("{text:?} is too large"))
}

pub(crate) fn parse_bool(text: &str) -> Result<bool, String> {
    match text.trim() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        other => Err(format!("{other:?} is neither true nor false")),
    }
}

/// Reads `HOST:PORT`; a name is looked up and its first address taken.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    text.to_socket_addrs()
        .ok()
        .and_then(|mut addresses| addresses.next())
        .ok_or_else(|| format!("{text:?} is not an address; write HOST:PORT, such as 127.0.0.1:8081"))
}

/// The name in `HOST:PORT`, where it is no address.
pub(crate) fn name_in(text: &str) -> Option<String> {
    if text.parse::<SocketAddr>().is_ok() {
        return None;
    }
    text.rsplit_once(':').map(|(name, _)| name.to_owned())
}

/// Reads public keys with commas between.
pub(crate) fn parse_keys(text: &str) -> Result<Vec<[u8; 32]>, String> {
    let keys = text.split(',').map(str::trim).filter(|key| !key.is_empty());
    keys.map(|key| hex::read(key).ok_or_else(|| format!("{key:?} is not a public key: 64 hexadecimal digits")))
        .collect()
}

/// Reads host names, which have no ports, with commas between.
pub(crate) fn parse_names(text: &str) -> Result<Vec<String>, String> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names
        .map(|name| match name.chars().all(known) {
            true => Ok(name.to_owned()),
            false => Err(format!("{name:?} is not a host name; write names such as mill.example, without ports")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in [("0", 0), ("1024", 1024), ("64MiB", 64 << 20), ("1 GB", 1_000_000_000), ("7B", 7)] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5GiB", "99999999999TiB", "1mib", "1 2"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
        for (bytes, text) in [(0, "0"), (1000, "1000"), (128 << 20, "128MiB"), (8 << 30, "8GiB")] {
            assert_eq!(show_bytes(bytes), text);
        }
    }

    #[test]
    fn addresses_need_a_port() {
        assert!(parse_address("127.0.0.1:0").is_ok());
        assert!(parse_address("[::1]:80").is_ok());
        assert!(parse_address("127.0.0.1").is_err());
        assert!(parse_address("").is_err());
    }

    #[test]
    fn keys_are_read_one_by_one() {
        let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(parse_keys("").unwrap(), Vec::<[u8; 32]>::new());
        assert_eq!(parse_keys(&format!("{key}, {key}")).unwrap().len(), 2);
        assert!(parse_keys("d75a").unwrap_err().contains("64 hexadecimal digits"));
    }

    #[test]
    fn names_have_no_ports() {
        assert_eq!(parse_names("mill.example, my-mill_2,").unwrap(), ["mill.example", "my-mill_2"]);
        for text in ["mill.example:8080", "http://mill.example", "*", "mill example"] {
            assert!(parse_names(text).is_err(), "{text}");
        }
        assert_eq!(name_in("mill.example:80").as_deref(), Some("mill.example"));
        assert_eq!((name_in("127.0.0.1:80"), name_in("[::1]:80")), (None, None));
    }
}
