//! Where requests may come from: the browsers of this machine reach what other machines can't, browsers send passwords that
//! they were told once, and so do the pages that they show. A request is refused before anything of it is looked at if its `Host` is
//! none of this server's names, as where a page's own name was made to point here (DNS rebinding), or if it comes from a page
//! that this server has not served.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, Uri, Version, header};

use crate::config::Config;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The names that the door answers to.
#[derive(Debug)]
pub(super) struct Gate {
    bound: IpAddr,
    names: Vec<String>,
}

impl Gate {
    pub(super) fn new(config: &Config) -> Gate {
        let names = config.http_hosts.iter().chain(&config.http_name).map(|name| plain(name)).collect();
        Gate { bound: config.http.ip().to_canonical(), names }
    }

    /// Whether a request was sent to this server, and by no page of another's.
    pub(super) fn admits(&self, version: Version, uri: &Uri, headers: &HeaderMap) -> Result<(), String> {
        let host = self.host(version, uri, headers)?;
        match one(headers, SEC_FETCH_SITE)? {
            None | Some("none" | "same-origin") => {}
            Some(_) => return Err(foreign("by its Sec-Fetch-Site")),
        }
        if let Some(origin) = one(headers, header::ORIGIN)? {
            return same(origin, host).then_some(()).ok_or_else(|| foreign(&format!("of {origin:?}")));
        }
        // Browsers that send neither of the two still say which page asks.
        match one(headers, header::REFERER)? {
            Some(page) if !headers.contains_key(SEC_FETCH_SITE) && !same(page, host) => {
                Err(foreign(&format!("at {page:?}")))
            }
            _ => Ok(()),
        }
    }

    /// The name that the request was sent to, once it is known to be this server's.
    fn host<'a>(&self, version: Version, uri: &'a Uri, headers: &'a HeaderMap) -> Result<Option<&'a str>, String> {
        let stated = one(headers, header::HOST)?;
        // Only proxies are sent whole URLs; the name in one counts as the header does.
        for name in stated.into_iter().chain(uri.authority().map(|authority| authority.as_str())) {
            if !self.is_own(name) {
                return Err(format!(
                    "this server does not answer to the host {name:?}: ask by its address or as localhost, or let the \
                     setting http_hosts name it"
                ));
            }
        }
        match stated {
            None if version >= Version::HTTP_11 => Err("the request has no Host header".to_owned()),
            stated => Ok(stated),
        }
    }

    /// Addresses are as safe as they are typed: only names can be made to point elsewhere.
    fn is_own(&self, authority: &str) -> bool {
        let Some((name, _)) = parts(authority) else { return false };
        match name.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(address) => address.is_loopback() || address == self.bound || self.bound.is_unspecified(),
            Err(_) => name == "localhost" || self.names.contains(&name),
        }
    }
}

fn foreign(page: &str) -> String {
    format!("the request comes from a page of another site ({page}); only this server's own pages may send requests")
}

/// A header that stands at most once.
fn one(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, String> {
    let mut values = headers.get_all(&name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| format!("the header {name} is not ASCII text")),
        (Some(_), Some(_)) => Err(format!("the header {name} stands there twice")),
    }
}

/// Whether a URL lies at this host and port. TLS may end before the server: its scheme is not compared.
fn same(url: &str, host: Option<&str>) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let default = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let with_port = |(name, port): (String, Option<u16>)| (name, port.unwrap_or(default));
    host.and_then(parts).map(with_port) == parts(authority).map(with_port) && host.is_some()
}

