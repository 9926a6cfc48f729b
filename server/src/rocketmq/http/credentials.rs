//! Who makes a request: `Authorization: MQ key:signature`.
//!
//! Signed are the method, `Content-MD5`, `Content-Type`, `Date`, the headers that begin with `x-mq-`, and the path with its query as they were
//! sent. The body is signed by way of `Content-MD5` only, which some clients leave out.

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::DateTime;
use md5::{Digest as _, Md5};
use millstream_engine::{CallerAddress, Error, Principal};

use super::fault::{ACCESS_DENIED, Done, Fault, INVALID_DIGEST, SIGNATURE};
use crate::authenticator::Authenticator;
use crate::hex;
use crate::rocketmq::credentials::{SKEW_US, Shown};

const SCHEME: &str = "MQ ";
const CONTENT_MD5: &str = "content-md5";
const SECURITY_TOKEN: &str = "security-token";
const SIGNED_HEADERS: &str = "x-mq-";

/// Whom a request is carried out for. While nobody has to log in, what clients show is not looked at.
pub(super) fn caller(authenticator: &Authenticator, request: &Parts, from: CallerAddress) -> Done<Principal> {
    let engine = &authenticator.engine;
    if !engine.has_users() {
        return Ok(Principal::anonymous().at(from));
    }
    let denied = |why: &str| Fault::new(ACCESS_DENIED, why);
    let shown = text(&request.headers, header::AUTHORIZATION.as_str());
    let token = Some(text(&request.headers, SECURITY_TOKEN)).filter(|token| !token.is_empty());
    let shown = shown.strip_prefix(SCHEME).and_then(|shown| shown.trim().rsplit_once(':'));
    let (key, signature) = shown.ok_or_else(|| {
        denied(
            "the request has no header Authorization with MQ key:signature, and this server wants to know who makes it: give the \
             client an access key and its secret (CREATE ACCESS KEY)",
        )
    })?;
    if Shown::own_token(Some(key), token).is_some() {
        let shown = Shown { key, token, signed: &[], signature: &[] };
        return Ok(authenticator.check(Some(shown.credentials()), from)?);
    }
    check_date(text(&request.headers, header::DATE.as_str()), engine.now_us())?;
    let wrong = || Fault::new(SIGNATURE, "the signature in the header Authorization is no base 64");
    let signature = BASE64_STANDARD.decode(signature).map_err(|_| wrong())?;
    let signed = content(request);
    let shown = Shown { key, token, signed: &[signed.as_bytes()], signature: &signature };
    authenticator.check(Some(shown.credentials()), from).map_err(|error| match error {
        Error::Unauthenticated(why) => Fault::new(SIGNATURE, why),
        error => error.into(),
    })
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().trim()
}

fn content(request: &Parts) -> String {
    let headers = &request.headers;
    let of = |name: &str| text(headers, name);
    let (md5, kind, date) = (of(CONTENT_MD5), of(header::CONTENT_TYPE.as_str()), of(header::DATE.as_str()));
    let mut content = format!("{}\n{md5}\n{kind}\n{date}\n", request.method);
    let mut names: Vec<&str> = headers.keys().map(|name| name.as_str()).collect();
    names.retain(|name| name.starts_with(SIGNED_HEADERS));
    names.sort_unstable();
    names.iter().for_each(|name| content.extend([*name, ":", of(name), "\n"]));
    content.push_str(request.uri.path_and_query().map_or("/", |sent| sent.as_str()));
    content
}

fn check_date(date: &str, now_us: i64) -> Done<()> {
    let read = DateTime::parse_from_rfc2822(date).ok();
    let read = read.ok_or_else(|| Fault::new(ACCESS_DENIED, format!("the header Date is {date:.40?}, and no time")))?;
    if read.timestamp_micros().abs_diff(now_us) > SKEW_US.unsigned_abs() {
        let why = format!("the header Date is {date:.40?}: it was signed too long ago, or a clock is wrong");
        return Err(Fault::new(ACCESS_DENIED, why));
    }
    Ok(())
}

/// Checks a body against the header `Content-MD5`, where that stands: clients write the digest in base 64, or its digits.
pub(super) fn check_body(headers: &HeaderMap, body: &[u8]) -> Done<()> {
    let said = text(headers, CONTENT_MD5);
    let digest = Md5::digest(body);
    if said.is_empty() || said == BASE64_STANDARD.encode(digest) || said == BASE64_STANDARD.encode(hex::write(&digest))
    {
        return Ok(());
    }
    Err(Fault::new(INVALID_DIGEST, "the body has another digest than the header Content-MD5 says"))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;
    use crate::fuzz::fuzz;

    fn request(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::post("/topics/t/messages?ns=a&consumer=g");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn what_is_signed_is_what_was_sent() {
        let of = request(&[
            ("x-mq-version", "2015-06-06"),
            ("x-mq-a", "1"),
            ("date", "Tue, 01 Dec 2026 12:00:00 GMT"),
            ("content-type", "text/xml;charset=UTF-8"),
        ]);
        let expected = "POST\n\ntext/xml;charset=UTF-8\nTue, 01 Dec 2026 12:00:00 GMT\nx-mq-a:1\nx-mq-version:2015-06-06\n\
                        /topics/t/messages?ns=a&consumer=g";
        assert_eq!(content(&of), expected);
    }

    #[test]
    fn dates_count_for_a_while() {
        let noon = 1_796_126_400_000_000;
        let check = |date| check_date(date, noon).is_ok();
        assert!(check("Tue, 01 Dec 2026 12:00:00 GMT") && check("Tue, 01 Dec 2026 11:46:00 GMT"));
        assert!(!check("Tue, 01 Dec 2026 11:44:00 GMT") && !check("Tue, 01 Dec 2026 12:16:00 GMT"));
        for wrong in ["", "now", "Mon, 01 Dec 2026 12:00:00 GMT", "20261201T120000Z"] {
            assert!(!check(wrong), "{wrong}");
        }
    }

    #[test]
    fn bodies_are_those_that_were_signed() {
        let check = |said, body| check_body(&request(&[("content-md5", said)]).headers, body).is_ok();
        assert!(check("", b"a") && check("DMF1ucDxtqgxw5niaXcmYQ==", b"a"));
        assert!(check("MGNjMTc1YjljMGYxYjZhODMxYzM5OWUyNjk3NzI2NjE=", b"a"), "as Node's client writes it");
        assert!(!check("DMF1ucDxtqgxw5niaXcmYQ==", b"b") && !check("x", b"a"));
    }

    #[test]
    fn mutated_dates_are_read_or_refused() {
        let date = b"Tue, 01 Dec 2026 12:00:00 GMT (with words behind it, which mean nothing and may be any)";
        fuzz(date, &["GMT", "+0000", ":", "99", "é"], |bytes| {
            std::str::from_utf8(bytes).is_ok_and(|date| check_date(date, 1_796_126_400_000_000).is_ok())
        });
    }
}
