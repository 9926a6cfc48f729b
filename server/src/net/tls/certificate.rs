//! What stands in a certificate.

use ring::digest::{SHA256, digest};
use x509_cert::Certificate;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::{DirectoryString, GeneralName};

use crate::hex;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// Longer names are nobody's.
const LONGEST_NAME: usize = 255;

/// The names in a certificate that was verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::net) struct CertificateNames {
    /// The subject's common name, if it has one and no more.
    pub(in crate::net) common: Option<String>,
    /// Its alternative names that are text: hosts, mail addresses and URIs.
    pub(in crate::net) alternatives: Vec<String>,
}

impl CertificateNames {
    /// A certificate that can't be read has no names.
    pub(super) fn read(der: &[u8]) -> CertificateNames {
        let Ok(certificate) = Certificate::from_der(der) else { return CertificateNames::default() };
        let subject = certificate.tbs_certificate.subject.0.iter().flat_map(|part| part.0.iter());
        let mut common = subject.filter(|attribute| attribute.oid == COMMON_NAME);
        let common = match (common.next(), common.next()) {
            (Some(attribute), None) => attribute.value.to_der().ok().and_then(|value| directory_string(&value)),
            _ => None,
        };
        let alternatives = match certificate.tbs_certificate.get::<SubjectAltName>() {
            Ok(Some((_, SubjectAltName(names)))) => names.iter().filter_map(alternative).collect(),
            _ => Vec::new(),
        };
        CertificateNames { common, alternatives }
    }
}

fn directory_string(der: &[u8]) -> Option<String> {
    match DirectoryString::from_der(der).ok()? {
        DirectoryString::PrintableString(text) => printable(text.as_ref()),
        DirectoryString::Utf8String(text) => printable(&text),
        // Nobody agrees on what its letters are.
        DirectoryString::TeletexString(_) => None,
    }
}

fn alternative(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::Rfc822Name(text) | GeneralName::DnsName(text) | GeneralName::UniformResourceIdentifier(text) => {
            printable(text.as_ref())
        }
        _ => None,
    }
}

/// A name that can be shown and compared.
fn printable(text: &str) -> Option<String> {
    let is_name = (1..=LONGEST_NAME).contains(&text.len()) && !text.chars().any(char::is_control);
    is_name.then(|| text.to_owned())
}

/// The last second in which it holds, since 1970; none if it can't be read.
pub(super) fn holds_until(der: &[u8]) -> Option<u64> {
    let certificate = Certificate::from_der(der).ok()?;
    Some(certificate.tbs_certificate.validity.not_after.to_unix_duration().as_secs())
}

/// How people compare certificates: `SHA256:` and the digest's hexadecimal digits.
pub(super) fn fingerprint(der: &[u8]) -> String {
    format!("SHA256:{}", hex::write(digest(&SHA256, der).as_ref()))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn names(make: impl FnOnce(&mut CertificateParams)) -> CertificateNames {
        let mut params = CertificateParams::default();
        make(&mut params);
        CertificateNames::read(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der())
    }

    fn common(name: &str) -> Option<String> {
        names(|params| params.distinguished_name.push(DnType::CommonName, name)).common
    }

    #[test]
    fn names_are_read() {
        assert_eq!(common("reports").as_deref(), Some("reports"));
        assert_eq!(common("Zoë").as_deref(), Some("Zoë"));
        assert_eq!(common("a\nb"), None);
        assert_eq!(common(""), None);
        assert_eq!(common(&"x".repeat(256)), None);
        let found = names(|params| {
            params.distinguished_name.remove(DnType::CommonName);
            params.distinguished_name.push(DnType::OrganizationName, "o");
            params.subject_alt_names = vec![
                SanType::DnsName("reports.example".try_into().unwrap()),
                SanType::IpAddress([127, 0, 0, 1].into()),
                SanType::URI("spiffe://example/reports".try_into().unwrap()),
                SanType::Rfc822Name("reports@example".try_into().unwrap()),
            ];
        });
        assert_eq!(found.common, None);
        assert_eq!(found.alternatives, ["reports.example", "spiffe://example/reports", "reports@example"]);
    }

    #[test]
    fn what_is_no_certificate_has_no_names() {
        let der = CertificateParams::default().self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
        assert!(holds_until(&der).is_some());
        for len in 0..der.len() {
            assert_eq!(CertificateNames::read(&der[..len]), CertificateNames::default());
            assert_eq!(holds_until(&der[..len]), None);
        }
    }
}
