//! The machine's own addresses: requests that go there reach the server's neighbours, if not its own doors.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::{io, ptr};

use ipnet::{IpNet, Ipv6Net};

/// IPv6 gives everything on a link a public address; networks of at least this length are one link.
const LINK_LENGTH: u8 = 64;

/// The addresses of the machine's interfaces as they are now, and for IPv6 the links that they lie on. What a router outside
/// translates to them is not known here.
pub(super) fn networks() -> io::Result<Vec<IpNet>> {
    let mut networks = Vec::new();
    each_interface(|address, mask| {
        networks.push(match (address, mask) {
            (IpAddr::V6(address), Some(IpAddr::V6(mask))) => link_of(address, mask),
            _ => IpNet::from(address),
        });
    })?;
    Ok(networks)
}

fn link_of(address: Ipv6Addr, mask: Ipv6Addr) -> IpNet {
    let network = Ipv6Net::with_netmask(address, mask).ok().filter(|network| network.prefix_len() >= LINK_LENGTH);
    network.map_or(IpAddr::V6(address).into(), |network| network.trunc().into())
}

#[expect(unsafe_code, reason = "the standard library does not list interfaces")]
fn each_interface(mut see: impl FnMut(IpAddr, Option<IpAddr>)) -> io::Result<()> {
    let mut first: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: the pointer is to a variable of ours, which the call sets to a list that is freed below.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut next = first;
    // SAFETY: the list is whole until it is freed, and ends with a null pointer; so may the pointers in it be.
    while let Some(interface) = unsafe { next.as_ref() } {
        // SAFETY: the list's addresses live as long as it does, and are of the length that their family says.
        let (address, mask) = unsafe { (address_of(interface.ifa_addr), address_of(interface.ifa_netmask)) };
        if let Some(address) = address {
            see(address, mask);
        }
        next = interface.ifa_next;
    }
    // SAFETY: the list came from `getifaddrs`, and nothing points into it any more.
    unsafe { libc::freeifaddrs(first) };
    Ok(())
}

/// # Safety
/// `at` is null, or points to an address whose family says how long it is.
#[expect(unsafe_code, reason = "which type an address has is known from its first bytes only")]
unsafe fn address_of(at: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: null or whole, says the caller.
    let family = i32::from(unsafe { at.as_ref()? }.sa_family);
    match family {
        libc::AF_INET => {
            // SAFETY: an address of this family is of this type; it may lie anywhere.
            let address = unsafe { at.cast::<libc::sockaddr_in>().read_unaligned() };
            Some(Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: an address of this family is of this type; it may lie anywhere.
            let address = unsafe { at.cast::<libc::sockaddr_in6>().read_unaligned() };
            Some(Ipv6Addr::from(address.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_knows_where_it_is() {
        let networks = networks().expect("a list");
        let loopback: IpAddr = Ipv4Addr::LOCALHOST.into();
        assert!(networks.iter().any(|network| network.contains(&loopback)), "{networks:?}");
        // An interface's address is one, whatever its network.
        assert!(networks.iter().filter(|network| network.addr().is_ipv4()).all(|network| network.prefix_len() == 32));
    }

    #[test]
    fn a_link_is_no_larger_than_a_link() {
        let (address, mask) = ("2600::1:2".parse().expect("one"), |length: u8| {
            Ipv6Net::new(Ipv6Addr::UNSPECIFIED, length).expect("a length").netmask()
        });
        assert_eq!(link_of(address, mask(64)).to_string(), "2600::/64");
        assert_eq!(link_of(address, mask(48)).to_string(), "2600::1:2/128");
        assert_eq!(link_of(address, mask(128)).to_string(), "2600::1:2/128");
    }
}
