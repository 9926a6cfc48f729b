//! Compiled code is kept, found again, and never used unless it is authentic.

use std::fs;
use std::path::{Path, PathBuf};

use millstream_engine::{PluginHost as _, PluginLimits};
use millstream_plugin_host::Figures;

use crate::harness::{guest, open};

/// Inspects a guest in a new host over `dir`.
fn inspect(dir: &Path) -> Figures {
    let host = open(dir, |_| {});
    host.inspect(&guest("late-departures"), &PluginLimits::default()).expect("a description");
    host.figures()
}

fn code_file(dir: &Path) -> PathBuf {
    let entries = fs::read_dir(dir.join("code")).expect("the cache directory");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "code"));
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

#[track_caller]
fn assert_counts(figures: Figures, compilations: u64, hits: u64, refusals: u64) {
    let found = (figures.compilations, figures.cache_hits, figures.cache_refusals);
    assert_eq!(found, (compilations, hits, refusals), "compilations, hits, refusals");
}

#[test]
fn a_module_is_compiled_once() {
    let dir = tempfile::tempdir().expect("a directory");
    assert_counts(inspect(dir.path()), 1, 0, 0);
    assert_counts(inspect(dir.path()), 0, 1, 0);
}

#[test]
fn a_damaged_file_is_refused_and_written_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    inspect(dir.path());
    let path = code_file(dir.path());
    let whole = fs::read(&path).expect("the code");
    for damaged in [whole[..whole.len() / 2].to_vec(), Vec::new(), [&whole[..], b"more"].concat()] {
        fs::write(&path, damaged).expect("a damaged file");
        assert_counts(inspect(dir.path()), 1, 0, 1);
        assert_counts(inspect(dir.path()), 0, 1, 0);
    }
}

#[test]
fn a_forged_file_is_refused() {
    let (dir, forger) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    inspect(dir.path());
    inspect(forger.path());
    // Whole, well made, for the same module and compiler, and with another key.
    fs::copy(code_file(forger.path()), code_file(dir.path())).expect("a forged file");
    assert_counts(inspect(dir.path()), 1, 0, 1);
    assert_counts(inspect(dir.path()), 0, 1, 0);
}

#[test]
fn a_cache_directory_that_can_t_be_made_is_an_error() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("code"), "a file").expect("a file");
    let options = millstream_plugin_host::HostOptions::new(dir.path().join("code"));
    let error = millstream_plugin_host::WasmHost::new(options).expect_err("a file in the place of a directory");
    assert!(error.to_string().contains("code"), "{error}");
}
