//! Consumers that answer, and use their state, as no sound one does.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::Schema;
use millstream_engine::{
    BatchConsumer, Capability, Consumed, FailureKind, OperatorError, PluginHost as _, PluginSettings, Verdict,
};

use super::answers::{message, numbers};
use super::{SPIN, component, escaped};
use crate::harness::{Kept, TestHost, assert_failure, somewhere, tight};

const PUT: &str = r#"(import "millstream:plugin/state@0.2.0" "put" (func $put (param i32 i32 i32 i32 i32)))"#;
const SCAN: &str =
    r#"(import "millstream:plugin/state@0.2.0" "scan" (func $scan (param i32 i32 i32 i32 i32 i32 i32)))"#;
/// The capability `state`, by its place in the contract.
const STATE: u8 = 2;
const DONE: u32 = 0;

/// A consumer without parameters and with one output of one Int64 column, and what it answers about anything.
struct Hand {
    import: &'static str,
    asks: Vec<u8>,
    outputs: u32,
    describe: String,
    body: String,
    /// Output and message.
    rows: Vec<(u32, Vec<u8>)>,
    verdict: u32,
    /// Row and verdict.
    exceptions: Vec<(u32, u32)>,
    /// Number of exceptions that it says there are, if not theirs.
    claimed: Option<u32>,
}

impl Default for Hand {
    fn default() -> Hand {
        Hand {
            import: "",
            asks: vec![STATE],
            outputs: 1,
            describe: String::new(),
            body: String::new(),
            rows: Vec::new(),
            verdict: DONE,
            exceptions: Vec::new(),
            claimed: None,
        }
    }
}

/// Little-endian words as Wasm text.
fn words(words: &[u32]) -> String {
    words.iter().map(|word| escaped(&word.to_le_bytes())).collect()
}

impl Hand {
    /// Memory: 16 names; 32 the description; 80 the result of `open`; 128 that of `consume`; 256 the outputs, 16 bytes
    /// each; 1024 their column; 1280 the capabilities, 28 bytes each; 2048 the batches that are answered, 12 bytes each;
    /// 3072 the exceptions, 16 bytes each; 4096 scratch; 8192 messages; 131072 what the host sends.
    fn module(&self) -> Vec<u8> {
        let (mut batches, mut messages) = (Vec::new(), Vec::new());
        for (output, message) in &self.rows {
            let at = 8192 + u32::try_from(messages.len()).expect("small messages");
            batches.extend([*output, at, u32::try_from(message.len()).expect("a small message")]);
            messages.extend(message);
            messages.resize(messages.len().next_multiple_of(8), 0);
        }
        let count = |length: usize| u32::try_from(length).expect("few");
        let exceptions: Vec<u32> = self.exceptions.iter().flat_map(|(row, verdict)| [*row, *verdict, 16, 4]).collect();
        let claimed = self.claimed.unwrap_or(count(self.exceptions.len()));
        let asked: String = self.asks.iter().map(|number| format!("\\{number:02x}{}", "\\00".repeat(27))).collect();
        let outputs: Vec<u32> = (0..self.outputs).flat_map(|_| [20, 3, 1024, 1]).collect();
        let text = format!(
            r#"(module
              {import}
              (memory (export "memory") 4)
              (global $calls (mut i32) (i32.const 0))
              (data (i32.const 16) "handout\00n\00Int64")
              (data (i32.const 32) "{description}")
              (data (i32.const 128) "{answer}")
              (data (i32.const 256) "{outputs}")
              (data (i32.const 1024) "{column}")
              (data (i32.const 1280) "{asked}")
              (data (i32.const 2048) "{batches}")
              (data (i32.const 3072) "{exceptions}")
              (data (i32.const 8192) "{messages}")
              (func (export "millstream:plugin/batch-consumer@0.2.0#describe") (result i32) {describe} i32.const 32)
              (func (export "millstream:plugin/batch-consumer@0.2.0#open") (param i32 i32 i32 i32) (result i32) i32.const 80)
              (func (export "millstream:plugin/batch-consumer@0.2.0#consume")
                (param i32 i32 i32 i32 i32 i64 i64) (result i32) (local $n i32) {body} i32.const 128)
              (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 131072))"#,
            import = self.import,
            description = words(&[16, 4, 0, 0, 256, self.outputs, 1280, count(self.asks.len())]),
            answer = words(&[0, 2048, count(self.rows.len()), self.verdict, 16, 4, 3072, claimed]),
            outputs = words(&outputs),
            column = words(&[24, 1, 26, 5]),
            batches = words(&batches),
            exceptions = words(&exceptions),
            messages = escaped(&messages),
            describe = self.describe,
            body = self.body,
        );
        component("v0.2", "consumer", &text)
    }

    fn load(&self, host: &TestHost) -> Arc<dyn BatchConsumer> {
        host.load_consumer(&self.module(), "", &tight()).unwrap_or_else(|e| panic!("{e}"))
    }

    /// What comes of eight rows.
    fn consume(&self) -> Result<Consumed, OperatorError> {
        call(&self.load(&TestHost::new()), &Kept::default())
    }

    fn refusal(&self) -> String {
        let host = TestHost::new();
        let refused = host.load_consumer(&self.module(), "", &tight());
        refused.map(|c| panic!("{c:?}")).unwrap_or_else(|e| e.to_string())
    }
}

