//! Bisection, parts of chunks, the cache and the copies of what is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::chunk::{EvaluatedChunk, EvaluatedPlace};

use super::compact::compact;
use super::evaluate::{Outcome, evaluate};
use crate::chunks::{SharedRead, SharedReads};
use crate::contract::{BatchOperator, ChunkStatistics, Evaluated, InputColumn, RowMap};
use crate::log::sliced_bytes;
use crate::model::{Error, Offset, OnError, TopicId};
use crate::model::{FailureKind, OperatorError};

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
}

fn batch(numbers: impl IntoIterator<Item = i64>) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers));
    RecordBatch::try_new(schema(), vec![column]).expect("a batch")
}

fn numbers(batch: &RecordBatch) -> Vec<i64> {
    batch.column(0).as_primitive::<Int64Type>().values().to_vec()
}

/// Fails on negative numbers, else gives every row back; or answers what no operator should.
#[derive(Debug)]
struct Picky {
    schema: SchemaRef,
    kind: FailureKind,
    answer: Option<RowMap>,
    calls: AtomicUsize,
}

impl Picky {
    fn new(kind: FailureKind) -> Picky {
        Picky { schema: schema(), kind, answer: None, calls: AtomicUsize::new(0) }
    }
}

impl BatchOperator for Picky {
    fn inputs(&self) -> &[InputColumn] {
        &[InputColumn::Field(0)]
    }
    fn output_schema(&self) -> &SchemaRef {
        &self.schema
    }
    fn prune(&self, chunks: &[ChunkStatistics]) -> Vec<bool> {
        vec![false; chunks.len()]
    }
    fn evaluate(&self, input: &RecordBatch) -> Result<Evaluated, OperatorError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if numbers(input).iter().any(|number| *number < 0) {
            return Err(OperatorError::new(self.kind, "negative"));
        }
        Ok(Evaluated { batch: input.clone(), rows: self.answer.clone().unwrap_or(RowMap::Every) })
    }
}

fn check(input: &[i64], on_error: OnError, passed: &[i64], fault: Option<usize>, skipped: &[usize]) {
    let operator = Picky::new(FailureKind::Data);
    let outcome = evaluate(&operator, &batch(input.iter().copied()), on_error).expect("a row is at fault");
    assert_eq!(numbers(&outcome.batch), passed);
    assert_eq!(outcome.fault.map(|(row, _)| row), fault);
    assert_eq!(outcome.skipped.iter().map(|(row, _)| *row).collect::<Vec<_>>(), skipped);
    if let RowMap::Indices(rows) = outcome.rows {
        let of_rows: Vec<i64> = rows.iter().filter_map(|row| input.get(*row as usize)).copied().collect();
        assert_eq!(of_rows, passed);
    }
}

#[test]
fn rows_at_fault_are_found() {
    check(&[1, 2, 3], OnError::Stop, &[1, 2, 3], None, &[]);
    check(&[1, 2, -3, 4, -5], OnError::Stop, &[1, 2], Some(2), &[]);
    check(&[-1, 2], OnError::Stop, &[], Some(0), &[]);
    check(&[1, 2, -3, 4, -5], OnError::Skip, &[1, 2, 4], None, &[2, 4]);
    check(&[-1], OnError::Skip, &[], None, &[0]);
    check(&[], OnError::Skip, &[], None, &[]);
}

#[test]
fn one_row_of_many_is_found_in_few_calls() {
    let operator = Picky::new(FailureKind::Data);
    let input = batch((0..8_192).map(|number| if number == 5_000 { -1 } else { number }));
    let outcome = evaluate(&operator, &input, OnError::Stop).expect("a row is at fault");
    assert_eq!(outcome.fault.map(|(row, _)| row), Some(5_000));
    assert_eq!(outcome.batch.num_rows(), 5_000);
    assert!(operator.calls.load(Ordering::Relaxed) <= 27);
}

#[test]
fn the_machinerys_failures_are_not_searched() {
    let operator = Picky::new(FailureKind::Host);
    let error = evaluate(&operator, &batch([1, -2, 3]), OnError::Skip).expect_err("no row is at fault");
    assert_eq!((error.kind, operator.calls.load(Ordering::Relaxed)), (FailureKind::Host, 1));
}

#[test]
fn answers_that_can_not_be_are_refused() {
    for rows in [vec![], vec![0, 2], vec![1, 0], vec![0, 0, 1]] {
        let operator = Picky { answer: Some(RowMap::Indices(rows.clone())), ..Picky::new(FailureKind::Data) };
        let outcome = evaluate(&operator, &batch([1, 2]), OnError::Stop).expect("the rows are blamed");
        let (_, error) = outcome.fault.unwrap_or_else(|| panic!("{rows:?} was taken"));
        assert_eq!(error.kind, FailureKind::BadOutput);
    }
}

fn chunk(base: Offset, rows: &[u32], next: Offset, fault: Option<usize>) -> EvaluatedChunk {
    let error = OperatorError::new(FailureKind::Data, "bad");
    EvaluatedChunk::evaluated(
        base,
        next,
        Outcome {
            batch: batch(rows.iter().map(|row| i64::from(*row))),
            rows: RowMap::Indices(rows.to_vec()),
            fault: fault.map(|row| (row, error)),
            skipped: Vec::new(),
        },
    )
}

