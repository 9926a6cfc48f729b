//! What a guest's request must be before anything is sent.

use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Method, Request};
use url::Url;

use crate::contract::{Site, WireHttpError, WireRequest, host_of};
use crate::failure::clip;

/// Bytes of a body, of a request and of an answer.
pub(crate) const MAX_BODY_BYTES: usize = 1 << 20;
/// Headers of a request and of an answer, and the bytes of their names and values.
pub(crate) const MAX_HEADERS: usize = 64;
pub(crate) const MAX_HEADER_BYTES: usize = 32 << 10;
const MAX_URL_BYTES: usize = 8 << 10;
const MAX_METHOD_BYTES: usize = 32;

/// They say where a request goes and where it ends, which is the host's to say.
const OWN_HEADERS: [&str; 13] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// They are about the connection, and not about what is at its end.
const OWN_METHODS: [&str; 3] = ["CONNECT", "TRACE", "TRACK"];

/// Checks a request, and makes it what is sent. It goes to one of `sites`.
pub(super) fn check(request: WireRequest, sites: &[Site]) -> Result<Request, WireHttpError> {
    let WireRequest { method, url, headers, body, timeout_ms: _ } = request;
    let url = check_url(&url)?;
    if !sites.iter().any(|site| site.covers(&url)) {
        let host = clip(url.authority());
        return Err(WireHttpError::Denied(format!("{host:?} is none of the hosts that it declares and is granted")));
    }
    let mut checked = Request::new(check_method(&method)?, url);
    let bytes: usize = headers.iter().map(|header| header.name.len() + header.value.len()).sum();
    if headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES || body.len() > MAX_BODY_BYTES {
        return Err(WireHttpError::TooLarge);
    }
    for header in &headers {
        let (name, value) = check_header(&header.name, &header.value)?;
        checked.headers_mut().append(name, value);
    }
    *checked.body_mut() = Some(body.into());
    Ok(checked)
}

fn check_url(text: &str) -> Result<Url, WireHttpError> {
    if text.len() > MAX_URL_BYTES {
        return Err(WireHttpError::TooLarge);
    }
    let refuse = |why: &str| invalid(format!("{:?} is no URL that can be asked: {why}", clip(text)));
    let mut url = Url::parse(text).map_err(|why| refuse(&why.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("it begins with neither https:// nor http://"));
    }
    if !url.username().is_empty() || url.password().is_some() || text.contains('@') && authority(text).contains('@') {
        return Err(invalid("the URL names a user; send an authorization header".to_owned()));
    }
    let host = host_of(&url).map(str::to_owned).ok_or_else(|| refuse("it has no host"))?;
    url.set_host(Some(&host)).map_err(|why| refuse(&why.to_string()))?;
    url.set_fragment(None);
    Ok(url)
}

/// What stands between the scheme and the path, an empty user too.
fn authority(text: &str) -> &str {
    let rest = text.split_once(':').map_or(text, |(_, rest)| rest).trim_start_matches(['/', '\\']);
    rest.split(['/', '\\', '?', '#']).next().unwrap_or_default()
}

fn check_method(text: &str) -> Result<Method, WireHttpError> {
    let refuse = |why: &str| invalid(format!("{:?} is no method {why}", clip(text)));
    if text.len() > MAX_METHOD_BYTES {
        return Err(refuse("of at most 32 bytes"));
    }
    if OWN_METHODS.iter().any(|own| own.eq_ignore_ascii_case(text)) {
        return Err(refuse("that plugins may use"));
    }
    Method::from_bytes(text.as_bytes()).map_err(|_| refuse("of HTTP"))
}

fn check_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), WireHttpError> {
    let refuse = |why: &str| invalid(format!("header {:?} {why}", clip(name)));
    let known = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refuse("has no name of HTTP"))?;
    if OWN_HEADERS.contains(&known.as_str()) {
        return Err(refuse("is the host's own"));
    }
    let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| refuse("has a value with control characters"))?;
    Ok((known, value))
}

