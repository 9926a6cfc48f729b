use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt64Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::name::SegmentName;
use super::writer::{Extent, RowsToWrite, SegmentWriter};
use super::{Pruning, Segments};
use crate::chunks::{Chunk, ChunkRows, Projection, constant_append_ts};
use crate::contract::{BatchOperator, ChunkStatistics, Evaluated, InputColumn};
use crate::log::{Ledger, Log};
use crate::model::OperatorError;
use crate::model::{Error, Lsn, Principal, Result, TableId, TableInfo, TableOptions};
use crate::platform::Events;
use crate::platform::{EngineOptions, ManualClock};
use crate::state::{SegmentMeta, StateStore};

const FIRST: u64 = 1_000;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("n", DataType::Int64, false),
        Field::new("name", DataType::Utf8, true),
        Field::new("x", DataType::Float64, true),
        Field::new("flag", DataType::Boolean, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, None), false),
        Field::new("tags", DataType::List(Arc::new(Field::new("item", DataType::Int64, true))), true),
        Field::new("big.u", DataType::UInt64, false),
    ]))
}

fn table(schemas: Vec<SchemaRef>) -> Arc<TableInfo> {
    let options = TableOptions {
        time_column: Some("at".to_owned()),
        partition_key: vec!["name".to_owned()],
        ..TableOptions::default()
    };
    let (namespace, name, owner) = ("public".to_owned(), "odd näme/..".to_owned(), Principal::anonymous());
    Arc::new(TableInfo { id: TableId(7), namespace, name, schemas, options, owner, created: Lsn(7) })
}

/// Row `i` of the tests' table is a function of `i`.
fn batch(rows: std::ops::Range<i64>) -> RecordBatch {
    let values: Vec<i64> = rows.collect();
    let lists = values.iter().map(|n| (n % 3 > 0).then(|| vec![Some(*n), None].into_iter().take((n % 3) as usize)));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(values.clone())),
        Arc::new(StringArray::from_iter(values.iter().map(|n| (n % 5 > 0).then(|| format!("name {}", n % 1_000))))),
        Arc::new(Float64Array::from_iter(values.iter().map(|n| (n % 7 > 0).then_some(*n as f64 / 2.0)))),
        Arc::new(BooleanArray::from_iter(values.iter().map(|n| (n % 11 > 0).then_some(n % 2 == 0)))),
        Arc::new(TimestampMicrosecondArray::from_iter_values(values.iter().map(|n| n * 1_000_000))),
        Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists)),
        Arc::new(UInt64Array::from_iter_values(values.iter().map(|n| u64::MAX - *n as u64))),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

pub(super) fn open(dir: &std::path::Path) -> Segments {
    let options = EngineOptions::new(dir);
    let events = Arc::new(Events::new(Arc::new(ManualClock::new(0))));
    let store = StateStore::open(dir).unwrap();
    let mut state = store.load().unwrap();
    let log = Log::open(&options, events.clone(), &mut state).unwrap();
    Segments::open(&Arc::new(Ledger::new(options, state, store, log, events))).unwrap()
}

/// Writes `rows` rows from offset [`FIRST`] on, in frames of random lengths. Frame `k` was appended at `k` ms.
fn write(segments: &Segments, table: &Arc<TableInfo>, rows: i64, random: &mut StdRng) -> Arc<SegmentMeta> {
    let name = SegmentName::new(&segments.store, random.random(), table, 2, FIRST);
    let mut writer = SegmentWriter::new(segments, name, table, 2, 1, FIRST).unwrap();
    let (mut at, mut frames) = (0, 0);
    while at < rows {
        let longest = if random.random_bool(0.1) { 30_000 } else { 700 };
        let next = rows.min(at + random.random_range(1..=longest));
        let batch = batch(at..next);
        let append_ts = constant_append_ts(frames * 1_000, batch.num_rows());
        writer.push(RowsToWrite { batch: &batch, append_ts, log_bytes: 40 * (next - at) as u64 }).unwrap();
        (at, frames) = (next, frames + 1);
    }
    let extent = Extent { min_event_us: 0, max_event_us: rows * 1_000_000, ..Extent::empty() };
    Arc::new(writer.finish(&extent).unwrap())
}