#[test]
fn parts_begin_at_the_position_and_end_at_limits() {
    let chunk = chunk(100, &[1, 3, 5, 7], 110, None);
    let part = |from, until, rows, bytes| {
        let part = chunk.part(from, until, rows, bytes);
        assert_eq!(part.batch.num_rows(), part.offsets.len());
        (part.offsets.iter().collect::<Vec<_>>(), part.next)
    };
    let all = Offset::MAX;
    assert_eq!(part(100, all, 10, 1_000), (vec![101, 103, 105, 107], 110));
    assert_eq!(part(102, all, 10, 1_000), (vec![103, 105, 107], 110));
    assert_eq!(part(100, all, 2, 1_000), (vec![101, 103], 104));
    assert_eq!(part(104, all, 10, 1), (vec![105], 106));
    assert_eq!(part(100, all, 10, 40), (vec![101, 103], 104));
    assert_eq!(part(108, all, 10, 1_000), (vec![], 110));
    assert_eq!(part(100, 104, 10, 1_000), (vec![101, 103], 104));
    assert_eq!(part(100, 101, 10, 1_000), (vec![], 101));
}

#[test]
fn rows_of_one_offset_are_not_parted() {
    let chunk = chunk(100, &[1, 1, 1, 3, 5, 5], 110, None);
    let part = |from, rows, bytes| {
        let part = chunk.part(from, Offset::MAX, rows, bytes);
        assert_eq!(part.batch.num_rows(), part.offsets.len());
        assert_eq!(part.bytes, part.batch.num_rows() * 16);
        (part.offsets.iter().collect::<Vec<_>>(), part.next)
    };
    assert_eq!(part(100, 1, 1_000), (vec![101, 101, 101], 102));
    assert_eq!(part(100, 3, 1_000), (vec![101, 101, 101], 102));
    assert_eq!(part(100, 4, 1_000), (vec![101, 101, 101, 103], 104));
    assert_eq!(part(100, 5, 1_000), (vec![101, 101, 101, 103], 104));
    assert_eq!(part(100, 10, 16 * 5), (vec![101, 101, 101, 103], 104));
    assert_eq!(part(104, 1, 1), (vec![105, 105], 110));
    // Every way of reading on gives every row once.
    for rows in 1..7 {
        let (mut position, mut seen) = (100, Vec::new());
        while position < 110 {
            let (offsets, next) = part(position, rows, 1_000);
            seen.extend(offsets);
            position = next;
        }
        assert_eq!(seen, [101, 101, 101, 103, 105, 105], "{rows} rows at a time");
    }
}

#[test]
fn a_chunk_answers_up_to_its_fault() {
    let chunk = chunk(100, &[0, 1], 110, Some(2));
    assert!(chunk.answers(100) && chunk.answers(102) && !chunk.answers(103) && !chunk.answers(99));
    assert_eq!(chunk.part(100, Offset::MAX, 10, 1_000).next, 102);
}

const PLACE: EvaluatedPlace = EvaluatedPlace { topic: TopicId(1), version: 1, partition: 0 };

#[test]
fn the_cache_is_bounded_and_spares_what_is_used() {
    let cache = SharedReads::new(3_000);
    let calls = AtomicUsize::new(0);
    let get = |base: Offset| {
        let evaluate = || {
            calls.fetch_add(1, Ordering::Relaxed);
            Ok(Some(chunk(base, &[0], base + 10, None)))
        };
        cache.get(&PLACE, base, evaluate).expect("it evaluates").expect("there are rows")
    };
    for base in [0, 10, 20, 30, 40] {
        get(base);
        get(0);
        assert!(cache.bytes() <= 3_000);
    }
    assert_eq!(calls.load(Ordering::Relaxed), 5);
    get(50);
    get(60);
    get(0);
    assert_eq!(calls.load(Ordering::Relaxed), 7, "what was used all the time is still there");
    get(10);
    assert_eq!(calls.load(Ordering::Relaxed), 8, "what was not has gone");
    cache.forget(|place| place.topic == TopicId(1));
    assert_eq!(cache.bytes(), 0);
}

#[test]
fn errors_ends_and_panics_are_not_kept_and_strand_nobody() {
    let cache = SharedReads::new(3_000);
    assert!(cache.get(&PLACE, 0, || Ok(None::<EvaluatedChunk>)).expect("it is the end").is_none());
    assert!(cache.get(&PLACE, 0, || Err(Error::Closed)).is_err());
    let panicked =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| cache.get(&PLACE, 0, || panic!("on purpose"))));
    assert!(panicked.is_err());
    assert!(cache.get(&PLACE, 3, || Ok(Some(chunk(0, &[0], 10, None)))).expect("it evaluates").is_some());
    let (hits, misses) = cache.figures();
    assert_eq!((hits, misses), (0, 4));
}

#[test]
fn what_pins_much_more_than_its_rows_is_copied() {
    let column: ArrayRef = Arc::new(StringArray::from_iter_values((0..10_000).map(|row| format!("row {row}"))));
    let wide = RecordBatch::try_from_iter([("s", column)]).expect("a batch");
    let slice = wide.slice(5_000, 10);
    let copy = compact(slice.clone());
    assert_eq!(copy, slice);
    assert!(copy.get_array_memory_size() < 4_096, "{} bytes", copy.get_array_memory_size());
    let whole = compact(wide.clone());
    assert_eq!(whole.column(0).to_data().buffers()[1].as_ptr(), wide.column(0).to_data().buffers()[1].as_ptr());
    assert!(sliced_bytes(&copy) < 1_024);
}
