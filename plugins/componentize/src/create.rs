//! New projects, made of templates that do something and pass their own test.

use std::fs;
use std::path::{Path, PathBuf};

use crate::embedded;
use crate::error::{Error, Result};
use crate::languages::Toolchain;
use crate::project::{self, Kind, Language, MANIFEST, Project};

/// Stands for the plugin's name in a template.
const NAME: &str = "PLUGIN_NAME";

/// Makes the directory `within/NAME` with a project of that kind and language; gives its path. Nothing that is there is
/// touched.
pub fn create(within: &Path, name: &str, kind: Kind, language: Language) -> Result<PathBuf> {
    project::check_name(name).map_err(|reason| Error::project(&within.join(name), reason))?;
    let toolchain = Toolchain::of(language);
    let dir = within.join(name);
    let source = template(kind, language);
    fs::create_dir_all(within).map_err(Error::file(within))?;
    fs::create_dir(&dir).map_err(Error::file(&dir))?;
    let module = name.replace('-', "_");
    let source_file = match language {
        Language::Rust => "src/lib.rs".to_owned(),
        _ => format!("{module}.{}", toolchain.extension),
    };
    let test = test_of(kind);
    let mut files = vec![
        (MANIFEST.to_owned(), manifest(name, kind, toolchain, &source_file)),
        (source_file, source.replace(NAME, name)),
        ("tests/in.jsonl".to_owned(), test.rows.to_owned()),
        (test.expects.to_owned(), test.expected.to_owned()),
        (".gitignore".to_owned(), "/millstream/\n/target/\n/*.wasm\n__pycache__/\n".to_owned()),
    ];
    files.extend(test.tables.iter().map(|(file, rows)| ((*file).to_owned(), (*rows).to_owned())));
    if language == Language::Rust {
        files.push(("Cargo.toml".to_owned(), include_str!("../templates/Cargo.toml").replace(NAME, name)));
    }
    files.iter().try_for_each(|(file, text)| embedded::write_file(&dir.join(file), text))?;
    // Editors find what the source refers to before the first build.
    let made = Project::open(&dir)?;
    made.manifest.as_ref().map_or(Ok(()), |manifest| embedded::write(&made.dir, manifest))?;
    Ok(dir)
}

fn manifest(name: &str, kind: Kind, toolchain: &Toolchain, source: &str) -> String {
    let source = match toolchain.language {
        Language::Rust => String::new(),
        _ => match kind {
            Kind::Consumer => format!("source = {source:?}\ncapabilities = [\"state\"]\n"),
            Kind::Checkback => format!("source = {source:?}\ncapabilities = [\"tables\"]\n"),
            _ => format!("source = {source:?}\n"),
        },
    };
    format!(
        "# `millstream plugin build` makes {file} of this; `millstream plugin test` runs what [[test]] says.\n\
         name = {name:?}\nlanguage = {language:?}\nkind = {kind:?}\n{source}\n\
         [[test]]\ndata = \"tests/in.jsonl\"\n{test}",
        file = format_args!("{}.wasm", name.replace('-', "_")),
        language = toolchain.name,
        kind = kind.name(),
        test = test_of(kind).manifest,
    )
}

