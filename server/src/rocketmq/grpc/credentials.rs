//! Who makes a call: what its metadata shows.
//!
//! Clients sign the time and nothing else (`MQv2-HMAC-SHA1`), so that whoever has seen a call can repeat its signature, in another call too, as
//! long as that time counts. TLS keeps it from being seen.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::NaiveDateTime;
use millstream_engine::{CallerAddress, Credentials, Principal};
use tonic::metadata::MetadataMap;

use super::proto::Code;
use super::status::{Done, Failed};
use crate::door::Door;
use crate::hex;
use crate::rocketmq::credentials::{SKEW_US, Shown};
use crate::work::Waits;

const AUTHORIZATION: &str = "authorization";
const DATE_TIME: &str = "x-mq-date-time";
const SESSION_TOKEN: &str = "x-mq-session-token";
const SIGNED: &str = "MQv2-HMAC-SHA1";
/// Java's, Go's and Python's clients write the time of their own zone, and say that it is UTC: from 12 hours behind to 14 ahead.
const ZONES_US: (i64, i64) = (-12 * HOUR_US, 14 * HOUR_US);
const HOUR_US: i64 = 3_600 * 1_000_000;
/// Of an HMAC-SHA1.
const SIGNATURE_BYTES: usize = 20;

/// What stands in the header.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Authorization {
    Signed { key: String, signature: [u8; SIGNATURE_BYTES] },
    Password { user: String, password: String },
    Token(String),
}

/// Whom a call is carried out for. While nobody has to log in, what clients show is not looked at.
pub(super) async fn caller(door: &Door, metadata: &MetadataMap, from: CallerAddress) -> Done<Principal> {
    let engine = &door.engine;
    if !engine.has_users() {
        return Ok(Principal::anonymous().at(from));
    }
    let shown = text(metadata, AUTHORIZATION)?.map(str::trim).filter(|shown| !shown.is_empty());
    let session_token = text(metadata, SESSION_TOKEN)?;
    let missing = || {
        unauthorized(format!(
            "the call has no {AUTHORIZATION} in its metadata, and this server wants to know who makes it: give the client an access \
             key and its secret (CREATE ACCESS KEY), or a token as the access key"
        ))
    };
    let shown = match (shown, Shown::own_token(None, session_token)) {
        (Some(shown), _) => read(shown)?,
        (None, Some(token)) => Authorization::Token(token.to_owned()),
        (None, None) => return Err(missing()),
    };
    match shown {
        Authorization::Signed { key, signature } => {
            let time = text(metadata, DATE_TIME)?.unwrap_or_default();
            let shown = Shown { key: &key, token: session_token, signed: &[time.as_bytes()], signature: &signature };
            if Shown::own_token(Some(&key), session_token).is_none() {
                check_time(time, engine.now_us())?;
            }
            Ok(door.authenticator.check(Some(shown.credentials()), from)?)
        }
        Authorization::Token(token) => Ok(door.authenticator.check_token(&token, from).await?),
        Authorization::Password { user, password } => {
            let engine = engine.clone();
            let check =
                move || engine.authenticate(Some(Credentials::Password { user: &user, password: &password }), from);
            Ok(door.work.run(Waits::Computes, check).await??)
        }
    }
}

pub(super) fn text<'a>(metadata: &'a MetadataMap, name: &str) -> Done<Option<&'a str>> {
    let read = metadata.get(name).map(|value| value.to_str());
    read.transpose().map_err(|_| Failed::new(Code::BadRequest, format!("{name} is not ASCII text")))
}

fn unauthorized(message: String) -> Failed {
    Failed::new(Code::Unauthorized, message)
}

fn read(header: &str) -> Done<Authorization> {
    let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
    let rest = rest.trim();
    if scheme == SIGNED {
        return signed(rest);
    }
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Ok(Authorization::Token(rest.to_owned())),
        "basic" => {
            let wrong = || unauthorized(format!("the {AUTHORIZATION} of the call is no user and password in base 64"));
            let decoded = BASE64_STANDARD.decode(rest).map_err(|_| wrong())?;
            let decoded = String::from_utf8(decoded).map_err(|_| wrong())?;
            let (user, password) = decoded.split_once(':').ok_or_else(wrong)?;
            Ok(Authorization::Password { user: user.to_owned(), password: password.to_owned() })
        }
        _ => Err(unauthorized(format!("the {AUTHORIZATION} of the call is none of {SIGNED}, Bearer and Basic"))),
    }
}