fn invalid(why: String) -> WireHttpError {
    WireHttpError::Invalid(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::WireHeader;

    fn request(method: &str, url: &str, headers: &[(&str, &str)]) -> WireRequest {
        let header = |(name, value): &(&str, &str)| WireHeader { name: (*name).to_owned(), value: (*value).to_owned() };
        let headers = headers.iter().map(header).collect();
        WireRequest { method: method.to_owned(), url: url.to_owned(), headers, body: Vec::new(), timeout_ms: 0 }
    }

    fn sites() -> Vec<Site> {
        ["a.example", "xn--bcher-kva.example:8080"].map(|text| text.parse().expect("a host")).to_vec()
    }

    #[test]
    fn a_sound_request_is_sent_as_it_is_meant() {
        let wire =
            request("PATCH", "https://A.Example./x?y=1#z", &[("X-One", "ä\t1"), ("accept", "*/*"), ("x-one", "2")]);
        let checked = check(wire, &sites()).expect("a request");
        assert_eq!(checked.url().as_str(), "https://a.example/x?y=1");
        assert_eq!(checked.method(), Method::PATCH);
        assert_eq!(checked.headers().get_all("x-one").iter().count(), 2);
        check(request("GET", "http://bücher.example:8080/@", &[]), &sites()).expect("an international name");
    }

    #[test]
    fn what_can_not_be_sent_is_invalid() {
        let url = "https://a.example/";
        for (request, reason) in [
            (request("GET", "a.example/x", &[]), "is no URL"),
            (request("GET", "ftp://a.example/", &[]), "neither https:// nor http://"),
            (request("GET", "file:///etc/passwd", &[]), "neither https:// nor http://"),
            (request("GET", "unix:///run/docker.sock", &[]), "neither https:// nor http://"),
            (request("GET", "http+unix://%2Frun%2Fdocker.sock/", &[]), "neither https:// nor http://"),
            (request("GET", "https://", &[]), "is no URL"),
            (request("GET", "https://me:pw@a.example/", &[]), "names a user"),
            (request("GET", "https://me@a.example/", &[]), "names a user"),
            (request("GET", "https://@a.example/", &[]), "names a user"),
            (request("GET", "https:\\\\@a.example/", &[]), "names a user"),
            (request("GET", "https://a.example:99999/", &[]), "is no URL"),
            (request("G T", url, &[]), "is no method"),
            (request("", url, &[]), "is no method"),
            (request("GET / HTTP/1.1\r\nX: y\r\n\r\n", url, &[]), "is no method"),
            (request("CONNECT", url, &[]), "is no method that plugins may use"),
            (request("trace", url, &[]), "is no method that plugins may use"),
            (request(&"A".repeat(33), url, &[]), "is no method of at most"),
            (request("GET", url, &[("x", "1\r\ny: 2")]), "has a value with control characters"),
            (request("GET", url, &[("x", "1\0")]), "has a value with control characters"),
            (request("GET", url, &[("x: y\r\nz", "1")]), "has no name of HTTP"),
            (request("GET", url, &[("", "1")]), "has no name of HTTP"),
            (request("GET", url, &[("HOST", "b.example")]), "is the host's own"),
            (request("GET", url, &[("Content-Length", "5")]), "is the host's own"),
            (request("GET", url, &[("transfer-encoding", "chunked")]), "is the host's own"),
            (request("GET", url, &[("Connection", "upgrade")]), "is the host's own"),
        ] {
            match check(request, &sites()) {
                Err(WireHttpError::Invalid(why)) => assert!(why.contains(reason), "{why} lacks {reason:?}"),
                other => panic!("{reason}: {other:?}"),
            }
        }
    }

    #[test]
    fn other_hosts_are_denied_and_too_much_is_too_large() {
        for url in
            ["https://b.example/", "https://a.example:8443/", "https://a.example.b.example/", "http://127.0.0.1/"]
        {
            assert!(matches!(check(request("GET", url, &[]), &sites()), Err(WireHttpError::Denied(_))), "{url}");
        }
        let url = "https://a.example/";
        let many = vec![("x", "1"); MAX_HEADERS + 1];
        let long = "v".repeat(MAX_HEADER_BYTES);
        let mut fat = request("POST", url, &[]);
        fat.body = vec![0; MAX_BODY_BYTES + 1];
        let far = format!("{url}{}", "x".repeat(MAX_URL_BYTES));
        for request in
            [request("GET", url, &many), request("GET", url, &[("x", &long)]), fat, request("GET", &far, &[])]
        {
            assert_eq!(check(request, &sites()).err(), Some(WireHttpError::TooLarge));
        }
    }
}
