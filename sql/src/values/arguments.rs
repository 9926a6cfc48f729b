//! Arguments of table functions. DataFusion folds them while it plans, before any rule of its analyser sees them: here they pass
//! through the rules first, and what can't be computed is an error.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::Schema;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, DFSchemaRef, Result as DfResult, TableReference, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Volatility};
use datafusion::optimizer::Analyzer;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::create_physical_expr;
use datafusion::sql::sqlparser::ast::{FunctionArg, FunctionArgExpr, ObjectName, ObjectNamePart, TableFactor};

use super::operators::{self, Stage};
use crate::names::fold;

/// Plans calls of table functions.
#[derive(Debug)]
pub(super) struct Arguments {
    /// With the rules of this room.
    pub(super) analyzer: Analyzer,
}

impl RelationPlanner for Arguments {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> DfResult<RelationPlanning> {
        let (name, args, alias) = match relation {
            TableFactor::Table { with_ordinality: true, .. } | TableFactor::Function { with_ordinality: true, .. } => {
                return plan_err!("WITH ORDINALITY is not offered");
            }
            TableFactor::Table { name, args: Some(args), alias, .. } => (name, args.args, alias),
            TableFactor::Function { name, args, alias, .. } => (name, args, alias),
            other => return Ok(RelationPlanning::Original(Box::new(other))),
        };
        let args = args.into_iter().map(|arg| self.argument(arg, context)).collect::<DfResult<Vec<_>>>()?;
        let name = function_name(&name)?;
        let source = context.context_provider().get_table_function_source(&name, args)?;
        let plan = LogicalPlanBuilder::scan(TableReference::bare(format!("{name}()")), source, None)?.build()?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
    }
}

/// The function as DataFusion knows it.
fn function_name(name: &ObjectName) -> DfResult<String> {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(name)] => Ok(fold(name)),
        _ => plan_err!("{name} is no table function"),
    }
}

impl Arguments {
    fn argument(&self, arg: FunctionArg, context: &mut dyn RelationPlannerContext) -> DfResult<Expr> {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)) = arg else {
            return plan_err!("{arg} can't be an argument of a table function: it takes values by their places");
        };
        let none = Arc::new(DFSchema::empty());
        let expr = context.sql_expr_to_logical_expr(arg, &none)?;
        if matches!(expr, Expr::Literal(..)) || !is_computed(&expr)? {
            return Ok(expr);
        }
        self.folded(expr, &none, context.context_provider().options())
    }

    fn folded(&self, expr: Expr, none: &DFSchemaRef, config: &ConfigOptions) -> DfResult<Expr> {
        let row = LogicalPlanBuilder::empty(true).project([expr])?.build()?;
        let LogicalPlan::Projection(mut row) = self.analyzer.execute_and_check(row, config, |_, _| {})? else {
            return plan_err!("an argument of a table function is a value");
        };
        let expr = std::mem::take(&mut row.expr).into_iter().next().unwrap_or_default().unalias();
        let checked = operators::checked(expr, none, Stage::Folding)?.data;
        if !is_immutable(&checked)? {
            // now() is known to DataFusion alone, which goes on with it.
            return Ok(checked);
        }
        let info =
            SimplifyContext::builder().with_schema(Arc::clone(none)).with_config_options(Arc::new(config.clone()));
        let simple = ExprSimplifier::new(info.build()).simplify(checked)?;
        if matches!(simple, Expr::Literal(..)) {
            return Ok(simple);
        }
        // It stays when it fails: once more, for the error.
        let physical =
            create_physical_expr(&simple, none, &ExecutionProps::new(), &PhysicalPlanningContext::default())?;
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        physical.evaluate(&RecordBatch::try_new_with_options(Schema::empty().into(), Vec::new(), &options)?)?;
        Ok(simple)
    }
}

/// Whether there is nothing in it but values.
fn is_computed(expr: &Expr) -> DfResult<bool> {
    let needs_more = expr.exists(|node| {
        Ok(matches!(
            node,
            Expr::Column(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::Placeholder(_)
                | Expr::ScalarVariable(..)
                | Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::SetComparison(_)
                | Expr::AggregateFunction(_)
                | Expr::WindowFunction(_)
                | Expr::Unnest(_)
        ))
    })?;
    Ok(!needs_more)
}

fn is_immutable(expr: &Expr) -> DfResult<bool> {
    let changes = expr.exists(|node| {
        Ok(matches!(node, Expr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable))
    })?;
    Ok(!changes)
}
