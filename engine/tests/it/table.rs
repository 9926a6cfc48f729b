//! A table whose rows are a function of (partition, offset), so that every reader can be checked.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use millstream_engine::{
    Append, BatchOperator, ChunkStatistics, ColumnSpec, Engine, Evaluated, InputColumn, OffsetRange, OperatorError,
    PartitionChoice, PartitionId, Principal, RowMap, ScanRequest, ScannedBatch, TableId, TableInfo, TableOptions,
    TableSpec, TopicId,
};

pub(crate) const NAME: &str = "events";

pub(crate) fn who() -> Principal {
    Principal::anonymous()
}

/// Columns `n` (partition × 2^32 + offset), `text` and `at`, the event time.
pub(crate) fn create(engine: &Engine, options: TableOptions) -> Arc<TableInfo> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("n", DataType::Int64, false),
        Field::new("text", DataType::Utf8, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, None), false),
    ]));
    let options = TableOptions { time_column: Some("at".to_owned()), ..options };
    let spec = TableSpec { namespace: "public".to_owned(), name: NAME.to_owned(), schema, options };
    engine.create_table(&who(), spec).unwrap()
}

/// Adds the nullable column `later<number>`.
pub(crate) fn widen(engine: &Engine, number: usize) {
    let column = ColumnSpec { name: format!("later{number}"), data_type: DataType::Int64 };
    engine.add_columns(&who(), "public", NAME, vec![column]).unwrap();
}

pub(crate) fn value(partition: PartitionId, offset: u64) -> i64 {
    (i64::from(partition) << 32) + offset as i64
}

fn text(value: i64) -> Option<String> {
    (value % 5 > 0).then(|| format!("row {}", value % 700))
}

/// The rows of a range, with `later` further columns; each holds what `n` does.
pub(crate) fn rows(partition: PartitionId, range: OffsetRange, later: usize) -> RecordBatch {
    let values: Vec<i64> = range.map(|offset| value(partition, offset)).collect();
    let mut fields = vec![
        Field::new("n", DataType::Int64, false),
        Field::new("text", DataType::Utf8, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, None), false),
    ];
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(values.clone())),
        Arc::new(StringArray::from_iter(values.iter().map(|value| text(*value)))),
        Arc::new(TimestampMicrosecondArray::from_iter_values(values.iter().map(|value| value * 1_000))),
    ];
    for number in 0..later {
        fields.push(Field::new(format!("later{number}"), DataType::Int64, true));
        columns.push(Arc::new(Int64Array::from(values.clone())));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// Appends the rows of a range, which must be the next ones of the partition.
pub(crate) fn append(engine: &Engine, table: TableId, partition: PartitionId, range: OffsetRange, later: usize) {
    let batch = rows(partition, range.clone(), later);
    let append = Append { table, partition: PartitionChoice::Named(partition), batch };
    let receipt = engine.append(&who(), append, None).unwrap().wait().unwrap();
    assert_eq!(receipt.appended[0].first_offset, range.start);
}

/// Gives its inputs back.
#[derive(Debug)]
pub(crate) struct Columns {
    pub(crate) inputs: Vec<InputColumn>,
    pub(crate) schema: SchemaRef,
    /// Runs whose `n`, the first input, lies outside can be left out.
    pub(crate) wanted: Option<std::ops::Range<i64>>,
}

impl Columns {
    /// Of the table as it is now: some fields, then `_offset`.
    pub(crate) fn of(table: &TableInfo, fields: &[usize]) -> Columns {
        let mut inputs: Vec<InputColumn> = fields.iter().map(|field| InputColumn::Field(*field)).collect();
        inputs.push(InputColumn::Offset);
        let all = table.schema().fields();
        let mut chosen: Vec<_> = fields.iter().map(|field| all[*field].clone()).collect();
        chosen.push(Arc::new(Field::new("_offset", DataType::Int64, false)));
        Columns { inputs, schema: Arc::new(Schema::new(chosen)), wanted: None }
    }
}

impl BatchOperator for Columns {
    fn inputs(&self) -> &[InputColumn] {
        &self.inputs
    }

    fn output_schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn prune(&self, chunks: &[ChunkStatistics]) -> Vec<bool> {
        let Some(wanted) = &self.wanted else { return vec![false; chunks.len()] };
        let bound = |array: &Option<ArrayRef>| array.as_ref().map(|array| array.as_primitive::<Int64Type>().value(0));
        let out = |chunk: &ChunkStatistics| {
            let n = chunk.columns[0].as_ref().expect("n has statistics");
            bound(&n.max).is_some_and(|max| max < wanted.start) || bound(&n.min).is_some_and(|min| min >= wanted.end)
        };
        chunks.iter().map(out).collect()
    }

    fn evaluate(&self, input: &RecordBatch) -> Result<Evaluated, OperatorError> {
        Ok(Evaluated { batch: input.clone(), rows: RowMap::Every })
    }
}

pub(crate) fn scan(
    engine: &Engine,
    operator: Columns,
    table: TableId,
    ranges: Option<Vec<(PartitionId, OffsetRange)>>,
) -> millstream_engine::Result<Vec<ScannedBatch>> {
    let topic = TopicId(table.0);
    let request = ScanRequest { topic, ranges, event_time_us: None, operator: Arc::new(operator) };
    engine.scan(&who(), request)?.collect()
}

/// Checks that a range reads back whole and in order. `versions` gives how many later columns a row was written with.
pub(crate) fn check(
    engine: &Engine,
    table: &TableInfo,
    partition: PartitionId,
    range: OffsetRange,
    later_of: impl Fn(u64) -> usize,
) {
    let later = table.schema().fields().len() - 3;
    let fields: Vec<usize> = (0..3 + later).collect();
    let ranges = Some(vec![(partition, range.clone())]);
    let mut at = range.start;
    for batch in scan(engine, Columns::of(table, &fields), table.id, ranges).unwrap() {
        assert_eq!((batch.partition, batch.range.start), (partition, at));
        assert_eq!(batch.batch.num_rows() as u64, batch.range.end - batch.range.start);
        let expected = rows(partition, batch.range.clone(), 0);
        for column in 0..3 {
            assert_eq!(batch.batch.column(column), expected.column(column), "partition {partition} from {at}");
        }
        for number in 0..later {
            let found = batch.batch.column(3 + number).as_primitive::<Int64Type>();
            for (row, offset) in batch.range.clone().enumerate() {
                let expected = (later_of(offset) > number).then(|| value(partition, offset));
                assert_eq!(found.is_valid(row).then(|| found.value(row)), expected, "later{number} at {offset}");
            }
        }
        let offsets = batch.batch.column(3 + later).as_primitive::<Int64Type>();
        assert!(offsets.values().iter().map(|offset| *offset as u64).eq(batch.range.clone()));
        at = batch.range.end;
    }
    assert_eq!(at, range.end.max(range.start));
}
