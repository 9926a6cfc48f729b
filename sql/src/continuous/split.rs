//! An optimised plan cut in two at the panes: what is done to rows as they come, and what to a window's when it closes.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result as DfResult, TableReference};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable, Filter, LogicalPlan, LogicalPlanBuilder, Projection, TableScan,
};

use super::groups::Grouping;
use crate::topic::{Output, Stateless};
use crate::windows::COLUMNS;

/// The table that a closing window's rows are, in the plan above the panes.
pub(super) const CLOSED: &str = "\u{1}closed";

/// A plan in two parts.
#[derive(Debug)]
pub(super) struct Split {
    /// Gives the event time, then the columns that panes are made of.
    pub(super) below: Stateless,
    pub(super) kept: Kept,
    /// Over the one table [`CLOSED`], of the columns that [`Kept::closed`] has.
    pub(super) above: LogicalPlan,
}

/// The column that numbers rows as they come.
const ARRIVAL: &str = "_arrival";

/// What panes are made of.
#[derive(Debug)]
pub(super) enum Kept {
    /// Rows: every aggregate is computed when the window closes.
    Rows {
        /// Of what panes keep.
        schema: SchemaRef,
        closed: Closed,
        /// Whether the last of those columns is [`ARRIVAL`]: a window of several panes has its rows in the order in which they came, as a
        /// query over them has.
        by_arrival: bool,
    },
    /// Partial aggregates by group.
    Groups { grouping: Grouping, closed: Closed },
}

impl Kept {
    pub(super) fn closed(&self) -> &Closed {
        match self {
            Kept::Rows { closed, .. } | Kept::Groups { closed, .. } => closed,
        }
    }

    /// Of the batches that pieces are.
    pub(super) fn schema(&self) -> &SchemaRef {
        match self {
            Kept::Rows { schema, .. } => schema,
            Kept::Groups { grouping, .. } => grouping.state_schema(),
        }
    }
}

/// The columns of [`CLOSED`].
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) schema: SchemaRef,
    pub(super) columns: Vec<ClosedColumn>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClosedColumn {
    /// Column of what panes give.
    Kept(usize),
    /// 0: the window's start, 1: its end, 2: its last time.
    Window(usize),
}

/// Cuts `plan`, which reads a table of the columns that `select` gives and of [`COLUMNS`]. `time` is the column of the event time;
/// `panes` says whether windows are made of several panes.
pub(super) fn split(
    plan: LogicalPlan,
    select: &Stateless,
    time: usize,
    panes: bool,
    state: &SessionState,
) -> DfResult<Split> {
    let (plan, filters) = without_filters(optimise(plan, state)?)?;
    let mut below = select.clone();
    let time = select
        .outputs
        .get(time)
        .cloned()
        .unwrap_or_else(|| Output { field: Field::new("", DataType::Null, true), expr: Expr::default() });
    below.filters.insert(0, time.expr.clone().is_not_null());
    for filter in filters {
        below.filters.push(select.inline(filter)?);
    }
    if let Some(aggregate) = lowest_aggregate(&plan)
        && let Some(groups) = Groups::of(&aggregate, select)?
    {
        below.filters.extend(groups.filters.iter().cloned());
        below.outputs = std::iter::once(time).chain(groups.outputs.iter().cloned()).collect();
        let (closed, stand_in) = groups.closed(&aggregate)?;
        let above = replaced(plan, &|node| match node {
            LogicalPlan::Aggregate(found) if found == aggregate => Ok(Transformed::yes(stand_in.clone())),
            other => Ok(Transformed::no(other)),
        })?;
        return Ok(Split { below, kept: Kept::Groups { grouping: groups.grouping, closed }, above });
    }
    let plan = optimise(plan, state)?;
    let (mut outputs, mut columns, mut schema) = (Vec::new(), Vec::new(), None);
    let above = replaced(plan, &|node| match node {
        LogicalPlan::TableScan(scan) => Ok(Transformed::yes(closed_scan(&scan)?)),
        other => Ok(Transformed::no(other)),
    })?;
    above.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            schema = Some(Arc::clone(scan.projected_schema.inner()));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let schema = schema.unwrap_or_else(|| Arc::new(Schema::empty()));
    for field in schema.fields() {
        columns.push(match COLUMNS.iter().position(|name| name == field.name()) {
            Some(bound) => ClosedColumn::Window(bound),
            None => {
                outputs.extend(select.outputs.iter().find(|output| output.field.name() == field.name()).cloned());
                ClosedColumn::Kept(outputs.len() - 1)
            }
        });
    }
    if outputs.is_empty() {
        // What has no columns would have no rows.
        outputs.push(time.clone());
    }
    let mut kept: Vec<Field> = outputs.iter().map(|output| output.field.clone()).collect();
    kept.extend(panes.then(|| Field::new(ARRIVAL, DataType::Int64, false)));
    below.outputs = std::iter::once(time).chain(outputs).collect();
    let closed = Closed { schema, columns };
    Ok(Split { below, kept: Kept::Rows { schema: Arc::new(Schema::new(kept)), closed, by_arrival: panes }, above })
}

