//! What clients show for who they are, over whichever of the three ways: an access key and a signature by its secret, or a token.

use millstream_engine::{Credentials, SignatureAlgorithm, is_token};

use crate::oidc::is_jwt;

/// How far a client's clock may be from the server's, where it signs the time.
pub(super) const SKEW_US: i64 = 15 * 60 * 1_000_000;

/// An access key, what was signed with its secret, and a token that may stand beside it.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) key: &'a str,
    pub(super) token: Option<&'a str>,
    /// In pieces, one behind the other.
    pub(super) signed: &'a [&'a [u8]],
    pub(super) signature: &'a [u8],
}

impl<'a> Shown<'a> {
    /// A token of ours, or of a provider, among what is shown, which says all: TDMQ's clients have that of a role in the place of the key, others give it as the
    /// token of a session. What they sign with it is no secret, and counts for nothing.
    pub(super) fn own_token(key: Option<&'a str>, token: Option<&'a str>) -> Option<&'a str> {
        [key, token].into_iter().flatten().find(|text| is_token(text) || is_jwt(text))
    }

    /// As the engine checks it.
    pub(super) fn credentials(self) -> Credentials<'a> {
        let Shown { key, token, signed, signature } = self;
        match Shown::own_token(Some(key), token) {
            Some(token) => Credentials::Token(token),
            None => Credentials::Signature { key, algorithm: SignatureAlgorithm::HmacSha1, signed, signature },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stands_for_the_key_or_beside_it() {
        let shown = |key, token| Shown { key, token, signed: &[], signature: b"" }.credentials();
        assert!(matches!(shown("mst_a", None), Credentials::Token("mst_a")));
        assert!(matches!(shown("key", Some("mst_b")), Credentials::Token("mst_b")));
        assert!(matches!(shown("key", Some("of another cloud")), Credentials::Signature { key: "key", .. }));
        assert!(matches!(shown("key", None), Credentials::Signature { .. }));
    }
}
