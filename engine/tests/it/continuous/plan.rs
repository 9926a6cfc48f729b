//! A small continuous plan: count and sum of `v` by `k` in tumbling windows of `ts`, over what definitions say: `tumble WIDTH_US`, then
//! `parts N`, which closes N keys at a time, or `fail N`, which fails at that value.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use bytes::Bytes;
use millstream_engine::{
    BatchOperator, Closed, ContinuousInfo, ContinuousPlan, ContinuousRun, ContinuousSource, ContinuousStart, Error,
    FailureKind, InputColumn, Judged, LatePolicy, OpenWindows, OperatorError, Pushed, Result, StateKey, TableInfo,
    TopicCompiler, TopicInfo, TopicPlugins,
};

/// Bytes that an entry of a window is said to take.
const ENTRY_BYTES: u64 = 64;
/// Pieces of a window are made one when there are so many.
const PIECES: u32 = 4;

pub(super) fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

/// Of sources.
pub(super) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("ts", time(), false),
        Field::new("k", DataType::Int64, true),
        Field::new("v", DataType::Int64, false),
    ]))
}

/// Of outputs. Their first three columns are those of a source, so that others can read them.
pub(super) fn output_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("window_time", time(), false),
        Field::new("k", DataType::Int64, true),
        Field::new("s", DataType::Int64, false),
        Field::new("n", DataType::Int64, false),
        Field::new("window_start", time(), false),
    ]))
}

/// Of late rows.
pub(super) fn late_schema() -> SchemaRef {
    let mut fields = schema().fields().to_vec();
    fields.push(Arc::new(Field::new("watermark", time(), false)));
    Arc::new(Schema::new(fields))
}

/// Compiles, and is of a version.
#[derive(Debug)]
pub(super) struct Windows {
    pub(super) version: AtomicU32,
}

impl Default for Windows {
    fn default() -> Self {
        Windows { version: AtomicU32::new(1) }
    }
}

impl TopicCompiler for Windows {
    fn compile(&self, topic: &TopicInfo, _: &TableInfo, _: &TopicPlugins) -> Result<Arc<dyn BatchOperator>> {
        Err(Error::Unsupported(format!("topic {:?} has no windows", topic.name)))
    }

    fn compile_continuous(
        &self,
        info: &ContinuousInfo,
        sources: &[Arc<TableInfo>],
        _: &TopicPlugins,
    ) -> Result<Arc<dyn ContinuousPlan>> {
        let words: Vec<&str> = info.definition.split(' ').collect();
        let number = |word: &str| {
            let at = words.iter().position(|found| *found == word);
            at.map(|at| words[at + 1].parse::<i64>().expect("a number"))
        };
        Ok(Arc::new(Plan {
            sources: sources.iter().map(|table| ContinuousSource { table: table.id, inputs: inputs() }).collect(),
            output: output_schema(),
            late: (info.settings.late == LatePolicy::Keep).then(late_schema),
            fingerprint: fingerprint(self.version.load(Ordering::SeqCst)),
            how: How {
                width_us: number("tumble").expect("windows"),
                parts: number("parts").map_or(usize::MAX, |keys| keys as usize),
                fail: number("fail"),
                begins_us: match info.settings.start {
                    ContinuousStart::At(us) => us,
                    ContinuousStart::Earliest | ContinuousStart::Latest => i64::MIN,
                },
            },
        }))
    }

    fn try_cast(&self, values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
        arrow_cast::cast(values, to).map_err(|error| Error::InvalidInput(error.to_string()))
    }
}

fn inputs() -> Vec<InputColumn> {
    (0..3).map(InputColumn::Field).collect()
}

pub(super) fn fingerprint(version: u32) -> String {
    format!("windows {version}")
}

#[derive(Debug, Clone, Copy)]
struct How {
    width_us: i64,
    parts: usize,
    fail: Option<i64>,
    begins_us: i64,
}

#[derive(Debug)]
struct Plan {
    sources: Vec<ContinuousSource>,
    output: SchemaRef,
    late: Option<SchemaRef>,
    fingerprint: String,
    how: How,
}

impl ContinuousPlan for Plan {
    fn sources(&self) -> &[ContinuousSource] {
        &self.sources
    }

    fn output_schema(&self) -> &SchemaRef {
        &self.output
    }

    fn late_schema(&self) -> Option<&SchemaRef> {
        self.late.as_ref()
    }

    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn begin(&self, cursor: Option<&[u8]>) -> Result<Box<dyn ContinuousRun>> {
        let done = cursor.map(|cursor| {
            let number = |at: usize| i64::from_le_bytes(cursor[at..at + 8].try_into().expect("eight bytes"));
            (number(0), number(8) as usize)
        });
        Ok(Box::new(Run { how: self.how, keeps: self.late.is_some(), windows: BTreeMap::new(), done }))
    }
}

/// Count and sum by key.
type Totals = BTreeMap<Option<i64>, (i64, i64)>;

#[derive(Debug, Default)]
struct Window {
    totals: Totals,
    /// What no piece has yet.
    unsaved: Totals,
    next: u32,
}

#[derive(Debug)]
struct Run {
    how: How,
    keeps: bool,
    windows: BTreeMap<i64, Window>,
    /// Keys of a window that were given.
    done: Option<(i64, usize)>,
}

fn add(totals: &mut Totals, key: Option<i64>, (count, sum): (i64, i64)) {
    let of = totals.entry(key).or_default();
    *of = (of.0 + count, of.1 + sum);
}

