//! Standard output.

use std::io::{BufWriter, StdoutLock, Write};

use super::exit::Failure;

/// Writes text to standard output and flushes it.
pub(crate) fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(unwritable)
}

/// Standard output, gathered into large writes.
pub(crate) fn output() -> BufWriter<StdoutLock<'static>> {
    BufWriter::with_capacity(1 << 16, std::io::stdout().lock())
}

/// Whoever read our output may have gone; that is for the exit code, not for a long explanation.
pub(crate) fn unwritable(error: std::io::Error) -> Failure {
    Failure::failed(format!("cannot write to standard output: {error}"))
}
