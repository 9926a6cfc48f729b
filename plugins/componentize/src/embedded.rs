//! The files that projects are given.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};
use crate::project::{Capability, Kind, Language, Manifest};

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// Where they are put in a project. Its content is made anew by every build, and belongs in no repository.
pub(crate) const SUPPORT: &str = "millstream";

const GUEST_MANIFEST: &str = include_str!("../../guest/Cargo.toml");
const GUEST_LOCK: &str = include_str!("../../guest/Cargo.lock");

/// Brings `DIR/millstream` up to date: the contract of the plugin's kind, and what helps its language.
pub(crate) fn write(dir: &Path, manifest: &Manifest) -> Result<()> {
    let support = dir.join(SUPPORT);
    if manifest.language == Language::Rust {
        write_all(&support.join("wit/v0.2"), WIT)?;
        write_all(&support.join("guest/src"), GUEST_RUST)?;
        write_file(&support.join("guest/Cargo.toml"), guest_manifest())?;
        // The versions that this program was tested with; a project that has chosen its own keeps them.
        let lock = dir.join("Cargo.lock");
        return if lock.exists() { Ok(()) } else { write_file(&lock, GUEST_LOCK) };
    }
    for (name, text) in WIT.iter().filter(|(name, _)| is_needed(name, manifest.kind)) {
        write_file(&support.join("wit").join(name), &trimmed(text, &manifest.capabilities))?;
    }
    match manifest.language {
        Language::Rust => Ok(()),
        Language::C => write_all(&support, GUEST_C),
        Language::JavaScript => write_all(&support, GUEST_JAVASCRIPT),
        Language::Python => write_all(&support, GUEST_PYTHON),
    }
}

/// The manifest of the guest crate without the workspace that it is the root of: a project is its own.
fn guest_manifest() -> &'static str {
    GUEST_MANIFEST.find("[package]").and_then(|at| GUEST_MANIFEST.get(at..)).unwrap_or(GUEST_MANIFEST)
}

fn is_needed(name: &str, kind: Kind) -> bool {
    ["types.wit", "imports.wit"].contains(&name) || name == format!("{}.wit", kind.name())
}

/// The world of a kind without the interfaces that the plugin does not ask for: generators of bindings for interpreters
/// import all of a world, and the host refuses what is imported without being asked for.
fn trimmed(text: &str, capabilities: &[Capability]) -> String {
    let imports = [
        ("clock", Capability::Clock),
        ("random", Capability::Random),
        ("state", Capability::State),
        ("tables", Capability::Tables),
        ("http", Capability::Http),
    ];
    let is_left_out = |line: &str| {
        imports.iter().any(|(name, needs)| line.trim() == format!("import {name};") && !capabilities.contains(needs))
    };
    text.lines().filter(|line| !is_left_out(line)).flat_map(|line| [line, "\n"]).collect()
}

fn write_all(dir: &Path, files: &[(&str, &str)]) -> Result<()> {
    files.iter().try_for_each(|(name, text)| write_file(&dir.join(name), text))
}

/// Leaves a file alone that is as it should be, so that compilers see no change.
pub(crate) fn write_file(path: &Path, text: &str) -> Result<()> {
    if fs::read(path).is_ok_and(|found| found == text.as_bytes()) {
        return Ok(());
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(Error::file(dir))?;
    }
    fs::write(path, text).map_err(Error::file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_crate_stands_alone_in_a_project() {
        assert!(guest_manifest().starts_with("[package]\nname = \"millstream-plugin\""));
        assert!(
            !guest_manifest().contains("[workspace"),
            "plugins/guest/Cargo.toml has its workspace behind its package"
        );
        assert!(GUEST_RUST.iter().any(|(name, _)| *name == "lib.rs"));
        assert!(GUEST_RUST.iter().any(|(name, _)| *name == "export/filter.rs"));
    }

    #[test]
    fn a_world_imports_what_is_asked_for() {
        let world = "world filter {\n    import logging;\n    import clock;\n    import random;\n    export f;\n}\n";
        assert_eq!(trimmed(world, &[]), "world filter {\n    import logging;\n    export f;\n}\n");
        assert!(trimmed(world, &[Capability::Random]).contains("    import random;\n"));
        let world = "world consumer {\n    import state;\n    import tables;\n    import http;\n    export c;\n}\n";
        assert_eq!(trimmed(world, &[Capability::State]), "world consumer {\n    import state;\n    export c;\n}\n");
        assert_eq!(trimmed(world, &[Capability::Tables]), "world consumer {\n    import tables;\n    export c;\n}\n");
    }
}
