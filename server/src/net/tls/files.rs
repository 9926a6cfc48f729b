//! The files that TLS is read from.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::error::TlsError;

/// Longer files are none of these.
const LONGEST_FILE: u64 = 1 << 20;

/// PEM files.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    pub(super) client_ca: Option<PathBuf>,
}

/// What tells that a file has changed: device, number, length, and when it was written and changed, in nanoseconds.
type Stamp = Option<[i64; 7]>;

/// The same of all of them.
pub(super) type Stamps = [Stamp; 3];

impl Files {
    pub(super) fn stamp(&self) -> Stamps {
        [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()].map(|path| stamp(path?))
    }

    /// The certificate and those that it was issued by.
    pub(super) fn chain(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        certificates(&self.certificate, "tls_cert")
    }

    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        let failed = |message: &dyn std::fmt::Display| TlsError::file(&self.key, "tls_key", message);
        let text = read(&self.key).map_err(|error| failed(&error))?;
        // What can't be read as a key is not shown.
        PrivateKeyDer::from_pem_slice(&text)
            .map_err(|_| failed(&"holds no private key in PEM form, or one that has a passphrase"))
    }

    /// The CAs of clients' certificates, if there are to be any.
    pub(super) fn client_roots(&self) -> Result<Option<Vec<CertificateDer<'static>>>, TlsError> {
        self.client_ca.as_ref().map(|path| certificates(path, "tls_client_ca")).transpose()
    }
}

fn stamp(path: &Path) -> Stamp {
    let found = std::fs::metadata(path).ok()?;
    let (written, changed) = ([found.mtime(), found.mtime_nsec()], [found.ctime(), found.ctime_nsec()]);
    let [dev, ino, len] = [found.dev(), found.ino(), found.len()].map(u64::cast_signed);
    Some([dev, ino, len, written[0], written[1], changed[0], changed[1]])
}

fn certificates(path: &Path, setting: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |message: &dyn std::fmt::Display| TlsError::file(path, setting, message);
    let text = read(path).map_err(|error| failed(&error))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(failed(&"holds no certificate in PEM form")),
        Err(error) => Err(failed(&format!("is no PEM file: {error}"))),
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)?.take(LONGEST_FILE + 1).read_to_end(&mut bytes)?;
    match u64::try_from(read) {
        Ok(read) if read <= LONGEST_FILE => Ok(bytes),
        _ => Err(std::io::Error::other("has more than 1 MiB")),
    }
}