fn optimise(plan: LogicalPlan, state: &SessionState) -> DfResult<LogicalPlan> {
    state.optimizer().optimize(plan, state, |_, _| {})
}

fn replaced(
    plan: LogicalPlan,
    replace: &dyn Fn(LogicalPlan) -> DfResult<Transformed<LogicalPlan>>,
) -> DfResult<LogicalPlan> {
    plan.transform_down(|node| {
        let done = replace(node)?;
        // What was put in is not looked into.
        let next = if done.transformed { TreeNodeRecursion::Jump } else { TreeNodeRecursion::Continue };
        Ok(Transformed::new(done.data, done.transformed, next))
    })
    .map(|done| done.data)
}

/// A scan of [`CLOSED`] that gives what `scan` does, under the same names.
fn closed_scan(scan: &TableScan) -> DfResult<LogicalPlan> {
    let schema = Arc::clone(scan.projected_schema.inner());
    stand_in(&schema, &scan.projected_schema)
}

/// A scan of a table of `schema`, with its columns named as `names` has them.
fn stand_in(schema: &SchemaRef, names: &DFSchema) -> DfResult<LogicalPlan> {
    let table = MemTable::try_new(Arc::clone(schema), vec![Vec::new()])?;
    let scan = LogicalPlanBuilder::scan(TableReference::bare(CLOSED), provider_as_source(Arc::new(table)), None)?;
    let scan = scan.build()?;
    let columns = scan.schema().columns();
    let named = columns.into_iter().zip(names.iter());
    let exprs = named
        .map(|(column, (qualifier, field))| Expr::Column(column).alias_qualified(qualifier.cloned(), field.name()))
        .collect();
    Projection::try_new_with_schema(exprs, Arc::new(scan), Arc::new(names.clone())).map(LogicalPlan::Projection)
}

/// The plan without the conditions that stand on the table itself and ask nothing of windows, and these.
fn without_filters(plan: LogicalPlan) -> DfResult<(LogicalPlan, Vec<Expr>)> {
    let mut moved = Vec::new();
    let plan = plan
        .transform_up(|node| match node {
            LogicalPlan::Filter(Filter { predicate, input, .. })
                if matches!(input.as_ref(), LogicalPlan::TableScan(_)) =>
            {
                let (windows, rows): (Vec<Expr>, Vec<Expr>) =
                    split_conjunction_owned(predicate).into_iter().partition(names_window);
                moved.extend(rows);
                let input = Arc::unwrap_or_clone(input);
                Ok(Transformed::yes(match conjunction(windows) {
                    None => input,
                    Some(predicate) => LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(input))?),
                }))
            }
            other => Ok(Transformed::no(other)),
        })?
        .data;
    Ok((plan, moved))
}

fn names_window(expr: &Expr) -> bool {
    expr.column_refs().into_iter().any(|column| COLUMNS.contains(&column.name.as_str()))
}

