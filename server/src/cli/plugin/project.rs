//! `millstream plugin new | build`, and the tests of a project.

use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use clap::{Args, ValueEnum};
use millstream_componentize as componentize;
use millstream_componentize::{BuildOptions, Built, Kind, Language, Project, Test};
use millstream_engine::PluginSettings;

use super::super::Failure;
use super::super::files::Source;
use super::guest::Guest;
use crate::format::json;

#[derive(Debug, Args)]
#[command(after_help = "\
The project has a plugin.toml, a source file that does something, and a test with rows in and rows out.

Examples:
  millstream plugin new late
  millstream plugin new events --kind transform
  millstream plugin new late --language javascript")]
pub(crate) struct NewArguments {
    /// What the plugin is called: lower-case letters, digits, - and _
    name: String,
    /// What it does
    #[arg(long, value_enum, default_value = "filter")]
    kind: KindArgument,
    /// What it is written in
    #[arg(long, value_enum, default_value = "rust")]
    language: LanguageArgument,
    /// Where the project's directory is made
    #[arg(long, value_name = "DIR", default_value = ".")]
    within: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KindArgument {
    /// Columns in, a selection of rows out
    Filter,
    /// Columns in, one column out
    Function,
    /// Rows in, rows of other columns out
    Transform,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LanguageArgument {
    Rust,
    C,
    #[value(name = "javascript", alias = "js")]
    JavaScript,
    Python,
}

#[derive(Debug, Args)]
#[command(after_help = "\
A project is a directory with a plugin.toml, or a Cargo package or workspace whose cdylibs become plugins. Where the \
language's toolchain is missing, it says what to install.

Examples:
  millstream plugin build
  millstream plugin build late --out plugins")]
pub(crate) struct BuildArguments {
    /// The project's directory
    #[arg(default_value = ".")]
    project: PathBuf,
    /// Where the component is put; the project's directory if not given
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn new(arguments: &NewArguments) -> Result<(), Failure> {
    let kind = match arguments.kind {
        KindArgument::Filter => Kind::Filter,
        KindArgument::Function => Kind::Function,
        KindArgument::Transform => Kind::Transform,
    };
    let language = match arguments.language {
        LanguageArgument::Rust => Language::Rust,
        LanguageArgument::C => Language::C,
        LanguageArgument::JavaScript => Language::JavaScript,
        LanguageArgument::Python => Language::Python,
    };
    let dir = componentize::create(&arguments.within, &arguments.name, kind, language).map_err(Failure::failed)?;
    super::super::say(&format!(
        "made {}; in it, `millstream plugin test` builds the plugin and runs its tests\n",
        dir.display()
    ))
}

pub(super) fn build(arguments: &BuildArguments) -> Result<(), Failure> {
    let text: String = build_in(&arguments.project, arguments.out.as_deref())?
        .iter()
        .map(|built| {
            let state = if built.is_new { "" } else { ", up to date" };
            format!("{}  {} bytes{state}\n", built.component.display(), built.bytes)
        })
        .collect();
    super::super::say(&text)
}

/// The component of a project that makes one.
pub(super) fn build_one(dir: &Path) -> Result<PathBuf, Failure> {
    match &build_in(dir, None)?[..] {
        [built] => Ok(built.component.clone()),
        several => Err(Failure::usage(format!(
            "{} makes {} plugins; name one of their .wasm files",
            dir.display(),
            several.len()
        ))),
    }
}

fn build_in(dir: &Path, out: Option<&Path>) -> Result<Vec<Built>, Failure> {
    let project = Project::open(dir).map_err(Failure::failed)?;
    let options = BuildOptions { out: out.unwrap_or(dir).to_owned(), target: target(dir) };
    componentize::build(&project, &options).map_err(Failure::failed)
}

/// Where builds and tests keep what they need again.
fn target(dir: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| dir.join("target"), PathBuf::from)
}

/// Builds a project and runs its tests.
pub(super) fn test(dir: &Path, settings: &PluginSettings) -> Result<(), Failure> {
    let project = Project::open(dir).map_err(Failure::failed)?;
    let tests = project.manifest.map(|manifest| manifest.tests).unwrap_or_default();
    if tests.is_empty() {
        return Err(Failure::usage(format!(
            "{} has no [[test]] in a plugin.toml; --data FILE runs the plugin against a file",
            dir.display()
        )));
    }
    let module = build_one(dir)?;
    let mut failed = 0;
    for test in &tests {
        let outcome = run_test(dir, &module, test, settings)?;
        failed += usize::from(outcome.is_err());
        let outcome = outcome.map_or_else(|why| format!("FAILED: {why}"), |rows| format!("ok, {rows} rows out"));
        super::super::say(&format!("{} ... {outcome}\n", test.data.display()))?;
    }
    match failed {
        0 => Ok(()),
        failed => Err(Failure::failed(format!("{failed} of {} tests failed", tests.len()))),
    }
}

/// How many rows came out as they should, or what came out instead.
fn run_test(
    dir: &Path,
    module: &Path,
    test: &Test,
    settings: &PluginSettings,
) -> Result<Result<usize, String>, Failure> {
    let settings = PluginSettings { config: test.config.clone(), ..settings.clone() };
    let guest = Guest::load(module, &settings, &target(dir).join("compiled"))?;
    let given: SchemaRef = guest.given().clone();
    let data = rows_of(&dir.join(&test.data), &guest.wanted())?;
    let columns = guest.columns(&data).map_err(|why| Failure::failed(format!("{}: {why}", test.data.display())))?;
    let found = match guest.call(columns, data.num_rows(), 0).1 {
        Ok(found) => found,
        Err(error) => return Ok(Err(format!("{error} ({:?})", error.kind))),
    };
    // The number of the row is not the guest's.
    let columns: Vec<usize> = (1..given.fields().len()).collect();
    let found = found.project(&columns).map_err(|error| Failure::failed(error.to_string()))?;
    let wanted = Schema::new(given.fields().iter().skip(1).cloned().collect::<Vec<_>>());
    let expected = rows_of(&dir.join(&test.expect), &wanted.into())?;
    Ok(compare(&found, &expected).map(|()| found.num_rows()))
}

/// All rows of a small file.
fn rows_of(path: &Path, wanted: &SchemaRef) -> Result<RecordBatch, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", path.display()));
    let source = Source::open(path, Some(wanted))?;
    let batches: Vec<RecordBatch> = source.batches(None)?.collect::<Result<_, _>>().map_err(|error| failed(&error))?;
    concat_batches(source.schema(), &batches).map_err(|error| failed(&error))
}

/// Rows are compared as the JSON that they are shown as.
fn compare(found: &RecordBatch, expected: &RecordBatch) -> Result<(), String> {
    let (found, expected) = (lines(found), lines(expected));
    for (row, (is, should)) in found.iter().zip(&expected).enumerate() {
        if is != should {
            return Err(format!("row {} that comes out is {is}, not {should}", row + 1));
        }
    }
    match (found.get(expected.len()), expected.get(found.len())) {
        (Some(more), _) => Err(format!("{} rows come out, not {}; the next is {more}", found.len(), expected.len())),
        (_, Some(missing)) => {
            Err(format!("{} rows come out, not {}; missing is {missing}", found.len(), expected.len()))
        }
        (None, None) => Ok(()),
    }
}

fn lines(rows: &RecordBatch) -> Vec<String> {
    let mut text = Vec::new();
    json::write_rows(&mut text, rows);
    String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};

    use super::*;

    #[track_caller]
    fn check(found: &[i64], expected: &[i64], reason: &str) {
        let rows = |values: &[i64]| {
            RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(values.to_vec())) as ArrayRef)]).unwrap()
        };
        let outcome = compare(&rows(found), &rows(expected)).err().unwrap_or_default();
        assert_eq!(outcome, reason);
    }

    #[test]
    fn the_first_row_that_differs_is_shown() {
        check(&[1, 2], &[1, 2], "");
        check(&[1, 3], &[1, 2], "row 2 that comes out is {\"n\":3}, not {\"n\":2}");
        check(&[1, 2], &[1], "2 rows come out, not 1; the next is {\"n\":2}");
        check(&[], &[7], "0 rows come out, not 1; missing is {\"n\":7}");
    }
}
