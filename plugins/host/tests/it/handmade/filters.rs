//! Filters of the contract 0.1.0.

use std::time::{Duration, Instant};

use super::{SPIN, component};
use crate::harness::{TestHost, assert_failure, count_lines, tight};
use arrow_array::cast::AsArray as _;
use millstream_engine::{FailureKind, OperatorError, PluginHost as _, PluginLimits};

/// A filter without parameters that answers 0b1010_0101 about any eight rows; a test changes a part of it.
///
/// Memory: 16 the name; 32 the description; 64 the result of `open`; 96 that of `filter`; 128 the bitmap; 4096 what the
/// host sends.
pub(super) struct Core {
    pub(super) import: &'static str,
    pub(super) memory: &'static str,
    pub(super) describe: &'static str,
    pub(super) open: &'static str,
    pub(super) filter: &'static str,
    pub(super) realloc: &'static str,
    pub(super) extra: &'static str,
}

impl Default for Core {
    fn default() -> Self {
        Core {
            import: "",
            memory: "1",
            describe: "i32.const 32",
            open: "i32.const 64",
            filter: "i32.const 96",
            realloc: "i32.const 4096",
            extra: "",
        }
    }
}

impl Core {
    pub(super) fn component(&self) -> Vec<u8> {
        let Core { import, memory, describe, open, filter, realloc, extra } = self;
        let text = format!(
            r#"(module
              {import}
              (memory (export "memory") {memory})
              (data (i32.const 16) "hand")
              (data (i32.const 32) "\10\00\00\00\04\00\00\00\00\00\00\00\00\00\00\00\00")
              (data (i32.const 96) "\00\00\00\00\80\00\00\00\01\00\00\00")
              (data (i32.const 128) "\a5")
              (func (export "millstream:plugin/batch-filter@0.1.0#describe") (result i32) {describe})
              (func (export "millstream:plugin/batch-filter@0.1.0#open") (param i32 i32 i32 i32) (result i32) {open})
              (func $filter (export "millstream:plugin/batch-filter@0.1.0#filter") (param i32 i32) (result i32) {filter})
              (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc})
              {extra})"#
        );
        component(".", "filter", &text)
    }

    /// The failure of loading it.
    pub(super) fn refusal(&self) -> String {
        let host = TestHost::new();
        let start = Instant::now();
        let loaded = host.load(&self.component(), "config", &tight());
        assert!(start.elapsed() < Duration::from_secs(120));
        loaded.map(|filter| panic!("{filter:?} is loaded")).unwrap_or_else(|e| e.to_string())
    }

    /// The failure of a call about eight rows.
    pub(super) fn failure(&self) -> OperatorError {
        let host = TestHost::new();
        let filter = host.load(&self.component(), "config", &tight()).unwrap_or_else(|e| panic!("{e}"));
        let start = Instant::now();
        let failed = filter.call(&[], 8);
        assert!(start.elapsed() < Duration::from_secs(120));
        failed.map(|answer| panic!("{answer:?}")).expect_err("a failure")
    }
}

#[test]
fn a_component_by_hand_works() {
    let host = TestHost::new();
    let filter =
        host.load(&Core::default().component(), "", &PluginLimits::default()).unwrap_or_else(|e| panic!("{e}"));
    let answer = filter.call(&[], 8).expect("an answer");
    let kept: Vec<usize> = answer.as_boolean().values().set_indices().collect();
    assert_eq!(kept, [0, 2, 5, 7]);
}

