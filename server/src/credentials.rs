//! What a request shows of who sends it, as the header `authorization` has it. No message says what was shown.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Flight's clients in Go leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a caller shows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    Nothing,
    Password { user: String, password: String },
    Token(String),
}

/// Without the secrets.
impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shown::Nothing => f.write_str("nothing"),
            Shown::Password { user, .. } => write!(f, "a password of {user:?}"),
            Shown::Token(_) => f.write_str("a token"),
        }
    }
}

/// Reads the values of the header, of which there is one at most. The error says what to send instead.
pub(crate) fn read<'a>(headers: impl IntoIterator<Item = &'a [u8]>) -> Result<Shown, String> {
    let mut headers = headers.into_iter();
    let Some(header) = headers.next() else { return Ok(Shown::Nothing) };
    if headers.next().is_some() {
        return Err("the header authorization stands there twice".to_owned());
    }
    let text = std::str::from_utf8(header).map_err(|_| "the header authorization is not text".to_owned())?.trim();
    if text.is_empty() {
        return Ok(Shown::Nothing);
    }
    let (scheme, value) = text.split_once(' ').unwrap_or((text, ""));
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" if !value.trim().is_empty() => Ok(Shown::Token(value.trim().to_owned())),
        "basic" => basic(value.trim()),
        _ => {
            Err("the header authorization is neither Basic nor Bearer with a token: send one of these, or none"
                .to_owned())
        }
    }
}

fn basic(encoded: &str) -> Result<Shown, String> {
    let malformed = || "the header authorization is malformed: behind Basic stands name:password in base64".to_owned();
    let decoded = BASE64.decode(encoded).map_err(|_| malformed())?;
    let text = String::from_utf8(decoded).map_err(|_| malformed())?;
    let (user, password) = text.split_once(':').ok_or_else(malformed)?;
    Ok(Shown::Password { user: user.to_owned(), password: password.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::fuzz;

    fn header(value: impl AsRef<[u8]>) -> Result<Shown, String> {
        read([value.as_ref()])
    }

    fn basic(text: &str) -> Result<Shown, String> {
        header(format!("Basic {}", BASE64.encode(text)))
    }

    fn password(user: &str, password: &str) -> Result<Shown, String> {
        Ok(Shown::Password { user: user.to_owned(), password: password.to_owned() })
    }

    #[test]
    fn names_with_passwords_and_tokens_are_read() {
        assert_eq!(read([]), Ok(Shown::Nothing));
        assert_eq!(header(" "), Ok(Shown::Nothing));
        assert_eq!(basic("ann:"), password("ann", ""));
        assert_eq!(basic("ann:a:b\u{fc}"), password("ann", "a:b\u{fc}"));
        for padded in ["Basic YW5uOmE=", "Basic YW5uOmE"] {
            assert_eq!(header(padded), password("ann", "a"));
        }
        assert_eq!(header("bearer t1"), Ok(Shown::Token("t1".to_owned())));
        assert_eq!(header("BEARER  t1 "), Ok(Shown::Token("t1".to_owned())));
        assert!(read([&b"Bearer a"[..], b"Bearer b"]).unwrap_err().contains("twice"));
    }

    #[test]
    fn what_is_neither_is_refused_without_being_repeated() {
        for value in
            ["Basic c2VjcmV0", "Basic secret?", "secret", "Bearer", "Digest secret", "mst_secret", "Basic /w=="]
        {
            let refused = header(value).unwrap_err();
            assert!(!refused.contains("secret") && !refused.contains("c2Vj"), "{value}: {refused}");
        }
        assert!(header(b"\xff").is_err());
        for shown in [basic("ann:secret"), header("Bearer secret")] {
            assert!(!format!("{shown:?}").contains("secret"), "{shown:?}");
        }
    }

    #[test]
    fn mutated_headers_show_somebody_or_are_refused() {
        const PIECES: &[&str] =
            &["Basic ", "Bearer ", "=", "==", ":", "Og==", " ", "\u{e9}", "\u{0}", "\t", "/w==", "\n"];
        for sample in [format!("Basic {}", BASE64.encode("ann:some secret")), "Bearer mst_abcdefgh".to_owned()] {
            fuzz(sample.as_bytes(), PIECES, |bytes| header(bytes).is_ok());
        }
    }
}
