//! The tests of a project: rows that go in, rows that must come out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use millstream_componentize::{Expect, Project, Test};
use millstream_engine::PluginSettings;
use millstream_formats::json;

use super::consumer::{Fed, Feeding};
use super::guest::{ConsumerGuest, Guest, Loaded, load};
use super::project::{build_one, target};
use super::tables::{FileTable, FileTables};
use crate::cli::exit::Failure;
use crate::cli::files::{Source, Wanted};
use crate::cli::output::say;

/// Rows out, or why the test fails.
type Outcome = Result<usize, String>;

/// Builds a project and runs its tests.
pub(super) fn run(dir: &Path, settings: &PluginSettings) -> Result<(), Failure> {
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
        let settings = PluginSettings { config: test.config.clone(), ..settings.clone() };
        let tables: Vec<FileTable> =
            test.tables.iter().map(|(name, file)| FileTable { name: name.clone(), file: dir.join(file) }).collect();
        let loaded = load(&module, &settings, &FileTables::new(&tables), &target(dir).join("compiled"))?;
        let outcome = match (loaded, &test.expect) {
            (Loaded::Rows(guest), Expect::Rows(expected)) => of_rows(dir, &guest, test, expected)?,
            (Loaded::Consumer(guest), Expect::Outputs(expected)) => of_consumer(dir, &guest, test, expected)?,
            _ => {
                let why = "the plugin is of another kind than plugin.toml says";
                return Err(Failure::failed(format!("{}: {why}", module.display())));
            }
        };
        failed += usize::from(outcome.is_err());
        let outcome = outcome.map_or_else(|why| format!("FAILED: {why}"), |rows| format!("ok, {rows} rows out"));
        say(&format!("{} ... {outcome}\n", test.data.display()))?;
    }
    match failed {
        0 => Ok(()),
        failed => Err(Failure::failed(format!("{failed} of {} tests failed", tests.len()))),
    }
}

fn of_rows(dir: &Path, guest: &Guest, test: &Test, expected: &Path) -> Result<Outcome, Failure> {
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
    let expected = rows_of(&dir.join(expected), &wanted.into())?;
    Ok(compare(&found, &expected).map(|()| found.num_rows()))
}

fn of_consumer(
    dir: &Path,
    guest: &ConsumerGuest,
    test: &Test,
    expected: &BTreeMap<String, PathBuf>,
) -> Result<Outcome, Failure> {
    let feeding = Feeding::new(test.partition_by.clone(), test.batch_rows);
    let mut fed = Fed::new(guest, feeding, usize::MAX);
    fed.read_all(&dir.join(&test.data), None, 1)?;
    if let Some((row, fault)) = fed.failed.first() {
        return Ok(Err(format!("row {row}: {} ({:?})", fault.why, fault.kind)));
    }
    if fed.given_up.len() != test.given_up {
        let first = fed.given_up.first().map(|(row, why)| format!("; the first is row {row}: {why}"));
        let (found, wanted) = (fed.given_up.len(), test.given_up);
        return Ok(Err(format!("{found} rows are given up, not {wanted}{}", first.unwrap_or_default())));
    }
    let outputs = guest.consumer.outputs();
    if let Some(unknown) = expected.keys().find(|name| outputs.iter().all(|output| output.name != **name)) {
        let names: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
        return Ok(Err(format!("there is no output {unknown:?}; there is {}", names.join(", "))));
    }
    let mut rows = 0;
    for (output, gathered) in outputs.iter().zip(&fed.outputs) {
        let failed = |error: &dyn std::fmt::Display| Failure::failed(format!("output {}: {error}", output.name));
        let found = concat_batches(&output.schema, &gathered.kept).map_err(|error| failed(&error))?;
        let expected = match expected.get(&output.name) {
            Some(file) => rows_of(&dir.join(file), &output.schema)?,
            None => RecordBatch::new_empty(output.schema.clone()),
        };
        if let Err(why) = compare(&found, &expected) {
            return Ok(Err(format!("output {}: {why}", output.name)));
        }
        rows += found.num_rows();
    }
    Ok(Ok(rows))
}

/// All rows of a small file.
fn rows_of(path: &Path, wanted: &SchemaRef) -> Result<RecordBatch, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", path.display()));
    let source = Source::open(path, Wanted::Among(wanted), b',')?;
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
