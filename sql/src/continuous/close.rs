//! A window that closes: its rows, or its groups, through the plan above the panes.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{cast, concat_batches, take_record_batch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DataFusionError, Result as DfResult, TableReference, internal_err};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionState, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Sort, SortExpr};
use datafusion::physical_plan::collect;

use super::split::{CLOSED, Closed, ClosedColumn};
use crate::query::one_thread;

/// The plan above the panes, ready to be run.
pub(super) struct Closing {
    plan: LogicalPlan,
    state: SessionState,
    /// Windows are bounded by the topic's own `state_bytes`: they take nothing of what queries share.
    context: Arc<TaskContext>,
    /// Whether the rows come in an order that the SELECT asks for.
    is_sorted: bool,
    output: SchemaRef,
}

impl Closing {
    pub(super) fn new(plan: LogicalPlan, output: SchemaRef, state: &SessionState) -> DfResult<Closing> {
        let state = one_thread(state);
        let disks = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let runtime = RuntimeEnvBuilder::new().with_disk_manager_builder(disks).build_arc()?;
        let context =
            Arc::new(TaskContext::default().with_session_config(state.config().clone()).with_runtime(runtime));
        let (plan, is_sorted) = totally_sorted(plan)?;
        Ok(Closing { plan, state, context, is_sorted, output })
    }

    /// A window's output, in an order of its own that is always the same.
    pub(super) fn run(&self, rows: Vec<RecordBatch>, closed: &Closed) -> DfResult<RecordBatch> {
        let table = MemTable::try_new(Arc::clone(&closed.schema), vec![rows])?;
        let scan = LogicalPlanBuilder::scan(TableReference::bare(CLOSED), provider_as_source(Arc::new(table)), None)?
            .build()?;
        let plan = self.plan.clone().transform_down(|node| match node {
            LogicalPlan::TableScan(_) => Ok(Transformed::yes(scan.clone())),
            other => Ok(Transformed::no(other)),
        })?;
        // One partition, in memory: nothing is spawned, and nothing waits.
        let batches = futures::executor::block_on(async {
            let physical = self.state.query_planner().create_physical_plan(&plan.data, &self.state).await?;
            collect(physical, Arc::clone(&self.context)).await
        })?;
        let mut typed = Vec::with_capacity(batches.len());
        for batch in batches {
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            typed.push(RecordBatch::try_new_with_options(
                Arc::clone(&self.output),
                batch.columns().to_vec(),
                &options,
            )?);
        }
        let whole = concat_batches(&self.output, &typed)?;
        if self.is_sorted { Ok(whole) } else { sorted(&whole) }
    }
}

/// Adds all columns to the keys that a plan sorts by at last, so that rows come in one order alone; whether it sorts.
fn totally_sorted(plan: LogicalPlan) -> DfResult<(LogicalPlan, bool)> {
    Ok(match plan {
        LogicalPlan::Sort(Sort { mut expr, input, fetch }) => {
            for (qualifier, field) in input.schema().iter() {
                if is_sortable(field.data_type()) {
                    let column = Column::new(qualifier.cloned(), field.name());
                    expr.push(SortExpr::new(Expr::Column(column), true, false));
                }
            }
            (LogicalPlan::Sort(Sort { expr, input, fetch }), true)
        }
        LogicalPlan::Projection(mut step) => {
            let (input, is_sorted) = totally_sorted(Arc::unwrap_or_clone(step.input))?;
            step.input = Arc::new(input);
            (LogicalPlan::Projection(step), is_sorted)
        }
        LogicalPlan::SubqueryAlias(mut step) => {
            let (input, is_sorted) = totally_sorted(Arc::unwrap_or_clone(step.input))?;
            step.input = Arc::new(input);
            (LogicalPlan::SubqueryAlias(step), is_sorted)
        }
        other => (other, false),
    })
}

fn is_sortable(data_type: &DataType) -> bool {
    RowConverter::supports_fields(&[SortField::new(data_type.clone())])
}

fn sorted(rows: &RecordBatch) -> DfResult<RecordBatch> {
    let columns: Vec<ArrayRef> =
        rows.columns().iter().filter(|column| is_sortable(column.data_type())).cloned().collect();
    if columns.is_empty() || rows.num_rows() < 2 {
        return Ok(rows.clone());
    }
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let encoded = RowConverter::new(fields)?.convert_columns(&columns)?;
    let count = u32::try_from(rows.num_rows())
        .map_err(|_| DataFusionError::ResourcesExhausted("a window gives more than 4 billion rows".to_owned()))?;
    let mut order: Vec<u32> = (0..count).collect();
    order.sort_by(|one, other| encoded.row(*one as usize).cmp(&encoded.row(*other as usize)));
    Ok(take_record_batch(rows, &UInt32Array::from(order))?)
}

/// A window's rows for the plan: `columns` are what panes give.
pub(super) fn closed_batch(
    closed: &Closed,
    columns: &[ArrayRef],
    rows: usize,
    bounds: [i64; 3],
    time: &DataType,
) -> DfResult<RecordBatch> {
    let column = |(column, field): (&ClosedColumn, &Arc<arrow::datatypes::Field>)| -> DfResult<ArrayRef> {
        let array = match column {
            ClosedColumn::Kept(index) => match columns.get(*index) {
                Some(array) => Arc::clone(array),
                None => return internal_err!("a pane has no column {index}"),
            },
            ClosedColumn::Window(bound) => {
                let tick = bounds.get(*bound).copied().unwrap_or_default();
                cast(&Int64Array::from_value(tick, rows), time)?
            }
        };
        match array.data_type() == field.data_type() {
            true => Ok(array),
            false => Ok(cast(&array, field.data_type())?),
        }
    };
    let arrays = closed.columns.iter().zip(closed.schema.fields()).map(column).collect::<DfResult<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(&closed.schema), arrays, &options)?)
}
