//! Settings of TLS.

use std::path::PathBuf;

use super::forms::text;
use super::setting::{Access, Setting};
use crate::net::tls::{ClientCertificates, TlsMode, TlsRequired, TlsVersion};

pub(super) const MODE: Setting = text!(
    "tls",
    "MODE",
    |config| name_of(config.tls.mode, TlsMode::NAMES),
    |config, text| {
        config.tls.mode = named(text, TlsMode::NAMES)?;
        Ok(())
    },
    "Where the certificate comes from that every door shows: off, self-signed (made once, in the data directory) or files"
);

pub(super) const CERTIFICATE: Setting = text!(
    "tls_cert",
    "FILE",
    |config| config.tls.certificate.display().to_string(),
    |config, text| {
        config.tls.certificate = text.into();
        Ok(())
    },
    "PEM file of the certificate, with those that it was issued by behind it; it is read anew when it changes"
);

pub(super) const KEY: Setting = text!(
    "tls_key",
    "FILE",
    |config| config.tls.key.display().to_string(),
    |config, text| {
        config.tls.key = text.into();
        Ok(())
    },
    "PEM file of the certificate's key, without a passphrase"
);

pub(super) const CLIENT_CA: Setting = text!(
    "tls_client_ca",
    "FILE",
    |config| config.tls.client_ca.as_ref().map_or_else(String::new, |path| path.display().to_string()),
    |config, text| {
        config.tls.client_ca = Some(text).filter(|text| !text.is_empty()).map(PathBuf::from);
        Ok(())
    },
    "PEM file of the CAs whose certificates clients may show"
);

pub(super) const CLIENT_CERTIFICATES: Setting = text!(
    "tls_client_certificates",
    "WHEN",
    |config| name_of(config.tls.client_certificates, ClientCertificates::NAMES),
    |config, text| {
        config.tls.client_certificates = named(text, ClientCertificates::NAMES)?;
        Ok(())
    },
    "With tls_client_ca, whether clients show a certificate: optional (one that is shown must hold) or required"
);

pub(super) const MIN_VERSION: Setting = text!(
    "tls_min_version",
    "VERSION",
    |config| name_of(config.tls.min_version, TlsVersion::NAMES),
    |config, text| {
        config.tls.min_version = named(text, TlsVersion::NAMES)?;
        Ok(())
    },
    "The oldest version of TLS that is spoken: 1.2 or 1.3"
);

pub(super) const REQUIRED: Setting = text!(
    "tls_required",
    "OF",
    |config| name_of(config.tls.required, TlsRequired::NAMES),
    |config, text| {
        config.tls.required = named(text, TlsRequired::NAMES)?;
        Ok(())
    },
    "Of whom TLS is required, where there is TLS: always, remote (whoever comes in at a loopback address may come without) \
     or never"
);

fn named<T: Copy>(text: &str, names: &[(&str, T)]) -> Result<T, String> {
    let found = names.iter().find(|(name, _)| *name == text.trim()).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let known: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        format!("{text:?} is not one of {}", known.join(", "))
    })
}

fn name_of<T: Copy + PartialEq>(value: T, names: &[(&str, T)]) -> String {
    names.iter().find(|(_, named)| *named == value).map_or_else(String::new, |(name, _)| (*name).to_owned())
}
