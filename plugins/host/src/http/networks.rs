//! Which addresses requests may go to.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::own;

/// Networks beside the public internet that requests may go to: `127.0.0.0/8,fd00::/8`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

const MAX_NETWORKS: usize = 256;

/// What is not the public internet, as IANA's registry of special-purpose addresses has it, and clouds.
const SPECIAL_V4: [Ipv4Net; 16] = [
    v4(0, 0, 0, 0, 8),        // this network
    v4(10, 0, 0, 0, 8),       // private
    v4(100, 64, 0, 0, 10),    // shared by a carrier's customers
    v4(127, 0, 0, 0, 8),      // loopback
    v4(169, 254, 0, 0, 16),   // link-local, where clouds keep their metadata
    v4(168, 63, 129, 16, 32), // where Azure keeps what serves its machines
    v4(172, 16, 0, 0, 12),    // private
    v4(192, 0, 0, 0, 24),     // protocol assignments
    v4(192, 0, 2, 0, 24),     // documentation
    v4(192, 88, 99, 0, 24),   // relays of 6to4
    v4(192, 168, 0, 0, 16),   // private
    v4(198, 18, 0, 0, 15),    // benchmarks
    v4(198, 51, 100, 0, 24),  // documentation
    v4(203, 0, 113, 0, 24),   // documentation
    v4(224, 0, 0, 0, 4),      // multicast
    v4(240, 0, 0, 0, 4),      // reserved, and broadcast
];

/// All that is given out for the public internet; loopback, private, link-local and multicast addresses lie outside.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 3);

/// What is something else within it.
const SPECIAL_V6: [Ipv6Net; 4] = [
    v6(0x2001, 0, 23),     // protocols, among them Teredo, which wraps other addresses, and benchmarks
    v6(0x2001, 0xdb8, 32), // documentation
    v6(0x2002, 0, 16),     // 6to4, which wraps other addresses
    v6(0x3fff, 0, 20),     // documentation
];

/// NAT64 of the well-known prefix: an IPv4 address in the last 32 bits.
const NAT64: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(a: u16, b: u16, length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), length)
}

impl Networks {
    /// Every address.
    pub fn everywhere() -> Networks {
        let all = [IpNet::V4(v4(0, 0, 0, 0, 0)), IpNet::V6(v6(0, 0, 0))];
        Networks(all.to_vec())
    }

    fn contain(&self, address: IpAddr) -> bool {
        let meant = meant(address);
        self.0.iter().any(|network| network.contains(&meant) || network.contains(&address))
    }
}

/// Where requests may go: the public internet but for the machine itself and what is denied, and what is allowed beside it.
pub(crate) struct Reach {
    pub(crate) allow: Networks,
    pub(crate) deny: Networks,
    /// The machine's own networks, which may change.
    pub(crate) own: fn() -> io::Result<Vec<IpNet>>,
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reach").field("allow", &self.allow).field("deny", &self.deny).finish_non_exhaustive()
    }
}

impl Reach {
    pub(super) fn new(allow: &Networks, deny: &Networks) -> Reach {
        Reach { allow: allow.clone(), deny: deny.clone(), own: own::networks }
    }

    /// Those of the addresses that a request may go to.
    pub(super) fn among(&self, addresses: &[IpAddr]) -> Vec<IpAddr> {
        let own = (self.own)();
        let may = |address: &IpAddr| {
            if self.deny.contain(*address) {
                return false;
            }
            // Where the machine can't say which addresses are its own, nothing but what is allowed by name is told apart.
            let is_elsewhere = |own: &Vec<IpNet>| !own.iter().any(|network| network.contains(&meant(*address)));
            self.allow.contain(*address) || (is_public(meant(*address)) && own.as_ref().is_ok_and(is_elsewhere))
        };
        addresses.iter().copied().filter(may).collect()
    }

    pub(super) fn allows(&self, address: IpAddr) -> bool {
        !self.among(&[address]).is_empty()
    }
}

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Networks, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let read = |part: &str| {
            let network = part.parse::<IpNet>();
            let wrong = |_| format!("{part:?} is not a network; write an address and its length, such as 10.1.0.0/16");
            let network = network.map_err(wrong)?;
            if network.addr() == network.network() {
                return Ok(network);
            }
            Err(format!("{part:?} has bits past its length; {} has none", network.trunc()))
        };
        let networks: Vec<IpNet> = parts.map(read).collect::<Result<_, _>>()?;
        if networks.len() > MAX_NETWORKS {
            return Err(format!("{} networks are more than {MAX_NETWORKS}", networks.len()));
        }
        Ok(Networks(networks))
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join(","))
    }
}

