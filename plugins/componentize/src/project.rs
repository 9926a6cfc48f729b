//! What a project says of itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, Result};

/// The file that makes a directory a plugin's project.
pub(crate) const MANIFEST: &str = "plugin.toml";

const MAX_NAME: usize = 64;

/// A language that plugins are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Rust, with the crate `millstream-plugin`.
    Rust,
    /// C, with `millstream.h`.
    C,
    /// JavaScript, with `millstream.js`.
    JavaScript,
    /// Python, with the package `millstream`.
    Python,
}

/// A kind of plugin: a world of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Columns in, a selection of rows out.
    Filter,
    /// Columns in, one column out.
    Function,
    /// Rows in, rows of another schema out.
    Transform,
    /// Rows of a topic in, in order; rows for tables out.
    Consumer,
    /// Half messages in, a verdict for each out.
    Checkback,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 5] = [Kind::Filter, Kind::Function, Kind::Transform, Kind::Consumer, Kind::Checkback];

    /// What it is called, which is also the name of the file of the contract that describes it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Filter => "filter",
            Kind::Function => "function",
            Kind::Transform => "transform",
            Kind::Consumer => "consumer",
            Kind::Checkback => "checkback",
        }
    }

    /// The name of its world.
    pub(crate) fn world(self) -> &'static str {
        match self {
            Kind::Checkback => "checkback-handler",
            _ => self.name(),
        }
    }

    /// What it is called in a sentence, with its article.
    fn article(self) -> &'static str {
        match self {
            Kind::Filter => "a filter",
            Kind::Function => "a function",
            Kind::Transform => "a transform",
            Kind::Consumer => "a consumer",
            Kind::Checkback => "a checkback handler",
        }
    }
}

/// Something that a plugin asks the operator for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Capability {
    /// The interface `clock`.
    Clock,
    /// The interface `random`.
    Random,
    /// The interface `state`, of consumers.
    State,
    /// The interface `tables`, of consumers and checkback handlers; the source says which tables.
    Tables,
    /// The interface `http`, of the same; the source says which hosts.
    Http,
}

/// A test of the project's own: rows in, rows expected out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// The rows that go in, a file that `millstream plugin test` reads.
    pub data: PathBuf,
    /// The text that the plugin is opened with.
    #[serde(default)]
    pub config: String,
    /// The rows that must come out.
    pub expect: Expect,
    /// For a consumer or a checkback handler: the files that have the rows of the tables that it looks rows up in, by what it
    /// calls these tables.
    #[serde(default)]
    pub tables: BTreeMap<String, PathBuf>,
    /// For a consumer: the column whose values are partitions of their own; one partition if not given.
    pub partition_by: Option<String>,
    /// For a consumer: rows of one call, at most.
    pub batch_rows: Option<u32>,
    /// For a consumer: how many rows it must give up.
    #[serde(default)]
    pub given_up: usize,
}

/// The rows that a test expects.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "`expect` is a file, or for a consumer a table of its outputs with a file for each")]
pub enum Expect {
    /// A file.
    Rows(PathBuf),
    /// For a consumer: a file for each output; of those that are not named nothing must come.
    Outputs(BTreeMap<String, PathBuf>),
}

/// The contents of a `plugin.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What the component's file is called: lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// The language it is written in.
    pub language: Language,
    /// The kind of plugin it is.
    pub kind: Kind,
    /// The file to compile; not for Rust, where Cargo knows.
    pub source: Option<PathBuf>,
    /// What it asks the operator for; not for Rust, where the plugin's own constants say.
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    /// What `millstream plugin test` runs.
    #[serde(default, rename = "test")]
    pub tests: Vec<Test>,
}

/// A directory that plugins are built from.
#[derive(Debug, Clone)]
pub struct Project {
    /// Where it is, absolute.
    pub dir: PathBuf,
    /// None for a Cargo package or workspace without a `plugin.toml`.
    pub manifest: Option<Manifest>,
}

impl Project {
    /// Reads what the project in `dir` says of itself.
    pub fn open(dir: &Path) -> Result<Project> {
        let dir = dir.canonicalize().map_err(Error::file(dir))?;
        let path = dir.join(MANIFEST);
        if path.exists() {
            let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
            let manifest = parse(&text).map_err(|reason| Error::Project { path, reason })?;
            return Ok(Project { dir, manifest: Some(manifest) });
        }
        if dir.join("Cargo.toml").exists() {
            return Ok(Project { dir, manifest: None });
        }
        let reason = "there is neither a plugin.toml nor a Cargo.toml; `millstream plugin new NAME` makes a project";
        Err(Error::project(&dir, reason))
    }
}

