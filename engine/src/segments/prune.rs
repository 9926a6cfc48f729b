//! Which runs a reader can do without.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, Int32Array, Int64Array, new_null_array};
use arrow_schema::{DataType, TimeUnit};
use parquet::bloom_filter::Sbbf;

use super::open::{Footer, Segment};
use crate::chunks::Projection;
use crate::contract::{BatchOperator, ChunkStatistics, ColumnStatistics, ColumnValues, InputColumn};
use crate::model::{Offset, PartitionId, TableInfo};

/// What rules rows out.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pruning<'a> {
    /// Its inputs are the projection's.
    pub operator: Option<&'a dyn BatchOperator>,
    /// Rows outside are not wanted, µs.
    pub event_time_us: Option<&'a Range<i64>>,
    /// The reader wants a few rows, and comes again for the next ones: it gets a piece of a run.
    pub piecemeal: bool,
}

impl Pruning<'_> {
    pub(super) fn is_none(&self) -> bool {
        self.operator.is_none() && self.event_time_us.is_none()
    }

    /// Whether rows of these event times can be left out; both bounds inclusive.
    pub(crate) fn rules_out(&self, min_event_us: i64, max_event_us: i64) -> bool {
        self.event_time_us.is_some_and(|wanted| max_event_us < wanted.start || min_event_us >= wanted.end)
    }
}

/// One row group of one partition's segment, seen through a projection.
pub(super) struct View<'a> {
    pub table: &'a TableInfo,
    pub partition: PartitionId,
    pub segment: &'a Segment,
    pub footer: &'a Arc<Footer>,
    pub projection: &'a Projection,
}

impl View<'_> {
    /// For each run of a row group, from run `from` on, whether it can be left out.
    pub(super) fn ruled_out(&self, pruning: &Pruning<'_>, group: usize, from: u64) -> Vec<bool> {
        let Some(span) = self.footer.row_groups.get(group) else { return Vec::new() };
        let runs = from..span.runs();
        let mut out: Vec<bool> = runs.clone().map(|run| self.event_time_rules_out(pruning, group, run)).collect();
        let Some(operator) = pruning.operator else { return out };
        let values: Vec<_> = self.projection.inputs().iter().map(|input| self.values(group, input)).collect();
        let statistics: Vec<ChunkStatistics> = runs.map(|run| self.statistics(group, run, &values)).collect();
        for (out, pruned) in out.iter_mut().zip(operator.prune(&statistics)) {
            *out |= pruned;
        }
        out
    }

    fn event_time_rules_out(&self, pruning: &Pruning<'_>, group: usize, run: u64) -> bool {
        if pruning.event_time_us.is_none() {
            return false;
        }
        let schema = self.table.schema();
        let column = match &self.table.options.time_column {
            Some(name) => schema.index_of(name).ok(),
            None => Some(self.append_ts_column()),
        };
        let bounds = column.and_then(|column| self.footer.run_bounds(group, column));
        let run = bounds.as_ref().and_then(|bounds| bounds.get(usize::try_from(run).ok()?));
        let bound = |array: &Option<ArrayRef>, ceil| array.as_ref().and_then(|array| micros(array, ceil));
        match run.map(|run| (bound(&run.min, false), bound(&run.max, true))) {
            Some((Some(min), Some(max))) => pruning.rules_out(min, max),
            _ => false,
        }
    }

    fn statistics(&self, group: usize, run: u64, values: &[Option<Arc<dyn ColumnValues>>]) -> ChunkStatistics {
        let span = self.footer.row_groups.get(group).copied();
        let (first, rows) = span.map_or((0, 0), |span| {
            let start = run * span.run_rows;
            (span.first_row + start, span.run_rows.min(span.rows - start))
        });
        let base = self.segment.meta.first_offset + first;
        let bounds = |input: &InputColumn, field: &arrow_schema::Field| match *input {
            InputColumn::Field(index) if index >= self.stored_columns() => Some(ColumnStatistics {
                min: Some(new_null_array(field.data_type(), 1)),
                max: Some(new_null_array(field.data_type(), 1)),
                null_count: Some(rows),
                values: None,
            }),
            InputColumn::Field(index) => self.stored(group, index, run),
            InputColumn::AppendTs => self.stored(group, self.append_ts_column(), run),
            InputColumn::Partition => {
                let number: ArrayRef = Arc::new(Int32Array::from(vec![i32::try_from(self.partition).ok()?]));
                let (min, max) = (Some(number.clone()), Some(number));
                Some(ColumnStatistics { min, max, null_count: Some(0), values: None })
            }
            InputColumn::Offset => Some(ColumnStatistics {
                min: Some(offset_array(base)?),
                max: Some(offset_array(base + rows.saturating_sub(1))?),
                null_count: Some(0),
                values: None,
            }),
        };
        let fields = self.projection.schema().fields();
        let inputs = self.projection.inputs().iter().zip(fields).zip(values);
        let columns = inputs.map(|((input, field), values)| match (bounds(input, field), values.clone()) {
            (None, None) => None,
            (bounds, values) => Some(ColumnStatistics { values, ..bounds.unwrap_or_default() }),
        });
        ChunkStatistics { row_count: rows, columns: columns.collect() }
    }

    fn stored(&self, group: usize, column: usize, run: u64) -> Option<ColumnStatistics> {
        self.footer.run_bounds(group, column)?.get(usize::try_from(run).ok()?).cloned()
    }

    /// What a row group knows of the values of an input.
    fn values(&self, group: usize, input: &InputColumn) -> Option<Arc<dyn ColumnValues>> {
        match *input {
            InputColumn::Field(index) if index < self.stored_columns() => RowGroupValues::of(self.footer, group, index),
            _ => None,
        }
    }

    /// Columns of the table that the file has.
    fn stored_columns(&self) -> usize {
        self.footer.stored_columns()
    }

    fn append_ts_column(&self) -> usize {
        self.footer.stored_columns() + 1
    }
}

