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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_apaches_servers() {
        assert_eq!(write("127.0.0.1:20911".parse().unwrap(), 0x1234), "7F000001000051AF0000000000001234");
        let long = write("[::1]:9876".parse().unwrap(), 1);
        assert_eq!((long.len(), &long[24..40]), (56, "0000000100002694"));
    }
}
