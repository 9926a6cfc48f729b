//! Rewriting the expressions of a whole plan, with the columns that each of them may name.

use std::cell::Cell;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as DfResult};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// Calls `rewrite` for every expression of a plan, the inner ones first; columns keep their names. `finish` may change a step
/// whose expressions are done.
pub(super) fn rewrite_plan(
    plan: LogicalPlan,
    rewrite: &dyn Fn(Expr, &DFSchema) -> DfResult<Transformed<Expr>>,
    finish: &dyn Fn(LogicalPlan) -> DfResult<Transformed<LogicalPlan>>,
) -> DfResult<LogicalPlan> {
    // To make a schema anew takes DataFusion a search through all columns for each of them.
    let is_changed_below = Cell::new(false);
    let rewritten = plan.transform_up_with_subqueries(|step| {
        let schema = schema_of(&step)?;
        let names = NamePreserver::new(&step);
        let step = step.map_expressions(|expr| {
            let name = names.save(&expr);
            let changed = expr.transform_up(|node| rewrite(node, &schema))?;
            // A name costs a walk over the expression: only what has changed may have another one.
            Ok(if changed.transformed { changed.update_data(|expr| name.restore(expr)) } else { changed })
        })?;
        let step = step.transform_data(finish)?;
        if !step.transformed && (!is_changed_below.get() || step.data.inputs().is_empty()) {
            return Ok(step);
        }
        is_changed_below.set(true);
        step.map_data(|step| step.recompute_schema())
    })?;
    Ok(rewritten.data)
}

/// All columns that the expressions of a step may name.
pub(super) fn schema_of(step: &LogicalPlan) -> DfResult<DFSchema> {
    let mut schema = merge_schema(&step.inputs());
    if let LogicalPlan::TableScan(scan) = step {
        schema.merge(&DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?);
    }
    Ok(schema)
}
