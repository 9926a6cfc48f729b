//! What a request says of who sends it. There is no authentication: a name is taken at its word, and a password, which nobody
//! can check, is refused, lest whoever sends one believes that it protects him.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What may stand in a header `authorization`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// Nothing, or a user's name without a password.
    Anyone,
    /// What a door has given out itself.
    Token(String),
}

/// Reads the header; the error says what to send instead.
pub(crate) fn read(header: Option<&[u8]>) -> Result<Credentials, String> {
    let Some(header) = header else { return Ok(Credentials::Anyone) };
    let text = std::str::from_utf8(header).map_err(|_| "the header authorization is not text".to_owned())?;
    let (scheme, value) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    match scheme.to_ascii_lowercase().as_str() {
        "" => Ok(Credentials::Anyone),
        "bearer" => Ok(Credentials::Token(value.trim().to_owned())),
        "basic" => basic(value.trim()),
        scheme => Err(format!("credentials of the kind {scheme:?} can't be checked; send none")),
    }
}

/// A password that a user has given: refused unless it is empty.
pub(crate) fn check_password(password: &str) -> Result<(), String> {
    match password.is_empty() {
        true => Ok(()),
        false => {
            Err("this server has no passwords to check, and anybody who reaches it may do everything: connect with an \
                      empty password, or without a user"
                .to_owned())
        }
    }
}

fn basic(encoded: &str) -> Result<Credentials, String> {
    let decoded =
        STANDARD.decode(encoded).map_err(|error| format!("the header authorization is malformed: {error}"))?;
    let text = String::from_utf8_lossy(&decoded);
    let (_, password) = text.split_once(':').ok_or("the header authorization holds no name:password")?;
    check_password(password)?;
    Ok(Credentials::Anyone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_checked_is_refused() {
        let basic = |text: &str| read(Some(format!("Basic {}", STANDARD.encode(text)).as_bytes()));
        assert_eq!(read(None), Ok(Credentials::Anyone));
        assert_eq!(basic("somebody:"), Ok(Credentials::Anyone));
        assert_eq!(read(Some(b"bearer t1")), Ok(Credentials::Token("t1".to_owned())));
        assert!(basic("somebody:secret").unwrap_err().contains("empty password"));
        assert!(basic(":secret").is_err());
        for header in [&b"Basic ???"[..], b"Basic c29tZWJvZHk=", b"Digest x", b"\xff", b"secret"] {
            assert!(read(Some(header)).is_err(), "{header:?}");
        }
    }
}
