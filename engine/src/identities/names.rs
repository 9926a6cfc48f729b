//! How users and roles may be called.

use crate::model::{Error, Result};

const MAX_NAME: usize = 128;
/// Whom the engine itself, and who has not logged in, act as.
const RESERVED: [&str; 2] = ["anonymous", "system"];

/// Letters, digits and `_ - . @ : /`, so that names of directories and certificates fit; 1 to 128 of them.
pub(crate) fn check_identity_name(what: &'static str, name: &str) -> Result<()> {
    let fits = |c: char| c.is_alphanumeric() || "_-.@:/".contains(c);
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(fits) {
        return Err(Error::InvalidInput(format!(
            "{what} name {name:?}: 1 to {MAX_NAME} bytes of letters, digits and any of _ - . @ : / are allowed"
        )));
    }
    if RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
        return Err(Error::InvalidInput(format!("{what} name {name:?} is reserved")));
    }
    Ok(())
}
