//! A certificate and what else is read from files, as rustls takes it.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};

use super::certificate::{fingerprint, holds_until};
use super::error::TlsError;
use super::files::Files;
use super::settings::{ClientCertificates, TlsSettings, TlsVersion};

/// What is spoken over a door's connections, inside of TLS or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::net) enum Speaking {
    Http1,
    Http2,
    /// No protocol that has a name in TLS (ALPN).
    Frames,
}

/// One reading of the files.
#[derive(Debug)]
pub(super) struct Loaded {
    http1: Arc<ServerConfig>,
    http2: Arc<ServerConfig>,
    frames: Arc<ServerConfig>,
    pub(super) fingerprint: String,
    /// The last second in which the certificate holds, since 1970.
    pub(super) holds_until: Option<u64>,
}

impl Loaded {
    pub(super) fn read(files: &Files, settings: &TlsSettings) -> Result<Loaded, TlsError> {
        let (chain, key) = (files.chain()?, files.key()?);
        // A chain is never empty.
        let leaf = chain.first().map(|leaf| leaf.as_ref()).unwrap_or_default();
        let (fingerprint, holds_until) = (fingerprint(leaf), holds_until(leaf));
        let provider = Arc::new(ring::default_provider());
        let versions = match settings.min_version {
            TlsVersion::V1_2 => &[&TLS13, &TLS12][..],
            TlsVersion::V1_3 => &[&TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(TlsError::library)?;
        let verifier = client_verifier(files, settings, provider)?;
        let verifies = verifier.is_some();
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| {
            TlsError::file(&files.certificate, "tls_cert", format!("does not go with {}: {error}", files.key.display()))
        })?;
        if verifies {
            // Whoever resumes a session does not show his certificate again, which may have ended meanwhile.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        let of = |protocols: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Arc::new(config)
        };
        Ok(Loaded { http1: of(&[b"http/1.1"]), http2: of(&[b"h2"]), frames: of(&[]), fingerprint, holds_until })
    }

    pub(super) fn config(&self, speaking: Speaking) -> Arc<ServerConfig> {
        Arc::clone(match speaking {
            Speaking::Http1 => &self.http1,
            Speaking::Http2 => &self.http2,
            Speaking::Frames => &self.frames,
        })
    }
}

fn client_verifier(
    files: &Files,
    settings: &TlsSettings,
    provider: Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    let (Some(found), Some(path)) = (files.client_roots()?, &files.client_ca) else { return Ok(None) };
    let failed = |message: &dyn std::fmt::Display| TlsError::file(path, "tls_client_ca", message);
    let mut roots = RootCertStore::empty();
    for root in found {
        roots.add(root).map_err(|error| failed(&error))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match settings.client_certificates {
        ClientCertificates::Optional => builder.allow_unauthenticated(),
        ClientCertificates::Required => builder,
    };
    builder.build().map(Some).map_err(|error| failed(&error))
}
