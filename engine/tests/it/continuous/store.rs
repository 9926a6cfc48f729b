//! A store with a table of timed rows, continuous topics over it, and the batch answer to compare with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use millstream_engine::{
    Append, ContinuousInfo, ContinuousSettings, ContinuousSpec, ContinuousStatus, Engine, LatePolicy, PartitionChoice,
    Result, TableInfo, TableOptions, TableSpec,
};

use super::plan::{fingerprint, late_schema, output_schema, schema};
use crate::fixture::{LIMIT, who};
use crate::table::{Columns, scan};

pub(super) const SECOND: i64 = 1_000_000;
pub(super) const MINUTE: i64 = 60 * SECOND;

/// Event time, key, value.
pub(super) type Row = (i64, Option<i64>, i64);

pub(super) fn create_table(engine: &Engine, name: &str, partitions: u32) -> Result<Arc<TableInfo>> {
    create_table_with(engine, name, TableOptions { partitions, ..TableOptions::default() })
}

pub(super) fn create_table_with(engine: &Engine, name: &str, options: TableOptions) -> Result<Arc<TableInfo>> {
    let options = TableOptions { time_column: Some("ts".to_owned()), ..options };
    let spec = TableSpec { namespace: "public".to_owned(), name: name.to_owned(), schema: schema(), options };
    engine.create_table(&who(), spec)
}

pub(super) fn append(engine: &Engine, table: &str, partition: u32, rows: &[Row]) -> Result<()> {
    let table = engine.table(&who(), "public", table)?.id;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2))),
    ];
    let batch = RecordBatch::try_new(schema(), columns).expect("rows");
    let append = Append { table, partition: PartitionChoice::Named(partition), batch };
    engine.append(&who(), append, None)?.wait().map(drop)
}

pub(super) fn spec(name: &str, source: &str, definition: &str) -> ContinuousSpec {
    ContinuousSpec {
        namespace: "public".to_owned(),
        name: name.to_owned(),
        sources: vec![source.to_owned()],
        definition: definition.to_owned(),
        plugins: Vec::new(),
        functions: Vec::new(),
        output_schema: output_schema(),
        output_time: Some("window_time".to_owned()),
        late_schema: Some(late_schema()),
        fingerprint: fingerprint(1),
        settings: ContinuousSettings::default(),
    }
}

/// As [`spec`], of one that keeps no late rows.
pub(super) fn dropping(spec: ContinuousSpec) -> ContinuousSpec {
    let settings = ContinuousSettings { late: LatePolicy::Drop, ..spec.settings };
    ContinuousSpec { late_schema: None, settings, ..spec }
}

pub(super) fn create(engine: &Engine, spec: ContinuousSpec) -> Arc<ContinuousInfo> {
    engine.create_continuous_topic(&who(), spec).expect("the topic is created")
}

pub(super) fn status(engine: &Engine, name: &str) -> ContinuousStatus {
    let all = engine.continuous_topics(&who()).expect("a listing");
    all.into_iter().find(|status| status.info.name == name).expect("it is listed")
}

/// Rows of a table whose first columns are those of a source, with their partition and offset.
fn stored(engine: &Engine, table: &str, below: impl Fn(u32) -> u64) -> Vec<Row> {
    let table = engine.table(&who(), "public", table).expect("a table");
    let mut found = Vec::new();
    for batch in scan(engine, Columns::of(&table, &[0, 1, 2]), table.id, None).expect("it is read") {
        let times = batch.batch.column(0).as_primitive::<TimestampMicrosecondType>();
        let keys = batch.batch.column(1).as_primitive::<Int64Type>();
        let values = batch.batch.column(2).as_primitive::<Int64Type>();
        for (row, offset) in batch.range.clone().enumerate() {
            if offset < below(batch.partition) {
                found.push((times.value(row), keys.is_valid(row).then(|| keys.value(row)), values.value(row)));
            }
        }
    }
    found
}

pub(super) fn rows(engine: &Engine, table: &str) -> Vec<Row> {
    stored(engine, table, |_| u64::MAX)
}

/// Windows by their start and key: count and sum.
pub(super) type Answer = BTreeMap<(i64, Option<i64>), (i64, i64)>;

/// What the topic has given. No window and key may come twice.
pub(super) fn given(engine: &Engine, topic: &str) -> Answer {
    let table = engine.table(&who(), "public", topic).expect("a table");
    let mut found = Answer::new();
    for batch in scan(engine, Columns::of(&table, &[4, 1, 3, 2]), table.id, None).expect("it is read") {
        let starts = batch.batch.column(0).as_primitive::<TimestampMicrosecondType>();
        let [keys, counts, sums] = [1, 2, 3].map(|column| batch.batch.column(column).as_primitive::<Int64Type>());
        for row in 0..batch.batch.num_rows() {
            let place = (starts.value(row), keys.is_valid(row).then(|| keys.value(row)));
            let before = found.insert(place, (counts.value(row), sums.value(row)));
            assert_eq!(before, None, "{place:?} of {topic} came twice");
        }
    }
    found
}

/// The batch answer of `tumble width_us` over the source's rows that the topic has read, without those that are in its table of late rows.
pub(super) fn batch(engine: &Engine, topic: &str, source: &str, width_us: i64) -> Answer {
    let info = status(engine, topic);
    let next = |partition: u32| {
        let of = info.positions.iter().find(|(_, found, _)| *found == partition);
        of.map_or(0, |(_, _, next)| *next)
    };
    let late = info.info.late.map(|_| rows(engine, &format!("{topic}$late"))).unwrap_or_default();
    answer(stored(engine, source, next), late, width_us)
}

pub(super) fn answer(mut all: Vec<Row>, late: Vec<Row>, width_us: i64) -> Answer {
    for row in late {
        let at = all.iter().position(|found| *found == row).expect("a late row is one of the source");
        all.swap_remove(at);
    }
    let mut answer = Answer::new();
    for (time_us, key, value) in all {
        let of = answer.entry((time_us - time_us.rem_euclid(width_us), key)).or_default();
        *of = (of.0 + 1, of.1 + value);
    }
    answer
}

/// Those of an answer whose windows have ended by a watermark.
pub(super) fn ended(answer: Answer, width_us: i64, watermark_us: Option<i64>) -> Answer {
    answer.into_iter().filter(|((start_us, _), _)| Some(start_us + width_us) <= watermark_us).collect()
}

/// Waits until the topic has given all windows that end at or before this time, and holds what it gave to the batch answer.
pub(super) fn until_closed(engine: &Engine, topic: &str, source: &str, width_us: i64, to_us: i64) {
    let wanted = || ended(batch(engine, topic, source, width_us), width_us, status(engine, topic).watermark_us);
    // A watermark is on record with the first of the steps that close what ends by it.
    let is_there = || status(engine, topic).watermark_us >= Some(to_us) && given(engine, topic) == wanted();
    let begun = Instant::now();
    while !is_there() && status(engine, topic).stopped.is_none() && begun.elapsed() < LIMIT {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(status(engine, topic).stopped, None, "{topic}");
    assert!(status(engine, topic).watermark_us >= Some(to_us), "{:?}", status(engine, topic));
    assert_eq!(given(engine, topic), wanted(), "{topic}");
}
