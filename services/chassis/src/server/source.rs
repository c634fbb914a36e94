//! The source of a request: who must not use up what is there for all.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
    sync::Arc,
};

use http::HeaderMap;

/// The addresses through which a request came, the last one first from the right: each proxy appends the address it saw.
const FORWARDED: &str = "x-forwarded-for";
/// The identity of the client in a Linkerd mesh. The proxy of the pod sets it, and removes what a client sends.
const CLIENT_ID: &str = "l5d-client-id";

/// The source of a request, as far as the network shows: an extension of every request that arrives at a port.
///
/// It is no proof of who somebody is. It keeps one source from using up what is there for all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// An IPv4 address, or a network of IPv6 (`/64`): one caller has all addresses of such a network.
    Address(IpAddr),
    /// An identity in the mesh.
    Identity(Arc<str>),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Identity(name) => name.fmt(f),
        }
    }
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => {
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask(128, 64)))
            }
            address @ IpAddr::V4(_) => address,
        })
    }
}

/// The source of a request from a peer.
///
/// A header counts only if who sets it is trusted: the identity, if the connection comes from a proxy of the mesh; the
/// addresses of `x-forwarded-for` from right to left, as long as the one who appended the address is a trusted proxy.
pub(super) fn of(peer: IpAddr, headers: &HeaderMap, trusted: &Trusted) -> Source {
    let mut source = Source::from(peer);
    let mut believed = trusted.trusted_proxies.has_address(peer);
    if trusted.mesh_proxies.has_address(peer) {
        // Without an identity the client is outside the mesh, and has written the other headers itself.
        let Some(identity) = last(headers, CLIENT_ID) else {
            return source;
        };
        believed = trusted.trusted_proxies.has_name(identity);
        source = Source::Identity(identity.into());
    }
    let hops = headers.get_all(FORWARDED).iter().rev();
    let hops = hops.filter_map(|value| value.to_str().ok());
    for hop in hops.flat_map(|value| value.rsplit(',')) {
        let Some(address) = believed.then(|| hop.trim().parse().ok()).flatten() else {
            break;
        };
        source = Source::from(address);
        believed = trusted.trusted_proxies.has_address(address);
    }
    source
}

fn last<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get_all(name).iter().next_back()?;
    value.to_str().ok().filter(|text| !text.is_empty())
}

/// Who is believed about the source of a request.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Trusted {
    /// Proxies whose `x-forwarded-for` is believed: addresses, networks (`10.0.0.0/8`) and identities of the mesh, separated by commas
    #[arg(
        long,
        env = "BERTH_TRUSTED_PROXIES",
        default_value = "",
        hide_default_value = true,
        value_name = "PROXIES"
    )]
    pub trusted_proxies: Proxies,
    /// Addresses and networks of the mesh's own proxies, whose `l5d-client-id` is believed; with Linkerd those of the pod itself
    #[arg(
        long,
        env = "BERTH_MESH_PROXIES",
        default_value = "",
        hide_default_value = true,
        value_name = "PROXIES"
    )]
    pub mesh_proxies: Proxies,
}

impl Trusted {
    /// Whether connections from an address carry the requests of several sources.
    pub(super) fn is_proxy(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.has_address(peer) || self.mesh_proxies.has_address(peer)
    }
}

/// Proxies by address, network or name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// The bits of an address, and how many of them count.
    networks: Vec<(IpAddr, u32)>,
    names: Vec<String>,
}

impl Proxies {
    fn has_address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks
            .iter()
            .any(|(network, bits)| match (network, address) {
                (IpAddr::V4(network), IpAddr::V4(address)) => {
                    let differ = u128::from(network.to_bits() ^ address.to_bits());
                    differ & mask(32, *bits) == 0
                }
                (IpAddr::V6(network), IpAddr::V6(address)) => {
                    (network.to_bits() ^ address.to_bits()) & mask(128, *bits) == 0
                }
                _ => false,
            })
    }

    fn has_name(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }
}