#[test]
fn every_entry_is_bounded_in_time() {
    let start = "(func $start (loop $turn (br $turn))) (start $start)";
    let refusal = Core { extra: start, ..Core::default() }.refusal();
    assert!(refusal.contains("starting took longer"), "{refusal}");
    let refusal = Core { describe: SPIN, ..Core::default() }.refusal();
    assert!(refusal.contains("describe took longer"), "{refusal}");
    let refusal = Core { open: SPIN, ..Core::default() }.refusal();
    assert!(refusal.contains("open took longer"), "{refusal}");
    let refusal = Core { realloc: SPIN, ..Core::default() }.refusal();
    assert!(refusal.contains("open took longer"), "{refusal}");
    assert_failure(&Core { filter: SPIN, ..Core::default() }.failure(), FailureKind::Timeout, "filter took longer");
    let post = r#"(func (export "cabi_post_millstream:plugin/batch-filter@0.1.0#filter") (param i32)
                  (loop $turn (br $turn)))"#;
    assert_failure(&Core { extra: post, ..Core::default() }.failure(), FailureKind::Timeout, "filter took longer");
}

#[test]
fn endless_recursion_is_a_trap() {
    let filter = "(call $filter (i32.const 0) (i32.const 0))";
    assert_failure(&Core { filter, ..Core::default() }.failure(), FailureKind::Trap, "stack");
}

#[test]
fn a_memory_larger_than_the_limit_is_refused_at_once() {
    let refusal = Core { memory: "200", ..Core::default() }.refusal();
    assert!(refusal.contains("memory limit"), "{refusal}");
    let refusal = Core { extra: "(table 10000000 funcref)", ..Core::default() }.refusal();
    assert!(refusal.contains("limit"), "{refusal}");
}

#[test]
fn a_guest_that_copes_with_the_limit_may_go_on() {
    // Grows until it is refused, then answers.
    let filter = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) i32.const 96";
    let host = TestHost::new();
    let module = Core { filter, ..Core::default() }.component();
    let filter = host.load(&module, "", &tight()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(filter.call(&[], 8).expect("an answer").as_boolean().true_count(), 4);
}

#[test]
fn memory_given_to_the_host_must_lie_within_the_guest() {
    for realloc in ["i32.const 65535", "i32.const -1", "i32.const 0x7fffffff"] {
        let refusal = Core { realloc, ..Core::default() }.refusal();
        assert!(refusal.contains("open broke the contract"), "{refusal}");
    }
    let refusal = Core { realloc: "unreachable", ..Core::default() }.refusal();
    assert!(refusal.contains("open trapped"), "{refusal}");
}

#[test]
fn an_answer_must_lie_within_the_guest_and_be_one() {
    for (filter, text) in [
        // The place of the result: outside, across the end, unaligned.
        ("i32.const -4", "broke the contract"),
        ("i32.const 65532", "broke the contract"),
        ("i32.const 97", "broke the contract"),
        // Neither ok nor error.
        ("(i32.store8 (i32.const 96) (i32.const 7)) i32.const 96", "broke the contract"),
        // A bitmap that begins or ends outside.
        ("(i32.store (i32.const 100) (i32.const -1)) i32.const 96", "broke the contract"),
        ("(i32.store (i32.const 104) (i32.const -1)) i32.const 96", "broke the contract"),
        ("(i32.store (i32.const 104) (i32.const 65500)) i32.const 96", "broke the contract"),
        // A bitmap of another length, none, and one of all memory.
        ("(i32.store (i32.const 104) (i32.const 2)) i32.const 96", "a bitmap of 2 bytes, where 1 are needed"),
        ("(i32.store (i32.const 104) (i32.const 0)) i32.const 96", "bitmap of 0 bytes"),
        ("(i32.store (i32.const 104) (i32.const 65000)) i32.const 96", "bitmap of 65000 bytes"),
        // An error that is not text.
        (
            "(i32.store8 (i32.const 96) (i32.const 1)) (i32.store8 (i32.const 128) (i32.const 0xff)) i32.const 96",
            "broke the contract",
        ),
    ] {
        assert_failure(&Core { filter, ..Core::default() }.failure(), FailureKind::BadOutput, text);
    }
}