/// The bloom filter of a column in one row group, read when it is asked.
#[derive(Debug)]
struct RowGroupValues {
    footer: Arc<Footer>,
    group: usize,
    leaf: usize,
    filter: OnceLock<Option<Sbbf>>,
}

impl RowGroupValues {
    /// `None` where the file has no filter of the column.
    fn of(footer: &Arc<Footer>, group: usize, column: usize) -> Option<Arc<dyn ColumnValues>> {
        let parquet = footer.metadata.parquet_schema();
        let mut leaves = (0..parquet.num_columns()).filter(|leaf| parquet.get_column_root_idx(*leaf) == column);
        let (leaf, None) = (leaves.next()?, leaves.next()) else { return None };
        footer.metadata.metadata().row_groups().get(group)?.columns().get(leaf)?.bloom_filter_offset()?;
        Some(Arc::new(RowGroupValues { footer: footer.clone(), group, leaf, filter: OnceLock::new() }))
    }
}

impl ColumnValues for RowGroupValues {
    /// Where the filter can't be read the rows are, and tell why.
    fn may_have(&self, value: &[u8]) -> bool {
        let filter = self.filter.get_or_init(|| self.footer.bloom_filter(self.group, self.leaf));
        filter.as_ref().is_none_or(|filter| filter.check(value))
    }
}

fn offset_array(offset: Offset) -> Option<ArrayRef> {
    Some(Arc::new(Int64Array::from(vec![i64::try_from(offset).ok()?])))
}

/// The first element of a timestamp array in µs, floored or ceiled, saturating.
fn micros(array: &ArrayRef, ceil: bool) -> Option<i64> {
    if array.is_empty() || array.is_null(0) {
        return None;
    }
    let DataType::Timestamp(unit, _) = array.data_type() else { return None };
    Some(match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().value(0).saturating_mul(1_000_000),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().value(0).saturating_mul(1_000),
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().value(0),
        TimeUnit::Nanosecond => {
            let nanos = array.as_primitive::<TimestampNanosecondType>().value(0);
            nanos.div_euclid(1_000) + i64::from(ceil && nanos.rem_euclid(1_000) != 0)
        }
    })
}