/// The aggregate that rows come to first.
fn lowest_aggregate(plan: &LogicalPlan) -> Option<Aggregate> {
    let mut found = None;
    let walked = plan.apply(|node| {
        if let LogicalPlan::Aggregate(aggregate) = node {
            found = Some(aggregate.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    walked.ok()?;
    found
}

/// An aggregate that panes can be kept for in parts.
struct Groups {
    filters: Vec<Expr>,
    /// Groups' keys, then what aggregates take.
    outputs: Vec<Output>,
    keys: Vec<Key>,
    grouping: Grouping,
}

#[derive(Debug, Clone, Copy)]
enum Key {
    Window(usize),
    Column(usize),
}

impl Groups {
    fn of(aggregate: &Aggregate, select: &Stateless) -> DfResult<Option<Groups>> {
        let Some((columns, filters)) = flat(&aggregate.input)? else { return Ok(None) };
        if filters.iter().any(names_window) || !aggregate.aggr_expr.iter().all(|expr| is_partial(expr, aggregate)) {
            return Ok(None);
        }
        let input = Arc::new(DFSchema::try_from(select.input.as_ref().clone())?);
        let schema = aggregate.input.schema();
        let mut outputs = Vec::new();
        let mut output = |expr: &Expr| -> DfResult<Option<usize>> {
            let expr = substituted(expr, schema, &columns)?;
            if names_window(&expr) {
                return Ok(None);
            }
            let expr = select.inline(expr)?;
            let data_type = expr.get_type(&input)?;
            outputs.push(Output { field: Field::new(format!("c{}", outputs.len()), data_type, true), expr });
            Ok(Some(outputs.len() - 1))
        };
        let mut keys = Vec::new();
        for expr in &aggregate.group_expr {
            let inlined = substituted(expr, schema, &columns)?.unalias_nested().data;
            let bound = match &inlined {
                Expr::Column(column) => COLUMNS.iter().position(|name| *name == column.name),
                _ => None,
            };
            keys.push(match bound {
                Some(bound) => Key::Window(bound),
                None => match output(expr)? {
                    Some(column) => Key::Column(column),
                    None => return Ok(None),
                },
            });
        }
        let key_count = keys.iter().filter(|key| matches!(key, Key::Column(_))).count();
        let mut aggregates = Vec::new();
        for expr in &aggregate.aggr_expr {
            let Expr::AggregateFunction(mut call) = expr.clone().unalias() else { return Ok(None) };
            let filter = call.params.filter.as_deref_mut();
            for argument in call.params.args.iter_mut().chain(filter) {
                if matches!(argument, Expr::Literal(..)) {
                    continue;
                }
                let Some(column) = output(argument)? else { return Ok(None) };
                *argument = Expr::Column(Column::new_unqualified(format!("c{column}")));
            }
            aggregates.push(call);
        }
        let fields: Vec<Field> = outputs.iter().map(|output| output.field.clone()).collect();
        let filters = filters.into_iter().map(|filter| select.inline(filter)).collect::<DfResult<_>>()?;
        let grouping = Grouping::new(Schema::new(fields), key_count, aggregates)?;
        Ok(grouping.map(|grouping| Groups { filters, outputs, keys, grouping }))
    }

    /// What a window's groups are for the plan above.
    fn closed(&self, aggregate: &Aggregate) -> DfResult<(Closed, LogicalPlan)> {
        let mut columns = Vec::new();
        for key in &self.keys {
            columns.push(match key {
                Key::Window(bound) => ClosedColumn::Window(*bound),
                Key::Column(column) => ClosedColumn::Kept(*column),
            });
        }
        let keys = self.keys.iter().filter(|key| matches!(key, Key::Column(_))).count();
        columns.extend((0..aggregate.aggr_expr.len()).map(|index| ClosedColumn::Kept(keys + index)));
        let fields = aggregate.schema.fields().iter().enumerate();
        // Names of their own: those of the plan may be there twice, of several tables.
        let fields: Vec<Field> =
            fields.map(|(index, field)| field.as_ref().clone().with_name(format!("c{index}"))).collect();
        let schema = Arc::new(Schema::new(fields));
        let plan = stand_in(&schema, &aggregate.schema)?;
        Ok((Closed { schema, columns }, plan))
    }
}

/// What the columns of a plan over a table are in terms of the table's, and the conditions in it; `None` if it is more than
/// projections and conditions.
fn flat(plan: &LogicalPlan) -> DfResult<Option<(Vec<Expr>, Vec<Expr>)>> {
    Ok(match plan {
        LogicalPlan::TableScan(scan) => {
            let columns = scan.projected_schema.fields().iter();
            Some((columns.map(|field| Expr::Column(Column::new_unqualified(field.name()))).collect(), Vec::new()))
        }
        LogicalPlan::SubqueryAlias(step) => flat(&step.input)?,
        LogicalPlan::Filter(step) => match flat(&step.input)? {
            None => None,
            Some((columns, mut filters)) => {
                filters.push(substituted(&step.predicate, step.input.schema(), &columns)?);
                Some((columns, filters))
            }
        },
        LogicalPlan::Projection(step) => match flat(&step.input)? {
            None => None,
            Some((columns, filters)) => {
                let exprs = step.expr.iter().map(|expr| substituted(expr, step.input.schema(), &columns));
                Some((exprs.collect::<DfResult<_>>()?, filters))
            }
        },
        _ => None,
    })
}

fn substituted(expr: &Expr, schema: &DFSchema, columns: &[Expr]) -> DfResult<Expr> {
    let done = expr.clone().transform_up(|node| match &node {
        Expr::Column(column) => {
            let found = schema.maybe_index_of_column(column).and_then(|index| columns.get(index));
            match found {
                Some(expr) => Ok(Transformed::yes(expr.clone().unalias())),
                None => datafusion::common::plan_err!("column {} is not there", column.name),
            }
        }
        _ => Ok(Transformed::no(node)),
    })?;
    Ok(done.data.unalias())
}

/// Whether parts of an aggregate come to the same whatever they are put together from, to the last bit: sums of floating-point
/// numbers, lists and what depends on an order do not.
fn is_partial(expr: &Expr, aggregate: &Aggregate) -> bool {
    let Expr::AggregateFunction(AggregateFunction { func, params }) = expr.clone().unalias() else { return false };
    if params.distinct || !params.order_by.is_empty() || params.null_treatment.is_some() {
        return false;
    }
    let schema = aggregate.input.schema();
    let types: Vec<DataType> = params.args.iter().filter_map(|arg| arg.get_type(schema).ok()).collect();
    let exact = types.iter().all(|data_type| data_type.is_integer() || data_type.is_decimal());
    let simple = types.iter().all(|data_type| !data_type.is_nested());
    match func.name() {
        "count" => true,
        "sum" => exact,
        "avg" => types.iter().all(DataType::is_decimal),
        "min" | "max" => simple,
        "bool_and" | "bool_or" | "bit_and" | "bit_or" | "bit_xor" => true,
        _ => false,
    }
}
