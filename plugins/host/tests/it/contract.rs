//! The contract: what is refused when a module is loaded, and that the WIT text keeps its versions.

use std::fs;
use std::path::Path;

use arrow_schema::DataType;
use millstream_engine::{PluginHost as _, PluginKind, PluginLimits, Volatility};
use millstream_plugin_host::{CONTRACTS, MAX_MODULE_BYTES};
use sha2::{Digest as _, Sha256};

use crate::harness::{TestHost, describe, guest, no_tables};

fn refusal(module: &[u8]) -> String {
    refusal_within(module, &PluginLimits::default())
}

fn refusal_within(module: &[u8], limits: &PluginLimits) -> String {
    let description = TestHost::new().host.inspect(module, limits);
    description.map(|d| panic!("{d:?}")).unwrap_or_else(|e| e.to_string())
}

#[test]
fn a_guest_says_what_it_is() {
    let host = TestHost::new();
    let description = host.host.inspect(&guest("carrier-filter"), &PluginLimits::default()).expect("a description");
    assert_eq!(description.name, "carrier-filter");
    assert_eq!(description.kind, PluginKind::Filter);
    assert!(CONTRACTS.contains(&description.contract.as_str()), "{}", description.contract);
    assert_eq!(description.returns, DataType::Boolean);
    assert_eq!(description.volatility, Volatility::Immutable);
    let parameters = [("carrier".to_owned(), DataType::Utf8), ("dep_delay".to_owned(), DataType::Float32)];
    assert_eq!(description.parameters, parameters);
}

#[test]
fn what_is_no_plugin_is_refused_with_the_reason() {
    let wat = |text: &str| wat::parse_str(text).unwrap_or_else(|e| panic!("{e}"));
    let cut = |module: Vec<u8>| module[..module.len() - 100].to_vec();
    for (module, reason) in [
        (b"not wasm".to_vec(), "not Wasm"),
        (wat("(module)"), "wasm-tools component new"),
        (cut(guest("late-departures")), "malformed"),
        (wat("(component)"), "exports nothing of a Millstream plugin"),
        (
            wat(r#"(component (instance $i) (export "millstream:plugin/batch-filter@0.9.0" (instance $i)))"#),
            "exports millstream:plugin/batch-filter@0.9.0; this server runs millstream:plugin/batch-filter@0.1.0, ",
        ),
        (
            wat(r#"(component (instance $i) (export "millstream:plugin/batch-filter@0.1.0" (instance $i)))"#),
            "without \"describe\"",
        ),
        (
            wat(r#"(component (instance $i) (export "millstream:plugin/checkback@0.2.0" (instance $i)))"#),
            "exports \"millstream:plugin/checkback@0.2.0\" without \"describe\"",
        ),
        (
            wat(r#"(component (instance $i) (export "millstream:plugin/batch-filter@0.2.0" (instance $i))
                    (export "millstream:plugin/scalar-function@0.2.0" (instance $i)))"#),
            "a plugin is of one kind",
        ),
        (vec![0; MAX_MODULE_BYTES + 1], "more than the limit"),
    ] {
        let error = refusal(&module);
        assert!(error.contains(reason), "{error} lacks {reason:?}");
    }
}

#[test]
fn an_import_that_is_not_granted_is_named() {
    for import in [
        r#"(import "wasi:cli/environment@0.2.0" (instance (export "get-environment" (func))))"#,
        r#"(import "wasi:filesystem/types@0.2.0" (instance (export "descriptor" (type (sub resource)))))"#,
        r#"(import "millstream:plugin/http@0.3.0" (instance (export "send" (func))))"#,
        r#"(import "anything" (func))"#,
    ] {
        let name = import.split('"').nth(1).expect("a name");
        let module = wat::parse_str(format!("(component {import})")).unwrap_or_else(|e| panic!("{e}"));
        let error = refusal(&module);
        assert!(error.contains(&format!("imports {name:?}, which is not offered")), "{error}");
    }
}

#[test]
fn bytes_of_any_kind_are_refused_without_harm() {
    let whole = guest("late-departures");
    let host = TestHost::new();
    let limits = PluginLimits::default();
    // A changed byte may well give another sound module; what counts is that the answer is one.
    for at in (0..whole.len()).step_by(whole.len() / 60) {
        let mut changed = whole.clone();
        changed[at] ^= 0x55;
        let _ = host.host.inspect(&changed, &limits);
        assert!(host.host.inspect(&whole[..at], &limits).is_err(), "the first {at} bytes are taken");
    }
    host.host.inspect(&whole, &limits).expect("the whole module");
}

#[test]
fn limits_out_of_range_are_refused() {
    let module = guest("late-departures");
    for (limits, reason) in [
        (PluginLimits { memory_bytes: 1, ..PluginLimits::default() }, "memory_bytes is 1"),
        (PluginLimits { memory_bytes: u64::MAX, ..PluginLimits::default() }, "memory_bytes is"),
        (PluginLimits { call_timeout_ms: 0, ..PluginLimits::default() }, "call_timeout_ms is 0"),
        (PluginLimits { concurrency: 0, ..PluginLimits::default() }, "concurrency is 0"),
        (PluginLimits { memory_bytes: 64 << 10, ..PluginLimits::default() }, "memory limit of 65536 bytes"),
    ] {
        let error = refusal_within(&module, &limits);
        assert!(error.contains(reason), "{error} lacks {reason:?}");
    }
}

#[test]
fn another_module_than_the_catalogs_is_refused() {
    let host = TestHost::new();
    let info = describe(&host.host, &guest("late-departures"), "", &PluginLimits::default()).expect("a description");
    let error = host.host.load(&info, &guest("spins"), no_tables()).expect_err("another module");
    assert!(error.to_string().contains("the catalog says"), "{error}");
}

#[test]
fn arguments_of_another_type_are_refused_before_the_guest_sees_them() {
    let host = TestHost::new();
    let late = host.filter("late-departures", "");
    let error = late.call(&crate::harness::values(8), 8).expect_err("Float64 for Float32");
    assert!(error.message.contains("not those that the plugin declares"), "{error}");
    assert!(late.call(&[], 8).is_err());
}

/// The WIT texts of one version without comments and blank lines: what two sides agree on.
fn normalised(dir: &Path) -> String {
    let entries = fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "wit"));
    files.sort();
    let texts = files.iter().map(|path| fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())));
    let text: String = texts.collect();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_contract_does_not_change_without_a_new_version() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let versions = fs::read_to_string(dir.join("versions")).expect("plugins/wit/versions");
    let mut found = Vec::new();
    for dir in [dir.clone(), dir.join("v0.2")] {
        let text = normalised(&dir);
        let hash: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
        let version = text.split("package millstream:plugin@").nth(1).and_then(|rest| rest.split(';').next());
        let version = version.expect("the package names its version");
        let recorded = versions.lines().find_map(|line| line.strip_prefix(version).map(str::trim));
        assert_eq!(
            recorded,
            Some(&*hash),
            "{} says something else under version {version} than plugins/wit/versions records: give the package a new \
             version and add a line \"{version} {hash}\" with it",
            dir.display()
        );
        found.push(format!("millstream:plugin@{version}"));
    }
    assert_eq!(CONTRACTS[..], found[..]);
    assert_eq!(versions.lines().count(), found.len());
}
