//! TLS towards a server: whom this client trusts, and what it shows of itself.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::rt::TokioIo;
use ring::digest::{SHA256, digest};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring as provider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use crate::error::{Error, Result};

/// What TLS takes beside the URL. Without any of it the machine's own CAs are trusted (`SSL_CERT_FILE` names others).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// A PEM file of certificates to trust in place of the machine's: CAs, or the server's own.
    pub ca_file: Option<PathBuf>,
    /// The SHA-256 of the server's certificate: 64 hexadecimal digits, with colons between or without, `SHA256:` before them or not.
    /// The server is then known by its certificate alone, whatever its name and whoever issued it; with `ca_file`, by both.
    pub fingerprint: Option<String>,
    /// PEM files of the certificate that this client shows, and of its key.
    pub certificate_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
}

impl TlsOptions {
    fn is_empty(&self) -> bool {
        *self == TlsOptions::default()
    }

    /// Refuses them where there is no TLS that they could be for.
    pub(crate) fn refuse_in_plaintext(&self, url: &str) -> Result<()> {
        match self.is_empty() {
            true => Ok(()),
            false => Err(Error::InvalidInput(format!(
                "there are TLS options, and {url} is not of the form grpc+tls://host:port"
            ))),
        }
    }
}

/// Connects by TCP and TLS.
pub(crate) struct Dial {
    tls: TlsConnector,
}

impl Dial {
    pub(crate) fn new(options: &TlsOptions) -> Result<Dial> {
        let provider = Arc::new(provider::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::InvalidInput(format!("TLS can't be set up: {error}")))?;
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier(options, provider)?);
        let mut config = match (&options.certificate_file, &options.key_file) {
            (None, None) => builder.with_no_client_auth(),
            (Some(certificate), Some(key)) => {
                let failed = |error: &dyn std::fmt::Display| unusable(key, error);
                let key = PrivateKeyDer::from_pem_file(key).map_err(|error| failed(&error))?;
                builder.with_client_auth_cert(certificates(certificate)?, key).map_err(|error| failed(&error))?
            }
            _ => return Err(Error::InvalidInput("a client's certificate and its key are given together".to_owned())),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Dial { tls: Arc::new(config).into() })
    }
}

impl Service<Uri> for Dial {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tls = self.tls.clone();
        Box::pin(async move {
            let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
            let name = ServerName::try_from(host.as_str()).map_err(io::Error::other)?.to_owned();
            let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(443))).await?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(tls.connect(name, stream).await?))
        })
    }
}

fn verifier(options: &TlsOptions, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>> {
    let fingerprint = options.fingerprint.as_deref().map(parse_fingerprint).transpose()?;
    let issuers = match (&options.ca_file, fingerprint) {
        (None, Some(_)) => None,
        (Some(path), _) => {
            let mut roots = RootCertStore::empty();
            for root in certificates(path)? {
                roots.add(root).map_err(|error| unusable(path, &error))?;
            }
            Some(roots)
        }
        (None, None) => {
            let mut roots = RootCertStore::empty();
            // What of them can't be read is none of ours.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            Some(roots)
        }
    };
    let by_issuer = match issuers {
        None => None,
        Some(roots) => {
            let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
            let failed = |error| Error::InvalidInput(format!("no certificates to trust: {error}; name a file of them"));
            Some(builder.build().map_err(failed)?)
        }
    };
    match (by_issuer, fingerprint) {
        (Some(by_issuer), None) => Ok(by_issuer),
        (by_issuer, Some(fingerprint)) => Ok(Arc::new(Pinned { fingerprint, by_issuer, provider })),
        (None, None) => Err(Error::InvalidInput("nothing to know the server by".to_owned())),
    }
}

/// Knows the server by its certificate, and by its issuer and name too if it has who asks for that.
#[derive(Debug)]
struct Pinned {
    fingerprint: [u8; 32],
    by_issuer: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found = digest(&SHA256, end_entity);
        if found.as_ref() != self.fingerprint {
            let [found, wanted] = [found.as_ref(), &self.fingerprint].map(show_fingerprint);
            return Err(rustls::Error::General(format!("the server's certificate is {found}, not {wanted}")));
        }
        match &self.by_issuer {
            Some(verifier) => verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now),
            None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(unusable(path, &"it holds no certificate in PEM form")),
        Err(error) => Err(unusable(path, &error)),
    }
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::InvalidInput(format!("{} can't be used: {error}", path.display()))
}

fn parse_fingerprint(text: &str) -> Result<[u8; 32]> {
    let wrong = || Error::InvalidInput(format!("{text:?} is no fingerprint: the SHA-256 has 64 hexadecimal digits"));
    let digits: String = text.trim().trim_start_matches("SHA256:").chars().filter(|c| *c != ':').collect();
    if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).map_err(|_| wrong())?;
    }
    Ok(bytes)
}

fn show_fingerprint(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("SHA256:{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_however_they_are_written() {
        let plain = "00ff".repeat(16);
        let colons: Vec<_> = (0..64).step_by(2).map(|at| plain[at..at + 2].to_uppercase()).collect();
        for text in [plain.clone(), format!("SHA256:{plain}"), format!(" {}\n", colons.join(":"))] {
            assert_eq!(
                parse_fingerprint(&text).map(|bytes| show_fingerprint(&bytes)).ok(),
                Some(format!("SHA256:{plain}"))
            );
        }
        for text in ["", "SHA256:", "00ff", &"zz".repeat(32), &"é".repeat(32)] {
            assert!(parse_fingerprint(text).is_err(), "{text}");
        }
    }

    #[test]
    fn options_that_do_not_go_together_are_refused() {
        let half = TlsOptions { certificate_file: Some("cert.pem".into()), ..TlsOptions::default() };
        assert!(Dial::new(&half).is_err_and(|error| error.to_string().contains("together")));
        let missing = TlsOptions { ca_file: Some("/no/such/file".into()), ..TlsOptions::default() };
        assert!(Dial::new(&missing).is_err_and(|error| error.to_string().contains("/no/such/file")));
        assert!(missing.refuse_in_plaintext("grpc://127.0.0.1:1").is_err());
        assert!(TlsOptions::default().refuse_in_plaintext("grpc://127.0.0.1:1").is_ok());
    }
}
