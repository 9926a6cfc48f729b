//! TLS, for all doors in one way: the certificate that the server shows, whom it asks for one, and who may come without.
//!
//! A connection's first byte tells TLS from plaintext: a handshake begins with 22, and nothing else that doors speak does. What
//! comes is decided on where the connection is read first ([`wire`]), so that whoever sends nothing holds nothing but the place
//! of his own connection.

mod certificate;
mod error;
mod files;
mod loaded;
mod reload;
mod self_signed;
mod settings;
mod socket;
#[cfg(test)]
mod tests;
pub(super) mod wire;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

pub(super) use certificate::CertificateNames;
pub use error::TlsError;
use files::Files;
use loaded::Loaded;
pub(super) use loaded::Speaking;
use reload::Seen;
pub use settings::{ClientCertificates, TlsMode, TlsRequired, TlsSettings, TlsVersion};
use wire::{Plain, Terms};

use super::exposure::is_exposed;
use super::pool::Pool;

/// For handshakes that are longer than usual, of all connections together.
const HANDSHAKES_BYTES: usize = 4 << 20;

/// TLS as a server has it; shared by its doors.
#[derive(Debug)]
pub(crate) struct Tls {
    settings: TlsSettings,
    files: Files,
    current: RwLock<Arc<Loaded>>,
    seen: Mutex<Seen>,
    handshakes: Arc<Pool>,
}

impl Tls {
    /// Reads the certificate, or makes one under the data directory, for these names. `None` where TLS is off.
    pub(crate) fn open(settings: &TlsSettings, data: &Path, names: &[String]) -> Result<Option<Arc<Tls>>, TlsError> {
        settings.check()?;
        let (certificate, key) = match settings.mode {
            TlsMode::Off => return Ok(None),
            TlsMode::SelfSigned => self_signed::files(data, names)?,
            TlsMode::Files => (settings.certificate.clone(), settings.key.clone()),
        };
        let files = Files { certificate, key, client_ca: settings.client_ca.clone() };
        let seen = Seen::new(files.stamp());
        let loaded = Loaded::read(&files, settings)?;
        Ok(Some(Arc::new(Tls {
            settings: settings.clone(),
            files,
            current: RwLock::new(Arc::new(loaded)),
            seen: Mutex::new(seen),
            handshakes: Arc::new(Pool::new(HANDSHAKES_BYTES)),
        })))
    }

    /// Of the certificate that is shown now: `SHA256:` and 64 hexadecimal digits.
    pub(crate) fn fingerprint(&self) -> String {
        self.current().fingerprint.clone()
    }

    fn current(&self) -> Arc<Loaded> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How a connection may begin that came in at `local`.
    pub(super) fn terms(&self, speaking: Speaking, local: SocketAddr, peer: SocketAddr) -> Terms {
        let served = match self.settings.required {
            TlsRequired::Always => false,
            TlsRequired::Remote => !is_exposed(local) && !is_exposed(peer),
            TlsRequired::Never => true,
        };
        let plain = match speaking {
            _ if served => Plain::Served,
            // Whoever has typed the wrong scheme can read what is wrong.
            Speaking::Http1 => Plain::Answered,
            Speaking::Http2 | Speaking::Frames => Plain::Refused,
        };
        Terms { config: self.current().config(speaking), plain, room: Arc::clone(&self.handshakes) }
    }
}
