//! Holds the workspace to ARCHITECTURE.md: who may depend on whom, who owns which outside crate, which paths exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// The arrows that may exist between our crates; tests and benches may use any.
const EDGES: &[(&str, &[&str])] = &[
    (
        "millstream",
        &[
            "millstream-sql",
            "millstream-formats",
            "millstream-plugin-host",
            "millstream-componentize",
            "millstream-engine",
            "millstream-protocol",
            "millstream-client",
        ],
    ),
    ("millstream-sql", &["millstream-engine", "millstream-formats"]),
    ("millstream-formats", &["millstream-engine"]),
    ("millstream-plugin-host", &["millstream-engine"]),
    ("millstream-componentize", &[]),
    ("millstream-engine", &[]),
    ("millstream-protocol", &[]),
    ("millstream-client", &["millstream-protocol"]),
];

/// Outside crates that only the named crates may depend on.
const OWNERS: &[(&str, &[&str])] = &[
    ("datafusion", &["millstream-sql"]),
    ("wasmtime", &["millstream-plugin-host"]),
    ("axum", &["millstream"]),
    ("clap", &["millstream"]),
    ("tonic", &["millstream", "millstream-protocol", "millstream-client"]),
    ("fjall", &["millstream-engine"]),
    ("hmac", &["millstream-engine"]),
    ("sha1", &["millstream-engine"]),
    ("reqwest", &["millstream-plugin-host", "millstream"]),
    ("rustls", &["millstream", "millstream-client"]),
    ("tokio-rustls", &["millstream", "millstream-client"]),
    ("rcgen", &["millstream"]),
    ("x509-cert", &["millstream"]),
];

/// Packages that measure and test the others.
const OUTSIDE: &[&str] = &["millstream-tests", "millstream-bench"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = MetadataCommand::new().current_dir(root()).no_deps().exec().expect("cargo metadata");
    metadata
        .packages
        .iter()
        .filter(|package| !OUTSIDE.contains(&package.name.as_str()))
        .map(|package| {
            let names = package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development);
            (package.name.to_string(), names.map(|d| d.name.clone()).collect())
        })
        .collect()
}

#[test]
fn crates_depend_only_along_the_allowed_edges() {
    let dependencies = dependencies();
    let known: BTreeMap<_, _> = EDGES.iter().copied().collect();
    for (package, names) in &dependencies {
        let allowed = known.get(package.as_str()).unwrap_or_else(|| panic!("{package} is not in the table of edges"));
        for name in names.iter().filter(|name| name.starts_with("millstream")) {
            assert!(allowed.contains(&name.as_str()), "{package} must not depend on {name}");
        }
    }
    for package in known.keys() {
        assert!(dependencies.contains_key(*package), "{package} is in the table of edges but not in the workspace");
    }
}

#[test]
fn outside_crates_have_one_owner() {
    for (package, names) in dependencies() {
        for (outside, owners) in OWNERS {
            let uses = names.iter().any(|name| name == outside || name.starts_with(&format!("{outside}-")));
            assert!(!uses || owners.contains(&package.as_str()), "{package} must not depend on {outside}");
        }
    }
}

#[test]
fn every_path_that_the_architecture_page_names_exists() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let mut seen = 0;
    for name in text.split('`').skip(1).step_by(2).filter(|name| looks_like_path(name)) {
        seen += 1;
        assert!(root().join(name).exists(), "ARCHITECTURE.md names {name}, which does not exist");
    }
    assert!(seen > 30, "ARCHITECTURE.md names only {seen} paths");
}

#[test]
fn what_looks_like_a_path_is_one() {
    for path in ["docs/log-format.md", "plugins/guest-c/", "engine/src/log/", "tests/tests/it/shape.rs"] {
        assert!(looks_like_path(path) && root().join(path).exists(), "{path}");
    }
    for other in ["<data>/state", "/v1/sql", "*/*", "GET /metrics", "s3://bucket/prefix", "shape.rs"] {
        assert!(!looks_like_path(other), "{other}");
    }
}

fn looks_like_path(name: &str) -> bool {
    name.contains('/') && !name.contains(['<', '*', ' ', ':', '(']) && !name.starts_with('/')
}

/// Files over this many lines are where nobody looks.
const LONGEST_FILE: usize = 400;

/// Where the engine asks what time it is, or how long it has waited.
const ENGINES_TIME: &str = "engine/src/platform/clock.rs";

#[test]
fn the_engine_asks_for_the_time_in_one_place() {
    let engine = root().join("engine/src");
    let mut asking = Vec::new();
    for path in source_files(&engine) {
        let file = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("readable file");
        let asks = ["Instant::now", "SystemTime::now"].iter().any(|call| text.contains(call));
        if asks && !file.contains("/tests") {
            asking.push(file);
        }
    }
    assert_eq!(asking, [ENGINES_TIME]);
}

/// All below a folder, but for what is built and fetched.
fn source_files(folder: &Path) -> Vec<PathBuf> {
    let (mut pending, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(dir) = pending.pop() {
        for entry in std::fs::read_dir(&dir).expect("readable folder") {
            let path = entry.expect("entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && name != "node_modules" && !name.starts_with('.') {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// Sources that `plugin new` writes, and no crate compiles.
const TEMPLATES: &str = "plugins/componentize/templates";

/// A file that no `mod` names is compiled by nobody, and nobody notices.
#[test]
fn every_source_file_is_part_of_a_crate() {
    for path in source_files(&root()) {
        let file = path.strip_prefix(root()).expect("below the root");
        let (folder, stem) = (path.parent().expect("a folder"), path.file_stem().expect("a name"));
        let is_root = ["main", "lib", "build"].iter().any(|root| stem == *root);
        if is_root || folder.ends_with("src/bin") || file.starts_with(TEMPLATES) {
            continue;
        }
        let (within, name) = match stem == "mod" {
            true => (folder.parent().expect("a folder"), folder.file_name().expect("a name")),
            false => (folder, stem),
        };
        let parents = ["mod.rs", "lib.rs", "main.rs"].map(|parent| within.join(parent));
        let declaration = format!("mod {};", name.to_string_lossy());
        let declares = |parent: &PathBuf| std::fs::read_to_string(parent).is_ok_and(|text| text.contains(&declaration));
        let is_declared = parents.iter().any(declares) || declares(&within.with_extension("rs"));
        assert!(is_declared, "{} is no module of its crate", file.display());
    }
}

#[test]
fn no_source_file_outgrows_the_limit() {
    for path in source_files(&root()) {
        let lines = std::fs::read_to_string(&path).expect("readable file").lines().count();
        let file = path.strip_prefix(root()).expect("below the root").to_string_lossy();
        assert!(lines <= LONGEST_FILE, "{file} has {lines} lines, more than {LONGEST_FILE}; split it");
    }
}
