//! Who sends a request over remoting: its signature, as Apache's clients make it (ACL 1.0), or a token.
//!
//! Signed are the texts of all fields but the signature itself, in the order of their names, and the body behind them. Each request is
//! signed, so that one that was changed on its way is refused, and what another connection was let do counts for nothing here.

use base64::prelude::BASE64_STANDARD;
use base64::{DecodeSliceError, Engine as _};
use millstream_engine::{CallerAddress, Principal};

use super::answer::Refusal;
use super::credentials::Shown;
use super::wire::codes;
use super::wire::command::Command;
use crate::authenticator::Authenticator;

const ACCESS_KEY: &str = "AccessKey";
const SIGNATURE: &str = "Signature";
const SECURITY_TOKEN: &str = "SecurityToken";
/// Java's clients up to this release (4.9.3) put it among the fields after they have signed them.
const UNSIGNED: &str = "_UNIQUE_KEY_QUERY";
const LAST_UNSIGNED_VERSION: i32 = 399;
/// Longer than any signature.
const MOST_SIGNATURE_BYTES: usize = 64;

/// Whom a request is carried out for. While nobody has to log in, what clients show is not looked at; those in C++ sign with an empty
/// key even if they were given none.
pub(super) fn sender(
    authenticator: &Authenticator,
    command: &Command,
    from: CallerAddress,
) -> Result<Principal, Refusal> {
    if !authenticator.engine.has_users() {
        return Ok(Principal::anonymous().at(from));
    }
    let text = |name: &str| command.fields.get(name).filter(|text| !text.is_empty());
    let (key, token) = (text(ACCESS_KEY), text(SECURITY_TOKEN));
    if let Some(token) = Shown::own_token(key, token) {
        let shown = Shown { key: token, token: None, signed: &[], signature: &[] };
        return Ok(authenticator.check(Some(shown.credentials()), from)?);
    }
    let key = key.ok_or_else(|| missing(ACCESS_KEY))?;
    let signature = text(SIGNATURE).ok_or_else(|| missing(SIGNATURE))?;
    let mut bytes = [0; MOST_SIGNATURE_BYTES];
    let signature = match BASE64_STANDARD.decode_slice(signature, &mut bytes) {
        Ok(length) => bytes.get(..length).unwrap_or_default(),
        // As wrong as any other that is none.
        Err(DecodeSliceError::OutputSliceTooSmall) => &[],
        Err(DecodeSliceError::DecodeError(error)) => {
            return Err(Refusal::new(codes::NO_PERMISSION, format!("the field {SIGNATURE} is no base 64: {error}")));
        }
    };
    let signed = content(command);
    let shown = Shown { key, token, signed: &signed, signature };
    Ok(authenticator.check(Some(shown.credentials()), from)?)
}

fn missing(field: &str) -> Refusal {
    Refusal::new(
        codes::NO_PERMISSION,
        format!(
            "the request has no field {field}, and this server wants to know who sends it: give the client an access key and its \
             secret (AclClientRPCHook, CREATE ACCESS KEY), or a token as the access key"
        ),
    )
}

/// What is signed of a request, in pieces.
fn content(command: &Command) -> Vec<&[u8]> {
    let is_signed = |name: &str| name != SIGNATURE && (name != UNSIGNED || command.version > LAST_UNSIGNED_VERSION);
    let fields = command.fields.iter();
    let mut content = Vec::with_capacity(fields.len().saturating_add(1));
    content.extend(fields.filter(|(name, _)| is_signed(name)).map(|(_, text)| text.as_bytes()));
    content.push(&command.body);
    content
}

/// An access key and its secret, with which requests of ours to other clusters are signed.
#[derive(Clone)]
pub(crate) struct AccessKey {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl AccessKey {
    /// The fields with the key and the signature among them, of a request without a body.
    pub(super) fn sign(&self, fields: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
        let mut signed = fields.to_vec();
        signed.push((ACCESS_KEY, self.id.clone()));
        let mut by_name: Vec<(&str, &str)> = signed.iter().map(|(name, value)| (*name, value.as_str())).collect();
        by_name.sort_unstable();
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.secret.as_bytes());
        let mut content = ring::hmac::Context::with_key(&key);
        by_name.iter().for_each(|(_, value)| content.update(value.as_bytes()));
        signed.push((SIGNATURE, BASE64_STANDARD.encode(content.sign())));
        signed
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::fuzz::fuzz;
    use crate::rocketmq::wire::command::{Header, HeaderForm};

    fn command(fields: &[(&'static str, &str)], body: &[u8]) -> Command {
        let fields = fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let header = Header { code: 310, fields, ..Header::default() };
        Command::read(&header.write(HeaderForm::Json, body).unwrap().slice(4..)).unwrap()
    }

    #[test]
    fn what_is_signed_are_the_fields_by_name_and_the_body() {
        let fields = [("b", "t"), ("a", "p"), ("AccessKey", "k"), ("Signature", "x"), ("_UNIQUE_KEY_QUERY", "true")];
        let mut of = command(&fields, b"body");
        of.version = 409;
        assert_eq!(content(&of).concat(), b"ktrueptbody", "capitals, then the underscore, then small letters");
        of.version = 399;
        assert_eq!(content(&of).concat(), b"kptbody");
        of.version = 0;
        assert_eq!(content(&of).concat(), b"kptbody", "clients that do not say");
    }

    /// As `AclUtils.calSignature` of Apache's 4.9.8 gives it.
    #[test]
    fn signatures_are_those_of_apaches_clients() {
        let key = AccessKey { id: "rocketmqak".to_owned(), secret: "rocketmqsk".to_owned() };
        let signed = key.sign(&[("topic", "t".to_owned())]);
        assert_eq!(signed[1], ("AccessKey", "rocketmqak".to_owned()));
        assert_eq!(signed[2], ("Signature", "uavlTsQfESkY7qeSvXt/bpuaMCc=".to_owned()));
    }

    #[test]
    fn mutated_signatures_are_read_or_refused() {
        let dir = tempfile::tempdir().unwrap();
        let engine = millstream_engine::Engine::open(dir.path()).unwrap();
        engine.init_administrator("a password").unwrap();
        let who = engine.authenticate(
            Some(millstream_engine::Credentials::Password { user: "admin", password: "a password" }),
            None,
        );
        engine.create_access_key(&who.unwrap(), "admin", Some(("ak", "sk"))).unwrap();
        let fields = AccessKey { id: "ak".to_owned(), secret: "sk".to_owned() }.sign(&[("topic", "t".to_owned())]);
        let header = Header { code: 105, fields, ..Header::default() };
        let whole = header.write(HeaderForm::Json, b"").unwrap().slice(4..);
        let authenticator = Authenticator { engine, oidc: None };
        // Each from an address of its own: nobody has to wait for another.
        let address = std::cell::Cell::new(0_u32);
        fuzz(&whole, &["AccessKey", "Signature", "mst_", "=", "\u{0}", "é"], |bytes| {
            let Ok(command) = Command::read(&Bytes::copy_from_slice(bytes)) else { return false };
            address.set(address.get() + 1);
            sender(&authenticator, &command, Some(std::net::Ipv4Addr::from(address.get()).into()).into()).is_ok()
        });
    }
}
