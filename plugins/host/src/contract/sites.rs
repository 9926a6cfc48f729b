//! Hosts as plugins declare them and operators grant them.

use std::fmt;
use std::str::FromStr;

use millstream_engine::{Error, Result};
use url::Url;

use crate::failure::clip;

/// What a plugin declares whose hosts the operator names.
pub(crate) const ANY: &str = "*";

/// Hosts that one plugin may declare, and be granted.
pub(crate) const MAX_SITES: usize = 16;

/// A domain name has 253 bytes at most, and a port 6 with its colon.
const MAX_TEXT: usize = 260;

/// A name or an address, and a port where it is not that of the scheme. Names are in lower case, in ASCII (punycode), and
/// without a dot at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    host: String,
    port: Option<u16>,
}

impl Site {
    /// Whether a request to `url` goes there.
    pub(crate) fn covers(&self, url: &Url) -> bool {
        // `Url::port` is none where it is the scheme's own.
        let same_port = self.port.map_or(url.port().is_none(), |port| url.port_or_known_default() == Some(port));
        same_port && host_of(url).is_some_and(|host| host == self.host)
    }
}

impl FromStr for Site {
    type Err = String;

    fn from_str(text: &str) -> Result<Site, String> {
        let refuse = |why: &str| {
            let text = clip(text);
            Err(format!(
                "{text:?} is no host: {why}; write a name or an address, such as api.example.com or api.example.com:8443"
            ))
        };
        if text.len() > MAX_TEXT {
            return refuse("it is too long");
        }
        if text.contains('*') {
            return refuse("hosts are named one by one");
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control() || "/\\?#@%".contains(c)) {
            return refuse("it has a character that no host has");
        }
        let read = |scheme: &str| Url::parse(&format!("{scheme}://{text}/"));
        let (plain, secure) = match (read("http"), read("https")) {
            (Ok(plain), Ok(secure)) => (plain, secure),
            (Err(why), _) | (_, Err(why)) => return refuse(&why.to_string()),
        };
        let Some(host) = host_of(&plain) else { return refuse("it is empty") };
        Ok(Site { host: host.to_owned(), port: plain.port().or(secure.port()) })
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

/// The host of a URL as [`Site`]s have it.
pub(crate) fn host_of(url: &Url) -> Option<&str> {
    let host = url.host_str()?;
    let host = host.strip_suffix('.').unwrap_or(host);
    (!host.is_empty()).then_some(host)
}

/// Refuses grants that are no hosts, and those that nobody asked for.
pub(crate) fn check_asked_sites(declared: &[String], granted: &[String]) -> Result<()> {
    let sites = read(granted)?;
    let is_asked = |site: &&String| declared.iter().any(|host| host == ANY || host == *site);
    match sites.iter().find(|site| !is_asked(site)) {
        None => Ok(()),
        Some(site) => {
            let message = format!("requests to {site:?} are granted, and the module asks for none to it");
            Err(Error::InvalidInput(message))
        }
    }
}

/// Refuses what [`check_asked_sites`] does, and a plugin that declares what is not granted.
pub(crate) fn check_site_grants(declared: &[String], granted: &[String]) -> Result<()> {
    check_asked_sites(declared, granted)?;
    let sites = read(granted)?;
    if let Some(host) = declared.iter().find(|host| *host != ANY && !sites.contains(host)) {
        return Err(Error::PermissionDenied(format!(
            "the module sends requests to {host:?}, which is not granted; WITH (http = '{host}') grants it"
        )));
    }
    if sites.is_empty() && !declared.is_empty() {
        let message = "the module sends requests to hosts that the operator names, and none is; WITH (http = 'HOST') grants \
                       one";
        return Err(Error::PermissionDenied(message.to_owned()));
    }
    Ok(())
}

fn read(granted: &[String]) -> Result<Vec<String>> {
    if granted.len() > MAX_SITES {
        let message = format!("{} hosts are granted, more than {MAX_SITES}", granted.len());
        return Err(Error::InvalidInput(message));
    }
    let sites = granted.iter().map(|text| text.parse::<Site>().map(|site| site.to_string()));
    sites.collect::<Result<_, _>>().map_err(Error::InvalidInput)
}

/// What is both declared and granted.
pub(crate) fn allowed_sites(declared: &[String], granted: &[String]) -> Vec<Site> {
    let sites = granted.iter().filter_map(|text| text.parse::<Site>().ok());
    sites.filter(|site| declared.iter().any(|host| host == ANY || *host == site.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_host_is_the_same_however_it_is_written() {
        for (written, read) in [
            ("api.example.com", "api.example.com"),
            ("API.Example.COM.", "api.example.com"),
            ("api.example.com:8443", "api.example.com:8443"),
            ("api.example.com:80", "api.example.com:80"),
            ("api.example.com:443", "api.example.com:443"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("127.1", "127.0.0.1"),
            ("0x7f.0.0.1:9000", "127.0.0.1:9000"),
            ("2130706433", "127.0.0.1"),
            ("[::1]:80", "[::1]:80"),
            ("[0:0::1]", "[::1]"),
        ] {
            let site: Site = written.parse().unwrap_or_else(|why| panic!("{written}: {why}"));
            assert_eq!(site.to_string(), read, "{written}");
            assert_eq!(read.parse(), Ok(site), "{written}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            ".",
            ":80",
            "a b",
            "http://a",
            "a/b",
            "a@b",
            "user:pw@a",
            "a?b",
            "a#b",
            "*",
            "*.example.com",
            "a:99999",
            "a:b",
            "[::1",
            "a\r\nb",
            "%61",
            "1.2.3.256",
        ] {
            assert!(text.parse::<Site>().is_err(), "{text:?} is taken");
        }
        assert!("a".repeat(300).parse::<Site>().is_err());
    }

    #[test]
    fn a_request_goes_where_its_host_and_port_say() {
        for (site, url, covered) in [
            ("a.example", "https://a.example/x", true),
            ("a.example", "http://A.EXAMPLE./x", true),
            ("a.example", "http://a.example:80/", true),
            ("a.example", "http://a.example:443/", false),
            ("a.example", "https://a.example:8443/", false),
            ("a.example:8443", "https://a.example:8443/", true),
            ("a.example:8443", "https://a.example/", false),
            ("a.example:443", "https://a.example/", true),
            ("a.example", "https://b.a.example/", false),
            ("a.example", "https://a.example.b/", false),
            ("127.0.0.1:9", "http://0x7f000001:9/", true),
        ] {
            let parsed: Site = site.parse().expect("a host");
            let url = Url::parse(url).expect("a url");
            assert_eq!(parsed.covers(&url), covered, "{site} {url}");
        }
    }

    #[test]
    fn grants_must_be_asked_for_and_whole() {
        let check = |declared: &[&str], granted: &[&str]| {
            check_site_grants(&texts(declared), &texts(granted)).map_err(|error| error.to_string())
        };
        assert_eq!(check(&[], &[]), Ok(()));
        assert_eq!(check(&["a.example", "b.example:81"], &["B.example:81", "a.example"]), Ok(()));
        assert_eq!(check(&["*"], &["b.example"]), Ok(()));
        assert_eq!(check(&["*", "a.example"], &["a.example"]), Ok(()));
        for (declared, granted, reason) in [
            (
                &["a.example", "b.example"][..],
                &["a.example"][..],
                "\"b.example\", which is not granted; WITH (http = 'b.example')",
            ),
            (&["a.example"], &["a.example:81"], "requests to \"a.example:81\" are granted"),
            (&["a.example"], &[], "\"a.example\", which is not granted"),
            (&["*"], &[], "hosts that the operator names"),
            (&["a.example"], &["a.example", "b.example"], "requests to \"b.example\" are granted"),
            (&[], &["b.example"], "requests to \"b.example\" are granted"),
            (&["*"], &["*"], "\"*\" is no host"),
            (&["*"], &["a/b"], "\"a/b\" is no host"),
            (&["*"], &["a.example"; 17], "17 hosts"),
        ] {
            let error = check(declared, granted).expect_err(reason);
            assert!(error.contains(reason), "{error} lacks {reason:?}");
        }
        assert_eq!(allowed_sites(&texts(&["a.example"]), &texts(&["b.example"])), []);
        assert_eq!(allowed_sites(&texts(&["*"]), &texts(&["b.example"])).len(), 1);
    }
}
