//! Nothing is reachable unless a module asks for it and it is granted.

use std::collections::BTreeSet;

use arrow_array::cast::AsArray as _;
use millstream_engine::{Capability, FailureKind, PluginHost as _, PluginLimits, PluginSettings, Volatility};

use super::component;
use crate::harness::{TestHost, assert_failure, tight};

const CLOCK: &str = r#"(import "millstream:plugin/clock@0.2.0" "now" (func $now (result i64)))"#;
const RANDOM: &str = r#"(import "millstream:plugin/random@0.2.0" "bytes" (func $bytes (param i32 i32)))"#;

/// A filter of the contract 0.2.0 without parameters. `asks` are capabilities as their numbers in the contract.
///
/// Memory: 16 the name; 32 the description; 80 the result of `open`; 96 that of `filter`; 128 the bitmap; 256 the
/// capabilities, 28 bytes each; 4096 what the host sends.
fn filter(import: &str, volatile: bool, asks: &[u8], describe: &str, filter: &str) -> Vec<u8> {
    let asked: String = asks.iter().map(|number| format!("\\{number:02x}{}", "\\00".repeat(27))).collect();
    let text = format!(
        r#"(module
          {import}
          (memory (export "memory") 4)
          (data (i32.const 16) "hand")
          (data (i32.const 32) "\10\00\00\00\04\00\00\00\00\00\00\00\00\00\00\00\{volatile:02x}\00\00\00\00\01\00\00\{asks:02x}\00\00\00")
          (data (i32.const 96) "\00\00\00\00\80\00\00\00\01\00\00\00")
          (data (i32.const 128) "\a5")
          (data (i32.const 256) "{asked}")
          (func (export "millstream:plugin/batch-filter@0.2.0#describe") (result i32) {describe} i32.const 32)
          (func (export "millstream:plugin/batch-filter@0.2.0#open") (param i32 i32 i32 i32) (result i32) i32.const 80)
          (func (export "millstream:plugin/batch-filter@0.2.0#filter") (param i32 i32) (result i32) {filter} i32.const 96)
          (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096))"#,
        volatile = u8::from(volatile),
        asks = asks.len(),
    );
    component("v0.2", "filter", &text)
}

fn refusal(module: &[u8], grants: &[Capability]) -> String {
    let settings = PluginSettings { grants: grants.iter().copied().collect(), limits: tight(), ..Default::default() };
    let inspected = TestHost::new().host.inspect_with("public", "late", module, &settings);
    inspected.map(|d| panic!("{d:?}")).unwrap_or_else(|e| e.to_string())
}

#[test]
fn a_filter_of_the_second_contract_works() {
    let host = TestHost::new();
    let filter = host.load(&filter("", false, &[], "", ""), "", &tight()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(filter.call(&[], 8).expect("an answer").as_boolean().true_count(), 4);
    assert_eq!(filter.signature().volatility, Volatility::Immutable);
}

#[test]
fn what_is_asked_for_and_granted_is_there() {
    // Keeps the rows whose bits the clock's lowest byte has set; zero would be as good as any other answer.
    let now = "(i32.store8 (i32.const 128) (i32.or (i32.const 1) (i32.wrap_i64 (i64.div_s (call $now) (i64.const 1000000000000)))))";
    let host = TestHost::new();
    let module = filter(CLOCK, true, &[0], "", now);
    let described = host.host.inspect(&module, &PluginLimits::default()).expect("a description");
    assert_eq!(described.capabilities, BTreeSet::from([Capability::Clock]));
    let keeps = host.load(&module, "", &tight()).unwrap_or_else(|e| panic!("{e}"));
    // Trillions of µs since 1970: more than 1,700 now.
    assert!(keeps.call(&[], 8).expect("an answer").as_boolean().true_count() > 0);

    let random = "(call $bytes (i32.const 1) (i32.const 192)) (i32.store8 (i32.const 128) (i32.load8_u (i32.load (i32.const 192))))";
    let keeps = host.load(&filter(RANDOM, true, &[1], "", random), "", &tight()).unwrap_or_else(|e| panic!("{e}"));
    let answers: BTreeSet<usize> = (0..64)
        .map(|_| keeps.call(&[], 8).expect("an answer").as_boolean().values().set_indices().map(|bit| 1 << bit).sum())
        .collect();
    assert!(answers.len() > 4, "{answers:?} are not random");
}

#[test]
fn what_is_not_granted_is_named() {
    let module = filter(CLOCK, true, &[0], "", "(drop (call $now))");
    assert!(refusal(&module, &[]).contains("asks for \"clock\", which is not granted; WITH (grant = 'clock')"));
    assert!(refusal(&module, &[Capability::Random]).contains("asks for \"clock\""));
}

#[test]
fn what_is_imported_must_be_asked_for() {
    let module = filter(CLOCK, true, &[], "", "(drop (call $now))");
    assert!(refusal(&module, &Capability::ALL).contains("it imports \"clock\" without asking for it"));
    let module = filter(CLOCK, true, &[1], "", "(drop (call $now))");
    assert!(refusal(&module, &Capability::ALL).contains("it imports \"clock\" without asking for it"));
}

#[test]
fn what_calls_itself_immutable_gets_nothing() {
    let module = filter(CLOCK, false, &[0], "", "(drop (call $now))");
    assert!(refusal(&module, &Capability::ALL).contains("it says that it is immutable, and asks for \"clock\""));
}

#[test]
fn nothing_is_granted_while_a_module_describes_itself() {
    let module = filter(CLOCK, true, &[0], "(drop (call $now))", "");
    let error = refusal(&module, &Capability::ALL);
    assert!(
        error.contains("does not describe itself") && error.contains("\"clock\", which it is not granted"),
        "{error}"
    );
}

#[test]
fn capabilities_that_no_plugin_of_the_kind_can_have_are_refused() {
    assert!(refusal(&filter("", true, &[2], "", ""), &Capability::ALL).contains("it asks for state"));
    assert!(refusal(&filter("", true, &[3], "", ""), &Capability::ALL).contains("it asks for table"));
    assert!(refusal(&filter("", true, &[4], "", ""), &Capability::ALL).contains("it asks for requests to"));
    assert!(refusal(&filter("", true, &[9], "", ""), &Capability::ALL).contains("broke the contract"));
    assert!(refusal(&filter("", true, &[0; 65], "", ""), &Capability::ALL).contains("asks for 65 capabilities"));
}

#[test]
fn random_bytes_are_bounded_in_number_and_time() {
    let flood = "(loop $more (call $bytes (i32.const -1) (i32.const 192)) (br $more))";
    let host = TestHost::new();
    // 64 KiB at a time go to the same place, which is there.
    let flood = host.load(&filter(RANDOM, true, &[1], "", flood), "", &tight()).unwrap_or_else(|e| panic!("{e}"));
    assert_failure(&flood.call(&[], 8).expect_err("a flood"), FailureKind::Timeout, "filter took longer");
}