#[test]
fn an_answer_larger_than_the_host_takes_is_refused() {
    // 4 MiB of bitmap, all of it the guest's own.
    let filter = "(drop (memory.grow (i32.const 64))) (i32.store (i32.const 104) (i32.const 4194304)) i32.const 96";
    assert_failure(&Core { filter, ..Core::default() }.failure(), FailureKind::BadOutput, "too much data");
}

#[test]
fn an_error_text_is_cut() {
    let filter = "(memory.fill (i32.const 8192) (i32.const 0x41) (i32.const 50000))
                  (i32.store8 (i32.const 96) (i32.const 1)) (i32.store (i32.const 100) (i32.const 8192))
                  (i32.store (i32.const 104) (i32.const 50000)) i32.const 96";
    let error = Core { filter, ..Core::default() }.failure();
    assert_failure(&error, FailureKind::Data, "AAAA");
    assert!(error.message.len() < 1_200, "{} bytes", error.message.len());
}

#[test]
fn lies_in_the_description_are_refused() {
    for (describe, text) in [
        ("(i32.store (i32.const 36) (i32.const 0)) i32.const 32", "its name"),
        (
            "(memory.fill (i32.const 8192) (i32.const 0x41) (i32.const 129))
             (i32.store (i32.const 32) (i32.const 8192)) (i32.store (i32.const 36) (i32.const 129)) i32.const 32",
            "its name",
        ),
        ("(i32.store8 (i32.const 16) (i32.const 0xff)) i32.const 32", "broke the contract"),
        ("(i32.store8 (i32.const 48) (i32.const 9)) i32.const 32", "broke the contract"),
        // 1,000 and 2^31 parameters, each without a name.
        (
            "(i32.store (i32.const 40) (i32.const 20000)) (i32.store (i32.const 44) (i32.const 1000)) i32.const 32",
            "declares 1000 parameters",
        ),
        ("(i32.store (i32.const 44) (i32.const 0x7fffffff)) i32.const 32", "broke the contract"),
    ] {
        let refusal = Core { describe, ..Core::default() }.refusal();
        assert!(refusal.contains("does not describe itself") && refusal.contains(text), "{refusal} lacks {text:?}");
    }
}

#[test]
fn a_log_flood_is_cut_off() {
    let core = Core {
        import: r#"(import "millstream:plugin/logging@0.1.0" "log" (func $log (param i32 i32 i32)))"#,
        filter: "(local i32) (loop $more
                   (call $log (i32.const 3) (i32.const 16) (i32.const 4))
                   (br_if $more (i32.ne (local.tee 2 (i32.add (local.get 2) (i32.const 1))) (i32.const 100000))))
                 i32.const 96",
        ..Core::default()
    };
    let host = TestHost::new();
    let limits = PluginLimits { call_timeout_ms: 20_000, ..tight() };
    let lines = count_lines(|| {
        let filter = host.load(&core.component(), "", &limits).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(filter.call(&[], 8).expect("an answer").as_boolean().true_count(), 4);
    });
    assert_eq!(lines, 64);
    let calls = host.host.calls().pop().expect("the plugin was loaded");
    assert_eq!((calls.log_lines, calls.log_lines_dropped), (64, 100_000 - 64));
    assert_eq!(host.host.log_lines().len(), 64);
}

#[test]
fn a_log_line_must_be_text_of_a_known_level() {
    let import = r#"(import "millstream:plugin/logging@0.1.0" "log" (func $log (param i32 i32 i32)))"#;
    for filter in [
        "(call $log (i32.const 9) (i32.const 16) (i32.const 4)) i32.const 96",
        "(call $log (i32.const 0) (i32.const 16) (i32.const -1)) i32.const 96",
        "(i32.store8 (i32.const 16) (i32.const 0xff)) (call $log (i32.const 0) (i32.const 16) (i32.const 4)) i32.const 96",
    ] {
        assert_failure(
            &Core { import, filter, ..Core::default() }.failure(),
            FailureKind::BadOutput,
            "broke the contract",
        );
    }
}