fn piece(totals: &Totals) -> Bytes {
    let entry = |(key, (count, sum)): (&Option<i64>, &(i64, i64))| {
        [i64::from(key.is_some()), key.unwrap_or(0), *count, *sum].map(i64::to_le_bytes).concat()
    };
    totals.iter().flat_map(entry).collect::<Vec<u8>>().into()
}

impl ContinuousRun for Run {
    fn restore(&mut self, key: StateKey, piece: &[u8]) -> Result<()> {
        let window = self.windows.entry(key.window_us).or_default();
        for entry in piece.chunks_exact(32) {
            let number = |at: usize| i64::from_le_bytes(entry[at..at + 8].try_into().expect("eight bytes"));
            add(&mut window.totals, (number(0) == 1).then(|| number(8)), (number(16), number(24)));
        }
        window.next = key.sequence + 1;
        Ok(())
    }

    fn push(&mut self, _: usize, rows: &RecordBatch, judged: &[Judged]) -> Result<Pushed, OperatorError> {
        assert_eq!(judged.iter().map(|judged| judged.rows).sum::<usize>(), rows.num_rows());
        let times = rows.column(0).as_primitive::<TimestampMicrosecondType>();
        let (keys, values) = (rows.column(1).as_primitive::<Int64Type>(), rows.column(2).as_primitive::<Int64Type>());
        let watermarks = judged.iter().flat_map(|judged| std::iter::repeat_n(judged.watermark_us, judged.rows));
        let mut late: Vec<(i64, Option<i64>, i64, i64)> = Vec::new();
        for (row, watermark_us) in watermarks.enumerate() {
            let key = keys.is_valid(row).then(|| keys.value(row));
            let (time_us, value) = (times.value(row), values.value(row));
            if self.how.fail == Some(value) {
                return Err(OperatorError::new(FailureKind::Data, format!("{value} is not taken")));
            }
            let start_us = time_us - time_us.rem_euclid(self.how.width_us);
            if start_us < self.how.begins_us {
                continue;
            }
            if start_us.saturating_add(self.how.width_us) <= watermark_us {
                late.push((time_us, key, value, watermark_us));
                continue;
            }
            let window = self.windows.entry(start_us).or_default();
            add(&mut window.totals, key, (1, value));
            add(&mut window.unsaved, key, (1, value));
        }
        let rows = (self.keeps && !late.is_empty()).then(|| late_rows(&late));
        Ok(Pushed { late: late.len() as u64, late_rows: rows })
    }

    fn next_close_us(&self) -> Option<i64> {
        self.windows.keys().next().map(|start_us| start_us + self.how.width_us)
    }

    fn close(&mut self, watermark_us: i64, _: usize) -> Result<Option<Closed>, OperatorError> {
        let Some((start_us, window)) = self.windows.first_key_value() else { return Ok(None) };
        let start_us = *start_us;
        if start_us + self.how.width_us > watermark_us {
            return Ok(None);
        }
        let before = self.done.filter(|(of_us, _)| *of_us == start_us).map_or(0, |(_, keys)| keys);
        let given: Vec<_> = window.totals.iter().skip(before).take(self.how.parts).collect();
        let rows = output_rows(start_us, self.how.width_us, &given);
        let keys = before + given.len();
        if keys < window.totals.len() {
            self.done = Some((start_us, keys));
            let cursor = [start_us, keys as i64].map(i64::to_le_bytes).concat();
            return Ok(Some(Closed { rows, dropped: Vec::new(), cursor: Some(cursor.into()) }));
        }
        self.done = None;
        self.windows.remove(&start_us);
        Ok(Some(Closed { rows, dropped: vec![(0, start_us)], cursor: None }))
    }

    fn save(&mut self) -> Result<Vec<(StateKey, Option<Bytes>)>, OperatorError> {
        let mut saved = Vec::new();
        for (window_us, window) in &mut self.windows {
            let key = |sequence| StateKey { operator: 0, window_us: *window_us, sequence };
            if window.unsaved.is_empty() {
                continue;
            }
            let unsaved = std::mem::take(&mut window.unsaved);
            if window.next < PIECES {
                saved.push((key(window.next), Some(piece(&unsaved))));
                window.next += 1;
                continue;
            }
            saved.push((key(0), Some(piece(&window.totals))));
            saved.extend((1..window.next).map(|sequence| (key(sequence), None)));
            window.next = 1;
        }
        Ok(saved)
    }

    fn open(&self) -> OpenWindows {
        let entries = self.windows.values().map(|window| window.totals.len() as u64).sum::<u64>();
        OpenWindows { windows: self.windows.len() as u64, bytes: entries * ENTRY_BYTES }
    }
}

fn times(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(values))
}

fn late_rows(late: &[(i64, Option<i64>, i64, i64)]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        times(late.iter().map(|row| row.0)),
        Arc::new(late.iter().map(|row| row.1).collect::<Int64Array>()),
        Arc::new(Int64Array::from_iter_values(late.iter().map(|row| row.2))),
        times(late.iter().map(|row| row.3)),
    ];
    RecordBatch::try_new(late_schema(), columns).expect("late rows")
}

fn output_rows(start_us: i64, width_us: i64, given: &[(&Option<i64>, &(i64, i64))]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        times(given.iter().map(|_| start_us + width_us - 1)),
        Arc::new(given.iter().map(|(key, _)| **key).collect::<Int64Array>()),
        Arc::new(Int64Array::from_iter_values(given.iter().map(|(_, (_, sum))| *sum))),
        Arc::new(Int64Array::from_iter_values(given.iter().map(|(_, (count, _))| *count))),
        times(given.iter().map(|_| start_us)),
    ];
    RecordBatch::try_new(output_schema(), columns).expect("rows of a window")
}