pub(super) fn chunks(
    segments: &Segments,
    table: &TableInfo,
    meta: &Arc<SegmentMeta>,
    inputs: &[InputColumn],
    pruning: &Pruning<'_>,
) -> Result<Vec<Chunk>> {
    let projection = Projection::new(table, inputs)?;
    let segment = segments.lease(meta);
    let (mut at, mut chunks) = (meta.first_offset, Vec::new());
    while at < meta.next_offset {
        let chunk = segments.chunk(&segment, (table, 2), &projection, at, pruning)?;
        assert_eq!(chunk.base_offset, at);
        assert!(chunk.next_offset > at && chunk.next_offset <= meta.next_offset);
        at = chunk.next_offset;
        chunks.push(chunk);
    }
    Ok(chunks)
}

fn rows_of(chunk: &Chunk) -> Option<&RecordBatch> {
    match &chunk.rows {
        ChunkRows::Batch(batch) => {
            assert_eq!(batch.num_rows() as u64, chunk.next_offset - chunk.base_offset);
            Some(batch)
        }
        ChunkRows::Pruned => None,
    }
}

fn expected(chunk: &Chunk) -> RecordBatch {
    batch((chunk.base_offset - FIRST) as i64..(chunk.next_offset - FIRST) as i64)
}

#[test]
fn rows_come_back_as_they_went_in() {
    let seed = rand::random();
    eprintln!("seed {seed}");
    let random = &mut StdRng::seed_from_u64(seed);
    let (dir, table) = (tempfile::tempdir().unwrap(), table(vec![schema()]));
    let segments = open(dir.path());
    for rows in [1, 16_383, 16_385, 200_000] {
        let meta = write(&segments, &table, rows, random);
        assert_eq!((meta.first_offset, meta.next_offset), (FIRST, FIRST + rows as u64));
        let all: Vec<InputColumn> = (0..7).map(InputColumn::Field).collect();
        for chunk in chunks(&segments, &table, &meta, &all, &Pruning::default()).unwrap() {
            assert_eq!(rows_of(&chunk).unwrap(), &expected(&chunk));
        }
        // Another order, pseudo-columns, a column twice.
        let some = [
            InputColumn::Offset,
            InputColumn::Field(4),
            InputColumn::AppendTs,
            InputColumn::Field(0),
            InputColumn::Partition,
            InputColumn::Field(0),
        ];
        let mut last = 0;
        for chunk in chunks(&segments, &table, &meta, &some, &Pruning::default()).unwrap() {
            let (found, expected) = (rows_of(&chunk).unwrap(), expected(&chunk));
            assert_eq!(found.column(1), expected.column(4));
            assert_eq!((found.column(3), found.column(5)), (expected.column(0), expected.column(0)));
            for (index, offset) in found.column(0).as_primitive::<Int64Type>().values().iter().enumerate() {
                assert_eq!(*offset as u64, chunk.base_offset + index as u64);
            }
            for time in found.column(2).as_primitive::<TimestampMicrosecondType>().values() {
                assert!(*time >= last);
                last = *time;
            }
        }
        let none = chunks(&segments, &table, &meta, &[], &Pruning::default()).unwrap();
        assert_eq!(none.iter().map(|chunk| rows_of(chunk).unwrap().num_rows() as i64).sum::<i64>(), rows);
    }
}

#[test]
fn any_offset_leads_to_its_canonical_chunk() {
    let seed = rand::random();
    eprintln!("seed {seed}");
    let random = &mut StdRng::seed_from_u64(seed);
    let (dir, table) = (tempfile::tempdir().unwrap(), table(vec![schema()]));
    let segments = open(dir.path());
    let meta = write(&segments, &table, 150_000, random);
    let whole = chunks(&segments, &table, &meta, &[InputColumn::Field(0)], &Pruning::default()).unwrap();
    let projection = Projection::new(&table, &[InputColumn::Field(0)]).unwrap();
    let segment = segments.lease(&meta);
    for _ in 0..50 {
        let offset = random.random_range(meta.first_offset..meta.next_offset);
        let chunk = segments.chunk(&segment, (&table, 2), &projection, offset, &Pruning::default()).unwrap();
        let same = whole.iter().find(|other| other.base_offset == chunk.base_offset).unwrap();
        assert!(chunk.base_offset <= offset && offset < chunk.next_offset);
        assert_eq!(rows_of(&chunk), rows_of(same));
    }
}

