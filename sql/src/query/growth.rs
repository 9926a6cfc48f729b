//! Bounds on conditions. The optimiser moves a condition down to the tables, and puts for each column that it names the
//! expression that computes it; where columns are computed from one another, it doubles with every step.

use std::any::Any;

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};

use super::stream_table::StreamTable;
use crate::convert::{from_datafusion, into_datafusion};
use crate::{Error, Position, Result};

/// Columns, literals and operators of one condition, when it is written in terms of tables' columns.
const MAX_TERMS: usize = 1 << 16;

/// Refuses plans with a condition that would grow too much. `start` is where the statement begins: the planner forgets the
/// place of some columns.
pub(super) fn check_growth(plan: &LogicalPlan, start: Option<Position>) -> Result<()> {
    match columns(plan) {
        Err(Error::Unsupported { message, position }) => {
            Err(Error::Unsupported { message, position: position.or(start) })
        }
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}

/// For each column of a plan the number of terms that it is computed from.
fn columns(plan: &LogicalPlan) -> Result<Vec<usize>> {
    let below = plan.inputs().into_iter().map(columns).collect::<Result<Vec<_>>>()?.concat();
    // Where every column is one term nobody has to look for it.
    let sizes_below: &[usize] = if below.iter().all(|size| *size == 1) { &[] } else { &below };
    let walked = plan
        .apply_subqueries(|subquery| columns(subquery).map(|_| TreeNodeRecursion::Continue).map_err(into_datafusion));
    walked.map_err(|error| from_datafusion(error, 0))?;
    let width = plan.schema().fields().len();
    let sizes = match plan {
        LogicalPlan::Projection(step) => {
            step.expr.iter().map(|expr| terms(expr, step.input.schema(), sizes_below)).collect()
        }
        // Conditions on what a query is grouped by move below it, those on aggregates do not.
        LogicalPlan::Aggregate(step) => {
            let groups = step.group_expr.iter().map(|expr| terms(expr, step.input.schema(), sizes_below));
            groups.chain(step.aggr_expr.iter().map(|_| 1)).collect()
        }
        LogicalPlan::Union(_) => {
            (0..width).map(|column| below.iter().skip(column).step_by(width).copied().max().unwrap_or(1)).collect()
        }
        LogicalPlan::TableScan(scan) => scanned(scan),
        LogicalPlan::Filter(step) => {
            check(&step.predicate, step.input.schema(), sizes_below)?;
            below
        }
        LogicalPlan::Join(step) => {
            step.filter.iter().try_for_each(|condition| check(condition, &step.schema, sizes_below))?;
            below
        }
        // Columns pass through sorts, limits and the like; windows add theirs at the end.
        _ => below,
    };
    // Steps of other kinds have columns of their own, which conditions do not pass.
    Ok(if plan.schema().fields().len() == sizes.len() { sizes } else { vec![1; width] })
}

/// A topic's columns are computed by its own SELECT.
fn scanned(scan: &TableScan) -> Vec<usize> {
    let width = scan.projected_schema.fields().len();
    let Ok(provider) = source_as_provider(&scan.source) else { return vec![1; width] };
    let provider: &dyn Any = provider.as_ref();
    provider.downcast_ref::<StreamTable>().map_or_else(|| vec![1; width], StreamTable::terms)
}

fn check(condition: &Expr, schema: &DFSchema, columns: &[usize]) -> Result<()> {
    if terms(condition, schema, columns) <= MAX_TERMS {
        return Ok(());
    }
    let message = format!(
        "a condition names columns that are computed from one another so often that it grows to more than {MAX_TERMS} \
         terms; make the columns in a step of their own, or write the condition in other words"
    );
    Err(Error::Unsupported { message, position: place(condition) })
}

/// Where the first column stands that an expression names.
fn place(expr: &Expr) -> Option<Position> {
    let mut found = None;
    let walked = expr.apply(|node| {
        let start = node.spans().and_then(|spans| spans.first()).map(|span| span.start);
        found = start.map(|start| Position { line: start.line, column: start.column });
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    debug_assert!(walked.is_ok(), "the walk itself cannot fail");
    found
}

/// The terms of an expression over columns of those sizes; none are given where each is one term.
pub(super) fn terms(expr: &Expr, schema: &DFSchema, columns: &[usize]) -> usize {
    let mut total = 0_usize;
    let walked = expr.apply(|node| {
        total = total.saturating_add(match node {
            Expr::Column(_) if columns.is_empty() => 1,
            Expr::Column(column) => {
                let index = schema.maybe_index_of_column(column);
                index.and_then(|index| columns.get(index)).copied().unwrap_or(1)
            }
            // It becomes two comparisons of the same operand.
            Expr::Between(between) => terms(&between.expr, schema, columns).saturating_add(1),
            _ => 1,
        });
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(walked.is_ok(), "the walk itself cannot fail");
    total
}
