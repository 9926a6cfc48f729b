//! Whoever reaches a door may do everything, so that other machines reach none unless that is wanted.

use std::net::SocketAddr;

/// Whether other machines can reach an address.
pub(crate) fn is_exposed(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
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
}