fn call(consumer: &Arc<dyn BatchConsumer>, kept: &Kept) -> Result<Consumed, OperatorError> {
    let options = RecordBatchOptions::new().with_row_count(Some(8));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options).expect("a batch");
    consumer.consume(&batch, &somewhere(), kept.state(1 << 20))
}

#[track_caller]
fn assert_refused(hand: &Hand, reason: &str) {
    assert_failure(&hand.consume().expect_err(reason), FailureKind::BadOutput, reason);
}

#[test]
fn a_consumer_by_hand_works() {
    let rows = vec![(0, message(&numbers([1, 2]))), (0, message(&numbers([])))];
    let hand = Hand { rows, verdict: 1, exceptions: vec![(0, 0), (7, 2)], ..Hand::default() };
    let consumed = hand.consume().expect("an answer");
    assert_eq!(consumed.outputs, [(0, numbers([1, 2])), (0, numbers([]))]);
    assert_eq!(consumed.verdict, Verdict::Retry("hand".to_owned()));
    assert_eq!(consumed.exceptions, [(0, Verdict::Done), (7, Verdict::DeadLetter("hand".to_owned()))]);
    assert!(consumed.state.into_writes().is_empty());
}

#[test]
fn rows_for_an_output_that_it_has_not_are_refused() {
    for output in [1, 7, u32::MAX] {
        let hand = Hand { rows: vec![(output, message(&numbers([1])))], ..Hand::default() };
        assert_refused(&hand, &format!("it has rows for output {output} of 1"));
    }
    assert_refused(&Hand { outputs: 0, rows: vec![(0, message(&numbers([1])))], ..Hand::default() }, "output 0 of 0");
}

#[test]
fn a_forged_schema_of_an_output_is_refused() {
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    let text = RecordBatch::try_from_iter([("n", texts)]).expect("a batch");
    assert_refused(&Hand { rows: vec![(0, message(&text))], ..Hand::default() }, "the rows of output 0");
    let number = numbers([1]).column(0).clone();
    let two = RecordBatch::try_from_iter([("n", number.clone()), ("m", number)]).expect("a batch");
    assert_refused(&Hand { rows: vec![(0, message(&two))], ..Hand::default() }, "the rows of output 0");
    let mut lying = message(&numbers([1, 2, 3]));
    lying.truncate(lying.len() - 8);
    assert_refused(&Hand { rows: vec![(0, lying)], ..Hand::default() }, "the rows of output 0");
    assert_refused(&Hand { rows: vec![(0, Vec::new())], ..Hand::default() }, "the rows of output 0");
}

#[test]
fn exceptions_must_rise_and_be_there() {
    for exceptions in [vec![(3, 0), (2, 0)], vec![(2, 0), (2, 0)], vec![(5, 1), (0, 1)]] {
        assert_refused(&Hand { exceptions, ..Hand::default() }, "its exceptions are out of order");
    }
    for row in [8, u32::MAX] {
        let hand = Hand { exceptions: vec![(0, 0), (row, 0)], ..Hand::default() };
        assert_refused(&hand, &format!("an exception for row {row}, which is not there"));
    }
}

#[test]
fn what_no_type_of_the_contract_has_is_refused() {
    assert_refused(&Hand { verdict: 3, ..Hand::default() }, "consume broke the contract");
    assert_refused(&Hand { exceptions: vec![(0, 9)], ..Hand::default() }, "consume broke the contract");
    for claimed in [20_000, 0x7fff_ffff, u32::MAX] {
        assert_refused(&Hand { claimed: Some(claimed), ..Hand::default() }, "consume broke the contract");
    }
}

#[test]
fn outputs_are_few_and_have_names_of_their_own() {
    assert!(Hand { outputs: 17, ..Hand::default() }.refusal().contains("it declares 17 outputs, more than 16"));
    assert!(Hand { outputs: 2, ..Hand::default() }.refusal().contains("output \"out\" is declared twice"));
}

#[test]
fn a_call_that_never_ends_is_ended() {
    let hand = Hand { body: SPIN.to_owned(), ..Hand::default() };
    assert_failure(&hand.consume().expect_err("it spins"), FailureKind::Timeout, "consume took longer");
}