fn parse(text: &str) -> Result<Manifest, String> {
    let manifest: Manifest = toml::from_str(text).map_err(|e| e.to_string())?;
    check_name(&manifest.name)?;
    manifest.tests.iter().try_for_each(|test| check_test(manifest.kind, test))?;
    match (manifest.language, &manifest.source) {
        (Language::Rust, Some(_)) => {
            Err("a plugin in Rust has no `source`: Cargo.toml says what is compiled".to_owned())
        }
        (Language::Rust, None) if !manifest.capabilities.is_empty() => {
            Err("a plugin in Rust has no `capabilities` here: its constant CAPABILITIES says them".to_owned())
        }
        (Language::Rust, None) => Ok(manifest),
        (_, None) => Err("`source` is missing: the file to compile".to_owned()),
        (_, Some(source)) if source.is_absolute() || source.components().count() != 1 => {
            Err("`source` is the name of a file beside plugin.toml".to_owned())
        }
        _ => Ok(manifest),
    }
}

fn check_test(kind: Kind, test: &Test) -> Result<(), String> {
    let of_consumers = test.partition_by.is_some() || test.batch_rows.is_some() || test.given_up > 0;
    if !test.tables.is_empty() && !matches!(kind, Kind::Consumer | Kind::Checkback) {
        return Err(format!("{} looks no rows up: its test has no `tables`", kind.article()));
    }
    match (kind, &test.expect) {
        (Kind::Consumer, Expect::Rows(_)) => {
            Err("a consumer's test expects rows of outputs: `expect = { OUTPUT = \"rows.jsonl\" }`".to_owned())
        }
        (Kind::Consumer, Expect::Outputs(_)) => Ok(()),
        (_, Expect::Outputs(_)) => {
            Err(format!("{}'s test expects the rows of one file: `expect = \"rows.jsonl\"`", kind.article()))
        }
        _ if of_consumers => Err("`partition_by`, `batch_rows` and `given_up` are for tests of consumers".to_owned()),
        _ => Ok(()),
    }
}

/// A name that is also the name of a file, of a crate and, with `_` for `-`, of a plugin in SQL.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let is_sound = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    if begins && name.len() <= MAX_NAME && name.chars().all(is_sound) {
        return Ok(());
    }
    Err(format!(
        "{name:?} can't be the name of a plugin: it begins with a lower-case letter, has lower-case letters, digits, - and \
         _, and at most {MAX_NAME} of them"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, reason: &str) {
        let error = parse(text).expect_err(reason);
        assert!(error.contains(reason), "{error} lacks {reason:?}");
    }

    #[test]
    fn a_manifest_is_read_whole_or_refused() {
        let text = "name = \"late\"\nlanguage = \"javascript\"\nkind = \"filter\"\nsource = \"late.js\"\n\
                    [[test]]\ndata = \"in.csv\"\nexpect = \"out.csv\"\n";
        let manifest = parse(text).expect("sound");
        assert_eq!((manifest.language, manifest.kind), (Language::JavaScript, Kind::Filter));
        assert_eq!(manifest.tests.len(), 1);
        refused("name = \"late\"\nlanguage = \"perl\"\nkind = \"filter\"", "perl");
        refused("name = \"late\"\nlanguage = \"c\"\nkind = \"filter\"", "`source` is missing");
        refused("name = \"late\"\nlanguage = \"c\"\nkind = \"filter\"\nsource = \"../late.c\"", "beside plugin.toml");
        refused("name = \"late\"\nlanguage = \"rust\"\nkind = \"filter\"\nsource = \"late.rs\"", "Cargo.toml");
        refused("name = \"late\"\nlanguage = \"rust\"\nkind = \"filter\"\nsorce = 1", "sorce");
    }

    #[test]
    fn tests_expect_what_their_kind_gives() {
        let test = |kind: &str, test: &str| {
            format!("name = \"late\"\nlanguage = \"rust\"\nkind = \"{kind}\"\n[[test]]\ndata = \"in.csv\"\n{test}\n")
        };
        let outputs = "expect = { hours = \"hours.csv\" }\npartition_by = \"origin\"\nbatch_rows = 2\ngiven_up = 1";
        let manifest = parse(&test("consumer", outputs)).expect("sound");
        assert!(matches!(&manifest.tests[0].expect, Expect::Outputs(files) if files.len() == 1));
        refused(&test("consumer", "expect = \"out.csv\""), "expects rows of outputs");
        refused(&test("filter", outputs), "the rows of one file");
        refused(&test("filter", "expect = \"out.csv\"\nbatch_rows = 2"), "for tests of consumers");
        refused(&test("filter", "expect = 5"), "`expect` is a file");
        let tables = "expect = \"out.csv\"\ntables = { orders = \"orders.csv\" }";
        let manifest = parse(&test("checkback", tables)).expect("sound");
        assert_eq!(manifest.tests[0].tables.len(), 1);
        refused(&test("filter", tables), "a filter looks no rows up");
        refused(&test("checkback", outputs), "a checkback handler's test expects the rows of one file");
    }

    #[test]
    fn a_name_is_a_name_everywhere() {
        for name in ["late", "a-b_c9"] {
            assert_eq!(check_name(name), Ok(()));
        }
        for name in ["", "9a", "Late", "a b", "../a", "é", &"a".repeat(MAX_NAME + 1)] {
            assert!(check_name(name).is_err(), "{name:?} is taken");
        }
    }
}
