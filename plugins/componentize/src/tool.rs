//! Finding and running the programs of other toolchains.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};

/// The end of what a failed program wrote is shown up to here.
const MAX_OUTPUT: usize = 8 << 10;

/// A program on the PATH.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(name)).find(|file| is_program(file))
}

/// True for a file that can be run.
pub(crate) fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Where `scripts/setup` puts tools: `$MILLSTREAM_CACHE`, `$XDG_CACHE_HOME/millstream` or `~/.cache/millstream`.
pub(crate) fn cache() -> Option<PathBuf> {
    let under = |variable: &str, below: &str| env::var_os(variable).map(|dir| PathBuf::from(dir).join(below));
    under("MILLSTREAM_CACHE", "")
        .or_else(|| under("XDG_CACHE_HOME", "millstream"))
        .or_else(|| under("HOME", ".cache/millstream"))
}

/// The first of some places where `name` is a program.
pub(crate) fn find(name: &str, places: impl IntoIterator<Item = Option<PathBuf>>) -> Option<PathBuf> {
    places.into_iter().flatten().map(|dir| dir.join(name)).find(|file| is_program(file)).or_else(|| on_path(name))
}

/// Runs a program for the project in `dir`; gives what it writes to standard output.
pub(crate) fn run(dir: &Path, tool: &str, command: &mut Command) -> Result<String> {
    let output = command.output().map_err(Error::file(Path::new(command.get_program())))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut text = String::from_utf8_lossy(&output.stderr).into_owned();
    if text.trim().is_empty() {
        text = String::from_utf8_lossy(&output.stdout).into_owned();
    }
    Err(Error::Failed { project: dir.to_owned(), tool: tool.to_owned(), text: tail(&text).to_owned() })
}

fn tail(text: &str) -> &str {
    let mut from = text.len().saturating_sub(MAX_OUTPUT);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text.get(from..).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_program_is_quoted_and_a_missing_one_named() {
        let dir = Path::new("project");
        let failed = run(dir, "sh", Command::new("sh").args(["-c", "echo no >&2; exit 3"])).expect_err("it fails");
        assert_eq!(failed.to_string(), "project is not built: sh failed:\nno");
        let missing = run(dir, "none", &mut Command::new("/nowhere/none")).expect_err("it is not there");
        assert!(missing.to_string().starts_with("/nowhere/none: "), "{missing}");
    }

    #[test]
    fn long_output_is_cut_between_characters() {
        let text = "é".repeat(MAX_OUTPUT);
        assert!(tail(&text).len() <= MAX_OUTPUT);
        assert_eq!(tail("short"), "short");
    }
}
