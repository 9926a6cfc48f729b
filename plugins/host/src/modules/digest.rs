//! Digests: by which a module is known.

use std::fmt::Write as _;

use millstream_engine::{Error, PluginInfo, Result};
use sha2::{Digest as _, Sha256};

/// SHA-256 of a module.
pub(crate) type Digest = [u8; 32];

pub(crate) fn digest(module: &[u8]) -> Digest {
    Sha256::digest(module).into()
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Checks that `module` is what the catalog recorded.
pub(crate) fn check_digest(module: &[u8], plugin: &PluginInfo) -> Result<()> {
    let found = hex(&digest(module));
    if found == plugin.sha256 {
        return Ok(());
    }
    Err(Error::InvalidInput(format!(
        "the module of plugin {:?} version {} has SHA-256 {found}, and the catalog says {}",
        plugin.name, plugin.version, plugin.sha256
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_lower_case_hex() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hex(&digest(b"")), empty);
    }
}
