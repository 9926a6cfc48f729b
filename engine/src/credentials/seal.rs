//! The key of the data directory, by which secrets are sealed that the server must be able to read. It lies beside the log and not in
//! it, so that copies of the log, its segments and its backups do not open them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::secrets::random;
use crate::identities::SealedSecret;
use crate::model::{Error, Result};
use crate::platform::disk::Disk;

const FILE: &str = "seal.key";
const KEY_BYTES: usize = 32;

pub(crate) struct SealKey {
    path: PathBuf,
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    /// Made with the first secret.
    key: Mutex<Option<Arc<LessSafeKey>>>,
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealKey").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SealKey {
    pub(super) fn open(dir: &Path, disk: &Arc<dyn Disk>) -> Result<SealKey> {
        let path = dir.join(FILE);
        let found = match disk.open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(io_error(&path, &error)),
            Ok(file) => {
                let mut bytes = [0; KEY_BYTES];
                file.read_at(&mut bytes, 0).map_err(|error| io_error(&path, &error))?;
                Some(Arc::new(key_of(&bytes)?))
            }
        };
        Ok(SealKey { path, dir: dir.to_owned(), disk: disk.clone(), key: Mutex::new(found) })
    }

    /// Seals the secret of the access key `id`, and opens for no other.
    pub(crate) fn sealed(&self, id: &str, secret: &str) -> Result<SealedSecret> {
        let key = self.key()?;
        let nonce = random::<NONCE_LEN>()?;
        let mut sealed = secret.as_bytes().to_vec();
        let aad = Aad::from(id.as_bytes());
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .map_err(|_| Error::Internal("a secret can't be sealed".to_owned()))?;
        Ok(SealedSecret([nonce.as_slice(), &sealed].concat()))
    }

    /// `None` if it was sealed by another key, or for another id.
    pub(super) fn opened(&self, id: &str, sealed: &SealedSecret) -> Option<Vec<u8>> {
        let key = self.key.lock().clone()?;
        let (nonce, sealed) = sealed.0.split_first_chunk::<NONCE_LEN>()?;
        let mut bytes = sealed.to_vec();
        let aad = Aad::from(id.as_bytes());
        let opened = key.open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut bytes).ok()?;
        Some(opened.to_vec())
    }

    fn key(&self) -> Result<Arc<LessSafeKey>> {
        let mut key = self.key.lock();
        if let Some(key) = key.as_ref() {
            return Ok(key.clone());
        }
        let bytes = random::<KEY_BYTES>()?;
        let io = |error: std::io::Error| io_error(&self.path, &error);
        let being_made = self.path.with_extension("key.new");
        crate::platform::disk::remove_if_there(self.disk.as_ref(), &being_made).map_err(io)?;
        let file = self.disk.create_private(&being_made).map_err(io)?;
        file.write_at(&[&bytes], 0).and_then(|()| file.sync()).map_err(io)?;
        self.disk.rename(&being_made, &self.path).and_then(|()| self.disk.sync_dir(&self.dir)).map_err(io)?;
        let made = Arc::new(key_of(&bytes)?);
        *key = Some(made.clone());
        Ok(made)
    }
}

fn key_of(bytes: &[u8; KEY_BYTES]) -> Result<LessSafeKey> {
    let key = UnboundKey::new(&CHACHA20_POLY1305, bytes);
    key.map(LessSafeKey::new).map_err(|_| Error::Internal("the seal key has the wrong length".to_owned()))
}

fn io_error(path: &Path, error: &std::io::Error) -> Error {
    Error::Io { path: path.to_owned(), message: error.to_string() }
}
