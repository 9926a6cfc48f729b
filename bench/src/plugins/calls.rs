//! One filter on one float column, on one thread: in Wasm, as DataFusion's expression, as a plain loop, and copying alone.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Float32Type;
use arrow_array::{Array as _, ArrayRef, BooleanArray, Float32Array, RecordBatch};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::scalar::ScalarValue;

use crate::report::Figure;
use crate::{Result, Scale, data};

/// Together larger than the second-level cache.
const BATCHES: usize = 64;
const LATE: f32 = 60.0;

/// Figures `plugin_filter`, `plugin_filter_copying` and `plugin_call_*`.
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    let time = scale.pick(Duration::from_millis(50), Duration::from_millis(700));
    let dir = tempfile::tempdir()?;
    let host = super::host(dir.path())?;
    let late = super::load(&host, &super::module("late_departures")?, "")?;
    let wasm = |rows: usize| -> Result<f64> {
        super::per_item(&columns(rows), time, |column| Ok(late.call(std::slice::from_ref(column), rows)?))
    };
    let rows = data::BATCH_ROWS;
    let columns = columns(rows);
    let seconds = wasm(rows)?;
    let datafusion = datafusion(&columns, time)?;
    let plain = super::per_item(&columns, time, |column| Ok(Arc::new(plain_loop(column)) as ArrayRef))?;
    let copies = super::per_item(&columns, time, copy_twice)?;
    let rate = |seconds: f64| rows as f64 / seconds;
    let note = format!(
        "`dep_delay > 60` on batches of {rows} rows, one thread, a null in 30; limit: DataFusion's expression on the same \
         batches; a plain loop: {:.0} M rows/s",
        rate(plain) / 1e6
    );
    let mut figures = vec![
        Figure::reported("plugin_filter", rate(seconds), "rows/s", note).beside(rate(datafusion)).value_at_least(300e6),
        Figure::reported(
            "plugin_filter_copying",
            copies / seconds * 100.0,
            "% of a call",
            format!("copying the column twice, into the message and into the guest: {:.1} µs", copies * 1e6),
        ),
    ];
    for (name, rows) in [("plugin_call_1_row", 1), ("plugin_call_100_rows", 100)] {
        let seconds = wasm(rows)?;
        figures.push(Figure::reported(
            name,
            seconds * 1e6,
            "µs",
            "the whole call: message, guest, check of the answer",
        ));
    }
    figures.push(Figure::reported("plugin_call_8192_rows", seconds * 1e6, "µs", "as above"));
    Ok(figures)
}

/// One value in 30 is null, and one in 13 is kept.
fn columns(rows: usize) -> Vec<ArrayRef> {
    let value = |seed: usize, i: usize| (i % 30 != 7).then_some(((i + seed) % 780) as f32 / 12.0);
    (0..BATCHES).map(|seed| Arc::new((0..rows).map(|i| value(seed, i)).collect::<Float32Array>()) as ArrayRef).collect()
}

fn datafusion(columns: &[ArrayRef], time: Duration) -> Result<f64> {
    let batches: Vec<RecordBatch> = columns
        .iter()
        .map(|column| RecordBatch::try_from_iter_with_nullable([("dep_delay", column.clone(), true)]))
        .collect::<Result<_, _>>()?;
    let late = Literal::new(ScalarValue::Float32(Some(LATE)));
    let expression = BinaryExpr::new(Arc::new(Column::new("dep_delay", 0)), Operator::Gt, Arc::new(late));
    super::per_item(&batches, time, |batch| Ok(expression.evaluate(batch)?.into_array(batch.num_rows())?))
}

fn plain_loop(column: &ArrayRef) -> BooleanArray {
    let values = column.as_primitive::<Float32Type>();
    let kept = BooleanBuffer::collect_bool(values.len(), |i| values.values()[i] > LATE);
    BooleanArray::new(kept, values.nulls().cloned())
}

/// No way of sending a batch that copies it twice can be faster than this.
fn copy_twice(column: &ArrayRef) -> Result<ArrayRef> {
    let values = column.as_primitive::<Float32Type>();
    let first = black_box(values.values().inner().as_slice().to_vec());
    black_box(first.clone());
    if let Some(nulls) = values.nulls() {
        let first = black_box(nulls.buffer().as_slice().to_vec());
        black_box(first.clone());
    }
    Ok(column.clone())
}
