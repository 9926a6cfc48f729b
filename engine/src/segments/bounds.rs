//! Lowest and highest values of columns per run, from Parquet's page index.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, UInt64Array};
use arrow_ord::ord::make_comparator;
use arrow_schema::{DataType, SortOptions};
use parking_lot::Mutex;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;

use super::open::Footer;
use crate::contract::ColumnStatistics;

/// Bounds of the runs of a row group; `None` where nothing is known of them.
type Runs = Option<Arc<Vec<ColumnStatistics>>>;

/// Decoded bounds by (row group, column of the file).
#[derive(Debug, Default)]
pub(super) struct BoundsCache {
    runs: Mutex<HashMap<(usize, usize), Runs>>,
}

impl Footer {
    /// Bounds of a top-level column, one for each run of a row group; `None` where nothing is known of it.
    pub(super) fn run_bounds(&self, group: usize, column: usize) -> Runs {
        if let Some(known) = self.bounds.runs.lock().get(&(group, column)) {
            return known.clone();
        }
        let made = self.make_bounds(group, column).map(Arc::new);
        self.bounds.runs.lock().insert((group, column), made.clone());
        made
    }

    fn make_bounds(&self, group: usize, column: usize) -> Option<Vec<ColumnStatistics>> {
        let field = self.metadata.schema().fields().get(column)?;
        if field.data_type().is_nested() || self.description.nan_columns.contains(&column) {
            return None;
        }
        let parquet = self.metadata.parquet_schema();
        let leaf = (0..parquet.num_columns()).find(|leaf| parquet.get_column_root_idx(*leaf) == column)?;
        let converter = StatisticsConverter::from_column_index(leaf, field, parquet).ok()?;
        let (columns, offsets) = (self.metadata.metadata().column_index()?, self.metadata.metadata().offset_index()?);
        let locations = offsets.get(group)?.get(leaf)?.page_locations();
        columns.get(group)?.get(leaf)?;
        let groups = [group];
        let pages = Pages {
            first_rows: locations.iter().map(|page| u64::try_from(page.first_row_index).unwrap_or(0)).collect(),
            mins: converter.data_page_mins(columns, offsets, &groups).ok()?,
            maxes: converter.data_page_maxes(columns, offsets, &groups).ok()?,
            nulls: converter.data_page_null_counts(columns, offsets, &groups).ok()?,
        };
        if pages.mins.data_type() != field.data_type() && !matches!(field.data_type(), DataType::Null) {
            return None;
        }
        let span = *self.row_groups.get(group)?;
        let runs = (0..span.runs()).map(|run| {
            let from = run * span.run_rows;
            pages.between(from, (from + span.run_rows).min(span.rows), span.rows)
        });
        Some(runs.collect())
    }
}

/// One column chunk's page index.
struct Pages {
    first_rows: Vec<u64>,
    mins: ArrayRef,
    maxes: ArrayRef,
    nulls: UInt64Array,
}

impl Pages {
    /// Bounds of rows `from..to`, from every page that has one of them.
    fn between(&self, from: u64, to: u64, rows: u64) -> ColumnStatistics {
        let first = self.first_rows.partition_point(|start| *start <= from).saturating_sub(1);
        let last = self.first_rows.partition_point(|start| *start < to).min(self.nulls.len());
        let page_end = |page: usize| self.first_rows.get(page + 1).copied().unwrap_or(rows);
        let page_rows = |page: usize| page_end(page) - self.first_rows.get(page).copied().unwrap_or(0);
        let null_count = |page: usize| self.nulls.is_valid(page).then(|| self.nulls.value(page));
        let valued: Vec<usize> = (first..last).filter(|page| null_count(*page) != Some(page_rows(*page))).collect();
        // A page that reaches beyond the rows says nothing exact of their nulls, unless it has none or nothing else.
        let exact = first..last;
        let whole = self.first_rows.get(first) == Some(&from) && last > first && page_end(last - 1) == to;
        let counts: Option<u64> = exact.map(null_count).sum();
        let null_count = match counts {
            Some(count) if whole || count == 0 => Some(count),
            Some(_) if valued.is_empty() => Some(to - from),
            _ => None,
        };
        ColumnStatistics {
            min: extreme(&self.mins, &valued, false),
            max: extreme(&self.maxes, &valued, true),
            null_count,
            values: None,
        }
    }
}

/// The lowest or highest of some elements, as an array of one; `None` if any is unknown.
fn extreme(values: &ArrayRef, of: &[usize], highest: bool) -> Option<ArrayRef> {
    if of.iter().any(|index| values.is_null(*index)) {
        return None;
    }
    let options = SortOptions { descending: highest, nulls_first: false };
    let compare = make_comparator(values.as_ref(), values.as_ref(), options).ok()?;
    let best = of.iter().copied().reduce(|best, other| if compare(other, best).is_lt() { other } else { best })?;
    Some(values.slice(best, 1))
}
