//! Checkback handlers that answer, and look rows up, as no sound one does.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::Schema;
use millstream_engine::{
    CheckVerdict, CheckbackHandler, FailureKind, LoadedPlugin, MemoryTables, OperatorError, PluginHost as _,
    PluginLimits, PluginSettings, TableLookup,
};

use super::answers::{message, numbers};
use super::{SPIN, component, escaped};
use crate::harness::{TestHost, assert_failure, no_tables, tight};
use CheckVerdict::{Commit, Rollback, Unknown};

const LOOKUP: &str = r#"(import "millstream:plugin/tables@0.2.0" "lookup" (func $lookup (param i32 i32 i32 i32 i32)))"#;
/// The capability `table` by its place in the contract, and what belongs to it: the table `known`, its key and its columns.
const TABLE: [u32; 7] = [3, 20, 5, 512, 1, 528, 1];

/// A handler without parameters, and what it answers about anything.
struct Hand {
    import: &'static str,
    asks: Vec<[u32; 7]>,
    describe: String,
    body: String,
    failed: u32,
    verdicts: Vec<u8>,
    /// What it looks up.
    keys: Vec<u8>,
}

impl Default for Hand {
    fn default() -> Hand {
        Hand {
            import: "",
            asks: vec![TABLE],
            describe: String::new(),
            body: String::new(),
            failed: 0,
            verdicts: vec![0, 1],
            keys: Vec::new(),
        }
    }
}

fn words(words: &[u32]) -> String {
    words.iter().map(|word| escaped(&word.to_le_bytes())).collect()
}

impl Hand {
    /// Memory: 16 names; 64 the description; 96 the result of `open`; 128 that of `check`; 256 the verdicts; 512 the key
    /// column, 528 the other; 1280 the capabilities, 28 bytes each; 4096 what a look-up gives; 8192 the keys; the sixteenth
    /// page what the host sends.
    fn module(&self) -> Vec<u8> {
        let count = |length: usize| u32::try_from(length).expect("few");
        let asked: Vec<u32> = self.asks.iter().flatten().copied().collect();
        let text = format!(
            r#"(module
              {import}
              (memory (export "memory") 20)
              (data (i32.const 16) "handknownkInt64nFloat64other")
              (data (i32.const 64) "{description}")
              (data (i32.const 128) "{answer}")
              (data (i32.const 256) "{verdicts}")
              (data (i32.const 512) "{columns}")
              (data (i32.const 1280) "{asked}")
              (data (i32.const 8192) "{keys}")
              (func (export "millstream:plugin/checkback@0.2.0#describe") (result i32) {describe} i32.const 64)
              (func (export "millstream:plugin/checkback@0.2.0#open") (param i32 i32 i32 i32) (result i32) i32.const 96)
              (func (export "millstream:plugin/checkback@0.2.0#check") (param i32 i32) (result i32) {body} i32.const 128)
              (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1048576))"#,
            import = self.import,
            description = words(&[16, 4, 0, 0, 1280, count(self.asks.len())]),
            answer = words(&[self.failed, 256, count(self.verdicts.len())]),
            verdicts = escaped(&self.verdicts),
            columns = words(&[25, 1, 26, 5, 31, 1, 26, 5, 25, 1, 32, 7]),
            asked = words(&asked),
            keys = escaped(&self.keys),
            describe = self.describe,
            body = self.body,
        );
        component("v0.2", "checkback-handler", &text)
    }

    fn load(&self, host: &TestHost, limits: &PluginLimits, tables: Arc<dyn TableLookup>) -> Arc<dyn CheckbackHandler> {
        match host.load_over(&self.module(), "", limits, tables) {
            Ok(LoadedPlugin::Checkback(handler)) => handler,
            other => panic!("{other:?}"),
        }
    }

    /// What it says of two half messages.
    fn check(&self, tables: Arc<dyn TableLookup>) -> Result<Vec<CheckVerdict>, OperatorError> {
        let patient = PluginLimits { call_timeout_ms: 10_000, ..tight() };
        check(&self.load(&TestHost::new(), &patient, tables))
    }

    #[track_caller]
    fn assert_fails(&self, kind: FailureKind, reason: &str) {
        let handler = self.load(&TestHost::new(), &tight(), no_tables());
        assert_failure(&check(&handler).expect_err(reason), kind, reason);
    }

    fn refusal(&self) -> String {
        let refused = TestHost::new().load_over(&self.module(), "", &tight(), no_tables());
        refused.map(|loaded| panic!("{loaded:?}")).unwrap_or_else(|e| e.to_string())
    }
}