fn template(kind: Kind, language: Language) -> &'static str {
    match (kind, language) {
        (Kind::Filter, Language::Rust) => include_str!("../templates/filter.rs"),
        (Kind::Filter, Language::C) => include_str!("../templates/filter.c"),
        (Kind::Filter, Language::JavaScript) => include_str!("../templates/filter.js"),
        (Kind::Filter, Language::Python) => include_str!("../templates/filter.py"),
        (Kind::Function, Language::Rust) => include_str!("../templates/function.rs"),
        (Kind::Function, Language::C) => include_str!("../templates/function.c"),
        (Kind::Function, Language::JavaScript) => include_str!("../templates/function.js"),
        (Kind::Function, Language::Python) => include_str!("../templates/function.py"),
        (Kind::Transform, Language::Rust) => include_str!("../templates/transform.rs"),
        (Kind::Transform, Language::C) => include_str!("../templates/transform.c"),
        (Kind::Transform, Language::JavaScript) => include_str!("../templates/transform.js"),
        (Kind::Transform, Language::Python) => include_str!("../templates/transform.py"),
        (Kind::Consumer, Language::Rust) => include_str!("../templates/consumer.rs"),
        (Kind::Consumer, Language::C) => include_str!("../templates/consumer.c"),
        (Kind::Consumer, Language::JavaScript) => include_str!("../templates/consumer.js"),
        (Kind::Consumer, Language::Python) => include_str!("../templates/consumer.py"),
        (Kind::Checkback, Language::Rust) => include_str!("../templates/checkback.rs"),
        (Kind::Checkback, Language::C) => include_str!("../templates/checkback.c"),
        (Kind::Checkback, Language::JavaScript) => include_str!("../templates/checkback.js"),
        (Kind::Checkback, Language::Python) => include_str!("../templates/checkback.py"),
    }
}

/// A project's test.
struct Example {
    /// The rows that go in.
    rows: &'static str,
    /// The rows that must come out, and their file.
    expected: &'static str,
    expects: &'static str,
    /// The rows of tables that are looked up, by their files.
    tables: &'static [(&'static str, &'static str)],
    /// The lines about them in plugin.toml.
    manifest: &'static str,
}

fn test_of(kind: Kind) -> Example {
    let of_rows = |rows, expected| Example {
        rows,
        expected,
        expects: "tests/out.jsonl",
        tables: &[],
        manifest: "expect = \"tests/out.jsonl\"\n",
    };
    match kind {
        Kind::Filter => {
            of_rows(include_str!("../templates/filter.in.jsonl"), include_str!("../templates/filter.out.jsonl"))
        }
        Kind::Function => {
            of_rows(include_str!("../templates/function.in.jsonl"), include_str!("../templates/function.out.jsonl"))
        }
        Kind::Transform => {
            of_rows(include_str!("../templates/transform.in.jsonl"), include_str!("../templates/transform.out.jsonl"))
        }
        Kind::Consumer => Example {
            rows: include_str!("../templates/consumer.in.jsonl"),
            expected: include_str!("../templates/consumer.late.jsonl"),
            expects: "tests/late.jsonl",
            tables: &[],
            manifest: "expect = { late = \"tests/late.jsonl\" }\n# What is kept in state goes on from call to call.\n\
                       batch_rows = 2\n# One row has no airport.\ngiven_up = 1\n",
        },
        Kind::Checkback => Example {
            tables: &[("tests/orders.jsonl", include_str!("../templates/checkback.orders.jsonl"))],
            manifest: "expect = \"tests/out.jsonl\"\n# The rows of the table, the newest last.\n\
                       tables = { orders = \"tests/orders.jsonl\" }\n",
            ..of_rows(include_str!("../templates/checkback.in.jsonl"), include_str!("../templates/checkback.out.jsonl"))
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::languages::LANGUAGES;

    #[test]
    fn every_project_that_is_made_can_be_opened() {
        let within = tempfile::tempdir().expect("a temporary directory");
        for toolchain in &LANGUAGES {
            for kind in Kind::ALL {
                let name = format!("{}-{}", toolchain.name, kind.name());
                let made = create(within.path(), &name, kind, toolchain.language);
                let dir = made.unwrap_or_else(|e| panic!("{name}: {e}"));
                let manifest = Project::open(&dir).expect("a project").manifest.expect("a plugin.toml");
                assert_eq!((manifest.kind, manifest.language), (kind, toolchain.language));
                assert_eq!(manifest.tests.len(), 1);
            }
        }
    }

    #[test]
    fn what_is_there_is_left_alone() {
        let within = tempfile::tempdir().expect("a temporary directory");
        create(within.path(), "late", Kind::Filter, Language::C).expect("a project");
        let again = create(within.path(), "late", Kind::Filter, Language::C).expect_err("it is there");
        assert!(again.to_string().contains("late: "), "{again}");
        assert!(create(within.path(), "../late", Kind::Filter, Language::C).is_err());
    }
}
