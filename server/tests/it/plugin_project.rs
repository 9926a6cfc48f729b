//! `millstream plugin new | build | test`: what is made builds, and passes its own test.

use std::path::Path;
use std::process::{Command, Output};

use crate::program::{code, millstream, stderr, stdout};

/// Runs the program in a directory, with the tools of `scripts/setup`.
fn run(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = millstream();
    if let Some(cache) = std::env::var_os("MILLSTREAM_CACHE") {
        command.env("MILLSTREAM_CACHE", cache);
    }
    // Guests are compiled where scripts/build-guests does it, so that Rust's standard library is built once.
    command.env("CARGO_TARGET_DIR", target().join("guests/build"));
    command.current_dir(dir).arg("plugin").args(arguments).output().unwrap()
}

fn target() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_millstream")).ancestors().nth(2).unwrap()
}

#[track_caller]
fn succeeds(dir: &Path, arguments: &[&str]) -> String {
    let output = run(dir, arguments);
    assert_eq!(code(&output), 0, "{arguments:?}: {}{}", stdout(&output), stderr(&output));
    stdout(&output).to_owned()
}

#[track_caller]
fn fails(dir: &Path, arguments: &[&str], reason: &str) {
    let output = run(dir, arguments);
    assert_ne!(code(&output), 0, "{arguments:?} succeeds: {}", stdout(&output));
    let said = format!("{}{}", stdout(&output), stderr(&output));
    assert!(said.contains(reason), "{arguments:?}: {said} lacks {reason:?}");
}

/// Makes a project, builds it and runs its test, and then breaks what the test expects.
fn check(language: &str, kind: &str, result: &str) {
    let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/setup");
    assert!(Command::new(setup).arg("guests").status().unwrap().success(), "scripts/setup guests");
    let within = tempfile::tempdir().unwrap();
    let name = format!("new-{language}-{kind}");
    let made = succeeds(within.path(), &["new", &name, "--language", language, "--kind", kind]);
    assert!(made.contains(&name), "{made}");
    let dir = within.path().join(&name);
    let component = format!("{}.wasm", name.replace('-', "_"));

    let built = succeeds(&dir, &["build"]);
    assert!(built.contains(&component) && !built.contains("up to date"), "{built}");
    assert!(succeeds(&dir, &["build"]).contains("up to date"), "{built}");
    let inspected = run(&dir, &["inspect", &component]);
    assert!(stdout(&inspected).to_lowercase().contains(kind), "{}", stdout(&inspected));
    let tested = succeeds(&dir, &["test", "--call-timeout-ms", "60000"]);
    assert!(tested.contains(&format!("tests/in.jsonl ... ok, {result}")), "{tested}");

    let expected = dir.join(if kind == "consumer" { "tests/late.jsonl" } else { "tests/out.jsonl" });
    let text = std::fs::read_to_string(&expected).unwrap();
    std::fs::write(&expected, text.lines().skip(1).collect::<Vec<_>>().join("\n")).unwrap();
    fails(&dir, &["test", "--call-timeout-ms", "60000"], "1 of 1 tests failed");
}

#[test]
fn a_filter_in_rust() {
    check("rust", "filter", "2 rows out");
}

#[test]
fn a_function_in_rust() {
    check("rust", "function", "3 rows out");
}

#[test]
fn a_transform_in_rust() {
    check("rust", "transform", "4 rows out");
}

#[test]
fn a_consumer_in_rust() {
    check("rust", "consumer", "3 rows out");
}

#[test]
fn a_checkback_handler_in_rust() {
    check("rust", "checkback", "6 rows out");
}

#[test]
fn a_filter_in_c() {
    check("c", "filter", "2 rows out");
}

#[test]
fn a_function_in_c() {
    check("c", "function", "3 rows out");
}

#[test]
fn a_transform_in_c() {
    check("c", "transform", "4 rows out");
}

#[test]
fn a_consumer_in_c() {
    check("c", "consumer", "3 rows out");
}

#[test]
fn a_checkback_handler_in_c() {
    check("c", "checkback", "6 rows out");
}

#[test]
fn tables_of_a_test_are_asked_for() {
    let within = tempfile::tempdir().unwrap();
    succeeds(within.path(), &["new", "orders", "--language", "c", "--kind", "checkback"]);
    let project = within.path().join("orders");
    let manifest = std::fs::read_to_string(project.join("plugin.toml")).unwrap();
    let (before, _) = manifest.split_once("tables = ").unwrap();
    std::fs::write(project.join("plugin.toml"), before).unwrap();
    fails(&project, &["test"], "in a [[test]] of plugin.toml tables = { orders = \"FILE\" }");
    std::fs::write(project.join("plugin.toml"), format!("{before}tables = {{ order = \"tests/orders.jsonl\" }}\n"))
        .unwrap();
    fails(&project, &["test"], "looks no rows up in a table \"order\"");
}

#[test]
fn a_filter_in_javascript() {
    check("javascript", "filter", "2 rows out");
}

#[test]
fn a_function_in_javascript() {
    check("javascript", "function", "3 rows out");
}

#[test]
fn a_transform_in_javascript() {
    check("javascript", "transform", "4 rows out");
}

#[test]
fn a_consumer_in_javascript() {
    check("javascript", "consumer", "3 rows out");
}

#[test]
fn a_checkback_handler_in_javascript() {
    check("javascript", "checkback", "6 rows out");
}

/// These are only built: CPython takes 45 s to compile without optimisation, anew for each component, since each holds a
/// picture of an interpreter's memory. Filters and functions in Python run in the tests of plugins/host.
#[test]
fn other_projects_in_python_are_built() {
    let within = tempfile::tempdir().unwrap();
    for kind in ["filter", "function", "transform"] {
        let name = format!("new-python-{kind}");
        succeeds(within.path(), &["new", &name, "--language", "python", "--kind", kind]);
        assert!(succeeds(&within.path().join(&name), &["build"]).contains(".wasm"), "{kind}");
    }
}

#[test]
fn a_consumer_in_python() {
    check("python", "consumer", "3 rows out");
}

#[test]
fn a_checkback_handler_in_python() {
    check("python", "checkback", "6 rows out");
}

#[test]
fn what_is_wrong_is_said() {
    let within = tempfile::tempdir().unwrap();
    let dir = within.path();
    fails(dir, &["new", "Late"], "can't be the name of a plugin");
    fails(dir, &["new", "late", "--language", "perl"], "perl");
    fails(dir, &["build"], "neither a plugin.toml nor a Cargo.toml");
    succeeds(dir, &["new", "late", "--language", "c"]);
    fails(dir, &["new", "late", "--language", "c"], "late");
    let project = dir.join("late");
    std::fs::write(project.join("late.c"), "#include \"millstream/millstream.h\"\nint x = ;\n").unwrap();
    fails(&project, &["build"], "late.c:2:");
    std::fs::write(project.join("late.c"), "#include <stdio.h>\nint main(void) { puts(\"late\"); return 0; }\n")
        .unwrap();
    fails(&project, &["build"], "late.c");
    // A toolchain that is not there is named, with what to do.
    let mut command = millstream();
    let output = command.current_dir(&project).args(["plugin", "build"]).env("PATH", "").output().unwrap();
    assert!(stderr(&output).contains("clang is missing") && stderr(&output).contains("apt-get install"), "{output:?}");
}