/// `name:port` or `[address]:port`, the port perhaps missing: the name in small letters, without brackets and final dot.
fn parts(authority: &str) -> Option<(String, Option<u16>)> {
    let (name, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = match port.strip_prefix(':') {
        Some("") => None,
        Some(port) => Some(port.parse().ok()?),
        None if port.is_empty() => None,
        None => return None,
    };
    (!name.is_empty()).then(|| (plain(name), port))
}

fn plain(name: &str) -> String {
    let name = name.trim().to_ascii_lowercase();
    name.strip_suffix('.').map(str::to_owned).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn admits(bound: &str, names: &[&str], headers: &[(&'static str, &str)]) -> Result<(), String> {
        let mut config = Config::new("/d");
        config.http = bound.parse().unwrap();
        config.http_hosts = names.iter().map(|name| (*name).to_owned()).collect();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        Gate::new(&config).admits(Version::HTTP_11, &Uri::from_static("/v1/sql"), &map)
    }

    #[test]
    fn a_host_is_a_name_of_the_server() {
        let check = |bound, host, expected| {
            let admitted = admits(bound, &["Mill.example", "other.example."], &[("host", host)]);
            assert_eq!(admitted.is_ok(), expected, "{host} at {bound}: {admitted:?}");
        };
        for host in
            ["localhost", "LOCALHOST:8080", "localhost.:8080", "127.0.0.1:8080", "127.8.8.8", "[::1]:8080", "[::1]"]
        {
            check("127.0.0.1:8080", host, true);
        }
        for host in ["mill.example", "MILL.example:8080", "mill.example.", "other.example:1", "[::ffff:127.0.0.1]"] {
            check("127.0.0.1:8080", host, true);
        }
        for host in ["evil.example", "localhost.evil.example", "mill.example.evil.example", "127.0.0.1.evil.example"] {
            check("127.0.0.1:8080", host, false);
        }
        for host in ["", ":8080", "localhost:port", "[::1", "[::1]8080", "a:b:c", "192.0.2.1:8080", "user@localhost"] {
            check("127.0.0.1:8080", host, false);
        }
        check("192.0.2.1:8080", "192.0.2.1:8080", true);
        check("192.0.2.1:8080", "192.0.2.2:8080", false);
        // Which of the machine's addresses a client takes is his affair.
        check("0.0.0.0:8080", "192.0.2.2:8080", true);
        check("0.0.0.0:8080", "evil.example:8080", false);
        check("[::]:8080", "[2001:db8::1]:8080", true);
    }

    #[test]
    fn a_host_is_named_once() {
        assert!(admits("127.0.0.1:1", &[], &[]).unwrap_err().contains("no Host"));
        let twice = [("host", "localhost"), ("host", "evil.example")];
        assert!(admits("127.0.0.1:1", &[], &twice).unwrap_err().contains("twice"));
        let gate = Gate::new(&Config::new("/d"));
        let mut headers = HeaderMap::new();
        let whole = Uri::from_static("http://evil.example/v1/sql");
        assert!(gate.admits(Version::HTTP_10, &Uri::from_static("/metrics"), &headers).is_ok());
        assert!(gate.admits(Version::HTTP_10, &whole, &headers).is_err());
        headers.insert(header::HOST, HeaderValue::from_static("localhost"));
        assert!(gate.admits(Version::HTTP_11, &whole, &headers).unwrap_err().contains("evil.example"));
    }

    #[test]
    fn pages_of_other_sites_are_foreign() {
        let check = |headers: &[(&'static str, &str)], expected: bool| {
            let with_host: Vec<_> = [("host", "localhost:8080")].iter().chain(headers).copied().collect();
            let admitted = admits("127.0.0.1:8080", &[], &with_host);
            assert_eq!(admitted.is_ok(), expected, "{headers:?}: {admitted:?}");
        };
        check(&[("origin", "http://localhost:8080")], true);
        check(&[("origin", "http://LOCALHOST:8080"), ("sec-fetch-site", "same-origin")], true);
        check(&[("sec-fetch-site", "none")], true);
        check(&[("referer", "http://localhost:8080/page?q=1")], true);
        // A page of another server on this machine is as foreign as one from far away.
        for origin in [
            "http://localhost:3000",
            "http://localhost",
            "https://evil.example",
            "null",
            "",
            "file://",
            "localhost:8080",
        ] {
            check(&[("origin", origin)], false);
        }
        for site in ["cross-site", "same-site", "", "anything"] {
            check(&[("sec-fetch-site", site)], false);
            check(&[("sec-fetch-site", site), ("origin", "http://localhost:8080")], false);
        }
        check(&[("sec-fetch-site", "same-origin"), ("origin", "http://evil.example")], false);
        check(&[("origin", "http://localhost:8080"), ("origin", "http://evil.example")], false);
        check(&[("referer", "http://evil.example/?http://localhost:8080/")], false);
        check(&[("referer", "http://localhost:8080.evil.example/")], false);
        check(&[("referer", "http://localhost:8080@evil.example/")], false);
        // The user came from there and typed it himself, as the browser vouches.
        check(&[("referer", "http://evil.example/"), ("sec-fetch-site", "none")], true);
    }

    #[test]
    fn tls_may_end_before_the_server() {
        let behind = |origin, host| admits("127.0.0.1:8080", &["mill.example"], &[("host", host), ("origin", origin)]);
        assert!(behind("https://mill.example", "mill.example").is_ok());
        assert!(behind("https://mill.example", "mill.example:443").is_ok());
        assert!(behind("https://mill.example:8443", "mill.example:8443").is_ok());
        assert!(behind("https://mill.example", "mill.example:8443").is_err());
    }
}