/// The address behind one that wraps it.
fn meant(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if NAT64.contains(&v6) => {
            let [.., a, b, c, d] = v6.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        other => other,
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => {
            GLOBAL_V6.contains(&address) && !SPECIAL_V6.iter().any(|network| network.contains(&address))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(allow: &str, deny: &str, own: fn() -> io::Result<Vec<IpNet>>) -> Reach {
        Reach { allow: allow.parse().expect("networks"), deny: deny.parse().expect("networks"), own }
    }

    fn allowed(networks: &str, address: &str) -> bool {
        reach(networks, "", || Ok(Vec::new())).allows(address.parse().expect("an address"))
    }

    #[test]
    fn the_machine_itself_is_not_the_public_internet() {
        let own = || Ok(vec!["5.6.7.8/32".parse().expect("one"), "2600:1::/64".parse().expect("one")]);
        for (allow, deny, address, expected) in [
            ("", "", "5.6.7.8", false),
            ("", "", "::ffff:5.6.7.8", false),
            ("", "", "64:ff9b::506:708", false),
            ("", "", "5.6.7.9", true),
            ("", "", "2600:1::7", false),
            ("", "", "2600:1:0:1::7", true),
            ("5.6.7.8/32", "", "5.6.7.8", true),
            ("", "5.6.7.9/32", "5.6.7.9", false),
            ("", "5.6.7.9/32", "::ffff:5.6.7.9", false),
            // What is denied is denied, whatever else says.
            ("0.0.0.0/0", "5.6.7.9/32", "5.6.7.9", false),
        ] {
            let found = reach(allow, deny, own).allows(address.parse().expect("an address"));
            assert_eq!(found, expected, "{allow} {deny} {address}");
        }
        // Unless a test says otherwise, its own are those that its interfaces have.
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let found = (Reach::new(&Networks::default(), &Networks::default()).own)().expect("a list");
        assert!(found.iter().any(|network| network.contains(&loopback)), "{found:?}");
        // Nothing is taken for somebody else's while the machine does not say what is its own.
        let dumb = reach("127.0.0.0/8", "", || Err(io::ErrorKind::OutOfMemory.into()));
        assert!(!dumb.allows("1.1.1.1".parse().expect("one")) && dumb.allows("127.0.0.1".parse().expect("one")));
    }

    #[test]
    fn only_the_public_internet_is_reached_unasked() {
        for address in "1.1.1.1 93.184.215.14 100.63.255.255 172.32.0.1 223.255.255.255 2606:4700::1111 2a00:1450::1 \
                ::ffff:1.1.1.1 64:ff9b::101:101 2001:200::1"
            .split(' ')
        {
            assert!(allowed("", address), "{address} is refused");
        }
        for address in "0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 168.63.129.16 ::ffff:168.63.129.16 127.0.0.1 127.255.255.254 169.254.169.254 172.16.0.1 \
                172.31.255.255 192.0.0.8 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.7 \
                203.0.113.7 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 \
                ::ffff:10.1.2.3 ::ffff:169.254.169.254 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::7f00:1 100::1 \
                fc00::1 fd12:3456::1 fe80::1 fec0::1 ff02::1 2001::1 2001:2::1 2001:db8::1 2002:7f00:1:: 3fff::1 \
                5f00::1 4000::1"
            .split(' ')
        {
            assert!(!allowed("", address), "{address} is allowed");
        }
    }

    #[test]
    fn operators_allow_networks_of_their_own() {
        for (networks, address, expected) in [
            ("127.0.0.0/8", "127.0.0.1", true),
            ("127.0.0.0/8", "::ffff:127.0.0.1", true),
            ("127.0.0.0/8", "64:ff9b::7f00:1", true),
            ("127.0.0.0/8", "::1", false),
            ("127.0.0.0/8", "10.0.0.1", false),
            (" 10.1.0.0/16 , ::1/128 ,", "10.1.255.255", true),
            ("10.1.0.0/16,::1/128", "::1", true),
            ("10.1.0.0/16,::1/128", "10.2.0.0", false),
            ("10.1.2.3/32", "10.1.2.4", false),
        ] {
            assert_eq!(allowed(networks, address), expected, "{networks} {address}");
        }
        let everywhere = Reach::new(&Networks::everywhere(), &Networks::default());
        assert!(["127.0.0.1", "::1", "8.8.8.8"].iter().all(|a| everywhere.allows(a.parse().expect("one"))));
    }

    #[test]
    fn what_is_no_network_is_told() {
        for text in ["localhost", "10.0.0.0", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/8;127.0.0.0/8", "*"] {
            assert!(text.parse::<Networks>().is_err(), "{text:?} is taken");
        }
        let text = "10.0.0.0/8,fd00::/8";
        assert_eq!(text.parse::<Networks>().map(|networks| networks.to_string()), Ok(text.to_owned()));
        assert!(vec!["10.0.0.0/8"; 257].join(",").parse::<Networks>().is_err());
    }
}
