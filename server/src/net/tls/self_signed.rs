//! The certificate of a server that is given none: made once, under the data directory, and kept.

use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd};

use super::error::TlsError;

/// Its folder, in the data directory.
const FOLDER: &str = "tls";
const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";

/// Certificate and key, which are made if they are not there. `names` are those that clients may know the server by.
pub(super) fn files(data: &Path, names: &[String]) -> Result<(PathBuf, PathBuf), TlsError> {
    let folder = data.join(FOLDER);
    if !folder.exists() {
        let failed = |message: String| TlsError::SelfSigned { dir: folder.clone(), message };
        let (certificate, key) = generate(names).map_err(|error| failed(error.to_string()))?;
        write(data, &folder, &certificate, &key).map_err(|error| failed(error.to_string()))?;
    }
    Ok((folder.join(CERTIFICATE), folder.join(KEY)))
}

fn generate(names: &[String]) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "millstream");
    // Clients trust it by itself, not by its dates; and nobody is there to renew it.
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(9999, 12, 31);
    // It vouches for nothing but this server.
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

/// Both appear at once, or neither: a folder with half of them would keep the server from starting. Of two servers that do this
/// at a time the first one's stay.
fn write(data: &Path, folder: &Path, certificate: &str, key: &str) -> io::Result<()> {
    std::fs::create_dir_all(data)?;
    let made = tempfile::Builder::new().prefix(".tls-").tempdir_in(data)?;
    write_file(&made.path().join(CERTIFICATE), certificate, 0o644)?;
    write_file(&made.path().join(KEY), key, 0o600)?;
    std::fs::set_permissions(made.path(), std::fs::Permissions::from_mode(0o755))?;
    std::fs::File::open(made.path())?.sync_all()?;
    match std::fs::rename(made.path(), folder) {
        Ok(()) => drop(made.keep()),
        Err(_) if folder.exists() => {}
        Err(error) => return Err(error),
    }
    std::fs::File::open(data)?.sync_all()
}

fn write_file(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = std::fs::File::options().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