/// The first `bits` of an address of `width` bits.
fn mask(width: u32, bits: u32) -> u128 {
    let rest = width.saturating_sub(bits);
    u128::MAX.checked_shl(rest).unwrap_or(0)
}

impl FromStr for Proxies {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut proxies = Self::default();
        let entries = text.split(',').map(str::trim);
        for entry in entries.filter(|entry| !entry.is_empty()) {
            if let Some(network) = network(entry) {
                proxies.networks.push(network);
            } else if is_name(entry) {
                proxies.names.push(entry.to_owned());
            } else {
                return Err(format!(
                    "`{entry}` is not an address, a network such as 10.0.0.0/8, or an identity"
                ));
            }
        }
        Ok(proxies)
    }
}

fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(width);
    (bits <= width).then_some((address, bits))
}

/// An identity such as `ingress.edge.serviceaccount.identity.linkerd.cluster.local`.
fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    text.bytes().all(allowed) && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INGRESS: &str = "ingress.edge.identity.linkerd";

    fn source(peer: &str, headers: &[(&'static str, &str)]) -> String {
        let trusted = Trusted {
            trusted_proxies: format!("10.0.0.0/8, fd00::/16,{INGRESS}").parse().unwrap(),
            mesh_proxies: "127.0.0.1".parse().unwrap(),
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        of(peer.parse().unwrap(), &map, &trusted).to_string()
    }

    #[test]
    fn the_source_of_a_request_is_its_peer() {
        assert_eq!(source("192.0.2.1", &[]), "192.0.2.1");
        assert_eq!(source("::ffff:192.0.2.1", &[]), "192.0.2.1");
        assert_eq!(source("2001:db8:1:2:3:4:5:6", &[]), "2001:db8:1:2::");
    }

    #[test]
    fn nobody_but_a_trusted_proxy_is_believed_about_the_source() {
        let forged = [(CLIENT_ID, "admin"), (FORWARDED, "198.51.100.1")];
        assert_eq!(source("192.0.2.1", &forged), "192.0.2.1");
        assert_eq!(source("10.1.1.1", &forged), "198.51.100.1");
        // Outside the mesh.
        assert_eq!(source("127.0.0.1", &forged[1..]), "127.0.0.1");
        // In the mesh, but no proxy.
        assert_eq!(source("127.0.0.1", &forged), "admin");
    }

    #[test]
    fn addresses_are_followed_as_far_as_proxies_are_trusted() {
        let hops = |text| source("10.1.1.1", &[(FORWARDED, text)]);
        assert_eq!(hops("1.1.1.1, 192.0.2.9, 10.2.2.2"), "192.0.2.9");
        assert_eq!(hops("10.3.3.3,10.2.2.2"), "10.3.3.3");
        assert_eq!(hops("192.0.2.9, unknown, 10.2.2.2"), "10.2.2.2");
        assert_eq!(hops("192.0.2.9, fd00::1"), "192.0.2.9");
        assert_eq!(hops(""), "10.1.1.1");
        let lines = [(FORWARDED, "1.1.1.1"), (FORWARDED, "192.0.2.9")];
        assert_eq!(source("10.1.1.1", &lines), "192.0.2.9");
        let meshed = [(CLIENT_ID, INGRESS), (FORWARDED, "1.1.1.1,192.0.2.9")];
        assert_eq!(source("127.0.0.1", &meshed), "192.0.2.9");
    }

    #[test]
    fn proxies_are_read_or_refused() {
        let read = |text: &str| text.parse::<Proxies>();
        assert_eq!(read(""), Ok(Proxies::default()));
        let all = read("0.0.0.0/0,::/0").unwrap();
        assert!(all.has_address("8.8.8.8".parse().unwrap()));
        assert!(all.has_address("2001:db8::1".parse().unwrap()));
        for wrong in ["10.0.0.0/33", "10.0.0", "10.0.0.0/x", "a b", "::/129"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
