//! One table of languages: what compiles them, and what to install where that is missing.

mod c;
mod javascript;
mod python;
pub(crate) mod rust;

use std::path::Path;

use crate::embedded::SUPPORT;
use crate::error::Result;
use crate::project::{Language, Manifest, Project};

/// What a language takes.
#[derive(Debug, Clone, Copy)]
pub struct Toolchain {
    /// The language.
    pub language: Language,
    /// What `--language` calls it.
    pub name: &'static str,
    /// How the source file of a new project ends.
    pub extension: &'static str,
    /// What to install, as an error says it.
    pub install: &'static str,
}

/// Every language.
pub const LANGUAGES: [Toolchain; 4] = [
    Toolchain { language: Language::Rust, name: "rust", extension: "rs", install: rust::INSTALL },
    Toolchain { language: Language::C, name: "c", extension: "c", install: c::INSTALL },
    Toolchain { language: Language::JavaScript, name: "javascript", extension: "js", install: javascript::INSTALL },
    Toolchain { language: Language::Python, name: "python", extension: "py", install: python::INSTALL },
];

impl Toolchain {
    /// The row of a language.
    pub fn of(language: Language) -> &'static Toolchain {
        match language {
            Language::Rust => &LANGUAGES[0],
            Language::C => &LANGUAGES[1],
            Language::JavaScript => &LANGUAGES[2],
            Language::Python => &LANGUAGES[3],
        }
    }
}

pub(crate) fn is_rust(manifest: &Manifest) -> bool {
    manifest.language == Language::Rust
}

/// What a compiler is asked for.
struct Job<'a> {
    dir: &'a Path,
    manifest: &'a Manifest,
    /// The file to compile, by its name in `dir`.
    source: &'a Path,
    /// A directory of this project's own, for what the compiler writes.
    target: &'a Path,
}

impl Job<'_> {
    /// The contract, as far as the plugin uses it.
    fn wit(&self) -> std::path::PathBuf {
        self.dir.join(SUPPORT).join("wit")
    }
}

/// The component of a project that is not in Rust.
pub(crate) fn compile(project: &Project, manifest: &Manifest, target: &Path) -> Result<Vec<u8>> {
    let source = manifest.source.as_deref().unwrap_or(Path::new(""));
    let job = Job { dir: &project.dir, manifest, source, target };
    match manifest.language {
        Language::C => c::compile(&job),
        Language::JavaScript => javascript::compile(&job),
        Language::Python => python::compile(&job),
        Language::Rust => Err(crate::error::Error::project(&project.dir, "a project in Rust is built by Cargo")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_each_language_in_its_row() {
        for toolchain in &LANGUAGES {
            assert_eq!(Toolchain::of(toolchain.language).name, toolchain.name);
        }
    }
}
