//! Whoever reaches a door may do what it lets him, so that other machines reach none unless it asks who they are and nobody can
//! listen; or unless that is wanted.

use std::net::SocketAddr;

/// Whether other machines can reach an address.
pub(crate) fn is_exposed(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

/// What an address lacks to be reached by other machines; nothing where they can't reach it, or where it lacks nothing.
pub(crate) fn lacks(address: SocketAddr, authentication: bool, tls: bool) -> Option<&'static str> {
    match (authentication, tls) {
        _ if !is_exposed(address) => None,
        (true, true) => None,
        (true, false) => Some("TLS"),
        (false, true) => Some("authentication"),
        (false, false) => Some("authentication and TLS"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_out_of_reach() {
        let exposed = |address: &str| is_exposed(address.parse().unwrap());
        assert!(
            ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"].iter().all(|address| !exposed(address))
        );
        assert!(["0.0.0.0:1", "192.0.2.1:1", "[::]:1", "[::ffff:192.0.2.1]:1"].iter().all(|address| exposed(address)));
    }

    #[test]
    fn other_machines_need_both() {
        for (authentication, tls) in [(false, false), (false, true), (true, false), (true, true)] {
            assert_eq!(lacks(([127, 0, 0, 1], 1).into(), authentication, tls), None);
            let lacks = lacks(([0, 0, 0, 0], 1).into(), authentication, tls);
            assert_eq!(lacks.is_none(), authentication && tls);
            assert_eq!(lacks.is_some_and(|lacks| lacks.contains("TLS")), !tls);
            assert_eq!(lacks.is_some_and(|lacks| lacks.contains("authentication")), !authentication);
        }
    }
}