/// `Credential=key/…, SignedHeaders=x-mq-date-time, Signature=…`. Some clients name a region and a service behind the key.
fn signed(text: &str) -> Done<Authorization> {
    let wrong = |why: &str| unauthorized(format!("the {AUTHORIZATION} of the call {why}"));
    let (mut key, mut signature) = (None, None);
    for pair in text.split(',') {
        let (name, value) = pair.trim().split_once('=').ok_or_else(|| wrong("is not made of names and values"))?;
        match name {
            "Credential" => key = value.split('/').next().filter(|key| !key.is_empty()),
            "Signature" => signature = hex::read::<SIGNATURE_BYTES>(value),
            "SignedHeaders" if !value.eq_ignore_ascii_case(DATE_TIME) => {
                return Err(wrong("signs other headers than x-mq-date-time"));
            }
            _ => {}
        }
    }
    let key = key.ok_or_else(|| wrong("names no access key (Credential)"))?.to_owned();
    let signature = signature.ok_or_else(|| wrong("has no signature of 40 digits"))?;
    Ok(Authorization::Signed { key, signature })
}

/// Checks that the time was signed lately, whatever the client's zone.
fn check_time(time: &str, now_us: i64) -> Done<()> {
    let read = NaiveDateTime::parse_from_str(time, "%Y%m%dT%H%M%SZ");
    let read =
        read.map_err(|_| unauthorized(format!("{DATE_TIME} is {time:.40?}, and no time like 20261201T093000Z")))?;
    let ahead = read.and_utc().timestamp_micros().saturating_sub(now_us);
    if ahead < ZONES_US.0 - SKEW_US || ahead > ZONES_US.1 + SKEW_US {
        return Err(unauthorized(format!(
            "{DATE_TIME} is {time:.40?}: it was signed too long ago, or a clock is wrong"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::fuzz;

    const SHOWN: &str = "MQv2-HMAC-SHA1 Credential=ak/cn/rmq, SignedHeaders=x-mq-date-time, Signature=00ff00ff00ff00ff00ff00ff00ff00ff00ff00FF";

    #[test]
    fn headers_of_all_clients_are_read() {
        let signature = std::array::from_fn(|at| if at % 2 == 0 { 0 } else { 0xff });
        assert_eq!(read(SHOWN), Ok(Authorization::Signed { key: "ak".to_owned(), signature }));
        assert_eq!(read("bearer mst_x"), Ok(Authorization::Token("mst_x".to_owned())));
        let password = Authorization::Password { user: "ann".to_owned(), password: "a:b".to_owned() };
        assert_eq!(read("Basic YW5uOmE6Yg=="), Ok(password));
        for wrong in [
            "MQv2-HMAC-SHA1",
            "MQv2-HMAC-SHA1 Credential=ak",
            "MQv2-HMAC-SHA1 Credential=, Signature=00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff",
            "MQv2-HMAC-SHA1 Credential=ak, SignedHeaders=host, Signature=00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff",
            "MQv2-HMAC-SHA1 Credential=ak, Signature=00",
            "Basic !",
            "Basic YW5u",
            "Digest x",
        ] {
            assert_eq!(read(wrong).unwrap_err().code, Code::Unauthorized, "{wrong}");
        }
    }

    #[test]
    fn times_count_for_a_while_in_every_zone() {
        let noon = 1_796_126_400_000_000; // 20261201T120000Z
        let check = |time: &str| check_time(time, noon).is_ok();
        assert!(check("20261201T120000Z") && check("20261201T114600Z") && check("20261202T021400Z"));
        assert!(!check("20261202T021600Z") && !check("20261130T234400Z") && check("20261130T234600Z"));
        for wrong in ["", "now", "2026-12-01T12:00:00Z", "20261301T120000Z", "20261201T120000"] {
            assert!(!check(wrong), "{wrong}");
        }
    }

    #[test]
    fn mutated_headers_are_read_or_refused() {
        fuzz(SHOWN.as_bytes(), &["Credential=", "Signature=", "/", ",", "é", "\u{0}"], |bytes| {
            std::str::from_utf8(bytes).is_ok_and(|header| read(header).is_ok())
        });
        fuzz(b"20261201T120000Z", &["T", "Z", "9", "-", "é"], |bytes| {
            std::str::from_utf8(bytes).is_ok_and(|time| check_time(time, 1_796_126_400_000_000).is_ok())
        });
        fuzz(b"Bearer mst_abcdefghijkmnpqrstuvwxyz23456789abcdefgh", &["=", " ", "Basic", "é"], |bytes| {
            std::str::from_utf8(bytes).is_ok_and(|header| read(header).is_ok())
        });
        fuzz(b"ann:a password of hers", &[":", "\u{0}", "é"], |bytes| {
            read(&format!("Basic {}", BASE64_STANDARD.encode(bytes))).is_ok()
        });
    }
}