/// Puts key and value, both the number at 4096, of these lengths.
fn put(key: &str, value: &str) -> String {
    format!("(call $put (i32.const 4096) {key} (i32.const 4096) {value} (i32.const 4200))")
}

#[test]
fn a_flood_of_keys_ends_with_its_call_and_leaves_nothing() {
    let (four, eight) = ("(i32.const 4)", "(i32.const 8)");
    let next = "(i32.store (i32.const 4096) (i32.add (i32.load (i32.const 4096)) (i32.const 1)))";
    let body = format!("(loop $more {next} {} (br $more))", put(four, eight));
    let host = TestHost::new();
    let consumer = Hand { import: PUT, body, ..Hand::default() }.load(&host);
    let error = call(&consumer, &Kept::default()).expect_err("a flood");
    assert_failure(&error, FailureKind::Timeout, "consume took longer");
}

#[test]
fn what_is_too_large_for_state_is_told_to_the_guest() {
    // The discriminant of what `put` answers decides: 1 is an error, and the call traps unless it is one.
    let refused = "(if (i32.ne (i32.load8_u (i32.const 4200)) (i32.const 1)) (then unreachable))";
    for (key, value) in [
        ("(i32.const 0)", "(i32.const 1)"),
        ("(i32.const 1025)", "(i32.const 1)"),
        ("(i32.const 1)", "(i32.const 262145)"),
    ] {
        let body = format!("(drop (memory.grow (i32.const 8))) {} {refused}", put(key, value));
        let consumed = Hand { import: PUT, body, ..Hand::default() }.consume().unwrap_or_else(|e| panic!("{key}: {e}"));
        assert!(consumed.state.into_writes().is_empty());
    }
    let beyond = put("(i32.const 1)", "(i32.const 2000000000)");
    let error = Hand { import: PUT, body: beyond, ..Hand::default() }.consume().expect_err("out of its memory");
    assert_eq!(error.kind, FailureKind::BadOutput, "{error}");
}

#[test]
fn a_trap_takes_the_writes_of_its_call_with_it() {
    // Traps on every third call of an instance, after it has written: made again on a fresh one, which wrote nothing yet.
    let count = "(global.set $calls (i32.add (global.get $calls) (i32.const 1))) (i32.store (i32.const 4096) (global.get $calls))";
    let third = "(if (i32.eq (global.get $calls) (i32.const 3)) (then unreachable))";
    let body = format!("{count} {} {third}", put("(i32.const 4)", "(i32.const 1)"));
    let host = TestHost::new();
    let consumer = Hand { import: PUT, body, ..Hand::default() }.load(&host);
    let mut written = Vec::new();
    for _ in 0..5 {
        let writes = call(&consumer, &Kept::default()).unwrap_or_else(|e| panic!("{e}")).state.into_writes();
        assert_eq!(writes.len(), 1, "a call writes one key, made twice or not");
        written.extend(writes.into_iter().map(|(key, _)| key[0]));
    }
    assert_eq!(written, [1, 2, 1, 2, 1]);
    let trap = Hand { body: "unreachable".to_owned(), ..Hand::default() };
    assert_failure(&trap.consume().expect_err("it traps"), FailureKind::Trap, "consume trapped");
}

#[test]
fn a_look_along_the_keys_is_bounded() {
    // Everything there is, as many as it likes: entries come to the same place as all that the host sends.
    let body = "(call $scan (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 4200))
        (i32.store (i32.const 3072) (i32.load (i32.const 4208)))";
    let hand = Hand { import: SCAN, body: body.to_owned(), exceptions: vec![(0, 0)], ..Hand::default() };
    let mut kept = Kept::default();
    kept.apply((0_u32..3).map(|n| (Arc::from(n.to_be_bytes()), Some(Arc::from([7; 4])))).collect());
    let host = TestHost::new();
    let consumed = call(&hand.load(&host), &kept).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(consumed.exceptions, [(3, Verdict::Done)], "three entries were found");
}

#[test]
fn state_takes_the_capability_and_a_partition() {
    let write = put("(i32.const 1)", "(i32.const 1)");
    let unasked = Hand { import: PUT, asks: Vec::new(), body: write.clone(), ..Hand::default() };
    assert!(unasked.refusal().contains("it imports \"state\" without asking for it"), "{}", unasked.refusal());
    let early = Hand { import: PUT, describe: write.clone(), ..Hand::default() };
    assert!(early.refusal().contains("\"state\", which it is not granted"), "{}", early.refusal());
    let module = Hand { import: PUT, body: write, ..Hand::default() }.module();
    let host = TestHost::new();
    let settings = PluginSettings { grants: [Capability::Clock].into(), limits: tight(), ..Default::default() };
    let error = host.host.inspect_with("public", "late", &module, &settings).expect_err("not granted").to_string();
    assert!(error.contains("asks for \"state\", which is not granted"), "{error}");
}
