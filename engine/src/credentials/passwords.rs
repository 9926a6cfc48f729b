//! Hashes of passwords: Argon2id, as PHC strings.

use std::sync::LazyLock;

use argon2::password_hash::{PasswordHash as Parsed, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use parking_lot::Mutex;

use super::secrets::random;
use crate::identities::PasswordHash;
use crate::model::{Error, Result};

/// 19 MiB, two passes, one lane: what OWASP advises at least.
const MEMORY_KIB: u32 = 19 * 1_024;
const PASSES: u32 = 2;
const MAX_PASSWORD: usize = 1_024;
const MIN_PASSWORD: usize = 8;

/// One at a time, so that attempts take no more memory than one does; who comes next waits some tens of milliseconds.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What nobody's password is checked against.
static NOBODY: LazyLock<Option<PasswordHash>> = LazyLock::new(|| hashed("nobody has this password").ok());

fn argon() -> Option<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Refuses passwords of fewer than 8 and of more than 1,024 bytes.
pub(crate) fn hashed(password: &str) -> Result<PasswordHash> {
    if !(MIN_PASSWORD..=MAX_PASSWORD).contains(&password.len()) {
        return Err(Error::InvalidInput(format!(
            "a password has {MIN_PASSWORD} to {MAX_PASSWORD} bytes; this one has {}",
            password.len()
        )));
    }
    let failed = |why: String| Error::Internal(format!("the password can't be hashed: {why}"));
    let salt = SaltString::encode_b64(&random::<16>()?).map_err(|error| failed(error.to_string()))?;
    let argon = argon().ok_or_else(|| failed("its parameters".to_owned()))?;
    let _turn = ONE_AT_A_TIME.lock();
    let hash = argon.hash_password(password.as_bytes(), &salt).map_err(|error| failed(error.to_string()))?;
    Ok(PasswordHash(hash.to_string()))
}

/// Whether the password is the one. The hash says itself how it was made.
pub(super) fn verify(password: &str, hash: &PasswordHash) -> bool {
    if password.len() > MAX_PASSWORD {
        return false;
    }
    let (Ok(parsed), Some(argon)) = (Parsed::new(&hash.0), argon()) else { return false };
    let _turn = ONE_AT_A_TIME.lock();
    argon.verify_password(password.as_bytes(), &parsed).is_ok()
}

/// Takes as long as [`verify`].
pub(super) fn verify_nobody(password: &str) {
    if let Some(nobody) = NOBODY.as_ref() {
        verify(password, nobody);
    }
}
