//! Too much of everything, in every place where a guest can take it.

use super::component;
use super::filters::Core;
use crate::harness::{TestHost, assert_failure, tight};
use millstream_engine::{FailureKind, PluginLimits};

const LOG: &str = r#"(import "millstream:plugin/logging@0.1.0" "log" (func $log (param i32 i32 i32)))"#;

#[test]
fn a_module_of_100_mib_is_refused_unread() {
    let mut module = Core::default().component();
    module.resize(100 << 20, 0);
    let host = TestHost::new();
    let refusal = host.load(&module, "", &tight()).expect_err("it is too large").to_string();
    assert!(refusal.contains("more than the limit"), "{refusal}");
    assert_eq!(host.host.figures().compilations, 0);
}

#[test]
fn what_would_cost_the_compiler_too_much_is_refused_before_it() {
    let long: String = "nop ".repeat(1 << 20);
    let locals = format!("(func (local {}))", "i64 ".repeat(10_001));
    let long = format!("(func {long} nop)");
    for (extra, text) in [(long, "more than 1048576"), (locals, "has 10001 locals")] {
        let refusal = Core { extra: extra.leak(), ..Core::default() }.refusal();
        assert!(refusal.contains(text), "{refusal}");
    }
}

#[test]
fn recursion_ends_in_every_export() {
    let again = "(func $again (result i32) (call $again))";
    let called = "(call $again)";
    let core = |describe, open, realloc| Core { extra: again, describe, open, realloc, ..Core::default() };
    for (core, text) in [
        (core(called, "i32.const 64", "i32.const 4096"), "describe trapped"),
        (core("i32.const 32", called, "i32.const 4096"), "open trapped"),
        (core("i32.const 32", "i32.const 64", called), "open trapped"),
        (Core { extra: "(func $start (call $start)) (start $start)", ..Core::default() }, "starting trapped"),
    ] {
        let refusal = core.refusal();
        assert!(refusal.contains(text) && refusal.contains("stack"), "{refusal}");
    }
}

#[test]
fn memory_is_bounded_in_every_export() {
    // 200 pages are 12.5 MiB, the limit is 8; a guest that is refused them traps here.
    let grow = "(if (i32.eq (memory.grow (i32.const 200)) (i32.const -1)) (then unreachable))";
    let with = |then: &str| -> &'static str { format!("{grow} {then}").leak() };
    for (core, text) in [
        (Core { describe: with("i32.const 32"), ..Core::default() }, "describe needs more"),
        (Core { open: with("i32.const 64"), ..Core::default() }, "open needs more"),
        (Core { realloc: with("i32.const 4096"), ..Core::default() }, "open needs more"),
        (
            Core { extra: format!("(func $start {grow}) (start $start)").leak(), ..Core::default() },
            "starting needs more",
        ),
    ] {
        let refusal = core.refusal();
        assert!(refusal.contains(text) && refusal.contains("memory limit of 8388608 bytes"), "{refusal}");
    }
    let table = "(table $table 1 funcref)";
    let filter =
        "(if (i32.eq (table.grow $table (ref.null func) (i32.const 2000000)) (i32.const -1)) (then unreachable))
                  i32.const 96";
    assert_failure(&Core { extra: table, filter, ..Core::default() }.failure(), FailureKind::Memory, "memory limit");
}

#[test]
fn calling_the_host_for_ever_is_interrupted() {
    let filter = "(loop $more (call $log (i32.const 3) (i32.const 16) (i32.const 4)) (br $more)) unreachable";
    let error = Core { import: LOG, filter, ..Core::default() }.failure();
    assert_failure(&error, FailureKind::Timeout, "filter took longer");
}

#[test]
fn every_trap_is_told_apart_and_leaves_the_next_instance_whole() {
    for (filter, text) in [
        ("unreachable", "unreachable"),
        ("(drop (i32.div_s (i32.const 1) (i32.const 0))) i32.const 96", "divide by zero"),
        ("(drop (i32.div_s (i32.const 0x80000000) (i32.const -1))) i32.const 96", "overflow"),
        ("(drop (i32.trunc_f64_s (f64.const nan))) i32.const 96", "conversion to integer"),
        ("(drop (i32.load (i32.const 0x7ffffffc))) i32.const 96", "out of bounds memory"),
        ("(memory.fill (i32.const 65000) (i32.const 1) (i32.const 1000)) i32.const 96", "out of bounds memory"),
        ("(call_indirect (i32.const 0)) i32.const 96", "uninitialized element"),
        ("(call_indirect (i32.const 9)) i32.const 96", "undefined element"),
    ] {
        let core = Core { filter, extra: "(table 1 funcref)", ..Core::default() };
        assert_failure(&core.failure(), FailureKind::Trap, text);
    }
}

#[test]
fn a_start_function_that_traps_is_named() {
    let refusal = Core { extra: "(func $start unreachable) (start $start)", ..Core::default() }.refusal();
    assert!(refusal.contains("starting trapped"), "{refusal}");
}

#[test]
fn a_guest_that_answers_from_what_it_was_sent_answers_nothing_else() {
    // The bitmap is said to lie where the host put its message: bytes that overlap, and that are the guest's own.
    let filter = "(i32.store (i32.const 100) (i32.const 4096)) i32.const 96";
    let host = TestHost::new();
    let module = Core { filter, ..Core::default() }.component();
    let filter = host.load(&module, "", &tight()).unwrap_or_else(|e| panic!("{e}"));
    // An encapsulated message begins with 0xffffffff.
    let answer = filter.call(&[], 8).expect("an answer");
    assert_eq!(arrow_array::cast::AsArray::as_boolean(&answer).true_count(), 8);
}

#[test]
fn a_component_with_too_many_parts_is_refused() {
    let refusal = Core { extra: &"(table 1 funcref)".repeat(40).leak()[..], ..Core::default() }.refusal();
    assert!(refusal.contains("table"), "{refusal}");
}

#[test]
fn a_transform_that_spins_is_interrupted() {
    let spin = super::SPIN;
    let text = format!(
        r#"(module
          (memory (export "memory") 1)
          (data (i32.const 16) "hand")
          (data (i32.const 32) "\10\00\00\00\04\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
          (func (export "millstream:plugin/batch-transform@0.2.0#describe") (result i32) i32.const 32)
          (func (export "millstream:plugin/batch-transform@0.2.0#open") (param i32 i32 i32 i32) (result i32) {spin})
          (func (export "millstream:plugin/batch-transform@0.2.0#transform") (param i32 i32) (result i32) {spin})
          (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096))"#
    );
    let host = TestHost::new();
    let refusal = host.load_transform(&component("v0.2", "transform", &text), "", &tight()).expect_err("it spins");
    assert!(refusal.to_string().contains("open took longer"), "{refusal}");
}

#[test]
fn limits_of_output_hold_for_what_lies_below_the_hosts_own() {
    // 2 KiB of bitmap about 16,384 rows, of which 1 KiB is allowed; answers of 1 MiB in all are taken for texts.
    let filter = "(drop (memory.grow (i32.const 32))) (i32.store (i32.const 104) (i32.const 1900000)) i32.const 96";
    let host = TestHost::new();
    let limits = PluginLimits { output_bytes: 1 << 10, ..tight() };
    let module = Core { filter, ..Core::default() }.component();
    let filter = host.load(&module, "", &limits).unwrap_or_else(|e| panic!("{e}"));
    assert_failure(&filter.call(&[], 8).expect_err("too much"), FailureKind::BadOutput, "too much data");
}