fn check(handler: &Arc<dyn CheckbackHandler>) -> Result<Vec<CheckVerdict>, OperatorError> {
    let options = RecordBatchOptions::new().with_row_count(Some(2));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options).expect("a batch");
    handler.check(&batch)
}

#[test]
fn a_handler_by_hand_works() {
    assert_eq!(Hand::default().check(no_tables()).expect("verdicts"), [Commit, Rollback]);
    assert_eq!(
        Hand { verdicts: vec![2, 0], ..Hand::default() }.check(no_tables()).expect("verdicts"),
        [Unknown, Commit]
    );
}

#[test]
fn another_number_of_verdicts_is_refused() {
    for verdicts in [vec![], vec![0], vec![0; 3]] {
        let reason = format!("it has {} verdicts", verdicts.len());
        Hand { verdicts, ..Hand::default() }.assert_fails(FailureKind::BadOutput, &reason);
    }
}

#[test]
fn a_verdict_that_is_none_is_refused() {
    Hand { verdicts: vec![0, 3], ..Hand::default() }.assert_fails(FailureKind::BadOutput, "check broke the contract");
    Hand { verdicts: vec![255, 0], ..Hand::default() }.assert_fails(FailureKind::BadOutput, "check broke the contract");
}

#[test]
fn errors_traps_and_time_outs_are_told_apart() {
    Hand { failed: 1, verdicts: b"no".to_vec(), ..Hand::default() }.assert_fails(FailureKind::Data, "no");
    Hand { body: "unreachable".to_owned(), ..Hand::default() }.assert_fails(FailureKind::Trap, "check trapped");
    Hand { body: SPIN.to_owned(), ..Hand::default() }.assert_fails(FailureKind::Timeout, "check took longer");
}

/// Looks keys up in the table whose name lies there; keys lie at 8192.
fn look(name: &str, keys: usize) -> String {
    let (at, length) = if name == "known" { (20, 5) } else { (39, 5) };
    format!("(call $lookup (i32.const {at}) (i32.const {length}) (i32.const 8192) (i32.const {keys}) (i32.const 4096))")
}

/// The first verdict is then whether it failed (Rollback), the second which error it was: denied, invalid, unavailable.
const TELL: &str = "(i32.store8 (i32.const 256) (i32.load8_u (i32.const 4096)))
    (i32.store8 (i32.const 257) (i32.load8_u (i32.const 4100)))";
const DENIED: [CheckVerdict; 2] = [Rollback, Commit];
const INVALID: [CheckVerdict; 2] = [Rollback, Rollback];
const UNAVAILABLE: [CheckVerdict; 2] = [Rollback, Unknown];

fn looks(name: &str, keys: Vec<u8>) -> Hand {
    let body = format!("{} {TELL}", look(name, keys.len()));
    Hand { import: LOOKUP, body, keys, ..Hand::default() }
}

fn keys(name: &str, keys: ArrayRef) -> Vec<u8> {
    message(&RecordBatch::try_from_iter([(name, keys)]).expect("a batch"))
}

/// A table with as many keys.
fn known(module: &Hand, rows: i64) -> Arc<dyn TableLookup> {
    let declared = TestHost::new().host.inspect(&module.module(), &tight()).expect("a description").tables;
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    let batch = RecordBatch::try_from_iter([("k", column.clone()), ("n", column)]).expect("a batch");
    Arc::new(MemoryTables::new(&declared, vec![vec![batch]]).expect("rows"))
}

#[test]
fn a_look_up_by_hand_works() {
    // What is found of three keys, of which two are there, is counted by the verdicts: one past it is no verdict.
    let body = format!("{} (i32.store (i32.const 136) (i32.load (i32.const 4112)))", look("known", 0));
    let sound = keys("k", Arc::new(Int64Array::from(vec![Some(1), Some(7), None, Some(0)])));
    let body = body.replace("(i32.const 8192) (i32.const 0)", &format!("(i32.const 8192) (i32.const {})", sound.len()));
    let hand = Hand { import: LOOKUP, body, keys: sound, verdicts: vec![0, 1, 2], ..Hand::default() };
    assert_eq!(hand.check(known(&hand, 3)).expect("two rows"), [Commit, Rollback]);
}

#[test]
fn a_table_that_was_not_declared_is_denied() {
    let sound = || keys("k", Arc::new(Int64Array::from(vec![1])));
    let hand = looks("other", sound());
    assert_eq!(hand.check(known(&hand, 3)).expect("verdicts"), DENIED);
    // And one that was, before the plugin is open: the description traps if it is not denied.
    let denied = "(if (i32.ne (i32.load16_u (i32.const 4096)) (i32.const 1)) (then unreachable))
        (if (i32.load8_u (i32.const 4100)) (then unreachable))";
    let early = Hand { describe: format!("{} {denied}", look("known", sound().len())), ..looks("known", sound()) };
    early.check(known(&looks("known", sound()), 3)).expect("it was denied");
}

