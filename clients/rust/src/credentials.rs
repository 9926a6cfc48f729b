//! Who the client says he is, with each call.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use tonic::Status;

/// Why a token could not be had.
pub type TokenError = Box<dyn std::error::Error + Send + Sync>;

/// What a client shows. While a server has no users it takes none.
#[derive(Clone)]
#[non_exhaustive]
pub enum Credentials {
    /// A token of the user will do as the password, too.
    Password { user: String, password: String },
    /// As `CREATE TOKEN` gives it.
    Token(String),
    /// Asked with each call, for tokens that are replaced now and then: calls begin with the one that it gives then. It should not
    /// take long. A consumer or producer whose token has ended goes on if it gives another one.
    Provider(Arc<dyn Fn() -> Result<String, TokenError> + Send + Sync>),
}

impl Credentials {
    pub fn password(user: impl Into<String>, password: impl Into<String>) -> Credentials {
        Credentials::Password { user: user.into(), password: password.into() }
    }

    pub fn token(token: impl Into<String>) -> Credentials {
        Credentials::Token(token.into())
    }

    /// By a closure that gives the token of the moment.
    pub fn provider(token: impl Fn() -> Result<String, TokenError> + Send + Sync + 'static) -> Credentials {
        Credentials::Provider(Arc::new(token))
    }

    /// The value of the header `authorization`.
    pub(crate) fn header(&self) -> Result<HeaderValue, Status> {
        let bearer = |token: &str| format!("Bearer {token}");
        let text = match self {
            Credentials::Password { user, .. } if user.contains(':') => {
                return Err(Status::invalid_argument("a user's name has no colon"));
            }
            Credentials::Password { user, password } => {
                format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
            }
            Credentials::Token(token) => bearer(token),
            Credentials::Provider(token) => {
                bearer(&token().map_err(|error| Status::unauthenticated(format!("there is no token: {error}")))?)
            }
        };
        let unsendable = |_| Status::invalid_argument("the token can't be sent as gRPC metadata");
        let mut header = HeaderValue::from_str(&text).map_err(unsendable)?;
        // Credentials stay out of what is printed for debugging.
        header.set_sensitive(true);
        Ok(header)
    }
}

/// Without the secrets.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credentials::Password { user, .. } => write!(f, "a password of {user:?}"),
            Credentials::Token(_) => f.write_str("a token"),
            Credentials::Provider(_) => f.write_str("a token by a closure"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_those_of_http_and_are_not_shown() {
        let header =
            |credentials: &Credentials| credentials.header().map(|header| header.to_str().map(str::to_owned).unwrap());
        let password = Credentials::password("ann", "a:b");
        assert_eq!(header(&password).unwrap(), "Basic YW5uOmE6Yg==");
        assert_eq!(header(&Credentials::token("t")).unwrap(), "Bearer t");
        assert_eq!(header(&Credentials::provider(|| Ok("u".to_owned()))).unwrap(), "Bearer u");
        assert_eq!(
            header(&Credentials::provider(|| Err("away".into()))).unwrap_err().code(),
            tonic::Code::Unauthenticated
        );
        assert!(header(&Credentials::token("a\nb")).is_err() && header(&Credentials::password("a:b", "c")).is_err());
        let shown = format!("{password:?} {:?}", password.header());
        assert!(!shown.contains("a:b") && !shown.contains("YW5u"), "{shown}");
    }
}
