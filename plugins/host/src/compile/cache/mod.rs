//! Compiled code on disk.
//!
//! Loading compiled code means running it, so a file is used only if it carries a MAC made with a key that lies beside
//! it, which is this user's, in a directory of his, and readable by nobody else. Whatever is wrong with a file (damage, forgery,
//! another compiler) has one result: it is ignored, and written anew.
//!
//! ```text
//! <dir>/key                     32 random bytes, mode 0600
//! <dir>/<name>.code             magic "MSCODE\0\1" | MAC, 32 bytes | compiled code
//! MAC = keyed BLAKE3(key, name | "\0" | compiled code);  name = hex BLAKE3(SHA-256 of the module | compiler's settings)
//! ```

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use millstream_engine::{Error, Result};

use crate::modules::{Digest, hex};

const MAGIC: &[u8; 8] = b"MSCODE\0\x01";
const MAC_BYTES: usize = 32;
const HEADER_BYTES: usize = MAGIC.len() + MAC_BYTES;
const EXTENSION: &str = "code";

/// A directory of authenticated compiled code.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    key: [u8; 32],
    /// All that compiled code depends on besides the module.
    settings: String,
    limit_bytes: u64,
}

/// What was found for a module.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CacheLookup {
    Code(Vec<u8>),
    Nothing,
    /// A file that must not be used, and why.
    Refused(String),
}

impl Cache {
    pub(crate) fn open(dir: &Path, settings: String, limit_bytes: u64) -> Result<Cache> {
        let io = |e: io::Error| Error::Io { path: dir.to_owned(), message: e.to_string() };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io)?;
        let was_open = claim(dir, &fs::metadata(dir).map_err(io)?, this_user())?;
        let key = load_key(&dir.join("key"), was_open)?;
        Ok(Cache { dir: dir.to_owned(), key, settings, limit_bytes })
    }

    pub(crate) fn load(&self, module: &Digest) -> CacheLookup {
        let name = self.name(module);
        let bytes = match fs::read(self.path(&name)) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return CacheLookup::Nothing,
            Err(e) => return CacheLookup::Refused(e.to_string()),
        };
        let Some((header, code)) = bytes.split_at_checked(HEADER_BYTES) else {
            return CacheLookup::Refused("the file is cut short".to_owned());
        };
        let (magic, mac) = header.split_at(MAGIC.len());
        let Ok(mac) = <[u8; MAC_BYTES]>::try_from(mac) else {
            return CacheLookup::Refused("the file is cut short".to_owned());
        };
        if magic != MAGIC {
            return CacheLookup::Refused("the file has another format".to_owned());
        }
        // The comparison of BLAKE3 hashes takes the same time wherever they differ.
        if self.mac(&name, code) != blake3::Hash::from_bytes(mac) {
            return CacheLookup::Refused("the file was not written with this directory's key".to_owned());
        }
        CacheLookup::Code(code.to_vec())
    }

    /// Keeps compiled code. A failure costs a compilation at the next start, so it is a warning.
    pub(crate) fn store(&self, module: &Digest, code: &[u8]) {
        let name = self.name(module);
        let path = self.path(&name);
        let mac = self.mac(&name, code);
        let written = write_whole(&path, &[MAGIC, mac.as_bytes(), code]).and_then(|()| self.prune(&path));
        if let Err(e) = written {
            tracing::warn!(path = %path.display(), "compiled code is not kept: {e}");
        }
    }

    fn name(&self, module: &Digest) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(module);
        hasher.update(self.settings.as_bytes());
        hex(hasher.finalize().as_bytes())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name).with_extension(EXTENSION)
    }

    fn mac(&self, name: &str, code: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(name.as_bytes());
        hasher.update(b"\0");
        hasher.update(code);
        hasher.finalize()
    }

    /// Drops the oldest files while all together are over the limit; `newest` stays.
    fn prune(&self, newest: &Path) -> io::Result<()> {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == EXTENSION) {
                let metadata = fs::metadata(&path)?;
                files.push((metadata.modified()?, metadata.len(), path));
            }
        }
        files.sort();
        let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in files {
            if total <= self.limit_bytes {
                break;
            }
            if path != newest {
                fs::remove_file(&path)?;
                total -= bytes;
            }
        }
        Ok(())
    }
}

/// The user that this process acts as.
#[expect(unsafe_code, reason = "the standard library does not tell it")]
fn this_user() -> u32 {
    // SAFETY: it takes nothing, and can't fail.
    unsafe { libc::geteuid() }
}

/// Sees to it that nobody but `user` puts files into the directory. True if others could.
fn claim(dir: &Path, metadata: &fs::Metadata, user: u32) -> Result<bool> {
    if metadata.uid() != user {
        return Err(Error::InvalidInput(format!(
            "{} belongs to user {}, and this program runs as user {user}: whoever owns the directory could have code of his run \
             here; remove it, or give it to user {user}",
            dir.display(),
            metadata.uid()
        )));
    }
    if metadata.mode() & 0o022 == 0 {
        return Ok(false);
    }
    tracing::warn!(path = %dir.display(), "others could write to the directory of compiled code; from now on they can't");
    let closed = fs::set_permissions(dir, fs::Permissions::from_mode(0o700));
    closed.map_err(|e| Error::Io { path: dir.to_owned(), message: e.to_string() })?;
    Ok(true)
}

/// Reads the key, or makes one where there is none that is certainly this user's secret.
fn load_key(path: &Path, was_open: bool) -> Result<[u8; 32]> {
    let io = |e: io::Error| Error::Io { path: path.to_owned(), message: e.to_string() };
    match read_key(path, this_user()) {
        Ok(Some(key)) if !was_open => return Ok(key),
        Ok(_) => tracing::warn!(path = %path.display(), "the key of the code cache is unusable; making another"),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(io(e)),
    }
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|e| Error::Internal(format!("the system gives no random bytes: {e}")))?;
    write_whole(path, &[&key]).map_err(io)?;
    Ok(key)
}

/// `None` when it is no file of the length of a key, is not `user`'s, or others may read, write or name it.
fn read_key(path: &Path, user: u32) -> io::Result<Option<[u8; 32]>> {
    // A link could lead to a file that others know.
    if !fs::symlink_metadata(path)?.is_file() {
        return Ok(None);
    }
    let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
    let metadata = file.metadata()?;
    let is_secret = metadata.uid() == user && metadata.mode() & 0o077 == 0 && metadata.nlink() == 1;
    let mut key = [0; 32];
    if metadata.len() != 32 || !is_secret {
        return Ok(None);
    }
    file.read_exact(&mut key)?;
    Ok(Some(key))
}

/// Replaces a file as a whole: readers see the old one or the new one.
fn write_whole(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let temporary = path.with_extension(format!("{}-{number}.tmp", std::process::id()));
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let written = parts.iter().try_for_each(|part| file.write_all(part)).and_then(|()| file.sync_all());
    if let Err(e) = written.and_then(|()| fs::rename(&temporary, path)) {
        let _ = fs::remove_file(&temporary);
        return Err(e);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
