//! Gathers what a project of a plugin is given: the contract, the guest crate of Rust and the helpers of other languages.
//! They travel inside the program, so that a plugin is written without a clone of this repository.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Folders below `plugins/`, with the constant that their files become.
const FOLDERS: [(&str, &str); 5] = [
    ("WIT", "wit/v0.2"),
    ("GUEST_RUST", "guest/src"),
    ("GUEST_C", "guest-c"),
    ("GUEST_JAVASCRIPT", "guest-javascript"),
    ("GUEST_PYTHON", "guest-python"),
];

fn main() -> io::Result<()> {
    let plugins = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("..").canonicalize()?;
    let mut code = String::new();
    for (constant, folder) in FOLDERS {
        println!("cargo::rerun-if-changed={}", plugins.join(folder).display());
        let mut files = Vec::new();
        gather(&plugins.join(folder), Path::new(""), &mut files)?;
        files.sort();
        let _ = writeln!(code, "pub(crate) const {constant}: &[(&str, &str)] = &[");
        for (name, path) in files {
            let _ = writeln!(code, "    ({name:?}, include_str!({:?})),", path.display().to_string());
        }
        let _ = writeln!(code, "];");
    }
    fs::write(PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("embedded.rs"), code)
}

/// The files below `folder`, by their names relative to it, with `/` between parts.
fn gather(folder: &Path, below: &Path, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder.join(below))? {
        let entry = entry?;
        let relative = below.join(entry.file_name());
        let name = relative.to_string_lossy().replace('\\', "/");
        if entry.file_type()?.is_dir() {
            if name != "__pycache__" {
                gather(folder, &relative, files)?;
            }
        } else {
            files.push((name, entry.path()));
        }
    }
    Ok(())
}
