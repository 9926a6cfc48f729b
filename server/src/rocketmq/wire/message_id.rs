//! Ids of stored messages: `address, port (4 bytes), physical offset (8)`, in upper-case hexadecimal digits. Clients ask the
//! address in it for the message.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// The id of the row at a physical offset, to be asked of `store`.
pub(crate) fn write(store: SocketAddr, physical: i64) -> String {
    let mut id = String::with_capacity(56);
    let mut digits = |bytes: &[u8]| {
        for byte in bytes {
            // Writing to a String can't fail.
            let _ = write!(id, "{byte:02X}");
        }
    };
    match store.ip() {
        IpAddr::V4(address) => digits(&address.octets()),
        IpAddr::V6(address) => digits(&address.octets()),
    }
    digits(&u32::from(store.port()).to_be_bytes());
    digits(&physical.to_be_bytes());
    id
}

/// The physical offset in an id, whatever address it says.
pub(crate) fn physical(id: &str) -> Option<u64> {
    if !matches!(id.len(), 32 | 56) || !id.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(id.get(id.len() - 16..)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read() {
        for store in ["127.0.0.1:20911", "[::1]:9876"] {
            let id = write(store.parse().unwrap(), 0x1234_5678_9abc);
            assert_eq!(physical(&id), Some(0x1234_5678_9abc));
            assert!((0..id.len()).all(|end| physical(&id[..end]).is_none() || end == 32), "{id}");
        }
        assert_eq!(physical(&"G".repeat(32)), None);
        assert_eq!(physical(&"é".repeat(16)), None);
    }

    #[test]
    fn ids_are_those_of_apaches_servers() {
        assert_eq!(write("127.0.0.1:20911".parse().unwrap(), 0x1234), "7F000001000051AF0000000000001234");
        let long = write("[::1]:9876".parse().unwrap(), 1);
        assert_eq!((long.len(), &long[24..40]), (56, "0000000100002694"));
    }
}
