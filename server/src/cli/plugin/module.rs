//! The file that a plugin is.

use std::path::Path;

use millstream_engine::MAX_MODULE_BYTES;

use crate::cli::exit::Failure;

pub(super) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |reason: String| Failure::failed(format!("{}: {reason}", file.display()));
    let length = std::fs::metadata(file).map_err(|error| failed(error.to_string()))?.len();
    if length > MAX_MODULE_BYTES as u64 {
        return Err(failed(format!("has {length} bytes; a plugin's module may have {MAX_MODULE_BYTES}")));
    }
    std::fs::read(file).map_err(|error| failed(error.to_string()))
}
