//! What an operator may say of TLS.

use std::path::PathBuf;

use super::error::TlsError;

/// Where the server's certificate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsMode {
    /// Nowhere: there is no TLS.
    #[default]
    Off,
    /// The server has made it for itself.
    SelfSigned,
    /// Files that somebody else looks after.
    Files,
}

/// Of which connections TLS is required, where the server has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsRequired {
    Always,
    /// Of all but those that come in at a loopback address from one.
    #[default]
    Remote,
    Never,
}

/// The oldest version of TLS that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersion {
    #[default]
    V1_2,
    V1_3,
}

/// What is asked of clients, where there is a CA to check their certificates by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientCertificates {
    /// One that is given must hold.
    #[default]
    Optional,
    /// Nobody connects without.
    Required,
}

impl TlsMode {
    pub(crate) const NAMES: &[(&str, TlsMode)] =
        &[("off", TlsMode::Off), ("self-signed", TlsMode::SelfSigned), ("files", TlsMode::Files)];
}

impl TlsRequired {
    pub(crate) const NAMES: &[(&str, TlsRequired)] =
        &[("always", TlsRequired::Always), ("remote", TlsRequired::Remote), ("never", TlsRequired::Never)];
}

impl TlsVersion {
    pub(crate) const NAMES: &[(&str, TlsVersion)] = &[("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)];
}

impl ClientCertificates {
    pub(crate) const NAMES: &[(&str, ClientCertificates)] =
        &[("optional", ClientCertificates::Optional), ("required", ClientCertificates::Required)];
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct TlsSettings {
    pub mode: TlsMode,
    /// PEM files: the server's certificate, those that it was issued by behind it, and its key. Empty where none is given.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// A PEM file of the CAs of clients' certificates.
    pub client_ca: Option<PathBuf>,
    pub client_certificates: ClientCertificates,
    pub min_version: TlsVersion,
    pub required: TlsRequired,
}

impl TlsSettings {
    /// Whether nobody on another machine is served in plaintext.
    pub(crate) fn protects(&self) -> bool {
        self.mode != TlsMode::Off && self.required != TlsRequired::Never
    }

    /// Whether they go together.
    pub(super) fn check(&self) -> Result<(), TlsError> {
        let given = [&self.certificate, &self.key].map(|path| !path.as_os_str().is_empty());
        let refused = |message| Err(TlsError::Settings(message));
        match self.mode {
            TlsMode::Files if given != [true, true] => {
                refused("with tls = files, both tls_cert and tls_key name a PEM file; or say tls = self-signed")
            }
            TlsMode::Off | TlsMode::SelfSigned if given != [false, false] => {
                refused("tls_cert and tls_key are used with tls = files alone; say that, or leave them out")
            }
            TlsMode::Off if self.client_ca.is_some() => {
                refused("tls_client_ca is given, but tls is off; say tls = files or tls = self-signed")
            }
            _ if self.client_ca.is_none() && self.client_certificates == ClientCertificates::Required => {
                refused("tls_client_certificates is required, and no tls_client_ca says whose certificates hold")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_do_not_go_together_are_refused() {
        let files = TlsSettings {
            mode: TlsMode::Files,
            certificate: "cert.pem".into(),
            key: "key.pem".into(),
            ..TlsSettings::default()
        };
        files.check().unwrap();
        let client_ca = Some("ca.pem".into());
        TlsSettings { mode: TlsMode::SelfSigned, client_ca: client_ca.clone(), ..TlsSettings::default() }
            .check()
            .unwrap();
        let required = ClientCertificates::Required;
        for (wrong, word) in [
            (TlsSettings { key: PathBuf::new(), ..files.clone() }, "tls_key"),
            (TlsSettings { mode: TlsMode::Off, ..files.clone() }, "tls = files"),
            (TlsSettings { mode: TlsMode::SelfSigned, ..files.clone() }, "tls = files"),
            (TlsSettings { client_ca, ..TlsSettings::default() }, "tls is off"),
            (TlsSettings { client_certificates: required, ..files }, "tls_client_ca"),
        ] {
            let said = wrong.check().unwrap_err().to_string();
            assert!(said.contains(word), "{said}");
        }
    }
}
