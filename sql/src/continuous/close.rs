//! A window that closes: its rows, or its groups, through the plan above the panes.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{CastOptions, cast, cast_with_options, concat_batches, take_record_batch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DataFusionError, Result as DfResult, TableReference, internal_err};
use datafusion::datasource::provider_as_source;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Sort, SortExpr};
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{ExecutionPlan, collect};
use parking_lot::Mutex;

use super::split::{CLOSED, Closed, ClosedColumn};
use crate::query::one_thread;
use crate::threads::planning;

/// The plan above the panes, ready to be run: planned once, for whatever rows a window has.
pub(super) struct Closing {
    plan: Arc<dyn ExecutionPlan>,
    rows: Arc<WindowRows>,
    /// Windows are bounded by the topic's own `state_bytes`: they take nothing of what queries share.
    context: Arc<TaskContext>,
    /// Whether the rows come in an order that the SELECT asks for.
    is_sorted: bool,
    output: SchemaRef,
    /// Held while a window is computed: its rows are those that the plan reads.
    turn: Mutex<()>,
}

/// What the plan reads: the rows of the window that closes. Their number is not known when it is planned.
#[derive(Debug)]
struct WindowRows {
    schema: SchemaRef,
    batches: Mutex<Vec<RecordBatch>>,
}

impl PartitionStream for WindowRows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches: Vec<DfResult<RecordBatch>> = self.batches.lock().iter().cloned().map(Ok).collect();
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), futures::stream::iter(batches)))
    }
}

impl Closing {
    /// `plan` reads one table of the columns that `closed` has. What can't be carried out is an error here, and not when the first
    /// window closes.
    pub(super) fn new(
        plan: LogicalPlan,
        closed: &Closed,
        output: SchemaRef,
        state: &SessionState,
    ) -> DfResult<Closing> {
        let state = one_thread(state);
        let disks = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let runtime = RuntimeEnvBuilder::new().with_disk_manager_builder(disks).build_arc()?;
        let context =
            Arc::new(TaskContext::default().with_session_config(state.config().clone()).with_runtime(runtime));
        let (plan, is_sorted) = totally_sorted(plan)?;
        let rows = Arc::new(WindowRows { schema: Arc::clone(&closed.schema), batches: Mutex::default() });
        let table = StreamingTable::try_new(Arc::clone(&closed.schema), vec![Arc::clone(&rows) as _])?;
        let scan = LogicalPlanBuilder::scan(TableReference::bare(CLOSED), provider_as_source(Arc::new(table)), None)?
            .build()?;
        let plan = plan.transform_down(|node| match node {
            LogicalPlan::TableScan(_) => Ok(Transformed::yes(scan.clone())),
            other => Ok(Transformed::no(other)),
        })?;
        let planner = state.query_planner();
        let plan = planning(|| futures::executor::block_on(planner.create_physical_plan(&plan.data, &state)))?;
        Ok(Closing { plan, rows, context, is_sorted, output, turn: Mutex::default() })
    }

    /// A window's output, in an order of its own that is always the same.
    pub(super) fn run(&self, rows: Vec<RecordBatch>) -> DfResult<RecordBatch> {
        let _turn = self.turn.lock();
        *self.rows.batches.lock() = rows;
        let plan = reset_plan_states(Arc::clone(&self.plan))?;
        // One partition, in memory: nothing is spawned, and nothing waits.
        let batches = futures::executor::block_on(collect(plan, Arc::clone(&self.context)));
        self.rows.batches.lock().clear();
        let batches = batches?;
        let mut typed = Vec::with_capacity(batches.len());
        for batch in batches {
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            // A plan may be optimised to one of wider decimals.
            let columns = batch.columns().iter().zip(self.output.fields());
            let columns = columns.map(|(column, field)| as_type(column, field.data_type())).collect::<DfResult<_>>()?;
            typed.push(RecordBatch::try_new_with_options(Arc::clone(&self.output), columns, &options)?);
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

fn as_type(array: &ArrayRef, data_type: &DataType) -> DfResult<ArrayRef> {
    match array.data_type() == data_type {
        true => Ok(Arc::clone(array)),
        // What does not fit is an error, and never null.
        false => Ok(cast_with_options(array, data_type, &CastOptions { safe: false, ..Default::default() })?),
    }
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
        as_type(&array, field.data_type())
    };
    let arrays = closed.columns.iter().zip(closed.schema.fields()).map(column).collect::<DfResult<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(&closed.schema), arrays, &options)?)
}