#[test]
fn columns_added_later_are_null() {
    let random = &mut StdRng::seed_from_u64(1);
    let mut fields: Vec<Field> = schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.push(Field::new("later", DataType::Utf8, true));
    let (dir, table) = (tempfile::tempdir().unwrap(), table(vec![schema(), Arc::new(Schema::new(fields))]));
    let segments = open(dir.path());
    let meta = write(&segments, &table, 20_000, random);
    for chunk in
        chunks(&segments, &table, &meta, &[InputColumn::Field(7), InputColumn::Field(0)], &Pruning::default()).unwrap()
    {
        let found = rows_of(&chunk).unwrap();
        assert_eq!(found.column(0).null_count(), found.num_rows());
        assert_eq!(found.column(0).data_type(), &DataType::Utf8);
        assert_eq!(found.column(1), expected(&chunk).column(0));
    }
}

/// Wants rows whose `n` lies in a range, and checks what it is told of each run.
#[derive(Debug)]
struct Between(std::ops::Range<i64>, SchemaRef);

impl BatchOperator for Between {
    fn inputs(&self) -> &[InputColumn] {
        &[InputColumn::Field(0)]
    }

    fn output_schema(&self) -> &SchemaRef {
        &self.1
    }

    fn prune(&self, runs: &[ChunkStatistics]) -> Vec<bool> {
        let out = runs.iter().map(|run| {
            let column = run.columns[0].as_ref().unwrap();
            let bound = |array: &Option<ArrayRef>| array.as_ref().unwrap().as_primitive::<Int64Type>().value(0);
            let (min, max) = (bound(&column.min), bound(&column.max));
            assert_eq!((max - min + 1, column.null_count), (run.row_count as i64, Some(0)));
            max < self.0.start || min >= self.0.end
        });
        out.collect()
    }

    fn evaluate(&self, _: &RecordBatch) -> Result<Evaluated, OperatorError> {
        unreachable!("only pruning is tested")
    }
}

#[test]
fn runs_that_cannot_match_are_not_read() {
    let random = &mut StdRng::seed_from_u64(2);
    let (dir, table) = (tempfile::tempdir().unwrap(), table(vec![schema()]));
    let segments = open(dir.path());
    let meta = write(&segments, &table, 300_000, random);
    let wanted = Between(140_000..160_000, schema());
    let pruning = Pruning { operator: Some(&wanted), ..Pruning::default() };
    let check = |pruning: &Pruning<'_>, runs_read: u64| {
        let before = segments.figures().runs_read.load(std::sync::atomic::Ordering::Relaxed);
        let found = chunks(&segments, &table, &meta, &[InputColumn::Field(0)], pruning).unwrap();
        let read: Vec<&RecordBatch> = found.iter().filter_map(rows_of).collect();
        let matching = read.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values());
        assert_eq!(matching.filter(|n| wanted.0.contains(n)).count(), 20_000);
        let after = segments.figures().runs_read.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(after - before, runs_read, "of {} chunks", found.len());
    };
    check(&pruning, 2);
    check(&Pruning { event_time_us: Some(&(140_000_000_000..160_000_000_000)), ..Pruning::default() }, 2);
    check(&Pruning::default(), 300_000_u64.div_ceil(16_384));
}

#[test]
fn bounds_say_nothing_of_columns_with_nan() {
    let (dir, table) = (tempfile::tempdir().unwrap(), table(vec![schema()]));
    let segments = open(dir.path());
    for (with_nan, id) in [(false, 1), (true, 2)] {
        let name = SegmentName::new(&segments.store, id, &table, 0, 0);
        let mut writer = SegmentWriter::new(&segments, name, &table, 0, 1, 0).unwrap();
        let mut columns = batch(0..10).columns().to_vec();
        columns[2] = Arc::new(Float64Array::from_iter_values((0..10).map(|n| match with_nan && n == 3 {
            true => f64::NAN,
            false => f64::from(n),
        })));
        let rows = RecordBatch::try_new(schema(), columns).unwrap();
        writer.push(RowsToWrite { batch: &rows, append_ts: constant_append_ts(1, 10), log_bytes: 1 }).unwrap();
        let meta = Arc::new(writer.finish(&Extent::empty()).unwrap());
        let footer = segments.lease(&meta).footer(&segments.store).unwrap();
        assert_eq!(footer.run_bounds(0, 2).is_none(), with_nan);
        assert!(footer.run_bounds(0, 0).is_some());
    }
}