#[test]
fn a_table_takes_the_capability_and_the_operators_word() {
    let unasked = Hand { asks: Vec::new(), ..looks("known", Vec::new()) };
    assert!(unasked.refusal().contains("it imports \"table\" without asking for it"), "{}", unasked.refusal());
    let settings = PluginSettings { limits: tight(), ..PluginSettings::default() };
    let error = TestHost::new()
        .host
        .inspect_with("public", "late", &Hand::default().module(), &settings)
        .expect_err("not granted");
    assert!(error.to_string().contains("reads table \"known\", which is not granted"), "{error}");
}

#[test]
fn forged_keys_are_invalid() {
    let (number, text): (ArrayRef, ArrayRef) =
        (Arc::new(Int64Array::from(vec![1])), Arc::new(StringArray::from(vec!["a"])));
    let two = RecordBatch::try_from_iter([("k", number.clone()), ("l", number)]).expect("a batch");
    let mut cut = keys("k", Arc::new(Int64Array::from(vec![1, 2, 3])));
    cut.truncate(cut.len() - 8);
    let many = keys("k", Arc::new(Int64Array::from_iter_values(0..65_537)));
    for (what, forged) in [
        ("nothing", Vec::new()),
        ("any bytes", vec![0xff; 200]),
        ("text", keys("k", text)),
        ("two columns", message(&two)),
        ("a cut message", cut),
        ("no batch", message(&numbers([1]))[..8].to_vec()),
        ("too many", many),
    ] {
        let hand = looks("known", forged);
        assert_eq!(hand.check(known(&hand, 3)).unwrap_or_else(|e| panic!("{what}: {e}")), INVALID, "{what}");
    }
    let beyond = Hand { body: look("known", 2_000_000_000), ..looks("known", Vec::new()) };
    assert_eq!(beyond.check(no_tables()).expect_err("out of its memory").kind, FailureKind::BadOutput);
}

#[test]
fn a_table_that_cant_be_read_is_unavailable() {
    let hand = looks("known", keys("k", Arc::new(Int64Array::from(vec![1]))));
    assert_eq!(hand.check(no_tables()).expect("verdicts"), UNAVAILABLE);
    // So are more rows than an answer may have: the same key again and again.
    let hand = looks("known", keys("k", Arc::new(Int64Array::from(vec![1; 2_000]))));
    let limits = PluginLimits { output_bytes: 10_000, call_timeout_ms: 10_000, ..tight() };
    let handler = hand.load(&TestHost::new(), &limits, known(&hand, 3));
    assert_eq!(check(&handler).expect("verdicts"), UNAVAILABLE);
}

#[test]
fn look_ups_without_end_are_ended() {
    let sound = keys("k", Arc::new(Int64Array::from_iter_values(0..1_000)));
    let body = format!("(loop $more {} (br $more))", look("known", sound.len()));
    let hand = Hand { import: LOOKUP, body, keys: sound, ..Hand::default() };
    let handler = hand.load(&TestHost::new(), &tight(), known(&hand, 1_000));
    let error = check(&handler).expect_err("it never ends");
    assert_failure(&error, FailureKind::Timeout, "check took longer");
}

#[test]
fn lies_about_tables_are_refused() {
    for (asks, reason) in [
        (vec![TABLE, TABLE], "table \"known\" is declared twice"),
        (vec![[3, 20, 0, 512, 1, 528, 1]], "table name \"\""),
        (vec![[3, 20, 5, 512, 0, 528, 1]], "without key or columns"),
        (vec![[3, 20, 5, 512, 1, 528, 0]], "without key or columns"),
        (vec![[3, 20, 5, 544, 1, 528, 1]], "key column \"k\" of table \"known\" is a floating-point number"),
        (vec![[2, 0, 0, 0, 0, 0, 0]], "it asks for state"),
    ] {
        let refusal = Hand { asks, ..Hand::default() }.refusal();
        assert!(refusal.contains(reason), "{refusal} lacks {reason:?}");
    }
    let many = (0..17).map(|at| [3, 16, 1 + at, 512, 1, 528, 1]).collect();
    let refusal = Hand { asks: many, ..Hand::default() }.refusal();
    assert!(refusal.contains("17 tables, more than 16"), "{refusal}");
}