#[test]
fn damage_is_an_error_and_never_a_wrong_row() {
    let seed = rand::random();
    eprintln!("seed {seed}");
    let random = &mut StdRng::seed_from_u64(seed);
    let (dir, table) = (tempfile::tempdir().unwrap(), table(vec![schema()]));
    let meta = write(&open(dir.path()), &table, 40_000, random);
    let path = dir.path().join("segments").join(&meta.path);
    let good = std::fs::read(&path).unwrap();
    let all: Vec<InputColumn> = (0..7).map(InputColumn::Field).chain([InputColumn::AppendTs]).collect();
    let mut refused = 0;
    for round in 0..200 {
        let mut bad = good.clone();
        // Half of the flips hit page index and footer, which are a small part of the file.
        let from = if round % 2 == 0 { 0 } else { meta.body_bytes as usize };
        let at = random.random_range(from..bad.len());
        bad[at] ^= 1 << random.random_range(0..8);
        std::fs::write(&path, &bad).unwrap();
        match chunks(&open(dir.path()), &table, &meta, &all, &Pruning::default()) {
            // Bytes that no reader looks at: the leading magic, `_offset`, bloom filters.
            Ok(found) => {
                for chunk in found {
                    let rows = rows_of(&chunk).unwrap();
                    assert_eq!(rows.project(&[0, 1, 2, 3, 4, 5, 6]).unwrap(), expected(&chunk));
                }
            }
            Err(Error::Corrupt { path: named, .. }) => {
                assert_eq!(named, path);
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused > 100, "{refused}");
    for length in [0, 4, good.len() / 2, good.len() - 1] {
        std::fs::write(&path, &good[..length]).unwrap();
        let found = chunks(&open(dir.path()), &table, &meta, &all, &Pruning::default());
        assert!(matches!(found, Err(Error::Corrupt { .. })), "{length}");
    }
}

#[test]
fn opening_deletes_nothing_but_unfinished_files() {
    let random = &mut StdRng::seed_from_u64(3);
    let (dir, table) = (tempfile::tempdir().unwrap(), table(vec![schema()]));
    let root = dir.path().join("segments");
    let meta = write(&open(dir.path()), &table, 10, random);
    std::fs::write(root.join(".unfinished-9"), b"x").unwrap();
    std::fs::write(root.join("notes.txt"), b"x").unwrap();
    open(dir.path());
    assert!(root.join(&meta.path).exists(), "a file that this directory's log does not name may be another's");
    assert!(root.join("notes.txt").exists() && !root.join(".unfinished-9").exists());
}

#[test]
fn merging_writes_a_row_again_only_when_its_segment_doubles() {
    const UNITS: u64 = 1_000;
    let meta = |first: u64, next: u64| {
        Arc::new(SegmentMeta {
            id: first,
            first_offset: first,
            next_offset: next,
            schema_version: 1 + u32::from(first >= UNITS / 2),
            bytes: 0,
            log_bytes: next - first,
            next_lsn: Lsn(0),
            path: String::new(),
            min_event_us: 0,
            max_event_us: 0,
            min_append_us: 0,
            max_append_us: 0,
            body_bytes: 0,
            tail_crc32c: 0,
            first_lsn: Lsn(0),
        })
    };
    let (mut metas, mut rewritten) = (Vec::new(), 0);
    for unit in 0..UNITS {
        metas.push(meta(unit, unit + 1));
        while let Some(run) = super::merge::choose(&metas.iter().collect::<Vec<_>>(), 256) {
            let (first, last) = (&metas[run.start], &metas[run.end - 1]);
            assert_eq!(first.schema_version, last.schema_version);
            let merged = meta(first.first_offset, last.next_offset);
            assert!(merged.log_bytes <= 256);
            rewritten += merged.log_bytes;
            metas.splice(run, [merged]);
        }
    }
    assert!(metas.windows(2).all(|pair| pair[0].next_offset == pair[1].first_offset));
    // At most log2(256) times each, and few segments are left.
    assert!(rewritten <= 8 * UNITS, "{rewritten}");
    assert!(metas.len() < 40, "{}", metas.len());
}
